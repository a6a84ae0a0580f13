import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import { bytesToHex, concatBytes, equalBytes } from '../../src/bytes.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import { decodeProofFile, type Proof, proveSession, RANK_CHECKS } from '../../src/protocol/index.js';
import { formBases } from '../../src/protocol/linearForm.js';
import { Transcript } from '../../src/protocol/transcript.js';
import { inner, inverse, lagrangeAt, mod, power, powers } from '../reference/field.js';
import { expectAccepted } from '../support/bothVerifiers.js';
import { formCoefficients } from '../support/formCoefficients.js';
import { proofLayout } from '../support/proofLayout.js';
import { developmentParameters, makeScenario, type Scenario } from '../support/scenario.js';
import { proveForm, randomVector } from './kit/linearForm.js';
import { addAt, dishonestPairs, onDomain, type PairRun } from './kit/pairProver.js';
import { PairSchedule } from './kit/pairSchedule.js';
import { combine, pointsOf } from './kit/points.js';
import type { Polynomial } from './kit/polynomial.js';
import { dishonestProof, type Run } from './kit/prover.js';
import { Schedule } from './kit/schedule.js';
import { filesOf, type Setting, settingOf } from './kit/setting.js';
import { solve } from './kit/solve.js';

let engine: Engine;
let parameters: ParameterStore;
let scenario: Scenario;
const N = 512;
let setting: Setting;
/** The same with pairs on H. */
let pairs: Setting;
beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
  scenario = await makeScenario(engine, parameters, {
    shapes: [{ rank: 1, inFeatures: 6, outFeatures: 4 }],
    calls: [2],
  });
  setting = await settingOf(scenario);
  pairs = await settingOf(scenario, { rankCheck: 'kzg' });
});
afterAll(() => engine.terminate());
afterEach(() => {
  vi.restoreAllMocks();
});

describe('a retry with old blinders shows the weights', () => {
  it('mu and b, and so D and [R], kept over three attempts: S is one equation each', async () => {
    let kept: { m: [bigint, bigint]; mu: bigint; b: bigint } | undefined;
    let secret: bigint[] = [];
    const equations: bigint[][] = [];
    for (let attempt = 0; attempt < 3; attempt++) {
      const ranked = ({ groups }: Run) => {
        const [group] = groups;
        kept ??= { m: group!.m, mu: group!.mu, b: group!.b };
        Object.assign(group!, kept);
        secret = [group!.mu, group!.p[0]!, group!.q[0]!];
      };
      const proof = await dishonestProof(setting, { ranked });
      // each attempt is a valid proof
      await expectAccepted(engine, filesOf(setting, [proof]));
      // what anybody sees: rho from the transcript, S from the proof
      const { rho } = new Schedule(setting.statement).replay(proof);
      const { formValue } = proof.groups[0]!;
      equations.push([1n, rho, power(rho, 2n), formValue]);
    }
    expect(solve(equations)).toEqual(secret);
    // p is a known combination of the entries of A: enough such equations give A
    const { u } = new Schedule(setting.statement);
    const x = setting.session.calls[0]!.inputs[0]!.x;
    const folded = Array.from({ length: 6 }, (_, i) => BigInt(x[i]!) + u * BigInt(x[6 + i]!));
    expect(inner(folded, Array.from(scenario.modules[0]!.a, BigInt))).toBe(secret[1]);
  });

  it('D and D_r kept while only x changes: each last scalar is one equation', async () => {
    const [p, q, mu, b, rho] = randomVector(5) as [bigint, bigint, bigint, bigint, bigint];
    const ell = formCoefficients(rho, 1);
    const witness = [mu, b, p, q];
    const r = randomVector(witness.length);
    const bases = concatBytes(...formBases(await parameters.vkey(15), 1));
    // unknowns: r and (mu, b, p, q); s_r and S are two equations to begin with
    const none = witness.map(() => 0n);
    const equations = [
      [...ell, ...none, inner(ell, r)],
      [...none, ...ell, inner(ell, witness)],
    ];
    for (let attempt = 0; equations.length < r.length + witness.length; attempt++) {
      // the mask of another group, say, is fresh
      const sessionDigest = new Uint8Array(32).fill(attempt);
      const moves = () => new Schedule({ ...setting.statement, sessionDigest });
      const proof = await proveForm(engine, moves(), bases, ell, witness, r);
      const replay = moves();
      const { x } = replay.response(proof);
      const folds = proof.rounds.map(({ left, right }) => replay.fold(left, right));
      // z <- z_low + f z_high: the high half takes the fold
      const last = ell.map((_, j) =>
        folds.reduce((s, f, i) => ((j >> (folds.length - 1 - i)) & 1 ? mod(s * f) : s), 1n),
      );
      equations.push([...last, ...last.map((s) => mod(x * s)), proof.final]);
    }
    expect(solve(equations)?.slice(r.length)).toEqual([mu, b, p, q]);
  });

  it('fresh blinders: the same equations have no unique solution', async () => {
    const equations: bigint[][] = [];
    for (let attempt = 0; attempt < 2; attempt++) {
      const proof = await dishonestProof(setting);
      const { rho } = new Schedule(setting.statement).replay(proof);
      const row = [rho, power(rho, 2n), 0n, 0n, proof.groups[0]!.formValue];
      row[2 + attempt] = 1n;
      equations.push(row);
    }
    expect(solve([...equations, [0n, 0n, 0n, 0n, 0n], [0n, 0n, 0n, 0n, 0n]])).toBeUndefined();
  });
});

describe('a retry with an old [q] shows the weights', () => {
  /** What anybody sees of q = (q_0, gamma, delta) in a proof: L_0(z), L_(N-2)(z), L_(N-1)(z) and q(z). */
  const equationOf = (proof: Proof): bigint[] => {
    const { z } = new PairSchedule(pairs.statement).replay(proof);
    const lagrange = lagrangeAt(z, N);
    return [lagrange[0]!, lagrange[N - 2]!, lagrange[N - 1]!, proof.blocks[0]!.qAtPoint];
  };

  it('gamma and delta kept over three attempts: q(z) is one equation each', async () => {
    let kept: Polynomial | undefined;
    const equations: bigint[][] = [];
    for (let attempt = 0; attempt < 3; attempt++) {
      const chosen = ({ blocks: [block] }: PairRun) => {
        kept ??= block!.q;
        block!.q = kept;
      };
      const proof = await dishonestPairs(pairs, { chosen });
      if (attempt === 0) await expectAccepted(engine, filesOf(pairs, [proof]));
      equations.push(equationOf(proof));
    }
    // q is a known combination of the entries of B
    const { v } = new PairSchedule(pairs.statement);
    const q = inner(powers(v, 4), Array.from(scenario.modules[0]!.bT, BigInt));
    expect(solve(equations)?.[0]).toBe(q);
  });

  it("the library's proofs hold two blinders of q and one of p, new each time", async () => {
    const srs = await parameters.srs(N);
    const lagrange = pointsOf(srs.lagrange);
    const { u, v } = new PairSchedule(pairs.statement);
    const x = scenario.session.calls[0]!.inputs[0]!.x;
    const folded = Array.from({ length: 6 }, (_, i) => BigInt(x[i]!) + u * BigInt(x[6 + i]!));
    const p = inner(folded, Array.from(scenario.modules[0]!.a, BigInt));
    const q = inner(powers(v, 4), Array.from(scenario.modules[0]!.bT, BigInt));
    const seen = new Set<bigint>();
    /** Whether [p] and [q] confirm a guess at p and q that has no blinder, or one blinder of q: q(z) gives it away. */
    const confirms = async (proof: Proof) => {
      const [l0, gammaAt, deltaAt, value] = equationOf(proof) as [bigint, bigint, bigint, bigint];
      const rest = mod(value - q * l0);
      seen.add(rest);
      const both = mod(rest * inverse(mod(gammaAt + deltaAt)));
      const guesses: [bigint, bigint][] = [
        [mod(rest * inverse(gammaAt)), 0n],
        [0n, mod(rest * inverse(deltaAt))],
        [both, both],
      ];
      const points = await Promise.all(
        guesses.map(([gamma, delta]) =>
          combine(engine, [
            [q, lagrange[0]!],
            [gamma, lagrange[N - 2]!],
            [delta, lagrange[N - 1]!],
          ]),
        ),
      );
      const [block] = proof.blocks;
      return {
        p: equalBytes(await combine(engine, [[p, lagrange[0]!]]), block!.p),
        q: points.map((point) => equalBytes(point, block!.q)),
      };
    };
    for (let attempt = 0; attempt < 3; attempt++) {
      const { proofs } = decodeProofFile(await proveSession({ ...scenario, rankCheck: 'kzg' }));
      expect(await confirms(proofs[0]!)).toEqual({ p: false, q: [false, false, false] });
    }
    // what a prover with less than that gives away
    const careless = (run: PairRun) => {
      const [block] = run.blocks;
      addAt(run, block!, 'p', N - 3, -onDomain(run, block!.p)[N - 3]!);
      addAt(run, block!, 'q', N - 1, -onDomain(run, block!.q)[N - 1]!);
    };
    const proof = await dishonestPairs(pairs, { chosen: careless });
    expect(await confirms(proof)).toEqual({ p: true, q: [true, false, false] });
    expect(seen.size).toBe(4);
  });

  it('two blinders of q and one of p hide what is shown: any p and q have blinders that show the same', async () => {
    const [tau, z, shownP, shownQ, shownAtZ] = randomVector(5) as [bigint, bigint, bigint, bigint, bigint];
    const [atTau, atZ] = [lagrangeAt(tau, N), lagrangeAt(z, N)];
    for (const [p, q] of [randomVector(2), [0n, 0n]] as [bigint, bigint][]) {
      expect(solve([[atTau[N - 3]!, shownP - p * atTau[0]!]])).toHaveLength(1);
      expect(
        solve([
          [atTau[N - 2]!, atTau[N - 1]!, shownQ - q * atTau[0]!],
          [atZ[N - 2]!, atZ[N - 1]!, shownAtZ - q * atZ[0]!],
        ]),
      ).toHaveLength(2);
    }
    // at one point they would be one blinder
    const same = [atTau[N - 2]!, atTau[N - 1]!];
    expect(
      solve([
        [...same, shownQ],
        [...same, shownAtZ],
      ]),
    ).toBeUndefined();
  });
});

describe.each(RANK_CHECKS)("the library's prover by %s never keeps a blinder", (rankCheck) => {
  it('over two proofs of one session', async () => {
    const elements = (proof: Uint8Array) =>
      proofLayout(proof)
        .filter(({ kind }) => kind !== 'count' && kind !== 'id')
        .map(({ offset, length }) => bytesToHex(proof.subarray(offset, offset + length)));
    const options = { ...scenario, rankCheck };
    const all = [await proveSession(options), await proveSession(options)].flatMap(elements);
    expect(new Set(all).size).toBe(all.length);
  });

  it('over an attempt that failed half-way', async () => {
    const absorbed = new Map<string, string[]>();
    const absorb = Transcript.prototype.absorb;
    vi.spyOn(Transcript.prototype, 'absorb').mockImplementation(function (this: Transcript, label, data) {
      absorbed.set(label, [...(absorbed.get(label) ?? []), bytesToHex(data)]);
      absorb.call(this, label, data);
    });
    const failing = proveSession({
      ...scenario,
      rankCheck,
      onProgress: ({ stage }) => {
        if (stage === 'polynomials') throw new Error('stopped');
      },
    });
    await expect(failing).rejects.toThrow('stopped');
    const before = new Map(absorbed);
    absorbed.clear();
    await proveSession({ ...scenario, rankCheck });
    const secret =
      rankCheck === 'kzg' ? ['p', 'q'] : ['D', 'R', 'A', 'B', 'C', 'S', 'Dr', 'sr', 'left', 'right', 'final'];
    for (const label of secret) {
      const old = before.get(label)!;
      expect(old.length, label).toBeGreaterThan(0);
      for (const value of old) expect(absorbed.get(label), label).not.toContain(value);
    }
    // the statement is the same, so its challenges are
    const last = rankCheck === 'kzg' ? 'pairs' : 'groups';
    for (const label of ['parameters', 'adapter', 'session', 'sizes', 'modules', last]) {
      expect(absorbed.get(label), label).toEqual(expect.arrayContaining(before.get(label)!));
    }
  });
});
