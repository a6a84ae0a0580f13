import { z } from 'zod';
import { DTYPE_BYTES } from '../adapter/dtype.js';
import { MAX_DIMENSIONS } from '../adapter/safetensors.js';
import { utf8ToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonBytes } from '../jsonText.js';
import { proveInclusion, type TensorDigest, verifyInclusion } from './digest.js';
import {
  MAX_CHECKPOINT_TENSORS,
  MAX_MANIFEST_BYTES,
  MAX_TENSOR_NAME_BYTES,
  MAX_TREE_DEPTH,
} from './limits.js';
import type { DigestedCheckpoint } from './openCheckpoint.js';

const FORMAT = 'zklora/tensor-proof/v1';

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const dtypes = Object.keys(DTYPE_BYTES) as (keyof typeof DTYPE_BYTES)[];

const schema = z.strictObject({
  format: z.literal(FORMAT),
  checkpoint: digest,
  tensor: z.strictObject({
    name: z.string().refine((name) => utf8ToBytes(name).length <= MAX_TENSOR_NAME_BYTES),
    dtype: z.enum(dtypes),
    shape: z.array(count).max(MAX_DIMENSIONS),
    sha256: digest,
  }),
  count: count.max(MAX_CHECKPOINT_TENSORS),
  index: count,
  path: z.array(digest).max(MAX_TREE_DEPTH),
});

/** That one tensor belongs to a checkpoint, shown without the other tensors. */
export type TensorProof = z.infer<typeof schema>;

/** @throws ZkLoraError `USAGE` when no tensor has this name. */
export function proveTensor(checkpoint: DigestedCheckpoint, name: string): TensorProof {
  const { tensor, count, index, path } = proveInclusion(checkpoint.tensors, name);
  return {
    format: FORMAT,
    checkpoint: checkpoint.digest,
    tensor: { ...tensor, shape: [...tensor.shape] },
    count,
    index,
    path: [...path],
  };
}

/** Parses a tensor proof. @throws ZkLoraError `CHECKPOINT_MALFORMED` */
export function parseTensorProof(bytes: Uint8Array): TensorProof {
  if (bytes.length > MAX_MANIFEST_BYTES)
    throw malformed(`the file is larger than ${MAX_MANIFEST_BYTES} bytes`);
  const parsed = schema.safeParse(parseJsonBytes(bytes, 'CHECKPOINT_MALFORMED', 'the tensor proof'));
  if (parsed.success) return parsed.data;
  const path = parsed.error.issues[0]?.path.join('.') || 'the top level';
  throw malformed(`${path} is missing, unknown or out of range`);
}

/** Whether the proof leads to the digest that the caller pinned; the digest inside the proof is not trusted. */
export function verifyTensor(proof: TensorProof, pinned: string): boolean {
  return proof.checkpoint === pinned && verifyInclusion(pinned, proof.tensor, proof);
}

/** Whether two listings of a tensor agree in everything: name, dtype, shape and data. */
export function sameTensor(a: TensorDigest, b: TensorDigest): boolean {
  return a.name === b.name && sameContent(a, b);
}

/** Whether two tensors have the same dtype, shape and data. */
export function sameContent(a: TensorDigest, b: TensorDigest): boolean {
  return (
    a.dtype === b.dtype &&
    a.sha256 === b.sha256 &&
    a.shape.length === b.shape.length &&
    a.shape.every((size, i) => size === b.shape[i])
  );
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError('CHECKPOINT_MALFORMED', `not a tensor proof: ${problem}; ask for it again`);
}
