/**
 * The container of iden3's binary files (.r1cs, .wtns, .ptau, .zkey), little-endian: 4 letters, u32 version,
 * u32 number of sections, then per section u32 id, u64 length, bytes.
 *
 * Source: @iden3/binfileutils, docs of iden3/r1csfile.
 */
import { utf8ToBytes } from '../bytes.js';
import { type ErrorCode, ZkLoraError } from '../errors.js';

/** Kinds of files, by their first four bytes. */
export type BinFileKind = 'ptau' | 'r1cs' | 'wtns' | 'zkey';

/** One section. */
export interface Section {
  readonly id: number;
  readonly data: Uint8Array;
}

/** A .ptau file has 11 sections, a .zkey 10, an .r1cs up to 5: more is no file of these kinds. */
const MAX_SECTIONS = 16;

const HEADER_BYTES = 12;
const SECTION_HEADER_BYTES = 12;

/**
 * Splits a file into its sections, which must fill it exactly; no id may occur twice.
 *
 * The sections are views into `bytes`.
 *
 * @param maxVersion highest version that the caller understands
 * @throws ZkLoraError with the given code.
 */
export function parseBinFile(
  bytes: Uint8Array,
  kind: BinFileKind,
  maxVersion: number,
  code: ErrorCode,
): ReadonlyMap<number, Uint8Array> {
  const refuse = (reason: string) =>
    new ZkLoraError(code, `.${kind} file refused: ${reason}; fetch it again or make a new one`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_BYTES) throw refuse('it is shorter than its header');
  if (String.fromCharCode(...bytes.subarray(0, 4)) !== kind) throw refuse('it is a file of another kind');
  const version = view.getUint32(4, true);
  if (version < 1 || version > maxVersion) throw refuse(`version ${version} is not supported`);
  const count = view.getUint32(8, true);
  if (count > MAX_SECTIONS)
    throw refuse(`it declares ${count} sections, at most ${MAX_SECTIONS} are allowed`);

  const sections = new Map<number, Uint8Array>();
  let at = HEADER_BYTES;
  for (let i = 0; i < count; i++) {
    if (bytes.length - at < SECTION_HEADER_BYTES) throw refuse('it ends inside a section header');
    const id = view.getUint32(at, true);
    const length = view.getUint32(at + 4, true) + view.getUint32(at + 8, true) * 2 ** 32;
    at += SECTION_HEADER_BYTES;
    if (length > bytes.length - at) throw refuse(`section ${id} is longer than the file`);
    if (sections.has(id)) throw refuse(`section ${id} occurs twice`);
    sections.set(id, bytes.subarray(at, at + length));
    at += length;
  }
  if (at !== bytes.length) throw refuse('bytes follow the last section');
  return sections;
}

/** Writes a file; see {@link parseBinFile}. */
export function serializeBinFile(
  kind: BinFileKind,
  version: number,
  sections: readonly Section[],
): Uint8Array {
  const length = sections.reduce((sum, { data }) => sum + SECTION_HEADER_BYTES + data.length, HEADER_BYTES);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes.set(utf8ToBytes(kind), 0);
  view.setUint32(4, version, true);
  view.setUint32(8, sections.length, true);
  let at = HEADER_BYTES;
  for (const { id, data } of sections) {
    view.setUint32(at, id, true);
    view.setUint32(at + 4, data.length % 2 ** 32, true);
    view.setUint32(at + 8, Math.floor(data.length / 2 ** 32), true);
    bytes.set(data, at + SECTION_HEADER_BYTES);
    at += SECTION_HEADER_BYTES + data.length;
  }
  return bytes;
}
