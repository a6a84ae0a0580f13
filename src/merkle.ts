/**
 * Merkle trees shaped as in RFC 9162, section 2.1 (an odd node moves up as it is), with labelled hashes.
 *
 * Leaves come hashed under a label of their own, so that no leaf can be taken for an inner node.
 */
import { concatBytes, utf8ToBytes } from './bytes.js';
import { sha256Of } from './sha256.js';

/** Bytes of every hash in a tree. */
export const HASH_BYTES = 32;

/** H(label | 00 | left | right). */
type HashNode = (left: Uint8Array, right: Uint8Array) => Uint8Array;

function nodeHasher(label: string): HashNode {
  const prefix = concatBytes(utf8ToBytes(label), Uint8Array.of(0));
  const bytes = new Uint8Array(prefix.length + 2 * HASH_BYTES);
  bytes.set(prefix);
  return (left, right) => {
    bytes.set(left, prefix.length);
    bytes.set(right, prefix.length + HASH_BYTES);
    return sha256Of(bytes);
  };
}

/** A full subtree: its head, how many leaves it has, whether the leaf whose path is wanted is among them. */
interface Subtree {
  readonly head: Uint8Array;
  readonly leaves: number;
  readonly wanted: boolean;
}

/** A tree that is read leaf by leaf; holds one subtree for each binary digit of the number of leaves. */
export class MerkleTree {
  readonly #hashNode: HashNode;
  readonly #wanted: number | undefined;
  readonly #path: Uint8Array[] = [];
  #full: Subtree[] = [];
  #leaves = 0;

  /**
   * @param label of inner nodes
   * @param wanted index of the leaf whose path is to be kept
   */
  constructor(label: string, wanted?: number) {
    this.#hashNode = nodeHasher(label);
    this.#wanted = wanted;
  }

  get leaves(): number {
    return this.#leaves;
  }

  /** @param head hash of the leaf, 32 bytes */
  push(head: Uint8Array): void {
    let last: Subtree = { head, leaves: 1, wanted: this.#leaves === this.#wanted };
    while (this.#full.at(-1)?.leaves === last.leaves) last = this.#join(this.#full.pop()!, last, this.#path);
    this.#full.push(last);
    this.#leaves += 1;
  }

  /** Head of the tree of all leaves so far; undefined without any. */
  head(): Uint8Array | undefined {
    return this.#fold([])?.head;
  }

  /** Siblings of the wanted leaf in the tree of all leaves so far, lowest first. */
  path(): Uint8Array[] {
    const path = [...this.#path];
    this.#fold(path);
    return path;
  }

  #fold(path: Uint8Array[]): Subtree | undefined {
    const [last, ...rest] = this.#full.toReversed();
    return last && rest.reduce((right, left) => this.#join(left, right, path), last);
  }

  #join(left: Subtree, right: Subtree, path: Uint8Array[]): Subtree {
    if (left.wanted) path.push(right.head);
    if (right.wanted) path.push(left.head);
    return {
      head: this.#hashNode(left.head, right.head),
      leaves: left.leaves + right.leaves,
      wanted: left.wanted || right.wanted,
    };
  }
}

/**
 * Head of the tree that a leaf and its siblings lead to (RFC 9162, section 2.1.3.2).
 *
 * @param label of inner nodes
 * @param index of the leaf, from 0, below `count`; both safe integers
 * @param path siblings, 32 bytes each, lowest first
 * @returns undefined when the path does not have the length that index and count demand
 */
export function headFromPath(
  label: string,
  leaf: Uint8Array,
  index: number,
  count: number,
  path: readonly Uint8Array[],
): Uint8Array | undefined {
  const hashNode = nodeHasher(label);
  let node = leaf;
  let place = index;
  let last = count - 1;
  for (const sibling of path) {
    if (last === 0) return undefined;
    if (place % 2 === 1 || place === last) {
      node = hashNode(sibling, node);
      while (place % 2 === 0 && place !== 0) {
        place = Math.floor(place / 2);
        last = Math.floor(last / 2);
      }
    } else {
      node = hashNode(node, sibling);
    }
    place = Math.floor(place / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? node : undefined;
}
