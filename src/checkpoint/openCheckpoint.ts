import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ZkLoraError } from '../errors.js';
import { checkpointDigest, type TensorDigest } from './digest.js';
import { openOnnxCheckpoint } from './onnxCheckpoint.js';
import { openSafetensors, openShardedSafetensors } from './safetensorsCheckpoint.js';
import type { Checkpoint } from './tensorSource.js';

/** A checkpoint, hashed. */
export interface DigestedCheckpoint {
  /** See {@link checkpointDigest}. */
  readonly digest: string;
  readonly container: Checkpoint['container'];
  /** In the container's order. */
  readonly tensors: readonly TensorDigest[];
  /** Tensor data read. */
  readonly bytes: number;
}

/** What {@link digestCheckpoint} reports while it runs. */
export type DigestProgress = (doneBytes: number, totalBytes: number) => void;

/**
 * Opens a checkpoint: a `.safetensors` file, a `*.safetensors.index.json`, an `.onnx` file, or a folder that holds
 * exactly one of these (an index counts before its shards).
 *
 * @throws ZkLoraError `CHECKPOINT_MALFORMED`, `SAFETENSORS_MALFORMED`, `ONNX_MALFORMED`, `FILE_NOT_FOUND`,
 *   `FILE_UNREADABLE`, `USAGE` for a path that is none of these
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const info = await stat(path).catch((cause: unknown) => {
    throw new ZkLoraError(
      'FILE_NOT_FOUND',
      `checkpoint: there is no file or folder ${path}; check the path`,
      {
        cause,
      },
    );
  });
  const file = info.isDirectory() ? join(path, await checkpointFile(path)) : path;
  if (file.endsWith('.safetensors.index.json')) return openShardedSafetensors(file);
  if (file.endsWith('.safetensors')) return openSafetensors(file);
  if (file.endsWith('.onnx')) return openOnnxCheckpoint(file);
  throw new ZkLoraError(
    'USAGE',
    `${path} is no checkpoint: give a .safetensors file, its .safetensors.index.json, an .onnx file or their folder`,
  );
}

/** Whether a folder holds weights that {@link openCheckpoint} takes. */
export async function holdsCheckpoint(folder: string): Promise<boolean> {
  return (await candidates(folder)).length > 0;
}

/**
 * Hashes every tensor of a checkpoint in pieces, and the checkpoint.
 *
 * @throws ZkLoraError as {@link openCheckpoint}
 * @example
 * const { digest } = await digestCheckpoint('model.safetensors');
 */
export async function digestCheckpoint(
  path: string,
  onProgress?: DigestProgress,
): Promise<DigestedCheckpoint> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await digestOpened(checkpoint, onProgress);
  } finally {
    await checkpoint.close();
  }
}

/** {@link digestCheckpoint} of a checkpoint that is open and stays so. */
export async function digestOpened(
  checkpoint: Checkpoint,
  onProgress?: DigestProgress,
): Promise<DigestedCheckpoint> {
  const total = checkpoint.tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  const tensors: TensorDigest[] = [];
  let done = 0;
  for (const { name, dtype, shape, stream } of checkpoint.tensors) {
    const hash = createHash('sha256');
    await stream((piece) => {
      hash.update(piece);
      done += piece.length;
    });
    tensors.push({ name, dtype, shape: [...shape], sha256: hash.digest('hex') });
    onProgress?.(done, total);
  }
  return { digest: checkpointDigest(tensors), container: checkpoint.container, tensors, bytes: total };
}

async function checkpointFile(folder: string): Promise<string> {
  const [first, second] = await candidates(folder);
  if (first === undefined) {
    throw new ZkLoraError('FILE_NOT_FOUND', `${folder} holds no .safetensors or .onnx file; check the path`);
  }
  if (second !== undefined) {
    throw new ZkLoraError('USAGE', `${folder} holds several checkpoints; give the path of one file in it`);
  }
  return first;
}

async function candidates(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new ZkLoraError('FILE_UNREADABLE', `the folder ${folder} cannot be read; check it`, { cause });
  });
  for (const ending of ['.safetensors.index.json', '.safetensors', '.onnx']) {
    const found = names.filter((name) => name.endsWith(ending) && !name.startsWith('.')).sort();
    if (found.length > 0) return found;
  }
  return [];
}
