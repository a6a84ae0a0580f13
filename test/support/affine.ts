import { bn254 } from '@noble/curves/bn254.js';
import { concatBytes, numberToBytesBE } from '@noble/curves/utils.js';
import { decodeG1, Fr, G1_BYTES } from '../../src/algebra/index.js';

/** k G by noble-curves, in the engine's form; 64 zero bytes for the identity. */
export function affine(k: bigint): Uint8Array {
  if (Fr.create(k) === 0n) return new Uint8Array(G1_BYTES);
  const { x, y } = bn254.G1.Point.BASE.multiply(Fr.create(k)).toAffine();
  return decodeG1(concatBytes(numberToBytesBE(x, 32), numberToBytesBE(y, 32)));
}
