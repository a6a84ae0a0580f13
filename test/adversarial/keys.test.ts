import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterId } from '../../src/adapter/index.js';
import {
  decodeG2Compressed,
  type Engine,
  encodeG2Compressed,
  type G2Point,
  loadEngine,
} from '../../src/algebra/index.js';
import { bytesToHex, sha256 } from '../../src/bytes.js';
import { type ParameterStore, parameterSetId } from '../../src/circuit/index.js';
import { encodeVerificationKey, type VerificationKey } from '../../src/circuit/verificationKey.js';
import { verifyProof } from '../../src/protocol/index.js';
import { expectRefused } from '../support/bothVerifiers.js';
import { developmentParameters } from '../support/scenario.js';
import { combine, pointsOf, type Term } from './kit/points.js';
import { dishonestProof, type Run } from './kit/prover.js';
import { filesOf, makeSetting } from './kit/setting.js';

let engine: Engine;
let parameters: ParameterStore;
beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
});
afterAll(() => engine.terminate());

/** The set with another delta in its smallest key; a store that does not look at it. */
async function withDelta(delta: (key: VerificationKey) => G2Point) {
  const pairs = 15;
  const honest = await parameters.vkey(pairs);
  const key: VerificationKey = { ...honest, delta: delta(honest) };
  const file = encodeVerificationKey(key);
  const circuits = parameters.set.circuits.map((circuit) =>
    circuit.pairs === pairs ? { ...circuit, vkeySha256: bytesToHex(sha256(file)) } : circuit,
  );
  const set = { ...parameters.set, circuits };
  const store: ParameterStore = { ...parameters, set, id: parameterSetId(set), vkey: async () => key };
  return { store, file };
}

/** The negative of a G2 point: another y. */
function negated(point: G2Point): G2Point {
  const bytes = encodeG2Compressed(point);
  bytes[0]! ^= 0x40;
  return decodeG2Compressed(bytes);
}

describe('a key without a phase-2 contribution: delta is gamma up to sign', () => {
  it.each([
    ['delta = gamma', -1n, ({ gamma }: VerificationKey) => gamma],
    ['delta = -gamma', 1n, ({ gamma }: VerificationKey) => negated(gamma)],
  ] as const)('%s: anything verifies under it, and both verifiers refuse the key', async (_, sign, delta) => {
    const { store, file } = await withDelta(delta);
    const setting = await makeSetting(
      engine,
      store,
      { shapes: [{ rank: 2, inFeatures: 6, outFeatures: 4 }], calls: [2] },
      {
        falsify: ({ calls }) => {
          calls[0]!.outputs[0]!.fill(424_242n);
        },
      },
    );
    // A = alpha, B = beta, C = -(IC_0 + claim IC_1 + D) for any claim; D is honest
    const ranked = async ({ groups }: Run) => {
      for (const group of groups) {
        const { key, claim, mu, b, p, q } = group;
        const points = [...pointsOf(key.ic).slice(0, 2), ...pointsOf(group.bases)];
        const terms = [1n, claim, mu, b, ...p, ...q].map((value, i): Term => [sign * value, points[i]!]);
        group.groth16 = { a: key.alpha, b: key.beta, c: await combine(engine, terms) };
      }
    };
    const files = filesOf(setting, [await dishonestProof(setting, { ranked })], () => file);
    const verdict = await verifyProof({
      engine,
      parameters: store.set,
      verificationKeys: store.vkey,
      adapter: setting.adapter,
      session: setting.session,
      proof: files.proof,
      allowDevelopmentParameters: true,
    });
    expect(verdict).toMatchObject({ valid: true, adapterId: adapterId(setting.adapter) });
    const { reference } = await expectRefused(engine, files, 'PARAMETERS_MALFORMED');
    expect(reference.why).toBe('verification key: delta = +-gamma');
  });
});
