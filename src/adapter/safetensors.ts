import { canonicalJson, concatBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonBytes } from '../jsonText.js';
import { DTYPE_BYTES, isDtype, type Tensor } from './dtype.js';
import { quoted } from './quoted.js';

export type { Dtype, Tensor } from './dtype.js';
export { tensorToFloat32 } from './dtype.js';

/** JSON header in bytes: 2^16 tensors at about 150 bytes each come to 10 MB. */
export const MAX_HEADER_BYTES = 16 * 2 ** 20;
/** Tensors in one file: two for each of at most 4096 modules, with room for session records. */
export const MAX_TENSORS = 65_536;
/** Dimensions of a tensor; PyTorch layers use at most 5. */
export const MAX_DIMENSIONS = 8;

const LENGTH_BYTES = 8;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
const SPACE = 0x20;
const METADATA = '__metadata__';

/** Tighter maxima for a caller that knows its file. */
export interface SafetensorsLimits {
  readonly maxHeaderBytes?: number;
  readonly maxTensors?: number;
}

export interface SafetensorsFile {
  /** In the header's order. */
  readonly tensors: Map<string, Tensor>;
  readonly metadata: Record<string, string>;
}

interface Entry {
  readonly name: string;
  readonly tensor: Omit<Tensor, 'data'>;
  readonly begin: number;
  readonly end: number;
}

/**
 * Reads a safetensors file: header length (u64, little-endian), JSON header, tensor data.
 *
 * Source: https://huggingface.co/docs/safetensors, "Format". Stricter than the reference reader: object keys may
 * not repeat, entries carry no unknown fields, and padding after the header's closing brace is spaces only. The
 * data section is covered exactly once: no overlap, no hole, nothing after the last tensor.
 *
 * @param bytes the whole file; the tensors' data are views into it.
 * @throws ZkLoraError `SAFETENSORS_MALFORMED`, with the detail `cutShort` for a file that ends before its last byte
 * @example
 * const { tensors } = parseSafetensors(serializeSafetensors(new Map()));
 */
export function parseSafetensors(bytes: Uint8Array, limits: SafetensorsLimits = {}): SafetensorsFile {
  const headerEnd = readHeaderEnd(bytes, limits.maxHeaderBytes ?? MAX_HEADER_BYTES);
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, headerEnd));
  const data = bytes.subarray(headerEnd);

  const entries: Entry[] = [];
  let metadata: Record<string, string> = {};
  const maxTensors = limits.maxTensors ?? MAX_TENSORS;
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA) {
      metadata = parseMetadata(value);
      continue;
    }
    if (entries.length === maxTensors) throw malformed(`the file lists more than ${maxTensors} tensors`);
    entries.push(parseEntry(name, value));
  }
  checkCoverage(entries, data.length);
  const tensors = new Map(
    entries.map((entry) => [entry.name, { ...entry.tensor, data: data.subarray(entry.begin, entry.end) }]),
  );
  return { tensors, metadata };
}

/**
 * Writes the one canonical form of a set of tensors: wide dtypes first, then by name (UTF-16 code units), which
 * aligns every tensor to its element size; header in the same order, metadata first with sorted keys, padded
 * with spaces to a multiple of 8 bytes.
 *
 * @throws ZkLoraError `INTERNAL` when a tensor's bytes do not match its shape.
 */
export function serializeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const { head, positions } = safetensorsLayout(tensors, metadata);
  for (const [name, tensor] of tensors) {
    if (tensor.data.length === sizeOf(tensor) && name !== METADATA && name !== '__proto__') continue;
    throw new ZkLoraError('INTERNAL', `tensor ${quoted(name)} cannot be written: name or size is wrong`);
  }
  return concatBytes(head, ...[...positions.keys()].map((name) => tensors.get(name)!.data));
}

/** Where everything lies in a file of {@link serializeSafetensors}. */
export interface SafetensorsLayout {
  /** What stands before the data: header length and header. */
  readonly head: Uint8Array;
  /** Where the data of each tensor begin in the file, in their order. */
  readonly positions: ReadonlyMap<string, number>;
  /** Of the whole file. */
  readonly bytes: number;
}

/** Plans the file for tensors whose data need not be there yet. */
export function safetensorsLayout(
  tensors: ReadonlyMap<string, Omit<Tensor, 'data'>>,
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsLayout {
  const sorted = [...tensors].sort(
    ([nameA, a], [nameB, b]) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype] || (nameA < nameB ? -1 : 1),
  );
  const fields: string[] = [];
  if (Object.keys(metadata).length > 0) fields.push(`"${METADATA}":${canonicalText(metadata)}`);
  const offsets = new Map<string, number>();
  let offset = 0;
  for (const [name, tensor] of sorted) {
    const end = offset + sizeOf(tensor);
    fields.push(
      `${canonicalText(name)}:{"dtype":"${tensor.dtype}","shape":[${tensor.shape.join(',')}],"data_offsets":[${offset},${end}]}`,
    );
    offsets.set(name, offset);
    offset = end;
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`);
  const head = new Uint8Array(LENGTH_BYTES + Math.ceil(json.length / 8) * 8).fill(SPACE);
  head.set(json, LENGTH_BYTES);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - LENGTH_BYTES), true);
  const positions = new Map([...offsets].map(([name, at]) => [name, head.length + at]));
  return { head, positions, bytes: head.length + offset };
}

function sizeOf({ dtype, shape }: Omit<Tensor, 'data'>): number {
  return shape.reduce((product, dimension) => product * dimension, DTYPE_BYTES[dtype]);
}

function canonicalText(value: unknown): string {
  return new TextDecoder().decode(canonicalJson(value));
}

function readHeaderEnd(bytes: Uint8Array, maxHeaderBytes: number): number {
  if (bytes.length < LENGTH_BYTES)
    throw cutShort('the file is shorter than the 8 bytes of its header length');
  const view = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES);
  // Both halves are exact in a double; the sum is rounded only far above every limit.
  const length = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
  if (length > maxHeaderBytes) throw malformed(`the header is longer than ${maxHeaderBytes} bytes`);
  if (length > bytes.length - LENGTH_BYTES) throw cutShort('the file ends inside its header');
  return LENGTH_BYTES + length;
}

function parseHeader(header: Uint8Array): Record<string, unknown> {
  let end = header.length;
  while (end > 0 && header[end - 1] === SPACE) end--;
  if (header[0] !== OPENING_BRACE || header[end - 1] !== CLOSING_BRACE) {
    throw malformed('the header is not one JSON object followed by spaces');
  }
  const text = header.subarray(0, end);
  const value = parseJsonBytes(text, 'SAFETENSORS_MALFORMED', 'the safetensors header', 'naturals');
  return value as Record<string, unknown>; // starts with a brace, so an object
}

function parseMetadata(value: unknown): Record<string, string> {
  if (!isObject(value) || !Object.values(value).every((text) => typeof text === 'string')) {
    throw malformed(`${METADATA} is not a map of strings`);
  }
  return value as Record<string, string>;
}

function parseEntry(name: string, value: unknown): Entry {
  const label = `tensor ${quoted(name)}`;
  if (!isObject(value) || Object.keys(value).length !== 3) {
    throw malformed(`${label} is not described by exactly dtype, shape and data_offsets`);
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string') throw malformed(`${label} has no dtype`);
  if (!isDtype(dtype)) throw malformed(`${label} has the unknown dtype ${quoted(dtype)}`);
  if (!isCountArray(shape)) throw malformed(`${label} has a shape that is not a list of sizes`);
  if (shape.length > MAX_DIMENSIONS) throw malformed(`${label} has more than ${MAX_DIMENSIONS} dimensions`);
  if (!isCountArray(offsets) || offsets.length !== 2) {
    throw malformed(`${label} has data_offsets that are not two positions`);
  }
  const [begin = 0, end = 0] = offsets;
  const size = sizeOf({ dtype, shape });
  // A product beyond 2^53 is rounded but stays beyond it (and below 2^428), while end - begin is below it.
  if (end - begin !== size)
    throw malformed(`${label} has a byte range that does not match its shape and dtype`);
  return { name, tensor: { dtype, shape }, begin, end };
}

/** The ranges, sorted, must tile the data section: each begins where the one before ended. */
function checkCoverage(entries: readonly Entry[], dataLength: number): void {
  const sorted = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const { name, begin, end } of sorted) {
    if (begin < at) throw malformed(`tensor ${quoted(name)} overlaps another tensor`);
    if (begin > at) throw malformed(`there is a hole in the data before tensor ${quoted(name)}`);
    at = end;
  }
  if (at > dataLength) throw cutShort('the file ends inside its tensor data');
  if (at < dataLength) throw malformed('the file holds bytes after its last tensor');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCountArray(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((entry) => Number.isSafeInteger(entry) && entry >= 0);
}

/** The detail `cutShort` tells a file that was not written to its end from one that is wrong. */
function cutShort(problem: string): ZkLoraError {
  return malformed(problem, { cutShort: true });
}

function malformed(problem: string, details: Readonly<Record<string, boolean>> = {}): ZkLoraError {
  return new ZkLoraError(
    'SAFETENSORS_MALFORMED',
    `not a valid safetensors file: ${problem}; save the tensors again or fetch an intact copy`,
    { details },
  );
}
