import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ZkLoraError } from './errors.js';

/** How {@link writeFileAtomic} writes. */
export interface WriteOptions {
  /** Permission bits, set whatever the umask says; without it, the umask decides. */
  readonly mode?: number;
  /** Replace an existing file; without it, an existing file is left alone and the call fails. */
  readonly overwrite?: boolean;
}

/** A file's bytes and its permission bits at the time of reading. */
export interface FileContent {
  readonly bytes: Uint8Array;
  readonly mode: number;
}

const READ_CHUNK = 2 ** 24;
const PERMISSION_BITS = 0o777;

/**
 * Reads a regular file of at most `maxBytes` bytes.
 *
 * @param what names the file's role in messages, e.g. `adapter weights`.
 * @param spare memory that nobody looks at any more, to be read into where the file fits
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE` (also when it is too large or not a regular file)
 */
export async function readFileBounded(
  path: string,
  maxBytes: number,
  what: string,
  spare?: Uint8Array,
): Promise<Uint8Array> {
  return (await readFileWithMode(path, maxBytes, what, spare)).bytes;
}

/** Like {@link readFileBounded}, with the file's permission bits. */
export async function readFileWithMode(
  path: string,
  maxBytes: number,
  what: string,
  spare?: Uint8Array,
): Promise<FileContent> {
  const { handle, size, mode } = await openRegularFile(path, what);
  try {
    if (size > maxBytes) throw tooLarge(path, maxBytes, what);
    return { bytes: await readAll(handle, roomFor(size, spare), path, maxBytes, what), mode };
  } catch (error) {
    throw readError(error, path, what);
  } finally {
    await handle.close();
  }
}

/**
 * The first `bytes` bytes of a regular file, or all of a shorter one.
 *
 * @param what names the file's role in messages
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export async function readFileStart(path: string, bytes: number, what: string): Promise<Uint8Array> {
  const { handle } = await openRegularFile(path, what);
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(bytes), 0, bytes, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw readError(error, path, what);
  } finally {
    await handle.close();
  }
}

/**
 * Opens a regular file to be read, or also changed, in parts; the caller closes the handle.
 *
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export async function openRegularFile(
  path: string,
  what: string,
  access: 'read' | 'change' = 'read',
): Promise<{ handle: FileHandle; size: number; mode: number }> {
  let handle: FileHandle | undefined;
  const flags = access === 'read' ? constants.O_RDONLY : constants.O_RDWR;
  try {
    // Non-blocking, so that a named pipe without a writer is refused below instead of waited for.
    handle = await open(path, flags | constants.O_NONBLOCK);
    const stats = await handle.stat();
    if (stats.isFile()) return { handle, size: stats.size, mode: stats.mode & PERMISSION_BITS };
    throw new ZkLoraError(
      'FILE_UNREADABLE',
      `${what}: ${path} is not a regular file; give the path of a file`,
    );
  } catch (error) {
    await handle?.close();
    throw readError(error, path, what);
  }
}

/**
 * Writes a file so that nobody ever sees it half-written: into a temporary file of the same folder, flushed, then
 * moved into place. File and name are on disk when the promise resolves.
 *
 * @param data whole, or part by part
 * @throws ZkLoraError `FILE_EXISTS` (unless `overwrite`), `FILE_UNWRITABLE`, and what the parts' source throws
 */
export async function writeFileAtomic(
  path: string,
  data: Uint8Array | string | AsyncIterable<Uint8Array>,
  options: WriteOptions = {},
): Promise<void> {
  const temporary = temporaryBeside(path);
  try {
    if (!options.overwrite && (await isPresent(path))) throw fileExists(path);
    const handle = await open(temporary, 'wx', options.mode ?? 0o666);
    try {
      if (options.mode !== undefined) await handle.chmod(options.mode);
      // each call goes on where the one before ended
      if (typeof data === 'string' || data instanceof Uint8Array) await handle.writeFile(data);
      else for await (const part of data) await handle.writeFile(part);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (options.overwrite) await rename(temporary, path);
    else await moveWithoutReplacing(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    throw errnoCode(error) === 'unknown' ? error : writeError(error, path);
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

/** A name in the same folder that nothing else has. */
export function temporaryBeside(path: string): string {
  return join(dirname(path), `.${basename(path).slice(0, 200)}.${randomBytes(8).toString('hex')}.tmp`);
}

/**
 * Removes a file that may be missing; gone from the disk when the promise resolves.
 *
 * @throws ZkLoraError `FILE_UNWRITABLE`
 */
export async function removeFileDurable(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
    await syncFolder(dirname(path));
  } catch (error) {
    throw writeError(error, path);
  }
}

/**
 * Refuses a path at which something is already: a check before long work; the write itself checks again.
 *
 * @throws ZkLoraError `FILE_EXISTS`, `FILE_UNWRITABLE`
 */
export async function requireAbsent(path: string): Promise<void> {
  try {
    if (await isPresent(path)) throw fileExists(path);
  } catch (error) {
    throw writeError(error, path);
  }
}

/**
 * Makes a folder for new output, with its parents; an existing empty folder is taken as it is.
 *
 * @param options.mode permission bits of a new folder, before the umask; its parents keep the usual ones
 * @param options.besides names that may be in it already
 * @throws ZkLoraError `FILE_EXISTS` when something is there already, `FILE_UNWRITABLE`
 */
export async function ensureNewFolder(
  path: string,
  options: Pick<WriteOptions, 'mode'> & { readonly besides?: readonly string[] } = {},
): Promise<void> {
  await ensureFolder(path, options);
  try {
    const names = await readdir(path);
    if (names.some((name) => !options.besides?.includes(name))) throw fileExists(path);
  } catch (error) {
    throw writeError(error, path);
  }
}

/**
 * Makes a folder with its parents, unless it is there.
 *
 * @param options.mode permission bits of a new folder, before the umask; its parents keep the usual ones
 * @throws ZkLoraError `FILE_EXISTS` for something that is no folder, `FILE_UNWRITABLE`
 */
export async function ensureFolder(path: string, options: Pick<WriteOptions, 'mode'> = {}): Promise<void> {
  try {
    const parent = await mkdir(dirname(path), { recursive: true }).catch((error: unknown) => {
      // A file in the way; the next line says so.
      if (errnoCode(error) !== 'EEXIST') throw error;
      return undefined;
    });
    const own = await mkdir(path, { recursive: true, mode: options.mode ?? 0o777 });
    await syncNewFolders(parent ?? own, path);
  } catch (error) {
    throw writeError(error, path);
  }
}

/**
 * Refuses a folder that holds something, before the work that would fill it.
 *
 * @throws ZkLoraError `FILE_EXISTS`
 */
export async function requireFreeFolder(path: string): Promise<void> {
  const names = await readdir(path).catch(() => []);
  if (names.length > 0) throw fileExists(path);
}

/**
 * Makes a folder whose files appear under its name all at once: they are written next to it first.
 *
 * @param fill writes the files into the folder that it is given
 * @throws ZkLoraError `FILE_EXISTS`, `FILE_UNWRITABLE`, and what `fill` throws
 */
export async function fillNewFolder(path: string, fill: (folder: string) => Promise<void>): Promise<void> {
  await ensureNewFolder(path);
  const next = join(dirname(path), `.${basename(path)}.${randomBytes(8).toString('hex')}.tmp`);
  try {
    await ensureNewFolder(next);
    await fill(next);
    // replaces the folder at `path`, which is empty
    await rename(next, path);
    await syncFolder(dirname(path));
  } catch (error) {
    throw errnoCode(error) === 'unknown' ? error : writeError(error, path);
  } finally {
    await rm(next, { recursive: true, force: true });
  }
}

/** The start of memory that is free again, or new memory where that is too short or twice as long. */
function roomFor(size: number, spare: Uint8Array | undefined): Uint8Array {
  const fits = spare !== undefined && spare.length >= size && spare.length <= 2 * size;
  return fits ? spare.subarray(0, size) : new Uint8Array(size);
}

async function readAll(
  handle: FileHandle,
  bytes: Uint8Array,
  path: string,
  maxBytes: number,
  what: string,
): Promise<Uint8Array> {
  const size = bytes.length;
  let filled = 0;
  while (filled < size) {
    const { bytesRead } = await handle.read(bytes, filled, Math.min(READ_CHUNK, size - filled), filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  const beyond = await handle.read(new Uint8Array(1), 0, 1, size);
  if (filled < size || beyond.bytesRead > 0) {
    if (size === maxBytes && beyond.bytesRead > 0) throw tooLarge(path, maxBytes, what);
    throw new ZkLoraError('FILE_UNREADABLE', `${what}: ${path} changed while it was read; read it again`);
  }
  return bytes;
}

/** Puts the names of the folders from `first` down to `last` on disk. */
async function syncNewFolders(first: string | undefined, last: string): Promise<void> {
  if (first === undefined) return;
  const top = dirname(resolve(first));
  let folder = resolve(last);
  do {
    folder = dirname(folder);
    await syncFolder(folder);
  } while (folder !== top && folder !== dirname(folder));
}

/** Puts the names in a folder on disk; nothing where the system has no such call for folders. */
export async function syncFolder(path: string): Promise<void> {
  try {
    const handle = await open(path, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!UNSYNCABLE.has(errnoCode(error))) throw error;
  }
}

/** What opening or flushing a folder fails with where that is not supported, or not allowed. */
const UNSYNCABLE: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EINVAL', 'EISDIR', 'ENOSYS', 'ENOTSUP']);

/**
 * Gives a file its name, unless that is taken. A hard link fails where the name is taken, atomically; file systems
 * without links get check-then-rename.
 */
export async function moveWithoutReplacing(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!LINKLESS.has(errnoCode(error))) throw error;
    if (await isPresent(to)) throw fileExists(to);
    await rename(from, to);
  }
}

const LINKLESS: ReadonlySet<string> = new Set(['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK']);

/** Whether anything, even a dangling link, has this name. */
export async function isPresent(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return false;
    throw error;
  }
}

function tooLarge(path: string, maxBytes: number, what: string): ZkLoraError {
  return new ZkLoraError(
    'FILE_UNREADABLE',
    `${what}: ${path} is larger than the limit of ${maxBytes} bytes; check that it is the right file`,
    { details: { path, maxBytes } },
  );
}

function fileExists(path: string): ZkLoraError {
  return new ZkLoraError('FILE_EXISTS', `${path} exists already; choose another name or remove it first`, {
    details: { path },
  });
}

function readError(error: unknown, path: string, what: string): ZkLoraError {
  if (error instanceof ZkLoraError) return error;
  const code = errnoCode(error);
  const details = { path, errno: code };
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new ZkLoraError('FILE_NOT_FOUND', `${what}: there is no file ${path}; check the path`, {
      details,
    });
  }
  const reason = code === 'EACCES' || code === 'EPERM' ? 'you lack the permission' : `system error ${code}`;
  return new ZkLoraError('FILE_UNREADABLE', `${what}: ${path} cannot be read: ${reason}; check the file`, {
    details,
  });
}

const WRITE_REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'its folder does not exist; make the folder first',
  ENOTDIR: 'a part of the path is not a folder; check the path',
  EACCES: 'you lack the permission; choose another place',
  EPERM: 'you lack the permission; choose another place',
  EROFS: 'the file system is read-only; choose another place',
  ENOSPC: 'the disk is full; free some space',
  EDQUOT: 'your disk quota is used up; free some space',
  EISDIR: 'it is a folder; give the path of a file',
  ENAMETOOLONG: 'the name is too long; choose a shorter one',
};

export function writeError(error: unknown, path: string): ZkLoraError {
  if (error instanceof ZkLoraError) return error;
  const code = errnoCode(error);
  if (code === 'EEXIST') return fileExists(path);
  const reason = WRITE_REASONS[code] ?? `system error ${code}; check the path and the disk`;
  return new ZkLoraError('FILE_UNWRITABLE', `${path} cannot be written: ${reason}`, {
    details: { path, errno: code },
  });
}

function errnoCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}
