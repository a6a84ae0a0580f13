import type { TensorDigest } from './digest.js';
import { sameContent } from './tensorProof.js';

/** How each tensor of a converted checkpoint relates to the one it came from. */
export interface TensorComparison {
  /** Same name, dtype, shape and data. */
  readonly copied: readonly string[];
  /** Same dtype, shape and data under another name. */
  readonly relabelled: readonly { readonly from: string; readonly to: string }[];
  /** Same name, other dtype, shape or data. */
  readonly changed: readonly string[];
  /** Only in the new checkpoint. */
  readonly added: readonly string[];
  /** Only in the old checkpoint, under any name. */
  readonly removed: readonly string[];
}

/**
 * Compares two checkpoints tensor by tensor, by digests only.
 *
 * A tensor that is missing under its name is looked for by content: each old tensor accounts for one new name.
 */
export function compareTensors(
  before: readonly TensorDigest[],
  after: readonly TensorDigest[],
): TensorComparison {
  const oldByName = new Map(before.map((tensor) => [tensor.name, tensor]));
  const newNames = new Set(after.map(({ name }) => name));
  const copied: string[] = [];
  const changed: string[] = [];
  const unmatched: TensorDigest[] = [];
  for (const tensor of after) {
    const old = oldByName.get(tensor.name);
    if (old === undefined) unmatched.push(tensor);
    else if (sameContent(old, tensor)) copied.push(tensor.name);
    else changed.push(tensor.name);
  }
  const gone = new Map<string, TensorDigest[]>();
  for (const tensor of before) {
    if (newNames.has(tensor.name)) continue;
    const same = gone.get(tensor.sha256) ?? [];
    same.push(tensor);
    gone.set(tensor.sha256, same);
  }
  const relabelled: { from: string; to: string }[] = [];
  const added: string[] = [];
  for (const tensor of unmatched) {
    const pool = gone.get(tensor.sha256) ?? [];
    const place = pool.findIndex((old) => sameContent(old, tensor));
    if (place < 0) added.push(tensor.name);
    else relabelled.push({ from: pool.splice(place, 1)[0]!.name, to: tensor.name });
  }
  const removed = [...gone.values()].flat().map(({ name }) => name);
  return { copied, relabelled, changed, added, removed };
}

/** Whether the step only copied or relabelled tensors: nothing changed, added or lost. */
export function isUnchanged({ changed, added, removed }: TensorComparison): boolean {
  return changed.length + added.length + removed.length === 0;
}
