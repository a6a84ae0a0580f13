import { type FileHandle, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { concatBytes } from './bytes.js';
import { ZkLoraError } from './errors.js';
import { moveWithoutReplacing, syncFolder, temporaryBeside, writeError } from './files.js';

/** Parts that wait are written once they have so many bytes: each write costs a turn of a helper thread. */
const BURST_BYTES = 2 ** 20;

/** The disk begins with what was written once it has so many bytes. */
const FLUSH_BYTES = 4 * 2 ** 20;

/** Below this a copy costs less than a write. */
const SMALL_PART_BYTES = 2 ** 16;

interface Part {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/**
 * A new file that is written part by part, in any order, while its parts are made. Nobody sees it before it is whole: it
 * has a temporary name in the same folder until then, which a process that is killed leaves behind.
 */
export class GrowingFile {
  readonly #path: string;
  readonly #temporary: string;
  readonly #mode: number;
  #handle: FileHandle | undefined;
  #waiting: Part[] = [];
  #waitingBytes = 0;
  /** The end of what is being written. */
  #writing: Promise<void> = Promise.resolve();
  /** The end of what the disk has begun with. Nothing waits for it before the end: a slow disk would keep parts in memory. */
  #flushing: Promise<void> | undefined;
  #unflushedBytes = 0;
  #failure: { readonly error: unknown } | undefined;
  #isWriting = false;
  #isOver = false;
  #isDiscarded = false;

  /** Touches no disk. @param mode permission bits, set whatever the umask says */
  constructor(path: string, mode: number) {
    this.#path = path;
    this.#temporary = temporaryBeside(path);
    this.#mode = mode;
  }

  /** Takes a part, which stays as it is from now on. What fails is told by {@link finish}. */
  write(position: number, bytes: Uint8Array): void {
    if (this.#isOver || this.#failure) return;
    this.#waiting.push({ position, bytes });
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= BURST_BYTES && !this.#isWriting) this.#burst();
  }

  /**
   * Gives the file its name. File and name are on disk when the promise resolves; after a failure there is no file.
   *
   * @throws ZkLoraError `FILE_EXISTS`, `FILE_UNWRITABLE`; `INTERNAL` once it was discarded
   */
  async finish(): Promise<void> {
    this.#isOver = true;
    try {
      await this.#writing;
      if (this.#isDiscarded) throw new ZkLoraError('INTERNAL', 'the file was discarded');
      this.#requireWritten();
      await this.#writeWaiting();
      await this.#flushing;
      this.#requireWritten();
      await this.#handle?.sync();
      await this.#close();
      await moveWithoutReplacing(this.#temporary, this.#path);
      await this.#flushName();
    } catch (error) {
      throw writeError(error, this.#path);
    } finally {
      await this.discard();
    }
  }

  /** Ends the writing; what has no name yet is gone from the folder. */
  async discard(): Promise<void> {
    this.#isOver = true;
    this.#isDiscarded = true;
    this.#waiting = [];
    await this.#writing;
    await this.#close().catch(() => undefined);
    await rm(this.#temporary, { force: true }).catch(() => undefined);
  }

  /** A name that may not last is taken back: who is told of a failure makes the file again. */
  async #flushName(): Promise<void> {
    try {
      await syncFolder(dirname(this.#path));
    } catch (error) {
      await rm(this.#path, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  /** Writes what waits, and has the disk begin with it, so that the end has little left to do. */
  #burst(): void {
    this.#isWriting = true;
    this.#writing = this.#writeWaiting().then(
      () => {
        this.#isWriting = false;
        if (this.#unflushedBytes >= FLUSH_BYTES) this.#flush();
        if (this.#waitingBytes >= BURST_BYTES && !this.#isOver) this.#burst();
      },
      (error: unknown) => {
        this.#isWriting = false;
        this.#fail(error);
      },
    );
  }

  #flush(): void {
    if (this.#flushing !== undefined) return;
    this.#unflushedBytes = 0;
    this.#flushing = this.#handle?.datasync().then(
      () => {
        this.#flushing = undefined;
      },
      (error: unknown) => this.#fail(error),
    );
  }

  /** What was not written once is not asked for again: a flush after one that failed may say that all is well. */
  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#waiting = [];
  }

  #requireWritten(): void {
    if (this.#failure) throw this.#failure.error;
  }

  async #writeWaiting(): Promise<void> {
    const parts = this.#waiting.sort((a, b) => a.position - b.position);
    this.#waiting = [];
    this.#unflushedBytes += this.#waitingBytes;
    this.#waitingBytes = 0;
    this.#handle ??= await this.#open();
    for (const { position, bytes } of gathered(parts)) await writeAll(this.#handle, bytes, position);
  }

  async #open(): Promise<FileHandle> {
    const handle = await open(this.#temporary, 'wx', this.#mode);
    await handle.chmod(this.#mode);
    return handle;
  }

  async #close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await this.#flushing;
    await handle?.close();
  }
}

/** Large parts as they are, small ones next to each other joined. @param parts by position */
function* gathered(parts: readonly Part[]): Generator<Part> {
  let small: Part[] = [];
  let end = -1;
  for (const part of parts) {
    const isSmall = part.bytes.length < SMALL_PART_BYTES;
    if (small.length > 0 && (!isSmall || part.position !== end)) {
      yield joined(small);
      small = [];
    }
    if (isSmall) small.push(part);
    else yield part;
    end = part.position + part.bytes.length;
  }
  if (small.length > 0) yield joined(small);
}

function joined(parts: readonly Part[]): Part {
  return { position: parts[0]!.position, bytes: concatBytes(...parts.map(({ bytes }) => bytes)) };
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}
