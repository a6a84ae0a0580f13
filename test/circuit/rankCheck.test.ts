import { groth16, type MemoryFile, type ProofObject, zKey } from 'snarkjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Engine,
  Fr,
  g1Generator,
  loadEngine,
  multiScalarMultiply,
  PairingProduct,
  R,
  randomScalar,
  vectorFromScalars,
} from '../../src/algebra/index.js';
import { circuitR1cs } from '../../src/circuit/circuitFiles.js';
import { type Groth16Proof, proveGroth16 } from '../../src/circuit/groth16Prove.js';
import { openParameters, type ParameterStore } from '../../src/circuit/parameterFiles.js';
import { ptauFromSecrets } from '../../src/circuit/ptau.js';
import { proveRankCheck, type RankCheckInputs, wiresOf } from '../../src/circuit/rankCheck.js';
import { IC_INDEX, parseVerificationKey, type VerificationKey } from '../../src/circuit/verificationKey.js';
import { exportVerificationKey, readProverKey, readProvingKey } from '../../src/circuit/zkey.js';
import { codeOf, DEVELOPMENT_DIR, honestInputs, scalars, witnessFile, witnessOf } from './helpers.js';

let engine: Engine;
let store: ParameterStore;

beforeAll(async () => {
  engine = await loadEngine();
  store = await openParameters(DEVELOPMENT_DIR);
});
afterAll(() => engine.terminate());

async function prove(inputs: RankCheckInputs): Promise<Groth16Proof> {
  const pairs = inputs.p.length;
  return proveRankCheck(engine, await store.zkey(pairs), inputs);
}

function icPoint(key: VerificationKey, i: number): Uint8Array {
  return key.ic.slice(i * 64, (i + 1) * 64);
}

/** Linear combination of the points IC from index `from` on. */
function combine(
  key: Pick<VerificationKey, 'ic'>,
  from: number,
  values: readonly bigint[],
): Promise<Uint8Array> {
  return multiScalarMultiply(
    engine,
    key.ic.slice(from * 64, (from + values.length) * 64),
    vectorFromScalars(engine, values),
  );
}

/** D = mu IC_mu + b IC_b + sum p_l IC_p,l + q_l IC_q,l. */
function commitment(key: Pick<VerificationKey, 'ic'>, { mu, b, p, q }: RankCheckInputs): Promise<Uint8Array> {
  return combine(key, IC_INDEX.mu, [mu, b, ...p, ...q]);
}

/** e(A, B) = e(alpha, beta) e(IC_0 + y IC_y + D, gamma) e(C, delta). */
async function accepted(
  key: Omit<VerificationKey, 'pairs'>,
  proof: Groth16Proof,
  y: bigint,
  d: Uint8Array,
): Promise<boolean> {
  const product = new PairingProduct(engine);
  product.add(proof.b, R - 1n, proof.a);
  product.add(key.beta, 1n, key.alpha);
  product.addMany(key.gamma, vectorFromScalars(engine, [1n, y]), key.ic);
  product.add(key.gamma, 1n, d);
  product.add(key.delta, 1n, proof.c);
  return product.isOne();
}

/** The form that snarkjs verifies. */
function asObject({ a, b, c }: Groth16Proof): ProofObject {
  const { G1, G2 } = engine.curve;
  const strings = (value: unknown): unknown => (Array.isArray(value) ? value.map(strings) : String(value));
  return {
    pi_a: strings(G1.toObject(a)),
    pi_b: strings(G2.toObject(b)),
    pi_c: strings(G1.toObject(c)),
  } as ProofObject;
}

describe.each([15, 63, 255])('RankCheck(%i)', (pairs) => {
  const inputs = honestInputs(pairs);
  const signals = [inputs.y, inputs.mu, inputs.b, ...inputs.p, ...inputs.q].map(String);
  let proof: Groth16Proof;
  let key: VerificationKey;

  beforeAll(async () => {
    proof = await prove(inputs);
    key = await store.vkey(pairs);
  });

  test('snarkjs accepts an honest proof, with the signals in the order y, mu, b, p, q', async () => {
    const vkey = await zKey.exportVerificationKey(await store.zkey(pairs));
    expect(await groth16.verify(vkey, signals, asObject(proof))).toBe(true);
    for (const i of [0, 1, 2, 3, 3 + pairs, 2 * pairs + 2]) {
      const other = signals.map((value, j) => (i === j ? String((BigInt(value) + 1n) % R) : value));
      expect(await groth16.verify(vkey, other, asObject(proof))).toBe(false);
    }
  });

  test('the commitment D takes the place of the signals', async () => {
    const d = await commitment(key, inputs);
    expect(await accepted(key, proof, inputs.y, d)).toBe(true);
    // IC_0 + y IC_y + D is the point that snarkjs sums up itself
    const whole = await combine(key, 0, [1n, inputs.y, inputs.mu, inputs.b, ...inputs.p, ...inputs.q]);
    const { G1 } = engine.curve;
    expect(G1.toAffine(G1.add(G1.toJacobian(await combine(key, 0, [1n, inputs.y])), d))).toEqual(whole);
  });

  test('another y, D, or proof element is refused', async () => {
    const d = await commitment(key, inputs);
    const otherD = await commitment(key, { ...inputs, b: Fr.add(inputs.b, 1n) });
    expect(await accepted(key, proof, Fr.add(inputs.y, 1n), d)).toBe(false);
    expect(await accepted(key, proof, inputs.y, otherD)).toBe(false);
    expect(await accepted(key, { ...proof, a: proof.c }, inputs.y, d)).toBe(false);
    expect(await accepted(key, { ...proof, c: g1Generator(engine) }, inputs.y, d)).toBe(false);
    expect(await accepted(key, { ...proof, b: key.beta }, inputs.y, d)).toBe(false);
  });

  test('IC points of y, mu and b are distinct and not the identity', () => {
    const points = [IC_INDEX.y, IC_INDEX.mu, IC_INDEX.b].map((i) => icPoint(key, i));
    for (const point of points) expect(engine.curve.G1.isZero(point)).toBe(false);
    expect(new Set(points.map(String)).size).toBe(3);
  });

  test('two proofs of one statement share no element, and both verify', async () => {
    const again = await prove(inputs);
    expect(again.a).not.toEqual(proof.a);
    expect(again.b).not.toEqual(proof.b);
    expect(again.c).not.toEqual(proof.c);
    expect(await accepted(key, again, inputs.y, await commitment(key, inputs))).toBe(true);
  });
});

describe('proveRankCheck', () => {
  const inputs = honestInputs(15);

  test('returns the three points and nothing of the signals', async () => {
    expect(Object.keys(await prove(inputs)).sort()).toEqual(['a', 'b', 'c']);
  });

  test('padding with zeros is proven like anything else', async () => {
    const [p, q] = scalars('padding', 2) as [bigint, bigint];
    const zeros = new Array<bigint>(14).fill(0n);
    const padded = { y: Fr.mul(p, q), mu: 0n, b: 0n, p: [p, ...zeros], q: [q, ...zeros] };
    const key = await store.vkey(15);
    expect(await accepted(key, await prove(padded), padded.y, await commitment(key, padded))).toBe(true);
  });

  test.each([
    ['y other than the sum', { ...inputs, y: Fr.add(inputs.y, 1n) }],
    ['one p off by one', { ...inputs, p: inputs.p.map((v, l) => (l === 7 ? Fr.add(v, 1n) : v)) }],
    ['q shorter than p', { ...inputs, q: inputs.q.slice(1) }],
    ['y not below R', { ...inputs, y: inputs.y + R }],
    ['a negative value', { ...inputs, mu: -1n }],
    ['b not below R', { ...inputs, b: R }],
  ] as [string, RankCheckInputs][])('refuses: %s', async (_, wrong) => {
    const zkey = await store.zkey(15);
    expect(await codeOf(() => proveRankCheck(engine, zkey, wrong))).toBe('STATEMENT_INVALID');
  });

  test('its refusal does not repeat the values', async () => {
    const wrong = { ...inputs, y: Fr.add(inputs.y, 1n) };
    const error = await prove(wrong).catch((e: unknown) => e as Error);
    const shown = JSON.stringify(error, Object.getOwnPropertyNames(error));
    for (const value of [wrong.y, ...inputs.p, ...inputs.q]) expect(shown).not.toContain(String(value));
  });

  test('refuses a key of another size', async () => {
    const zkey63 = await store.zkey(63);
    expect(await codeOf(() => proveRankCheck(engine, zkey63, inputs))).toBe('PARAMETERS_MALFORMED');
  });

  test('makes the quotient that the key needs: a wrong wire spoils the proof', async () => {
    const key = await store.vkey(15);
    const d = await commitment(key, inputs);
    const proverKey = readProverKey(await store.zkey(15), 15);
    const wires = wiresOf(engine, inputs);
    expect(await accepted(key, await proveGroth16(engine, proverKey, wires), inputs.y, d)).toBe(true);
    for (const wire of [4 + 30, 4 + 43, 4 + 44, 4 + 45]) {
      const wrong = wires.slice();
      wrong[32 * wire]! ^= 1;
      expect(await accepted(key, await proveGroth16(engine, proverKey, wrong), inputs.y, d)).toBe(false);
    }
  });
});

describe('a proof from a forged witness', () => {
  const inputs = honestInputs(15);
  const wires = witnessOf(inputs);

  test('control: the same road with the honest witness is accepted', async () => {
    expect(await acceptedWith(wires)).toBe(true);
  });

  test.each([
    ['a product', 4 + 30],
    ['y', 1],
    ['p', 4],
    ['q', 4 + 15],
    ['square of mu', 4 + 44],
    ['square of b', 4 + 45],
  ])('wrong %s: refused', async (_, wire) => {
    expect(await acceptedWith(wires.map((value, i) => (i === wire ? Fr.add(value, 1n) : value)))).toBe(false);
  });

  /** A prover that skips the witness program and commits to the very wires it used. */
  async function acceptedWith(values: readonly bigint[]): Promise<boolean> {
    const zkey = await store.zkey(15);
    const { proof, publicSignals } = await groth16.prove(zkey, witnessFile(values));
    expect(publicSignals).toEqual(values.slice(1, 34).map(String));
    return groth16.verify(await zKey.exportVerificationKey(zkey), publicSignals, proof);
  }
});

describe('a key without phase-2 contribution', () => {
  test('lets anybody prove any y under any D, and is refused by parseVerificationKey', async () => {
    const [tau, alpha, beta] = scalars('bare key', 3) as [bigint, bigint, bigint];
    const ptau = await ptauFromSecrets(engine, { tau, alpha, beta }, 6);
    const bare: MemoryFile = { type: 'mem' };
    await zKey.newZKey(await circuitR1cs(15), ptau, bare);
    const key = readProvingKey(bare.data!, 15);
    expect(key.delta).toEqual(key.gamma);

    // A = alpha, B = beta, C = -(IC_0 + y IC_y + D): no witness, no secret
    const y = randomScalar();
    const d = g1Generator(engine);
    const { G1 } = engine.curve;
    const sum = G1.add(G1.toJacobian(await combine(key, 0, [1n, y])), d);
    const forged = { a: key.alpha, b: key.beta, c: G1.toAffine(G1.neg(sum)) as Groth16Proof['c'] };
    expect(await accepted(key, forged, y, d)).toBe(true);

    expect(await codeOf(() => parseVerificationKey(exportVerificationKey(bare.data!, 15), 15))).toBe(
      'PARAMETERS_MALFORMED',
    );
  });

  test('one contribution by a participant mends it', async () => {
    const [tau, alpha, beta] = scalars('mended key', 3) as [bigint, bigint, bigint];
    const ptau = await ptauFromSecrets(engine, { tau, alpha, beta }, 6);
    const r1cs = await circuitR1cs(15);
    const bare: MemoryFile = { type: 'mem' };
    const contributed: MemoryFile = { type: 'mem' };
    await zKey.newZKey(r1cs, ptau, bare);
    await zKey.contribute(bare.data!, contributed, 'participant', 'entropy of the test');
    const zkey = contributed.data!;
    expect(await zKey.verifyFromR1cs(r1cs, ptau, zkey)).toBe(true);
    const key = parseVerificationKey(exportVerificationKey(zkey, 15), 15);
    const inputs = honestInputs(15, 'mended');
    const proof = await proveRankCheck(engine, zkey, inputs);
    expect(await accepted(key, proof, inputs.y, await commitment(key, inputs))).toBe(true);
  });
});
