import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import { bytesToHex, concatBytes } from '../../src/bytes.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import { proveSession } from '../../src/protocol/index.js';
import { formBases } from '../../src/protocol/linearForm.js';
import { Transcript } from '../../src/protocol/transcript.js';
import { inner, mod, power } from '../reference/field.js';
import { expectAccepted } from '../support/bothVerifiers.js';
import { formCoefficients } from '../support/formCoefficients.js';
import { proofLayout } from '../support/proofLayout.js';
import { developmentParameters, makeScenario, type Scenario } from '../support/scenario.js';
import { proveForm, randomVector } from './kit/linearForm.js';
import { dishonestProof, type Run } from './kit/prover.js';
import { Schedule } from './kit/schedule.js';
import { filesOf, type Setting, settingOf } from './kit/setting.js';
import { solve } from './kit/solve.js';

let engine: Engine;
let parameters: ParameterStore;
let scenario: Scenario;
let setting: Setting;
beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
  scenario = await makeScenario(engine, parameters, {
    shapes: [{ rank: 1, inFeatures: 6, outFeatures: 4 }],
    calls: [2],
  });
  setting = await settingOf(scenario);
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

describe("the library's prover never keeps a blinder", () => {
  it('over two proofs of one session', async () => {
    const elements = (proof: Uint8Array) =>
      proofLayout(proof)
        .filter(({ kind }) => kind !== 'count' && kind !== 'id')
        .map(({ offset, length }) => bytesToHex(proof.subarray(offset, offset + length)));
    const proofs = [await proveSession({ ...scenario }), await proveSession({ ...scenario })];
    const all = proofs.flatMap(elements);
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
      onProgress: ({ stage }) => {
        if (stage === 'polynomials') throw new Error('stopped');
      },
    });
    await expect(failing).rejects.toThrow('stopped');
    const before = new Map(absorbed);
    absorbed.clear();
    await proveSession({ ...scenario });
    for (const label of ['D', 'R', 'A', 'B', 'C', 'S', 'Dr', 'sr', 'left', 'right', 'final']) {
      const old = before.get(label)!;
      expect(old.length, label).toBeGreaterThan(0);
      for (const value of old) expect(absorbed.get(label), label).not.toContain(value);
    }
    // the statement is the same, so its challenges are
    for (const label of ['parameters', 'adapter', 'session', 'sizes', 'modules', 'groups']) {
      expect(absorbed.get(label), label).toEqual(expect.arrayContaining(before.get(label)!));
    }
  });
});
