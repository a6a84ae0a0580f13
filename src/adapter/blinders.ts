import { R } from '../algebra/index.js';
import { bytesToHex, concatBytes, u32, utf8ToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { HmacSha256 } from '../sha256.js';
import type { QuantizedModule } from './types.js';

const LABEL = utf8ToBytes('zklora/blinder/v1');

/** Reducing 512 bits modulo the 254-bit order leaves a bias below 2^-256. */
const OUTPUT_BLOCKS = 2;

/** Blinders of one module's rows, `[rank]` each. Private to the contributor. */
export interface ModuleBlinders {
  readonly a: bigint[];
  readonly b: bigint[];
}

/**
 * Blinder of one committed row (docs/protocol.md, "Commitment to an adapter"): HKDF-SHA256 (RFC 5869) of the
 * blinding secret with the registration's salt, 64 bytes read big-endian, modulo the scalar field's order.
 *
 * info = "zklora/blinder/v1" | u32 length of the name | name (UTF-8) | "A" or "B" (1 byte) | u32 row; integers
 * big-endian. The length makes it injective: no two rows of any module, matrix or registration share a blinder.
 *
 * @param row row of A, or column of B.
 */
export function deriveBlinder(
  blindingSecret: Uint8Array,
  salt: Uint8Array,
  moduleName: string,
  matrix: 'A' | 'B',
  row: number,
): bigint {
  return blinderOf(keyOf(blindingSecret, salt), moduleName, matrix, row);
}

/** Blinders of all rows of A and columns of B of a module. */
export function moduleBlinders(
  blindingSecret: Uint8Array,
  salt: Uint8Array,
  module: Pick<QuantizedModule, 'name' | 'rank'>,
): ModuleBlinders {
  const key = keyOf(blindingSecret, salt);
  const of = (matrix: 'A' | 'B'): bigint[] =>
    Array.from({ length: module.rank }, (_, row) => blinderOf(key, module.name, matrix, row));
  return { a: of('A'), b: of('B') };
}

/** HKDF's pseudo-random key. */
function keyOf(blindingSecret: Uint8Array, salt: Uint8Array): HmacSha256 {
  return new HmacSha256(new HmacSha256(salt).of(blindingSecret));
}

function blinderOf(key: HmacSha256, moduleName: string, matrix: 'A' | 'B', row: number): bigint {
  const name = utf8ToBytes(moduleName);
  const info = concatBytes(LABEL, u32(name.length), name, utf8ToBytes(matrix), u32(row));
  const blocks: Uint8Array[] = [];
  let block: Uint8Array = new Uint8Array();
  for (let i = 1; i <= OUTPUT_BLOCKS; i++) {
    block = key.of(block, info, Uint8Array.of(i));
    blocks.push(block);
  }
  const blinder = BigInt(`0x${bytesToHex(concatBytes(...blocks))}`) % R;
  // Probability 2^-254.
  if (blinder === 0n) throw new ZkLoraError('INTERNAL', 'a blinder is zero; register again');
  return blinder;
}
