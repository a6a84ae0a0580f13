import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { equalBytes, hexToBytes, labelledSha256 } from '../../bytes.js';
import { ZkLoraError } from '../../errors.js';
import { openRegularFile, writeFileAtomic } from '../../files.js';
import { sha256OfParts } from '../../sha256.js';
import { decodeEntry, encodeEntry, type LedgerEntry, malformed } from './ledgerEntry.js';
import { MAX_LEDGER_RECORD_BYTES } from './limits.js';

const LABEL = 'zklora/ledger/v1';
const LABEL_BYTES = new TextEncoder().encode(`${LABEL}\0`);
const LENGTH_BYTES = 4;
const CHECKSUM_BYTES = 32;
const FILE_MODE = 0o600;
const WHAT = 'leakage ledger';

/** Which adapter a ledger is of. */
export interface LedgerSubject {
  /** Hex. */
  readonly adapterId: string;
  /** Input features of its modules; rows are not held against them without it. */
  readonly widths?: readonly number[];
}

/** Path of an adapter's ledger in a folder. */
export function ledgerPath(dir: string, { adapterId }: LedgerSubject): string {
  return join(dir, `${adapterId}.ledger`);
}

interface Position {
  readonly size: number;
  readonly checksum: Uint8Array;
}

/**
 * Reads the records of a ledger in their order. A last record that a crash cut off is left out: its stage was not
 * answered.
 *
 * @throws ZkLoraError `LEDGER_MALFORMED`, `FILE_NOT_FOUND`, `FILE_UNREADABLE`, and what `take` throws
 */
export async function readLedger(
  path: string,
  subject: LedgerSubject,
  take: (entry: LedgerEntry) => Promise<void>,
): Promise<void> {
  const { handle, size } = await openRegularFile(path, WHAT);
  try {
    await readRecords(handle, size, subject, take);
  } finally {
    await handle.close();
  }
}

/** An adapter's ledger, open for more records. One process at a time. */
export class LedgerFile {
  /** Records that are not on disk yet, in their order. */
  private readonly waiting: Uint8Array[] = [];
  private writing: Promise<void> | undefined;

  private constructor(
    private readonly path: string,
    private readonly handle: FileHandle,
    private size: number,
    private checksum: Uint8Array,
  ) {}

  /** Opens a ledger, or begins one; the records so far go to `take`, as {@link readLedger} gives them. */
  static async open(
    path: string,
    subject: LedgerSubject,
    take: (entry: LedgerEntry) => Promise<void>,
  ): Promise<LedgerFile> {
    const { handle, size } = await openOrMake(path);
    try {
      const end = await readRecords(handle, size, subject, take);
      if (end.size < size) await handle.truncate(end.size);
      const file = new LedgerFile(path, handle, end.size, end.checksum);
      if (end.size === 0) file.waiting.push(rootOf(subject.adapterId));
      return file;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /**
   * Adds a record; on disk when the promise resolves, together with all that were added meanwhile. After a failure
   * the next call tries again with everything that is not on disk.
   *
   * @throws ZkLoraError `FILE_UNWRITABLE`
   */
  append(entry: LedgerEntry): Promise<void> {
    const payload = encodeEntry(entry);
    this.checksum = chained(this.checksum, payload);
    const length = new Uint8Array(Uint32Array.of(payload.length).buffer);
    this.waiting.push(Buffer.concat([length, payload, this.checksum]));
    return this.flush();
  }

  async close(): Promise<void> {
    await this.writing?.catch(() => undefined);
    await this.handle.close();
  }

  /**
   * Resolves when all that was added is on disk; tries again with what is not.
   *
   * @throws ZkLoraError `FILE_UNWRITABLE`
   */
  async flush(): Promise<void> {
    while (this.writing !== undefined) await this.writing.catch(() => undefined);
    if (this.waiting.length === 0) return;
    this.writing = this.write().finally(() => {
      this.writing = undefined;
    });
    await this.writing;
  }

  private async write(): Promise<void> {
    const count = this.waiting.length;
    const bytes = Buffer.concat(this.waiting);
    try {
      let written = 0;
      while (written < bytes.length) {
        const at = this.size + written;
        written += (await this.handle.write(bytes, written, bytes.length - written, at)).bytesWritten;
      }
      await this.handle.datasync();
    } catch (cause) {
      throw new ZkLoraError('FILE_UNWRITABLE', `${this.path} cannot be written; check the disk`, { cause });
    }
    this.size += bytes.length;
    this.waiting.splice(0, count);
  }
}

async function openOrMake(path: string): Promise<{ handle: FileHandle; size: number }> {
  try {
    return await openRegularFile(path, WHAT, 'change');
  } catch (error) {
    if (!(error instanceof ZkLoraError) || error.code !== 'FILE_NOT_FOUND') throw error;
    await writeFileAtomic(path, '', { mode: FILE_MODE });
    return openRegularFile(path, WHAT, 'change');
  }
}

async function readRecords(
  handle: FileHandle,
  size: number,
  { adapterId, widths }: LedgerSubject,
  take: (entry: LedgerEntry) => Promise<void>,
): Promise<Position> {
  const root = rootOf(adapterId);
  // A file that ends before its first record was never used.
  if (size < CHECKSUM_BYTES) return { size: 0, checksum: root };
  if (!equalBytes(await bytesAt(handle, 0, CHECKSUM_BYTES), root)) throw malformed('it begins differently');
  let checksum = root;
  let at = CHECKSUM_BYTES;
  while (at < size) {
    const length =
      size - at < LENGTH_BYTES
        ? size
        : new DataView((await bytesAt(handle, at, LENGTH_BYTES)).buffer).getUint32(0, true);
    const end = at + LENGTH_BYTES + length + CHECKSUM_BYTES;
    // cut off by a crash: longer than the file, or its end never reached the disk
    if (end > size) break;
    if (length > MAX_LEDGER_RECORD_BYTES) throw malformed('a record is too long');
    const record = await bytesAt(handle, at + LENGTH_BYTES, length + CHECKSUM_BYTES);
    const payload = record.subarray(0, length);
    const next = chained(checksum, payload);
    if (!equalBytes(next, record.subarray(length))) {
      if (end === size) break;
      throw malformed('a checksum does not fit');
    }
    await take(decodeEntry(payload, widths));
    checksum = next;
    at = end;
  }
  return { size: at, checksum };
}

/** What a ledger begins with, and its first checksum continues. */
function rootOf(adapterId: string): Uint8Array {
  return labelledSha256(`${LABEL}/adapter`, hexToBytes(adapterId));
}

async function bytesAt(handle: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) throw malformed('it changed while it was read');
    filled += bytesRead;
  }
  return bytes;
}

function chained(before: Uint8Array, payload: Uint8Array): Uint8Array {
  return sha256OfParts(LABEL_BYTES, before, payload);
}
