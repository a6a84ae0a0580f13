import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder, writeError } from './files.js';

/** A file that grows at its end, and stays open between two appends until it is let go. */
export class AppendedFile {
  #handle: FileHandle | undefined;
  /** The end of what was asked for so far: one thing at a time. */
  #last: Promise<unknown> = Promise.resolve();

  /** Touches no disk. @param mode permission bits of a new file, within the umask */
  constructor(
    private readonly path: string,
    private readonly mode: number,
  ) {}

  /**
   * Adds bytes at the end; on disk with the file's name when the promise resolves. After a failure the file may end with a part of
   * them.
   *
   * @param onFlush told when the bytes are written and the disk begins to flush them
   * @throws ZkLoraError `FILE_UNWRITABLE`
   */
  append(data: Uint8Array, onFlush: () => void = () => undefined): Promise<void> {
    return this.#next(async () => {
      try {
        await this.#write(data, onFlush);
      } catch (error) {
        await this.#close();
        throw writeError(error, this.path);
      }
    });
  }

  /** Closes the file once what was added is on disk; the next append opens it again. */
  rest(): Promise<void> {
    return this.#next(() => this.#close());
  }

  async #write(data: Uint8Array, onFlush: () => void): Promise<void> {
    const isOpen = this.#handle !== undefined;
    this.#handle ??= await open(this.path, 'a', this.mode);
    await this.#handle.writeFile(data);
    const flushed = this.#handle.sync();
    try {
      onFlush();
    } finally {
      await flushed;
    }
    if (isOpen) return;
    const isNew = (await this.#handle.stat()).size === data.length;
    if (isNew) await syncFolder(dirname(this.path));
  }

  async #close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close().catch(() => undefined);
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work, work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}
