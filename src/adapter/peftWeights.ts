import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ZkLoraError } from '../errors.js';
import { readFileBounded } from '../files.js';
import { parseJsonBytes } from '../jsonText.js';
import type { Tensor } from './dtype.js';
import { MAX_MODULES } from './limits.js';
import { quoted } from './quoted.js';
import { parseSafetensors } from './safetensors.js';

const WEIGHTS = 'adapter_model.safetensors';
const INDEX = `${WEIGHTS}.index.json`;
const PICKLE = 'adapter_model.bin';

/** Weights of an adapter, all shards together: rank 64 on every layer of a 405B model is below this in float16. */
const MAX_WEIGHTS_BYTES = 4 * 2 ** 30 - 1;
/** Two tensors for each module. */
const MAX_ADAPTER_TENSORS = 2 * MAX_MODULES;
/** Index of a sharded adapter: 8192 names of 300 characters with their file names. */
const MAX_INDEX_BYTES = 4 * 2 ** 20;
/** Files of one adapter; Transformers begins a new one every 5 GB, or as its user says. */
const MAX_ADAPTER_SHARDS = 256;
/** A shard lies beside the index: `adapter_model-00001-of-00002.safetensors`. */
const SHARD_NAME = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}\.safetensors$/;

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/**
 * Reads the tensors of an adapter folder: `adapter_model.safetensors`, or shards with their index.
 *
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `SAFETENSORS_MALFORMED`, `ADAPTER_MALFORMED` for an index that
 * does not fit its shards, `ADAPTER_UNSUPPORTED` for a folder that has a pickle file only
 */
export async function readPeftTensors(dir: string): Promise<ReadonlyMap<string, Tensor>> {
  if (await exists(join(dir, WEIGHTS))) {
    const bytes = await readFileBounded(join(dir, WEIGHTS), MAX_WEIGHTS_BYTES, 'adapter weights');
    return parseSafetensors(bytes, { maxTensors: MAX_ADAPTER_TENSORS }).tensors;
  }
  if (await exists(join(dir, INDEX))) return readShards(dir);
  if (await exists(join(dir, PICKLE))) {
    throw new ZkLoraError(
      'ADAPTER_UNSUPPORTED',
      `${PICKLE} is a pickle file, which can run code when read; save the adapter as safetensors`,
    );
  }
  throw new ZkLoraError(
    'FILE_NOT_FOUND',
    `adapter weights: there is no file ${join(dir, WEIGHTS)}; check the path`,
  );
}

async function readShards(dir: string): Promise<ReadonlyMap<string, Tensor>> {
  const bytes = await readFileBounded(join(dir, INDEX), MAX_INDEX_BYTES, 'adapter index');
  const parsed = indexSchema.safeParse(parseJsonBytes(bytes, 'ADAPTER_MALFORMED', INDEX));
  if (!parsed.success) throw malformed('it has no map "weight_map" of tensor names to file names');
  const placed = new Map(Object.entries(parsed.data.weight_map));
  if (placed.size > MAX_ADAPTER_TENSORS) throw malformed(`it lists more than ${MAX_ADAPTER_TENSORS} tensors`);
  const shards = [...new Set(placed.values())].sort();
  if (shards.length > MAX_ADAPTER_SHARDS) throw malformed(`it lists more than ${MAX_ADAPTER_SHARDS} files`);
  const tensors = new Map<string, Tensor>();
  let left = MAX_WEIGHTS_BYTES;
  for (const shard of shards) {
    if (!SHARD_NAME.test(shard)) throw malformed(`${quoted(shard)} is no name of a file beside it`);
    const content = await readFileBounded(join(dir, shard), left, 'adapter weights');
    left -= content.length;
    for (const [name, tensor] of parseSafetensors(content, { maxTensors: MAX_ADAPTER_TENSORS }).tensors) {
      if (placed.get(name) !== shard) {
        throw malformed(`${quoted(shard)} holds ${quoted(name)}, which it does not place there`);
      }
      tensors.set(name, tensor);
    }
  }
  if (tensors.size !== placed.size) throw malformed('it lists a tensor that no file holds');
  return tensors;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError('ADAPTER_MALFORMED', `${INDEX} is not usable: ${problem}; save the adapter again`);
}
