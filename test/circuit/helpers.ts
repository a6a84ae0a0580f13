import { fileURLToPath } from 'node:url';
import { encodeScalar, Fr, R, scalarFromWideBytes } from '../../src/algebra/index.js';
import { concatBytes, labelledSha256, u32, utf8ToBytes } from '../../src/bytes.js';
import { serializeBinFile } from '../../src/circuit/binfile.js';
import type { RankCheckInputs } from '../../src/circuit/rankCheck.js';
import { type ErrorCode, ZkLoraError } from '../../src/errors.js';

/** The committed development set. */
export const DEVELOPMENT_DIR = fileURLToPath(new URL('../../fixtures/params/development', import.meta.url));

/** Reproducible scalars. */
export function scalars(seed: string, count: number): bigint[] {
  return Array.from({ length: count }, (_, i) => {
    const half = (n: number) => labelledSha256('zklora/test/v1', utf8ToBytes(seed), u32(i), u32(n));
    return scalarFromWideBytes(Uint8Array.of(...half(0), ...half(1)));
  });
}

/** Values that satisfy RankCheck(K). */
export function honestInputs(pairs: number, seed = 'inputs'): RankCheckInputs {
  const p = scalars(`${seed} p`, pairs);
  const q = scalars(`${seed} q`, pairs);
  const [mu, b] = scalars(`${seed} masks`, 2) as [bigint, bigint];
  const y = p.reduce((sum, value, l) => Fr.add(sum, Fr.mul(value, q[l]!)), 0n);
  return { y, mu, b, p, q };
}

/** Wires in circom's order: 1, y, mu, b, p, q, p_l q_l but the last, mu^2, b^2. */
export function witnessOf({ y, mu, b, p, q }: RankCheckInputs): bigint[] {
  const products = p.slice(0, -1).map((value, l) => Fr.mul(value, q[l]!));
  return [1n, y, mu, b, ...p, ...q, ...products, Fr.sqr(mu), Fr.sqr(b)];
}

/** A .wtns file: section 1 n8 | R | count, section 2 the values, little-endian. */
export function witnessFile(values: readonly bigint[]): Uint8Array {
  const header = new Uint8Array(40);
  const view = new DataView(header.buffer);
  view.setUint32(0, 32, true);
  for (let i = 0; i < 32; i++) header[4 + i] = Number((R >> BigInt(8 * i)) & 0xffn);
  view.setUint32(36, values.length, true);
  return serializeBinFile('wtns', 2, [
    { id: 1, data: header },
    { id: 2, data: concatBytes(...values.map((value) => encodeScalar(value).reverse())) },
  ]);
}

/** Code of the ZkLoraError that a call throws; anything else fails the test. */
export async function codeOf(call: () => unknown): Promise<ErrorCode | 'no error'> {
  try {
    await call();
    return 'no error';
  } catch (error) {
    if (!(error instanceof ZkLoraError)) throw error;
    if (error.message.includes('\n')) throw new Error('the message has more than one line');
    return error.code;
  }
}
