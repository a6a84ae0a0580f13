import { DTYPE_BYTES, type Dtype, isDtype } from '../adapter/dtype.js';
import { quoted } from '../adapter/quoted.js';
import { MAX_DIMENSIONS } from '../adapter/safetensors.js';
import { utf8ToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonBytes } from '../jsonText.js';
import { type OpenFile, readExactly } from './confined.js';
import { MAX_CHECKPOINT_HEADER_BYTES, MAX_CHECKPOINT_TENSORS, MAX_TENSOR_NAME_BYTES } from './limits.js';
import { dataLength } from './tensorSource.js';

/** A tensor's place in a safetensors file. */
export interface HeaderEntry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Byte range in the file. */
  readonly begin: number;
  readonly end: number;
}

const LENGTH_BYTES = 8;
const SPACE = 0x20;
const METADATA = '__metadata__';

/**
 * Reads the header of a safetensors file of any size, without its data. The rules are those of `parseSafetensors`:
 * the data section is covered exactly once, entries have exactly three members, padding is spaces.
 *
 * @throws ZkLoraError `SAFETENSORS_MALFORMED`, `FILE_UNREADABLE`
 */
export async function readSafetensorsHeader(file: OpenFile): Promise<HeaderEntry[]> {
  if (file.size < LENGTH_BYTES) throw malformed('the file is shorter than its header length');
  const prefix = new Uint8Array(LENGTH_BYTES);
  await readExactly(file, prefix, 0);
  const view = new DataView(prefix.buffer);
  const length = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
  if (length > MAX_CHECKPOINT_HEADER_BYTES) {
    throw malformed(`the header is longer than ${MAX_CHECKPOINT_HEADER_BYTES} bytes`);
  }
  if (length > file.size - LENGTH_BYTES) throw malformed('the file ends inside its header');
  const header = new Uint8Array(length);
  await readExactly(file, header, LENGTH_BYTES);
  return parseEntries(header, LENGTH_BYTES + length, file.size);
}

function parseEntries(header: Uint8Array, dataBegin: number, fileSize: number): HeaderEntry[] {
  let end = header.length;
  while (end > 0 && header[end - 1] === SPACE) end--;
  if (header[0] !== 0x7b || header[end - 1] !== 0x7d) {
    throw malformed('the header is not one JSON object followed by spaces');
  }
  const text = header.subarray(0, end);
  const value = parseJsonBytes(text, 'SAFETENSORS_MALFORMED', 'the safetensors header', 'naturals');
  const entries: HeaderEntry[] = [];
  for (const [name, entry] of Object.entries(value as Record<string, unknown>)) {
    if (name === METADATA) {
      if (!isObject(entry) || !Object.values(entry).every((item) => typeof item === 'string')) {
        throw malformed(`${METADATA} is not a map of strings`);
      }
      continue;
    }
    if (entries.length === MAX_CHECKPOINT_TENSORS) {
      throw malformed(`the file lists more than ${MAX_CHECKPOINT_TENSORS} tensors`);
    }
    entries.push(parseEntry(name, entry, dataBegin));
  }
  checkCoverage(entries, dataBegin, fileSize);
  return entries;
}

function parseEntry(name: string, value: unknown, dataBegin: number): HeaderEntry {
  const label = `tensor ${quoted(name)}`;
  if (utf8ToBytes(name).length > MAX_TENSOR_NAME_BYTES) throw malformed(`${label} has too long a name`);
  if (!isObject(value) || Object.keys(value).length !== 3) {
    throw malformed(`${label} is not described by exactly dtype, shape and data_offsets`);
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string') throw malformed(`${label} has no dtype`);
  if (!isDtype(dtype)) throw malformed(`${label} has the unknown dtype ${quoted(dtype)}`);
  if (!isCountArray(shape) || shape.length > MAX_DIMENSIONS) {
    throw malformed(`${label} has a shape that is not a list of at most ${MAX_DIMENSIONS} sizes`);
  }
  if (!isCountArray(offsets) || offsets.length !== 2) {
    throw malformed(`${label} has data_offsets that are not two positions`);
  }
  const [begin = 0, end = 0] = offsets;
  if (end - begin !== dataLength(shape, DTYPE_BYTES[dtype])) {
    throw malformed(`${label} has a byte range that does not match its shape and dtype`);
  }
  return { name, dtype, shape, begin: dataBegin + begin, end: dataBegin + end };
}

function checkCoverage(entries: readonly HeaderEntry[], dataBegin: number, fileSize: number): void {
  const sorted = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = dataBegin;
  for (const { name, begin, end } of sorted) {
    if (begin < at) throw malformed(`tensor ${quoted(name)} overlaps another tensor`);
    if (begin > at) throw malformed(`there is a hole in the data before tensor ${quoted(name)}`);
    at = end;
  }
  if (at > fileSize) throw malformed('the file ends inside its tensor data');
  if (at < fileSize) throw malformed('the file holds bytes after its last tensor');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCountArray(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((entry) => Number.isSafeInteger(entry) && entry >= 0);
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError(
    'SAFETENSORS_MALFORMED',
    `not a valid safetensors file: ${problem}; save the tensors again or fetch an intact copy`,
  );
}
