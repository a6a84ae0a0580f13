import { constants } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import { quoted } from '../adapter/quoted.js';
import { bytesToHex } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { createSha256 } from '../sha256.js';

/** An open regular file, read at positions. */
export interface OpenFile {
  readonly handle: FileHandle;
  /** Bytes at the time of opening. */
  readonly size: number;
}

/** Bytes read at a time: memory stays constant, whatever the file's size. */
export const CHUNK_BYTES = 2 ** 21;

/**
 * Opens a regular file for reading.
 *
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export function openRegular(path: string, what: string): Promise<OpenFile> {
  return openWith(path, what, 0);
}

/**
 * Opens a file that a file inside `folder` names, such as a shard or ONNX external data: no absolute path, no
 * `..`, no symbolic link in any part, so that the name cannot lead out of the folder.
 *
 * @throws ZkLoraError `CHECKPOINT_MALFORMED` for such a name; `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export async function openConfined(folder: string, name: string, what: string): Promise<OpenFile> {
  const parts = name.split('/').filter((part) => part !== '.');
  const bad = (part: string) => part === '' || part === '..' || part.includes('\\') || part.includes('\0');
  if (parts.length === 0 || parts.some(bad) || /^[A-Za-z]:/.test(name)) {
    throw escapes(name, what, 'is no path inside the folder');
  }
  let path = folder;
  for (const part of parts) {
    path = join(path, part);
    const stats = await lstat(path).catch((cause: unknown) => {
      throw new ZkLoraError('FILE_NOT_FOUND', `${what}: there is no file ${quoted(name)}; fetch it again`, {
        cause,
      });
    });
    if (stats.isSymbolicLink()) throw escapes(name, what, 'leads through a symbolic link');
  }
  return openWith(path, what, constants.O_NOFOLLOW);
}

/** SHA-256 of a whole file, hex. @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE` */
export async function sha256OfFile(path: string, what: string): Promise<string> {
  const file = await openRegular(path, what);
  try {
    const hash = createSha256();
    await streamRange(file, 0, file.size, (piece) => hash.update(piece));
    return bytesToHex(hash.digest());
  } finally {
    await file.handle.close();
  }
}

/**
 * Fills `target` from a position of the file.
 *
 * @throws ZkLoraError `FILE_UNREADABLE` when the file ends before.
 */
export async function readExactly(file: OpenFile, target: Uint8Array, position: number): Promise<void> {
  let filled = 0;
  while (filled < target.length) {
    const { bytesRead } = await file.handle
      .read(target, filled, target.length - filled, position + filled)
      .catch((cause: unknown) => {
        throw new ZkLoraError('FILE_UNREADABLE', 'the checkpoint file cannot be read; check the disk', {
          cause,
        });
      });
    if (bytesRead === 0) {
      throw new ZkLoraError('FILE_UNREADABLE', 'the checkpoint file ended while it was read; read it again');
    }
    filled += bytesRead;
  }
}

/** Passes a byte range to `consume` in pieces; each piece is valid only during its call. */
export async function streamRange(
  file: OpenFile,
  begin: number,
  end: number,
  consume: (piece: Uint8Array) => void,
): Promise<void> {
  if (begin >= end) return;
  const size = Math.min(CHUNK_BYTES, end - begin);
  // the next piece is on its way from the disk while this one is hashed
  const buffers = [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(end - begin > size ? size : 0)];
  const load = async (at: number, turn: number) => {
    const piece = buffers[turn % 2]!.subarray(0, Math.min(size, end - at));
    await readExactly(file, piece, at);
    return piece;
  };
  let next = load(begin, 0);
  for (let at = begin, turn = 0; at < end; turn++) {
    const piece = await next;
    at += piece.length;
    if (at < end) {
      next = load(at, turn + 1);
      // a failure is reported by the await of the next turn
      next.catch(() => undefined);
    }
    consume(piece);
  }
}

async function openWith(path: string, what: string, flags: number): Promise<OpenFile> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | flags);
    const stats = await handle.stat();
    if (!stats.isFile()) {
      throw new ZkLoraError(
        'FILE_UNREADABLE',
        `${what}: ${path} is not a regular file; give the path of a file`,
      );
    }
    return { handle, size: stats.size };
  } catch (error) {
    await handle?.close();
    if (error instanceof ZkLoraError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new ZkLoraError('FILE_NOT_FOUND', `${what}: there is no file ${path}; check the path`);
    }
    throw new ZkLoraError('FILE_UNREADABLE', `${what}: ${path} cannot be read (${code}); check the file`);
  }
}

function escapes(name: string, what: string, problem: string): ZkLoraError {
  return new ZkLoraError(
    'CHECKPOINT_MALFORMED',
    `${what}: the file name ${quoted(name)} ${problem}; keep all files of a checkpoint as plain files in its folder`,
  );
}
