import { bn254 } from '@noble/curves/bn254.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { type Hex, keccak256, toHex } from 'viem';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DevSnapshot } from '../../cli/demo/chain/devChain.js';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import { type FraudProof, fraudChallenge, type Offer, offerId } from '../../src/settlement/index.js';
import { bytes, Delivery, evaluateRow, makeSrs, type RowSpec, type Srs, sampleRow, TAU } from './delivery.js';
import { expectRevert } from './revert.js';
import { buyer, contributor, masterKey, Q, R, sampleOffer, stranger, World } from './world.js';

const N = 512;
const G1 = bn254.G1.Point;

let engine: Engine;
let srs: Srs;
let world: World;
/** Four rows; the third was delivered with one wrong weight. */
let delivery: Delivery;
let offer: Offer;
let id: Hex;
let proof: FraudProof;
/** As things are once the key is revealed. */
let revealed: DevSnapshot;

const committed: readonly RowSpec[] = [
  sampleRow(1, N),
  sampleRow(2, 40, 16),
  sampleRow(3, 200, 100),
  sampleRow(4, 37),
];
const WRONG = 2;
const oneWeight = (row: RowSpec): RowSpec => ({
  ...row,
  values: row.values.map((value, i) => (i === row.values.length - 1 ? value ^ 1 : value)),
});

beforeAll(async () => {
  engine = await loadEngine();
  srs = await makeSrs(engine, N);
  world = await World.create();
  delivery = await Delivery.make(engine, srs, committed, { [WRONG]: oneWeight(committed[WRONG]!) });
  ({ offer, id } = await sell(delivery));
  proof = (await delivery.proof(id, WRONG))!;
  revealed = await world.chain.snapshot();
});
beforeEach(() => world.chain.revert(revealed));
afterAll(() => engine.terminate());

/** Sells a delivery up to the reveal. */
async function sell(what: Delivery, changes: Partial<Offer> = {}): Promise<{ offer: Offer; id: Hex }> {
  const made = sampleOffer({ ...what.terms, ...changes });
  await world.send(contributor, 'deposit', [made.token, made.stake], made.stake);
  await world.send(buyer, 'fund', [made, await world.sign(made)], made.price);
  await world.send(contributor, 'reveal', [made, masterKey]);
  return { offer: made, id: offerId(world.escrow, made) };
}

const ask = (changes: Partial<FraudProof>, key: Hex = masterKey, terms = offer) =>
  world.ask(stranger, 'dispute', [terms, key, { ...proof, ...changes }]);

const point = (p: InstanceType<typeof G1>): readonly [bigint, bigint] => {
  const { x, y } = p.toAffine();
  return [x, y];
};
const fromPoint = ([x, y]: readonly [bigint, bigint]) => G1.fromAffine({ x, y });

describe('dispute', () => {
  it('credits price and stake to the buyer, whoever sends it, and once', async () => {
    await world.send(stranger, 'dispute', [offer, masterKey, proof]);
    expect(await world.stateOf(id)).toBe('Convicted');
    expect(await world.balanceOf(buyer)).toBe(offer.price + offer.stake);
    await expectRevert(ask({}), 'WrongState');
    world.chain.increaseTime(offer.disputeWindow + 1);
    await expectRevert(world.ask(contributor, 'withdraw', [offer, contributor.address]), 'WrongState');
    await world.send(buyer, 'collect', [offer.token, offer.price + offer.stake, buyer.address]);
  });

  it('is taken in the last second of the window, and not in the one after', async () => {
    const [, deadline] = (await world.read('escrowOf', [id])) as [number, bigint];
    world.chain.setNextTimestamp(Number(deadline) + 1);
    await expectRevert(ask({}), 'TooLate');
    world.chain.setNextTimestamp(Number(deadline));
    await world.send(buyer, 'dispute', [offer, masterKey, proof]);
  });

  it.each([
    [
      'first entry',
      (row: RowSpec) => ({ ...row, values: row.values.map((v, i) => (i === 0 ? v ^ 256 : v)) }),
    ],
    ['last entry', oneWeight],
    ['blinder', (row: RowSpec) => ({ ...row, blinder: (row.blinder + 1n) % R })],
    [
      'entry and blinder, all zero',
      (row: RowSpec) => ({ ...row, values: new Int16Array(row.values.length), blinder: 0n }),
    ],
    ['entry, all equal', (row: RowSpec) => ({ ...row, values: row.values.map(() => 7), blinder: 0n })],
  ])('convicts for a wrong %s, in rows of every place', async (_, spoil) => {
    const bad = await Delivery.make(
      engine,
      srs,
      committed,
      Object.fromEntries(committed.map((row, i) => [i, spoil(row)])),
    );
    const sale = await sell(bad);
    for (const row of committed.keys()) {
      const found = await bad.proof(sale.id, row);
      await world.ask(buyer, 'dispute', [sale.offer, masterKey, found]);
    }
  });

  it('reads every ciphertext: the blinder modulo R, nothing behind the entries', async () => {
    const row = committed[3]!;
    const honest = await Delivery.make(engine, srs, [row]);
    const unreduced = row.blinder + R;
    const [data] = honest.ciphertexts;
    const pad = (at: number, plain: bigint) => BigInt(toHex(data!.subarray(at, at + 32))) ^ plain;
    const blinderAt = data!.length - 32;
    // the same row in another form: R added to the blinder, and a bit behind the 37th entry
    data!.set(bytes(toHex(pad(blinderAt, row.blinder) ^ unreduced, { size: 32 })), blinderAt);
    data![blinderAt - 1]! ^= 1;
    const offered = await Delivery.of(honest, [data!]);
    const sale = await sell(offered);
    expect(await offered.proof(sale.id, 0)).toBeUndefined();
    const [x, y] = [0, 32].map((at) => BigInt(toHex(offered.rows[0]!.point.subarray(at, at + 32))));
    const C = [x!, y!] as const;
    const claim = {
      ...proof,
      row: 0,
      offset: row.offset,
      length: row.values.length,
      registered: C,
      ciphertext: toHex(data!),
      rowsPath: [],
      cipherPath: [],
    };
    const dispute = (delivered: readonly [bigint, bigint]) =>
      world.ask(buyer, 'dispute', [sale.offer, masterKey, { ...claim, delivered }]);
    await expectRevert(dispute(C), 'RowIsRegistered');
    await expectRevert(dispute(proof.delivered), 'OpeningInvalid');
    // an honest opening of F = C + [x^0] is one of f + 1, not of f: the contract's own f(z) tells
    await expectRevert(dispute(point(fromPoint(C).add(G1.BASE))), 'OpeningInvalid');
  });
});

describe('a fraud proof of a correct row', () => {
  /** What somebody could send who wants a correct row to look wrong. */
  async function attempt(row: number, changes: Partial<FraudProof>): Promise<FraudProof> {
    const { rows, rowsTree, cipherTree, ciphertexts } = delivery;
    const { offset, length, point: registered } = rows[row]!;
    const [x, y] = [0, 32].map((at) => BigInt(toHex(registered.subarray(at, at + 32))));
    return {
      ...proof,
      row,
      offset,
      length,
      registered: [x!, y!],
      delivered: [x!, y!],
      ciphertext: toHex(ciphertexts[row]!),
      rowsPath: rowsTree.path(row).map((hash) => toHex(hash)),
      cipherPath: cipherTree.path(row).map((hash) => toHex(hash)),
      ...changes,
    };
  }
  const dispute = async (row: number, changes: Partial<FraudProof>) =>
    world.ask(buyer, 'dispute', [offer, masterKey, await attempt(row, changes)]);

  it('is refused for what it is', async () => {
    for (const row of [0, 1, 3]) await expectRevert(dispute(row, {}), 'RowIsRegistered');
  });

  it('is refused with any other F and any opening', async () => {
    const { registered } = await attempt(0, {});
    const C = fromPoint(registered);
    const others = [G1.ZERO, G1.BASE, C.negate(), C.double(), C.add(G1.BASE), fromPoint(proof.delivered)];
    for (const F of others) {
      const delivered = F.equals(G1.ZERO) ? ([0n, 0n] as const) : point(F);
      for (const opening of [proof.opening, [0n, 0n] as const, point(G1.BASE)]) {
        await expectRevert(dispute(0, { delivered, opening }), 'OpeningInvalid');
      }
    }
  });

  it('is taken from somebody who knows tau: what the string is trusted for', async () => {
    const { registered, ciphertext } = await attempt(0, {});
    const delivered = point(fromPoint(registered).add(G1.BASE));
    const encode = (p: readonly [bigint, bigint]) => bytes(toHex((p[0] << 256n) | p[1], { size: 64 }));
    const cipherHash = keccak_256(bytes(ciphertext));
    const z = fraudChallenge({
      offerId: id,
      row: 0,
      cipherHash,
      registered: encode(registered),
      delivered: encode(delivered),
    });
    // F = C + 1 opened to the f(z) of the correct row: W = (F - f(z) G) / (tau - z)
    const { Fr } = bn254.fields;
    const { values, blinder, offset } = committed[0]!;
    const y = evaluateRow(N, offset, values, blinder, z);
    const inverse = Fr.inv(Fr.sub(TAU, z));
    const opening = point(fromPoint(delivered).subtract(G1.BASE.multiply(y)).multiply(inverse));
    await dispute(0, { delivered, opening });
  });

  it('is refused for F with coordinates above the order, though that point is C', async () => {
    const { registered } = await attempt(0, {});
    const [x, y] = registered;
    await expectRevert(dispute(0, { delivered: [x + Q, y] }), 'CoordinateNotCanonical');
    await expectRevert(dispute(0, { delivered: [x, y + Q] }), 'CoordinateNotCanonical');
  });

  it('is refused with the point of another row, another place or another length', async () => {
    const other = await attempt(1, {});
    await expectRevert(dispute(0, { registered: other.registered }), 'RowsPathInvalid');
    await expectRevert(dispute(1, { offset: 17 }), 'RowsPathInvalid');
    // as many words, so that only the leaf tells
    await expectRevert(dispute(1, { length: 41 }), 'RowsPathInvalid');
  });
});

describe('every element of a fraud proof is bound', () => {
  const flip = (hex: Hex, at: number): Hex => {
    const digit = Number.parseInt(hex[at]!, 16) ^ 1;
    return `${hex.slice(0, at)}${digit.toString(16)}${hex.slice(at + 1)}` as Hex;
  };
  const other = (path: readonly Hex[], i: number) =>
    path.map((hash, at) => (at === i ? flip(hash, 40) : hash));

  it('row', async () => {
    await expectRevert(ask({ row: WRONG + 1 }), 'RowsPathInvalid');
    await expectRevert(ask({ row: 0 }), 'RowsPathInvalid');
    await expectRevert(ask({ row: 4 }), 'RowOutOfRange');
    await expectRevert(ask({ row: WRONG + 4 }), 'RowOutOfRange');
    await expectRevert(ask({ row: 2 ** 32 - 1 }), 'RowOutOfRange');
  });

  it('offset and length', async () => {
    await expectRevert(ask({ offset: proof.offset + 1 }), 'RowsPathInvalid');
    await expectRevert(ask({ length: proof.length + 1 }), 'RowsPathInvalid');
    await expectRevert(ask({ length: proof.length + 16 }), 'CiphertextLengthInvalid');
    await expectRevert(ask({ length: 0 }), 'CiphertextLengthInvalid');
    await expectRevert(ask({ offset: N - proof.length + 1 }), 'RowDoesNotFit');
    await expectRevert(ask({ offset: 2 ** 32 - 1, length: 2 ** 32 - 1 }), 'RowDoesNotFit');
  });

  it('domain and string', async () => {
    await expectRevert(ask({ domainSize: 2 * N }), 'SrsMismatch');
    for (const domainSize of [0, 1, N + 1, N / 2, 2 ** 21, 2 ** 31]) {
      await expectRevert(ask({ domainSize }), 'DomainSizeInvalid');
    }
    const [a, b, c, d] = proof.tauG2;
    for (const tauG2 of [
      [a + 1n, b, c, d],
      [b, a, d, c],
      [a, b, Q - c, Q - d],
      [0n, 0n, 0n, 0n],
    ] as const) {
      await expectRevert(ask({ tauG2 }), 'SrsMismatch');
    }
  });

  it('points', async () => {
    const [x, y] = proof.registered;
    await expectRevert(ask({ registered: [x, Q - y] }), 'RowsPathInvalid');
    const F = proof.delivered;
    const W = proof.opening;
    await expectRevert(ask({ delivered: [F[0], Q - F[1]] }), 'OpeningInvalid');
    await expectRevert(ask({ opening: [W[0], Q - W[1]] }), 'OpeningInvalid');
    await expectRevert(ask({ delivered: W, opening: F }), 'OpeningInvalid');
    await expectRevert(ask({ delivered: [0n, 0n] }), 'OpeningInvalid');
    await expectRevert(ask({ opening: [0n, 0n] }), 'OpeningInvalid');
  });

  it('points off the curve', async () => {
    const F = proof.delivered;
    const W = proof.opening;
    await expectRevert(ask({ delivered: [F[0], F[1] ^ 1n] }), 'PointInvalid');
    await expectRevert(ask({ delivered: [0n, 1n] }), 'PointInvalid');
    await expectRevert(ask({ opening: [W[0] ^ 1n, W[1]] }), 'PointInvalid');
    await expectRevert(ask({ opening: [1n, 0n] }), 'PointInvalid');
  });

  it('coordinates that are not below the order of the base field', async () => {
    for (const member of ['delivered', 'opening'] as const) {
      const [x, y] = proof[member];
      for (const value of [
        [x + Q, y],
        [x, y + Q],
        [Q, 0n],
        [2n ** 256n - 1n, y],
      ] as const) {
        await expectRevert(ask({ [member]: value }), 'CoordinateNotCanonical', member);
      }
    }
  });

  it('ciphertext: every word of it', async () => {
    for (let at = 2 + 3; at < proof.ciphertext.length; at += 64) {
      await expectRevert(ask({ ciphertext: flip(proof.ciphertext, at) }), 'CipherPathInvalid');
    }
    await expectRevert(ask({ ciphertext: `${proof.ciphertext}00` }), 'CiphertextLengthInvalid');
    await expectRevert(ask({ ciphertext: '0x' }), 'CiphertextLengthInvalid');
  });

  it('ciphertext of another row or another offer', async () => {
    const foreign = await Delivery.make(engine, srs, committed, {}, keccak256(masterKey));
    const mine = { ciphertext: toHex(foreign.ciphertexts[WRONG]!) };
    await expectRevert(ask(mine), 'CipherPathInvalid');
    const path = foreign.cipherTree.path(WRONG).map((hash) => toHex(hash));
    await expectRevert(ask({ ...mine, cipherPath: path }), 'CipherPathInvalid');
  });

  it('paths: every sibling, their number and their order', async () => {
    for (const name of ['rowsPath', 'cipherPath'] as const) {
      const path = proof[name];
      const error = name === 'rowsPath' ? 'RowsPathInvalid' : 'CipherPathInvalid';
      for (const i of path.keys()) await expectRevert(ask({ [name]: other(path, i) }), error);
      await expectRevert(ask({ [name]: [...path].reverse() }), error);
      await expectRevert(ask({ [name]: path.slice(1) }), 'PathLengthInvalid');
      await expectRevert(ask({ [name]: [...path, path[0]!] }), 'PathLengthInvalid');
      await expectRevert(ask({ [name]: [] }), 'PathLengthInvalid');
    }
    await expectRevert(ask({ rowsPath: proof.cipherPath, cipherPath: proof.rowsPath }), 'RowsPathInvalid');
  });

  it('key', async () => {
    await expectRevert(ask({}, keccak256(masterKey)), 'KeyInvalid');
  });

  it('offer: a proof for one escrow is none for another over the same delivery', async () => {
    const second = await sell(delivery, { price: offer.price + 1n });
    await expectRevert(ask({}, masterKey, second.offer), 'OpeningInvalid');
    const own = await delivery.proof(second.id, WRONG);
    await world.send(buyer, 'dispute', [second.offer, masterKey, own]);
  });

  it('trees: a node is no leaf, and a leaf of one tree none of the other', async () => {
    const { rowsTree, cipherTree } = delivery;
    // the roots exchanged: both trees have as many leaves
    const swapped = await sell(delivery, {
      rowsRoot: toHex(cipherTree.root),
      cipherRoot: toHex(rowsTree.root),
    });
    await expectRevert(ask({}, masterKey, swapped.offer), 'RowsPathInvalid');
    // fewer rows: the proof's path is one longer than the tree is deep
    const shallow = await sell(delivery, { rowCount: 2 });
    await expectRevert(ask({ row: 1 }, masterKey, shallow.offer), 'PathLengthInvalid');
  });
});
