import { concatBytes, u32 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { keccak256 } from './keccak.js';
import { MAX_SETTLEMENT_ROWS } from './limits.js';
import type { SettlementRow } from './rows.js';

// First byte of everything that settlement hashes with keccak: no leaf is a node, no leaf of one tree one of the other.
const ROWS_LEAF = 0;
const CIPHER_LEAF = 1;
const NODE = 2;

const HASH_BYTES = 32;

/** Leaf of the tree of registered rows: keccak256(00 | u32 row | u32 offset | u32 length | x | y). */
export function rowsLeaf({ row, offset, length, point }: Omit<SettlementRow, 'module' | 'matrix' | 'rank'>) {
  return keccak256(concatBytes(Uint8Array.of(ROWS_LEAF), u32(row), u32(offset), u32(length), point));
}

/**
 * Leaf of the tree of encrypted rows: keccak256(01 | u32 row | keccak256(ciphertext)).
 *
 * @param cipherHash keccak256 of the row's ciphertext, 32 bytes
 */
export function cipherLeaf(row: number, cipherHash: Uint8Array): Uint8Array {
  return keccak256(concatBytes(Uint8Array.of(CIPHER_LEAF), u32(row), cipherHash));
}

/** Levels above the leaves of a tree over `count` leaves: ceil(log2(count)). */
export function treeDepth(count: number): number {
  return Math.ceil(Math.log2(count));
}

/**
 * Binary hash tree over all rows, leaf i being row i: node = keccak256(02 | left | right). The leaves are filled up to a
 * power of two with 32 zero bytes, which are no hash of anything known.
 */
export class MerkleTree {
  /** Levels from the leaves up, each the hashes joined. */
  readonly #levels: Uint8Array[];
  readonly count: number;

  /**
   * @param leaves 32 bytes each
   * @throws ZkLoraError `INTERNAL` for no leaves or more than MAX_SETTLEMENT_ROWS
   */
  constructor(leaves: readonly Uint8Array[]) {
    this.count = leaves.length;
    if (this.count < 1 || this.count > MAX_SETTLEMENT_ROWS) {
      throw new ZkLoraError('INTERNAL', `a tree has 1 to ${MAX_SETTLEMENT_ROWS} leaves`);
    }
    let level = new Uint8Array(HASH_BYTES * 2 ** treeDepth(this.count));
    leaves.forEach((leaf, i) => {
      level.set(leaf, i * HASH_BYTES);
    });
    this.#levels = [level];
    while (level.length > HASH_BYTES) {
      const above = new Uint8Array(level.length / 2);
      for (let at = 0; at < above.length; at += HASH_BYTES) {
        above.set(nodeOf(level.subarray(2 * at, 2 * at + 2 * HASH_BYTES)), at);
      }
      this.#levels.push(above);
      level = above;
    }
  }

  /** 32 bytes. */
  get root(): Uint8Array {
    return this.#levels.at(-1)!;
  }

  /**
   * Siblings from the leaf up, `[depth]`, 32 bytes each.
   *
   * @throws ZkLoraError `INTERNAL` for an index that is no leaf's
   */
  path(index: number): Uint8Array[] {
    if (!(index >= 0 && index < this.count)) throw new ZkLoraError('INTERNAL', 'no such leaf');
    return this.#levels.slice(0, -1).map((level, height) => {
      const sibling = (Math.floor(index / 2 ** height) ^ 1) * HASH_BYTES;
      return level.slice(sibling, sibling + HASH_BYTES);
    });
  }
}

/** Root that a leaf at an index has with these siblings. */
export function rootFromPath(leaf: Uint8Array, index: number, path: readonly Uint8Array[]): Uint8Array {
  return path.reduce((hash, sibling, height) => {
    const right = Math.floor(index / 2 ** height) % 2 === 1;
    return nodeOf(right ? concatBytes(sibling, hash) : concatBytes(hash, sibling));
  }, leaf);
}

function nodeOf(children: Uint8Array): Uint8Array {
  return keccak256(concatBytes(Uint8Array.of(NODE), children));
}
