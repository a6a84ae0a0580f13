import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
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
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE` (also when it is too large or not a regular file)
 */
export async function readFileBounded(path: string, maxBytes: number, what: string): Promise<Uint8Array> {
  return (await readFileWithMode(path, maxBytes, what)).bytes;
}

/** Like {@link readFileBounded}, with the file's permission bits. */
export async function readFileWithMode(path: string, maxBytes: number, what: string): Promise<FileContent> {
  let handle: FileHandle | undefined;
  try {
    // Non-blocking, so that a named pipe without a writer is refused below instead of waited for.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await handle.stat();
    if (!stats.isFile()) {
      throw new ZkLoraError(
        'FILE_UNREADABLE',
        `${what}: ${path} is not a regular file; give the path of a file`,
      );
    }
    if (stats.size > maxBytes) throw tooLarge(path, maxBytes, what);
    return {
      bytes: await readAll(handle, stats.size, path, maxBytes, what),
      mode: stats.mode & PERMISSION_BITS,
    };
  } catch (error) {
    throw readError(error, path, what);
  } finally {
    await handle?.close();
  }
}

/**
 * Writes a file so that nobody ever sees it half-written: into a temporary file of the same folder, flushed, then
 * moved into place.
 *
 * @throws ZkLoraError `FILE_EXISTS` (unless `overwrite`), `FILE_UNWRITABLE`
 */
export async function writeFileAtomic(
  path: string,
  data: Uint8Array | string,
  options: WriteOptions = {},
): Promise<void> {
  const temporary = join(
    dirname(path),
    `.${basename(path).slice(0, 200)}.${randomBytes(8).toString('hex')}.tmp`,
  );
  try {
    if (!options.overwrite && (await isPresent(path))) throw fileExists(path);
    const handle = await open(temporary, 'wx', options.mode ?? 0o666);
    try {
      if (options.mode !== undefined) await handle.chmod(options.mode);
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (options.overwrite) await rename(temporary, path);
    else await moveWithoutReplacing(temporary, path);
  } catch (error) {
    throw writeError(error, path);
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

/**
 * Makes a folder for new output, with its parents; an existing empty folder is taken as it is.
 *
 * @throws ZkLoraError `FILE_EXISTS` when something is there already, `FILE_UNWRITABLE`
 */
export async function ensureNewFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
    if ((await readdir(path)).length > 0) throw fileExists(path);
  } catch (error) {
    throw writeError(error, path);
  }
}

async function readAll(
  handle: FileHandle,
  size: number,
  path: string,
  maxBytes: number,
  what: string,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
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

/** A hard link fails where the name is taken, atomically; file systems without links get check-then-rename. */
async function moveWithoutReplacing(from: string, to: string): Promise<void> {
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
async function isPresent(path: string): Promise<boolean> {
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

function writeError(error: unknown, path: string): ZkLoraError {
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
