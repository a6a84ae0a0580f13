import { basename, dirname } from 'node:path';
import { z } from 'zod';
import { quoted } from '../adapter/quoted.js';
import { ZkLoraError } from '../errors.js';
import { readFileBounded } from '../files.js';
import { parseJsonBytes } from '../jsonText.js';
import { type OpenFile, openConfined, openRegular, streamRange } from './confined.js';
import { MAX_CHECKPOINT_TENSORS, MAX_INDEX_BYTES, MAX_SHARDS } from './limits.js';
import { readSafetensorsHeader } from './safetensorsHeader.js';
import type { Checkpoint, TensorSource } from './tensorSource.js';

/** What Transformers and Diffusers write; `metadata` (total size) says nothing that the shards do not. */
const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** Opens one safetensors file. @throws ZkLoraError `SAFETENSORS_MALFORMED`, `FILE_NOT_FOUND`, `FILE_UNREADABLE` */
export async function openSafetensors(path: string): Promise<Checkpoint> {
  const file = await openRegular(path, 'checkpoint');
  try {
    const tensors = await sources(file);
    return { container: 'safetensors', tensors, close: () => file.handle.close() };
  } catch (error) {
    await file.handle.close();
    throw error;
  }
}

/**
 * Opens a sharded checkpoint by its `*.safetensors.index.json`. Shards lie in the index's folder; index and shards
 * list exactly the same tensors.
 *
 * @throws ZkLoraError `CHECKPOINT_MALFORMED`, `SAFETENSORS_MALFORMED`, `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export async function openShardedSafetensors(indexPath: string): Promise<Checkpoint> {
  const bytes = await readFileBounded(indexPath, MAX_INDEX_BYTES, 'checkpoint index');
  const parsed = indexSchema.safeParse(parseJsonBytes(bytes, 'CHECKPOINT_MALFORMED', basename(indexPath)));
  if (!parsed.success) throw malformed('it has no map "weight_map" of tensor names to file names');
  const placed = new Map(Object.entries(parsed.data.weight_map));
  if (placed.size > MAX_CHECKPOINT_TENSORS) {
    throw malformed(`it lists more than ${MAX_CHECKPOINT_TENSORS} tensors`);
  }
  const names = [...new Set(placed.values())].sort();
  if (names.length > MAX_SHARDS) throw malformed(`it lists more than ${MAX_SHARDS} shards`);
  const files: OpenFile[] = [];
  const close = async () => {
    for (const { handle } of files) await handle.close();
  };
  try {
    const tensors: TensorSource[] = [];
    for (const name of names) {
      const file = await openConfined(dirname(indexPath), name, 'checkpoint shard');
      files.push(file);
      for (const tensor of await sources(file)) {
        if (placed.get(tensor.name) !== name) {
          throw malformed(
            `shard ${quoted(name)} holds ${quoted(tensor.name)}, which the index does not place there`,
          );
        }
        tensors.push(tensor);
      }
    }
    if (tensors.length !== placed.size) throw malformed('it lists a tensor that its shard does not hold');
    return { container: 'safetensors-sharded', tensors, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function sources(file: OpenFile): Promise<TensorSource[]> {
  const entries = await readSafetensorsHeader(file);
  return entries.map(({ name, dtype, shape, begin, end }) => ({
    name,
    dtype,
    shape,
    bytes: end - begin,
    stream: (consume) => streamRange(file, begin, end, consume),
  }));
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError(
    'CHECKPOINT_MALFORMED',
    `not a usable checkpoint index: ${problem}; save the checkpoint again or fetch an intact copy`,
  );
}
