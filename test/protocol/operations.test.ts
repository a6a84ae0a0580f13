import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { domainSizeFor, registerAdapter } from '../../src/adapter/index.js';
import { type Engine, loadEngine, warmCircuitProver } from '../../src/algebra/index.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import { proveUnchecked, type RankCheck, verifyProof } from '../../src/protocol/index.js';
import { countOperations } from '../support/counting.js';
import { developmentParameters, makeScenario, type Scenario } from '../support/scenario.js';

const MODULES = 6;
const RANK = 8;
const WIDTH = 64;
const OUT = 32;
const TOKENS = 8;
const DOMAIN = 512;
const PAIRS = MODULES * RANK;
/** The circuit that they fit. */
const K = 63;
/** mu, b, p and q. */
const VALUES = 2 * PAIRS + 2;
const ROUNDS = Math.ceil(Math.log2(VALUES));

let engine: Engine;
let parameters: ParameterStore;
let scenario: Scenario;
beforeAll(async () => {
  engine = await loadEngine();
  // once for each engine, not for each proof
  await warmCircuitProver(engine);
  parameters = await developmentParameters();
  scenario = await makeScenario(engine, parameters, {
    shapes: Array.from({ length: MODULES }, () => ({ rank: RANK, inFeatures: WIDTH, outFeatures: OUT })),
    calls: [TOKENS],
  });
});
afterAll(() => engine.terminate());

const weights = MODULES * RANK * (WIDTH + OUT);
const activations = MODULES * TOKENS * WIDTH;
/** Four 16-bit digits an entry. */
const outputDigits = 4 * MODULES * TOKENS * OUT;

describe('operations', () => {
  it('of a proof are what docs/protocol.md, "Cost", says', async () => {
    const { counts } = await countOperations(engine, (counting) =>
      proveUnchecked({ ...scenario, engine: counting }),
    );
    // [phi] by its values on H and its blinding, [Q], W and W'; p and q with the three places of their blinders
    const sorted = [...counts.msm].sort((a, b) => b - a);
    expect(sorted).toEqual([DOMAIN + 6, DOMAIN + 3, DOMAIN + 3, DOMAIN, PAIRS + 3, PAIRS + 3]);
    // one lane for all inputs, which stand beside each other, one for v, two for the pairs; two share a quad; there and back
    expect(MODULES * WIDTH).toBeLessThanOrEqual(DOMAIN);
    expect(counts.quadTransforms).toBe(4);
    // phi to coefficients and to the coset, Q and Lambda to coefficients
    expect(counts.singleTransforms).toBe(4);
    // weights: once for p and q, once for the lanes, once for Lambda; activations once to fold and once at z; outputs once
    expect(counts.matrixEntries).toBe(3 * weights + 2 * activations + outputDigits);
    expect([counts.rowDigits, counts.millerLoops]).toEqual([0, 0]);
  });

  it('of a proof by a circuit are those of Groth16 and the linear form besides', async () => {
    const { counts } = await countOperations(engine, (counting) =>
      proveUnchecked({ ...scenario, engine: counting, rankCheck: 'groth16' }),
    );
    const sorted = [...counts.msm].sort((a, b) => b - a);
    // [phi] by its values on H and its blinding, [Q], W and W'
    expect(sorted.slice(0, 4)).toEqual([DOMAIN + 6, DOMAIN + 3, DOMAIN + 3, DOMAIN]);
    // Groth16: A, B and C in G1, and the quotient over its domain of 256 rows
    const groth16 = [256, 3 * K + 5, 3 * K + 5, K + 1];
    // D and D_r over 2P+2 bases; then two cross terms a round, the lower and the upper half of the bases and U, folded every
    // third round; what is missing to a power of two, in the first three rounds, is no term
    const folds = Array.from({ length: ROUNDS }, (_, round) => {
      const length = 2 ** (ROUNDS - 3 * Math.floor(round / 3));
      const half = length / 2 ** ((round % 3) + 1);
      const isUpper = (i: number) => Math.floor(i / half) % 2 === 1;
      const bases = Array.from({ length: round < 3 ? VALUES : length }, (_, i) => i);
      const upper = bases.filter(isUpper).length;
      return [upper + 1, bases.length - upper + 1];
    }).flat();
    const rest = [VALUES, VALUES, ...groth16, ...folds.filter((terms) => terms >= 8)];
    expect(sorted.slice(4)).toEqual(rest.sort((a, b) => b - a));

    // one lane for all inputs, which stand beside each other, and one for v; two lanes share a quad; there and back
    expect(MODULES * WIDTH).toBeLessThanOrEqual(DOMAIN);
    // and Groth16's quotient: A, B, C and a constant share one more
    expect(counts.quadTransforms).toBe(4);
    // phi to coefficients and to the coset, Q and Lambda to coefficients
    expect(counts.singleTransforms).toBe(4);
    // weights: once for p and q, once for the lanes, once for Lambda; activations once to fold and once at z; outputs once
    expect(counts.matrixEntries).toBe(3 * weights + 2 * activations + outputDigits);
    expect(counts.rowDigits).toBe(0);
    expect(counts.millerLoops).toBe(0);
  });

  const countVerification = async (rankCheck: RankCheck) => {
    const proof = await proveUnchecked({ ...scenario, rankCheck });
    const { counts, result } = await countOperations(engine, (counting) =>
      verifyProof({
        engine: counting,
        parameters: parameters.set,
        verificationKeys: parameters.vkey,
        adapter: scenario.adapter,
        session: scenario.session,
        proof,
        allowDevelopmentParameters: true,
      }),
    );
    expect(result.valid).toBe(true);
    return counts;
  };

  it('of a verifier are one pass, one long multiplication and two pairings', async () => {
    const counts = await countVerification('kzg');
    // begun before the session's outputs are folded: rows; p and q, [phi] twice, [Q], G twice, W, W'. What the claim adds
    // to G, and what goes with tau G2, are few terms
    expect(counts.msm).toEqual([2 * PAIRS + 9]);
    // generator and tau G2
    expect([counts.millerLoops, counts.finalExponentiations]).toEqual([2, 1]);
    expect(counts.matrixEntries).toBe(activations + outputDigits);
    expect(counts.quadTransforms + counts.singleTransforms).toBe(0);
  });

  it('of a verifier of a proof by a circuit are one long multiplication and three pairings more', async () => {
    const counts = await countVerification('groth16');
    // over the generator, begun before the session is folded: bases of D; L and R of each round; D, D_r, U. Begun before
    // its outputs are: rows; D (in Groth16), [R], [phi] twice, [Q], G twice, W, W', IC_0. IC_y, and what goes with
    // tau G2, B, beta and delta, are few terms
    expect(counts.msm).toEqual([VALUES + 2 * ROUNDS + 3, 2 * MODULES * RANK + 10]);
    // generator (gamma is the same point), tau G2, B, beta, delta
    expect([counts.millerLoops, counts.finalExponentiations]).toEqual([5, 1]);
    expect(counts.matrixEntries).toBe(activations + outputDigits);
    expect(counts.quadTransforms + counts.singleTransforms).toBe(0);
  });

  it('of a registration are two digits for each weight', async () => {
    const { counts } = await countOperations(engine, async (counting) =>
      registerAdapter({
        engine: counting,
        srs: await parameters.srs(domainSizeFor(scenario.modules)),
        parametersId: parameters.id,
        modules: scenario.modules,
        baseDigest: '11'.repeat(32),
      }),
    );
    // every row carries its blinder as 16 more entries
    expect(counts.rowDigits).toBe(weights + 2 * MODULES * RANK * 16);
    expect(counts.msm).toEqual([]);
  });
});
