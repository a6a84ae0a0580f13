import { dirname, join } from 'node:path';
import { AppendedFile } from './appendedFile.js';
import { bytesToHex, canonicalJson, concatBytes, labelledSha256, utf8ToBytes } from './bytes.js';
import { type ErrorCode, ZkLoraError } from './errors.js';
import { openRegularFile, readFileBounded, syncFolder } from './files.js';
import { parseJsonText } from './jsonText.js';
import { nextTurn } from './nextTurn.js';

const LINE = /^([0-9a-f]{64}) (.*)$/;
const FILE_MODE = 0o600;
const NEWLINE = 10;

/** Lines that are read before other work has its turn: some milliseconds. */
const LINES_PER_TURN = 64;

/** What kind of file the lines are in. */
export interface LinesFormat {
  readonly name: string;
  /** Of the checksums, see {@link labelledSha256}. */
  readonly label: string;
  readonly maxBytes: number;
  /** Code of a file that was edited, or is full. */
  readonly code: ErrorCode;
}

/**
 * An append-only file. A line is 64 hex digits, a space, an entry as canonical JSON, a newline; the digits are
 * SHA-256(label | 00 | checksum before | entry), so that no line can be changed, left out or moved unseen.
 */
export class ChecksummedLines {
  private readonly file: AppendedFile;

  private constructor(
    path: string,
    private readonly format: LinesFormat,
    private checksum: Uint8Array,
    private bytes: number,
  ) {
    this.file = new AppendedFile(path, FILE_MODE);
  }

  /** @param root stands for the checksum before the first line, 32 bytes */
  static begin(dir: string, format: LinesFormat, root: Uint8Array): ChecksummedLines {
    return new ChecksummedLines(join(dir, format.name), format, root, 0);
  }

  /**
   * Reads a file to go on with it. A last line without its newline was cut off by a crash: it is taken off the file. The
   * lines are on the disk when the promise resolves, whatever became of their writer.
   *
   * @returns entries as parsed JSON, unchecked beyond their checksums; undefined without a file
   * @throws ZkLoraError the format's code for a file that was edited, `FILE_UNREADABLE`, `FILE_UNWRITABLE`
   */
  static async resume(
    dir: string,
    format: LinesFormat,
    root: Uint8Array,
  ): Promise<{ lines: ChecksummedLines; entries: unknown[] } | undefined> {
    const read = await readLines(dir, format, root);
    if (read === undefined) return undefined;
    const path = join(dir, format.name);
    await settle(path, format.name, read);
    return { lines: new ChecksummedLines(path, format, read.checksum, read.whole), entries: read.entries };
  }

  /**
   * Reads a file that another process may be writing, and leaves it as it is; otherwise as {@link resume}.
   *
   * @throws ZkLoraError the format's code for a file that was edited, `FILE_UNREADABLE`
   */
  static async read(dir: string, format: LinesFormat, root: Uint8Array): Promise<unknown[] | undefined> {
    return (await readLines(dir, format, root))?.entries;
  }

  /**
   * Adds an entry; on disk when the promise resolves. The file stays open until {@link rest}.
   *
   * @param onFlush told when the entry is written and the disk begins to flush it
   * @throws ZkLoraError the format's code when the file is full, `FILE_UNWRITABLE`
   */
  async append(entry: object, onFlush?: () => void): Promise<void> {
    const json = canonicalJson(entry);
    const checksum = labelledSha256(this.format.label, this.checksum, json);
    const line = concatBytes(utf8ToBytes(`${bytesToHex(checksum)} `), json, utf8ToBytes('\n'));
    if (this.bytes + line.length > this.format.maxBytes) {
      throw new ZkLoraError(this.format.code, `${this.format.name} is full`);
    }
    await this.file.append(line, onFlush);
    this.checksum = checksum;
    this.bytes += line.length;
  }

  /** Closes the file once what was added is on disk; the next entry opens it again. */
  rest(): Promise<void> {
    return this.file.rest();
  }
}

interface ReadLines {
  readonly entries: unknown[];
  /** Of the last whole line. */
  readonly checksum: Uint8Array;
  /** Bytes up to the end of the last whole line, and of the file. */
  readonly whole: number;
  readonly bytes: number;
}

async function readLines(dir: string, format: LinesFormat, root: Uint8Array): Promise<ReadLines | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readFileBounded(join(dir, format.name), format.maxBytes, format.name);
  } catch (error) {
    if (error instanceof ZkLoraError && error.code === 'FILE_NOT_FOUND') return undefined;
    throw error;
  }
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let checksum = root;
  let whole = 0;
  const entries: unknown[] = [];
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, whole)) {
    const parts = LINE.exec(decoder.decode(bytes.subarray(whole, end)));
    whole = end + 1;
    checksum = labelledSha256(format.label, checksum, utf8ToBytes(parts?.[2] ?? ''));
    if (parts === null || bytesToHex(checksum) !== parts[1]) {
      throw new ZkLoraError(format.code, `${format.name} was edited, or belongs to something else`);
    }
    entries.push(parseJsonText(parts[2]!, format.code, format.name));
    if (entries.length % LINES_PER_TURN === 0) await nextTurn();
  }
  return { entries, checksum, whole, bytes: bytes.length };
}

/** Cuts off what is no whole line, and flushes: lines may have been read that are not on the disk yet. */
async function settle(path: string, what: string, { whole, bytes }: ReadLines): Promise<void> {
  const { handle } = await openRegularFile(path, what, 'change');
  try {
    if (whole < bytes) await handle.truncate(whole);
    await handle.sync();
    await syncFolder(dirname(path));
  } catch (cause) {
    throw new ZkLoraError('FILE_UNWRITABLE', `${path} cannot be cut to its last whole line`, { cause });
  } finally {
    await handle.close();
  }
}
