import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { equalBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import { type Envelope, envelopeId, parseEnvelope, serializeEnvelope } from './dsse.js';
import { MAX_ENVELOPE_BYTES, MAX_ENVELOPES, MAX_HEAD_BYTES } from './limits.js';
import {
  type LineageHead,
  lineageHeadDigest,
  parseLineageHead,
  serializeLineageHead,
} from './lineageHead.js';

const ENDING = '.dsse.json';
const NAME = /^[0-9a-f]{64}\.dsse\.json$/;
const HEAD_ENDING = '.head.json';
const HEAD_NAME = /^[0-9a-f]{64}\.head\.json$/;

/** A file of a store, as it lies there. */
export interface StoredFile {
  /** Id that the file name claims: SHA-256 of the content, hex. */
  readonly id: string;
  readonly bytes: Uint8Array;
}

/**
 * Adds an envelope to a store, a folder of files `<SHA-256>.dsse.json`.
 *
 * Safe with several writers: a file appears whole under its content's name, and who comes second finds it there.
 * Stores merge by copying the files of one into the other.
 *
 * @returns the envelope's id, and whether it is new here
 * @throws ZkLoraError `LINEAGE_MALFORMED`, `FILE_UNWRITABLE`
 */
export async function addToStore(
  folder: string,
  envelope: Envelope,
): Promise<{ id: string; added: boolean }> {
  const bytes = serializeEnvelope(envelope);
  // what is written has to be readable again
  parseEnvelope(bytes);
  const id = envelopeId(bytes);
  return { id, added: await put(folder, `${id}${ENDING}`, bytes) };
}

/**
 * Adds the head of a registration to a store, as `<head digest>.head.json`.
 *
 * @returns the head's digest, and whether it is new here
 * @throws ZkLoraError `LINEAGE_MALFORMED`, `FILE_UNWRITABLE`
 */
export async function addHeadToStore(
  folder: string,
  head: LineageHead,
): Promise<{ digest: string; added: boolean }> {
  const bytes = serializeLineageHead(head);
  parseLineageHead(bytes);
  const digest = lineageHeadDigest(head);
  return { digest, added: await put(folder, `${digest}${HEAD_ENDING}`, bytes) };
}

/**
 * The head of a digest, or undefined when the store does not hold it; a damaged file counts as none.
 *
 * @param digest lineage digest of an adapter commitment, hex
 */
export function readLineageHead(folder: string, digest: string): LineageHead | undefined {
  const bytes = readBounded(join(folder, `${digest}${HEAD_ENDING}`), MAX_HEAD_BYTES);
  if (bytes === null) return undefined;
  try {
    const head = parseLineageHead(bytes);
    return lineageHeadDigest(head) === digest ? head : undefined;
  } catch (error) {
    if (error instanceof ZkLoraError) return undefined;
    throw error;
  }
}

/** Heads of a store, damaged ones left out. @throws ZkLoraError `FILE_NOT_FOUND` without the folder */
export async function readLineageHeads(folder: string): Promise<LineageHead[]> {
  const names = (await namesIn(folder)).filter((name) => HEAD_NAME.test(name));
  return names.flatMap((name) => readLineageHead(folder, name.slice(0, -HEAD_ENDING.length)) ?? []);
}

/** @returns whether the file is new; the same content under the name is no failure */
async function put(folder: string, name: string, bytes: Uint8Array): Promise<boolean> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new ZkLoraError('FILE_UNWRITABLE', `cannot make the folder ${folder}: choose another store`, {
      cause,
    });
  }
  try {
    await writeFileAtomic(join(folder, name), bytes);
    return true;
  } catch (error) {
    if (!(error instanceof ZkLoraError) || error.code !== 'FILE_EXISTS') throw error;
    const present = readBounded(join(folder, name), bytes.length);
    if (present !== null && equalBytes(present, bytes)) return false;
    throw new ZkLoraError(
      'LINEAGE_MALFORMED',
      `the store holds a damaged file ${name}; remove it and add it again`,
    );
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch {
    throw new ZkLoraError('FILE_NOT_FOUND', `lineage store: there is no folder ${folder}; check the path`);
  }
}

/**
 * Reads all envelopes of a store, in order of their names. Files of other names are left alone; what the files
 * hold is judged later, one by one, so that a damaged file never hides the others.
 *
 * @throws ZkLoraError `FILE_NOT_FOUND` without the folder, `LINEAGE_MALFORMED` with more files than the limit
 */
export async function readStore(folder: string): Promise<StoredFile[]> {
  const names = (await namesIn(folder)).filter((name) => NAME.test(name));
  if (names.length > MAX_ENVELOPES) {
    throw new ZkLoraError('LINEAGE_MALFORMED', `the store holds more than ${MAX_ENVELOPES} envelopes`);
  }
  return names.map((name) => ({
    id: name.slice(0, -ENDING.length),
    // unreadable and oversized files come out empty, which no envelope is
    bytes: readBounded(join(folder, name), MAX_ENVELOPE_BYTES) ?? new Uint8Array(),
  }));
}

/** Synchronous, since 10,000 small files take five times as long through the thread pool. */
function readBounded(path: string, maxBytes: number): Uint8Array | null {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch {
    return null;
  }
  try {
    const stats = fstatSync(file);
    if (!stats.isFile() || stats.size > maxBytes) return null;
    const bytes = new Uint8Array(stats.size);
    let filled = 0;
    while (filled < bytes.length) {
      const count = readSync(file, bytes, filled, bytes.length - filled, filled);
      if (count === 0) return null;
      filled += count;
    }
    return bytes;
  } catch {
    return null;
  } finally {
    closeSync(file);
  }
}
