import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type GroupName, POINT_BYTES } from '../algebra/points.js';
import { serializeBinFile } from '../circuit/binfile.js';
import { PTAU_SECTION } from '../circuit/ptau.js';
import { ZkLoraError } from '../errors.js';
import { MAX_TRANSCRIPT_BYTES, parsePtauHeader } from './transcript.js';

/** Sections that hold points. */
export type PointSection = Exclude<keyof typeof PTAU_SECTION, 'header' | 'contributions'>;

/** A prepared powers-of-tau file, whose sections have the ids and lengths that its power asks for. */
export interface PtauFile {
  readonly path: string;
  readonly power: number;
  readonly ceremonyPower: number;
  /** Section 1. */
  readonly header: Uint8Array;
  /** Points `from .. from + count - 1` of a section, affine in ffjavascript's form, unchecked. */
  readPoints(section: PointSection, from: number, count: number): Promise<Uint8Array>;
  /** Section 7, unchecked. */
  readContributions(): Promise<Uint8Array>;
  /**
   * The part of the file that serves circuits of up to 2^power rows, as a file of its own: what `snarkjs powersoftau
   * truncate` makes. Takes 1.2 kB of memory for each row.
   */
  readReduced(power: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

interface Span {
  readonly offset: number;
  readonly length: number;
}

/** A prepared file has the eleven sections of {@link PTAU_SECTION}. */
const MAX_SECTIONS = 16;

const FILE_HEADER_BYTES = 12;
const SECTION_HEADER_BYTES = 12;
const MAX_HEADER_BYTES = 64;

/** Offset of the power in section 1. */
const POWER_OFFSET = 4 + 32;

/** Bytes of one read call. */
const READ_CHUNK = 2 ** 24;

const LAGRANGE: readonly PointSection[] = [
  'lagrangeTauG1',
  'lagrangeTauG2',
  'lagrangeAlphaTauG1',
  'lagrangeBetaTauG1',
];

/** Group of the points of a section. */
export function groupOfSection(section: PointSection): GroupName {
  return section === 'tauG2' || section === 'betaG2' || section === 'lagrangeTauG2' ? 'G2' : 'G1';
}

/** Number of points of each section of a file of power P. */
function pointCounts(power: number): Readonly<Record<PointSection, number>> {
  const size = 2 ** power;
  return {
    tauG1: 2 * size - 1,
    tauG2: size,
    alphaTauG1: size,
    betaTauG1: size,
    betaG2: 1,
    lagrangeTauG1: 4 * size - 1,
    lagrangeTauG2: 2 * size - 1,
    lagrangeAlphaTauG1: 2 * size - 1,
    lagrangeBetaTauG1: 2 * size - 1,
  };
}

/**
 * Opens a .ptau file that is prepared for phase 2. Reads its section table; points only when asked for, by
 * position, so that files of any size do.
 *
 * @throws ZkLoraError `PARAMETERS_MALFORMED`, `FILE_NOT_FOUND`, `FILE_UNREADABLE`.
 */
export async function openPtau(path: string): Promise<PtauFile> {
  const handle = await openFile(path);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw unreadable(path, 'it is not a regular file');
    const spans = await readTable(handle, path, stats.size);
    return await readShape(handle, path, spans);
  } catch (error) {
    await handle.close();
    if (error instanceof ZkLoraError) throw error;
    throw unreadable(path, 'the system refuses to read it', error);
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    // non-blocking, so that a named pipe is refused instead of waited for
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT')
      throw unreadable(path, 'the system refuses to open it', cause);
    throw new ZkLoraError('FILE_NOT_FOUND', `powers of tau: there is no file ${path}; check the path`, {
      cause,
    });
  }
}

async function readTable(
  handle: FileHandle,
  path: string,
  fileBytes: number,
): Promise<ReadonlyMap<number, Span>> {
  if (fileBytes < FILE_HEADER_BYTES) throw refuse('it is shorter than its header');
  const header = await readAt(handle, path, 0, FILE_HEADER_BYTES);
  if (String.fromCharCode(...header.subarray(0, 4)) !== 'ptau') throw refuse('it is a file of another kind');
  const view = new DataView(header.buffer);
  if (view.getUint32(4, true) !== 1) throw refuse(`version ${view.getUint32(4, true)} is not supported`);
  const count = view.getUint32(8, true);
  if (count > MAX_SECTIONS)
    throw refuse(`it declares ${count} sections, at most ${MAX_SECTIONS} are allowed`);

  const spans = new Map<number, Span>();
  let at = FILE_HEADER_BYTES;
  for (let i = 0; i < count; i++) {
    if (fileBytes - at < SECTION_HEADER_BYTES) throw refuse('it ends inside a section header');
    const entry = await readAt(handle, path, at, SECTION_HEADER_BYTES);
    const fields = new DataView(entry.buffer);
    const id = fields.getUint32(0, true);
    const length = fields.getUint32(4, true) + fields.getUint32(8, true) * 2 ** 32;
    at += SECTION_HEADER_BYTES;
    if (length > fileBytes - at) throw refuse(`section ${id} is longer than the file`);
    if (spans.has(id)) throw refuse(`section ${id} occurs twice`);
    spans.set(id, { offset: at, length });
    at += length;
  }
  if (at !== fileBytes) throw refuse('bytes follow the last section');
  return spans;
}

async function readShape(
  handle: FileHandle,
  path: string,
  spans: ReadonlyMap<number, Span>,
): Promise<PtauFile> {
  const spanOf = (name: keyof typeof PTAU_SECTION): Span => {
    const span = spans.get(PTAU_SECTION[name]);
    if (span !== undefined) return span;
    throw LAGRANGE.includes(name as PointSection)
      ? refuse('it is not prepared for phase 2: run `snarkjs powersoftau prepare phase2` on it first')
      : refuse(`section ${PTAU_SECTION[name]} is missing`);
  };
  const headerSpan = spanOf('header');
  if (headerSpan.length > MAX_HEADER_BYTES) throw refuse(`its header has ${headerSpan.length} bytes`);
  const header = await readAt(handle, path, headerSpan.offset, headerSpan.length);
  const { power, ceremonyPower } = parsePtauHeader(header);
  const counts = pointCounts(power);
  const names = Object.keys(counts) as PointSection[];
  for (const name of names) {
    const expected = counts[name] * POINT_BYTES[groupOfSection(name)];
    const { length } = spanOf(name);
    if (length !== expected) {
      throw refuse(
        `section ${PTAU_SECTION[name]} has ${length} bytes, a file of power ${power} has ${expected}`,
      );
    }
  }
  const contributions = spanOf('contributions');
  if (contributions.length > MAX_TRANSCRIPT_BYTES) {
    throw refuse(`its contributions have ${contributions.length} bytes`);
  }
  if (spans.size !== names.length + 2) throw refuse('it has an unknown section');

  const readPoints = async (section: PointSection, from: number, count: number): Promise<Uint8Array> => {
    if (from + count > counts[section]) {
      throw new ZkLoraError('INTERNAL', `section ${PTAU_SECTION[section]} has no point ${from + count - 1}`);
    }
    const size = POINT_BYTES[groupOfSection(section)];
    return readAt(handle, path, spanOf(section).offset + from * size, count * size);
  };
  const readContributions = () => readAt(handle, path, contributions.offset, contributions.length);
  const readReduced = async (reduced: number): Promise<Uint8Array> => {
    const reducedHeader = header.slice();
    new DataView(reducedHeader.buffer).setUint32(POWER_OFFSET, reduced, true);
    const data = new Map([
      [PTAU_SECTION.header as number, reducedHeader],
      [PTAU_SECTION.contributions as number, await readContributions()],
    ]);
    for (const [name, count] of Object.entries(pointCounts(reduced)) as [PointSection, number][]) {
      data.set(PTAU_SECTION[name], await readPoints(name, 0, count));
    }
    const ids = Object.values(PTAU_SECTION);
    return serializeBinFile(
      'ptau',
      1,
      ids.map((id) => ({ id, data: data.get(id)! })),
    );
  };
  return {
    path,
    power,
    ceremonyPower,
    header,
    readPoints,
    readContributions,
    readReduced,
    close: () => handle.close(),
  };
}

async function readAt(
  handle: FileHandle,
  path: string,
  position: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length; ) {
    const wanted = Math.min(READ_CHUNK, length - filled);
    const { bytesRead } = await handle.read(bytes, filled, wanted, position + filled);
    if (bytesRead === 0) throw unreadable(path, 'it changed while it was read');
    filled += bytesRead;
  }
  return bytes;
}

function refuse(reason: string): ZkLoraError {
  return new ZkLoraError(
    'PARAMETERS_MALFORMED',
    `.ptau file refused: ${reason}; fetch it again or use another ceremony's`,
  );
}

function unreadable(path: string, reason: string, cause?: unknown): ZkLoraError {
  return new ZkLoraError(
    'FILE_UNREADABLE',
    `powers of tau: ${path} cannot be read: ${reason}; check the file`,
    cause === undefined ? {} : { cause },
  );
}
