import type { Dtype } from '../adapter/dtype.js';
import { bytesToHex, canonicalJson, hexToBytes, labelledSha256, u32, utf8ToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { headFromPath, MerkleTree } from '../merkle.js';
import { MAX_CHECKPOINT_TENSORS } from './limits.js';

/** One tensor as the digest sees it. */
export interface TensorDigest {
  readonly name: string;
  readonly dtype: Dtype;
  /** Row-major dimensions; empty for a scalar. */
  readonly shape: readonly number[];
  /** SHA-256 of the little-endian, row-major elements, hex. */
  readonly sha256: string;
}

/** Path from one leaf to the root, as `auditPath` of RFC 9162, section 2.1.3. */
export interface Inclusion {
  /** Tensors of the checkpoint. */
  readonly count: number;
  /** Place of the tensor in name order, from 0. */
  readonly index: number;
  /** Sibling hashes, lowest first, hex. */
  readonly path: readonly string[];
}

const LEAF = 'zklora/checkpoint/leaf/v1';
const NODE = 'zklora/checkpoint/node/v1';
const EMPTY = 'zklora/checkpoint/empty/v1';
const ROOT = 'zklora/checkpoint/v1';

/** Orders names by their UTF-8 bytes, which is the order of code points. */
export function compareUtf8(a: string, b: string): number {
  if (a === b) return 0;
  const bytesA = utf8ToBytes(a);
  const bytesB = utf8ToBytes(b);
  const length = Math.min(bytesA.length, bytesB.length);
  for (let i = 0; i < length; i++) {
    if (bytesA[i] !== bytesB[i]) return bytesA[i]! - bytesB[i]!;
  }
  return bytesA.length - bytesB.length;
}

/**
 * Digest of a checkpoint, 32 bytes, hex: H("zklora/checkpoint/v1" | 00 | u32 count | head of the tree).
 *
 * Leaves are in the order of {@link compareUtf8}; see docs/lineage.md, "What a digest covers". The container does
 * not matter: one file, shards and ONNX initializers with the same tensors have the same digest.
 *
 * @throws ZkLoraError `CHECKPOINT_MALFORMED` when two tensors have one name or there are too many.
 */
export function checkpointDigest(tensors: readonly TensorDigest[]): string {
  const sorted = sortTensors(tensors);
  return rootOf(sorted.length, treeOf(sorted).head() ?? labelledSha256(EMPTY));
}

/**
 * Inclusion proof of one tensor.
 *
 * @throws ZkLoraError `CHECKPOINT_MALFORMED` as {@link checkpointDigest}, `USAGE` when no tensor has this name.
 */
export function proveInclusion(
  tensors: readonly TensorDigest[],
  name: string,
): Inclusion & { readonly tensor: TensorDigest } {
  const sorted = sortTensors(tensors);
  const index = sorted.findIndex((tensor) => tensor.name === name);
  const tensor = sorted[index];
  if (tensor === undefined) {
    throw new ZkLoraError('USAGE', 'the checkpoint has no tensor of this name; `checkpoint show` lists them');
  }
  return { tensor, count: sorted.length, index, path: treeOf(sorted, index).path().map(bytesToHex) };
}

/** Whether `digest` commits to `tensor` at this place (RFC 9162, section 2.1.3.2); never throws. */
export function verifyInclusion(digest: string, tensor: TensorDigest, inclusion: Inclusion): boolean {
  const { count, index, path } = inclusion;
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(count)) return false;
  if (index < 0 || index >= count || count > MAX_CHECKPOINT_TENSORS) return false;
  if (!path.every((hash) => /^[0-9a-f]{64}$/.test(hash))) return false;
  const head = headFromPath(NODE, leafHash(tensor), index, count, path.map(hexToBytes));
  return head !== undefined && rootOf(count, head) === digest;
}

function sortTensors(tensors: readonly TensorDigest[]): TensorDigest[] {
  if (tensors.length > MAX_CHECKPOINT_TENSORS) {
    throw new ZkLoraError(
      'CHECKPOINT_MALFORMED',
      `the checkpoint has more than ${MAX_CHECKPOINT_TENSORS} tensors`,
    );
  }
  const sorted = [...tensors].sort((a, b) => compareUtf8(a.name, b.name));
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i]!.name !== sorted[i - 1]!.name) continue;
    throw new ZkLoraError(
      'CHECKPOINT_MALFORMED',
      'two tensors of the checkpoint have the same name; save it again',
    );
  }
  return sorted;
}

function leafHash({ name, dtype, shape, sha256 }: TensorDigest): Uint8Array {
  return labelledSha256(LEAF, canonicalJson({ dtype, name, sha256, shape }));
}

function rootOf(count: number, head: Uint8Array): string {
  return bytesToHex(labelledSha256(ROOT, u32(count), head));
}

/** @param wanted index of the leaf whose path is to be kept */
function treeOf(sorted: readonly TensorDigest[], wanted?: number): MerkleTree {
  const tree = new MerkleTree(NODE, wanted);
  for (const tensor of sorted) tree.push(leafHash(tensor));
  return tree;
}
