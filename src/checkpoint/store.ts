import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ZkLoraError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import { type Envelope, envelopeId, parseEnvelope, serializeEnvelope } from './dsse.js';
import { MAX_ENVELOPE_BYTES, MAX_ENVELOPES } from './limits.js';

const ENDING = '.dsse.json';
const NAME = /^[0-9a-f]{64}\.dsse\.json$/;

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
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new ZkLoraError('FILE_UNWRITABLE', `cannot make the folder ${folder}: choose another store`, {
      cause,
    });
  }
  try {
    await writeFileAtomic(join(folder, `${id}${ENDING}`), bytes);
    return { id, added: true };
  } catch (error) {
    if (!(error instanceof ZkLoraError) || error.code !== 'FILE_EXISTS') throw error;
    const present = readBounded(join(folder, `${id}${ENDING}`));
    if (present !== null && envelopeId(present) === id) return { id, added: false };
    throw new ZkLoraError(
      'LINEAGE_MALFORMED',
      `the store holds a damaged file ${id}${ENDING}; remove it and add the statement again`,
    );
  }
}

/**
 * Reads all envelopes of a store, in order of their names. Files of other names are left alone; what the files
 * hold is judged later, one by one, so that a damaged file never hides the others.
 *
 * @throws ZkLoraError `FILE_NOT_FOUND` without the folder, `LINEAGE_MALFORMED` with more files than the limit
 */
export async function readStore(folder: string): Promise<StoredFile[]> {
  let names: string[];
  try {
    names = (await readdir(folder)).filter((name) => NAME.test(name)).sort();
  } catch {
    throw new ZkLoraError('FILE_NOT_FOUND', `lineage store: there is no folder ${folder}; check the path`);
  }
  if (names.length > MAX_ENVELOPES) {
    throw new ZkLoraError('LINEAGE_MALFORMED', `the store holds more than ${MAX_ENVELOPES} envelopes`);
  }
  return names.map((name) => ({
    id: name.slice(0, -ENDING.length),
    // unreadable and oversized files come out empty, which no envelope is
    bytes: readBounded(join(folder, name)) ?? new Uint8Array(),
  }));
}

/** Synchronous, since 10,000 small files take five times as long through the thread pool. */
function readBounded(path: string): Uint8Array | null {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch {
    return null;
  }
  try {
    const stats = fstatSync(file);
    if (!stats.isFile() || stats.size > MAX_ENVELOPE_BYTES) return null;
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
