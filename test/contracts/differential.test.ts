import { bn254 } from '@noble/curves/bn254.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { type Address, encodeFunctionData, type Hex, toHex } from 'viem';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TRANSACTION_GAS } from '../../cli/demo/chain/devChain.js';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import {
  encodeRow,
  fraudChallenge,
  MAX_DISPUTABLE_ENTRIES,
  MerkleTree,
  makeFraudProof,
  RowCipher,
  rowsLeaf,
} from '../../src/settlement/index.js';
import { bytes, Delivery, evaluateRow, makeSrs, type Srs, sampleRow } from './delivery.js';
import { kzgFraudHarnessAbi, kzgFraudHarnessBytecode } from './gen/contracts.js';
import { expectRevert } from './revert.js';
import { masterKey, R, World } from './world.js';

const { Fr } = bn254.fields;
const G1 = bn254.G1.Point;
const G2 = bn254.G2.Point;

let engine: Engine;
let world: World;
let harness: Address;
beforeAll(async () => {
  engine = await loadEngine();
  world = await World.create();
  harness = await world.deploy(kzgFraudHarnessAbi, kzgFraudHarnessBytecode);
});
afterAll(() => engine.terminate());

/** Asks the library's inner functions. */
const ask = async <T>(functionName: string, args: readonly unknown[]): Promise<T> => {
  const request = { address: harness, abi: kzgFraudHarnessAbi, functionName, args };
  return (await world.reader.readContract(request as never)) as T;
};

const u256 = (value: number | bigint) => bytes(toHex(value, { size: 32 }));
const keccak = (...parts: readonly Uint8Array[]) => keccak_256(Buffer.concat(parts));
const rowKeyOf = (row: number): Hex => toHex(keccak(bytes(masterKey), u256(row)));

/** f(z) by the library's code on the EVM, for a row encrypted by ours. */
function evaluate(
  domainSize: number,
  row: number,
  plain: Uint8Array,
  offset: number,
  length: number,
  z: bigint,
) {
  const ciphertext = Uint8Array.from(plain);
  new RowCipher(bytes(masterKey)).apply(row, ciphertext);
  const logSize = Math.log2(domainSize);
  return ask<bigint>('evaluate', [toHex(ciphertext), rowKeyOf(row), logSize, offset, length, z]);
}

describe('f(z) on the EVM: keystream, decoding and barycentric sum against @noble/curves', () => {
  const places = (n: number) =>
    [
      // length, offset: one entry, around a word, around a quarter of the domain (entries that share a denominator), all
      [1, 0],
      [15, n - 15],
      [16, 3],
      [17, n / 4 - 1],
      [n / 4, 0],
      [n / 4 + 1, n / 2],
      [n / 2 + 9, 5],
      [(3 * n) / 4 + 16, n / 8],
      [n - 1, 1],
      [n, 0],
    ] as const;

  it.each([512, 1024, 2048])('N = %i, rows of every place', async (n) => {
    for (const [seed, [length, offset]] of places(n).entries()) {
      const row = sampleRow(n + seed, length, offset);
      const z = BigInt(toHex(keccak(u256(n + seed)))) % R;
      const expected = evaluateRow(n, offset, row.values, row.blinder, z);
      expect(await evaluate(n, seed, encodeRow(row), offset, length, z), `${length} at ${offset}`).toBe(
        expected,
      );
    }
  });

  it.each([4096, 8192])('N = %i, full rows, extreme entries', async (n) => {
    for (const value of [-32768, 32767]) {
      const row = { values: new Int16Array(n).fill(value), blinder: R - 1n };
      const z = BigInt(toHex(keccak(u256(n)))) % R;
      expect(await evaluate(n, 70_000, encodeRow(row), 0, n, z)).toBe(
        evaluateRow(n, 0, row.values, row.blinder, z),
      );
    }
    const row = sampleRow(n, n);
    expect(await evaluate(n, 1, encodeRow(row), 0, n, 2n)).toBe(
      evaluateRow(n, 0, row.values, row.blinder, 2n),
    );
  });

  it('in a transaction for the longest row that is sold, and not in a larger domain', async () => {
    const row = sampleRow(11, MAX_DISPUTABLE_ENTRIES);
    const ciphertext = encodeRow(row);
    new RowCipher(bytes(masterKey)).apply(0, ciphertext);
    const call = (domainSize: number) => {
      const args = [toHex(ciphertext), rowKeyOf(0), Math.log2(domainSize), 0, row.values.length, 3n];
      const request = { abi: kzgFraudHarnessAbi, functionName: 'evaluate', args };
      return world.chain.call({ to: harness, data: encodeFunctionData(request as never) });
    };
    const sold = await call(MAX_DISPUTABLE_ENTRIES);
    expect(BigInt(sold.data)).toBe(evaluateRow(MAX_DISPUTABLE_ENTRIES, 0, row.values, row.blinder, 3n));
    // pairing, paths and calldata need less than half of a transaction's gas
    expect(sold.gas).toBeLessThan(TRANSACTION_GAS / 2n);
    expect(await call(4 * MAX_DISPUTABLE_ENTRIES)).toMatchObject({ reverted: true, failure: 'out of gas' });
  });

  it('at z = 0 and z = R - 2', async () => {
    const row = sampleRow(9, 100, 7);
    for (const z of [0n, R - 2n]) {
      expect(await evaluate(512, 0, encodeRow(row), 7, 100, z)).toBe(
        evaluateRow(512, 7, row.values, row.blinder, z),
      );
    }
  });

  it('refuses z in H: every place of the row and outside of it', async () => {
    const plain = encodeRow(sampleRow(1, 20));
    const root = Fr.pow(5n, (R - 1n) / 512n);
    for (const power of [0n, 1n, 19n, 20n, 128n, 256n, 511n]) {
      await expectRevert(evaluate(512, 0, plain, 0, 20, Fr.pow(root, power)), 'ChallengeInDomain');
    }
  });

  it('does not look behind the entries and reduces the blinder', async () => {
    const row = sampleRow(3, 21);
    const z = 12345n;
    const expected = evaluateRow(512, 0, row.values, row.blinder, z);
    const plain = encodeRow(row);
    plain.fill(0xff, 42, 64);
    plain.set(u256(row.blinder + 4n * R), 64);
    expect(await evaluate(512, 0, plain, 0, 21, z)).toBe(expected);
  });
});

describe('trees on the EVM', () => {
  it.each([1, 2, 7, 128])('gives the root over %i leaves from every leaf', async (count) => {
    const leaves = Array.from({ length: count }, (_, i) => keccak(u256(i)));
    const tree = new MerkleTree(leaves);
    for (const i of new Set([0, 1, count >> 1, count - 1].filter((at) => at < count))) {
      const path = tree.path(i).map((hash) => toHex(hash));
      expect(await ask('rootOf', [toHex(leaves[i]!), i, path])).toBe(toHex(tree.root));
    }
  });
});

describe('opening on the EVM: pairing input against @noble/curves', () => {
  let srs: Srs;
  beforeAll(async () => {
    srs = await makeSrs(engine, 512);
  });

  it('takes what our prover makes, and what @noble/curves says holds', async () => {
    const row = sampleRow(5, 90, 30);
    const wrong = { ...row, blinder: row.blinder - 1n };
    const delivery = await Delivery.make(engine, srs, [row], { 0: wrong });
    const id = toHex(keccak(u256(1)));
    const proof = (await makeFraudProof(engine, srs.prover, srs.tauG2, {
      offerId: id,
      masterKey: bytes(masterKey),
      committed: delivery.rows[0]!,
      ciphertext: delivery.ciphertexts[0]!,
      rowsTree: delivery.rowsTree,
      cipherTree: delivery.cipherTree,
    }))!;
    const encode = ([x, y]: readonly [bigint, bigint]) => Buffer.concat([u256(x), u256(y)]);
    const cipherHash = keccak(delivery.ciphertexts[0]!);
    const point = encode(proof.registered);
    const z = fraudChallenge({
      offerId: id,
      row: 0,
      cipherHash,
      registered: point,
      delivered: encode(proof.delivered),
    });
    const own = keccak(Uint8Array.of(3), bytes(id), u256(0), cipherHash, point, encode(proof.delivered));
    expect(z).toBe(BigInt(toHex(own)) % R);
    expect(toHex(rowsLeaf(delivery.rows[0]!))).toBe(
      toHex(keccak(Uint8Array.of(0), bytes('0x000000000000001e0000005a'), point)),
    );

    const y = evaluateRow(512, row.offset, row.values, wrong.blinder, z);
    const opens = (value: bigint) =>
      ask<boolean>('opens', [proof.delivered, proof.opening, proof.tauG2, z, value]);
    const [F, W] = [proof.delivered, proof.opening].map(([px, py]) => G1.fromAffine({ x: px, y: py })) as [
      InstanceType<typeof G1>,
      InstanceType<typeof G1>,
    ];
    const [x1, x0, y1, y0] = proof.tauG2;
    const tau = G2.fromAffine({ x: { c0: x0, c1: x1 }, y: { c0: y0, c1: y1 } });
    const holds = (value: bigint) => {
      const left = F.subtract(G1.BASE.multiply(value)).add(W.multiply(z));
      const product = bn254.pairingBatch([
        { g1: left, g2: G2.BASE },
        { g1: W.negate(), g2: tau },
      ]);
      return bn254.fields.Fp12.eql(product, bn254.fields.Fp12.ONE);
    };
    for (const value of [y, Fr.add(y, 1n), 1n]) expect(await opens(value)).toBe(holds(value));
    expect(await opens(y)).toBe(true);
  });
});
