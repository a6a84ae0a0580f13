import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import { inverse, mod } from '../reference/field.js';
import { expectAccepted, expectRefused } from '../support/bothVerifiers.js';
import { developmentParameters } from '../support/scenario.js';
import { interpolate, plus, timesVanishing } from './kit/polynomial.js';
import { type Deviation, dishonestProof, maskOf, type Run } from './kit/prover.js';
import { Schedule } from './kit/schedule.js';
import { filesOf, makeSetting, type Setting } from './kit/setting.js';
import { quotientOf } from './kit/sum.js';
import { falseUnder } from './kit/weakVerifier.js';

let engine: Engine;
let parameters: ParameterStore;
let setting: Setting;
const N = 512;

beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
  setting = await makeSetting(engine, parameters, {
    shapes: [{ rank: 2, inFeatures: 6, outFeatures: 4 }],
    calls: [2],
  });
});
afterAll(() => engine.terminate());

async function expectOnly(deviation: Deviation, reason: string, equations: readonly string[]) {
  const proof = await dishonestProof(setting, deviation);
  const files = filesOf(setting, [proof]);
  expect(falseUnder(files, proof, new Schedule(setting.statement))).toEqual(equations);
  await expectRefused(engine, files, reason);
}

const OPENING = ['equation (5) or (6)'];

/** One value on H, 0 elsewhere. */
const bump = (index: number, value: bigint) =>
  interpolate(Array.from({ length: N }, (_, i) => (i === index ? value : 0n)));

describe('masks and form values', () => {
  it('[R] does not match mu', async () => {
    const ranked = ({ groups }: Run) => {
      groups[0]!.m[0] = mod(groups[0]!.m[0] + 1n);
    };
    await expectOnly({ ranked }, 'OPENING_INVALID', OPENING);
  });

  it('S is wrong', async () => {
    const valued = ({ groups }: Run) => {
      groups[0]!.s = mod(groups[0]!.s! + 1n);
    };
    await expectOnly({ valued }, 'OPENING_INVALID', [...OPENING, 'equation (4)']);
  });

  it('S is wrong and [R] makes up for it', async () => {
    const ranked = ({ groups }: Run) => {
      groups[0]!.m[0] = mod(groups[0]!.m[0] + inverse(BigInt(N)));
    };
    const valued = ({ groups }: Run) => {
      groups[0]!.s = mod(groups[0]!.s! + 1n);
    };
    await expectOnly({ ranked, valued }, 'LINEAR_FORM_INVALID', ['equation (4)']);
  });
});

describe('the running sum', () => {
  it.each([0, 7, 511])('phi jumps at place %i', async (place) => {
    const summed = (run: Run) => {
      run.phi = plus(run.phi, bump(place, 1n));
      run.quotient = quotientOf(run, N, maskOf(run));
    };
    await expectOnly({ summed }, 'OPENING_INVALID', OPENING);
  });

  it('the rows do not sum to the total: phi jumps at the end', async () => {
    const summing = (run: Run) => {
      run.total = mod(run.total + 1n);
    };
    // S/N in the openings is the verifier's own
    await expectOnly({ summing }, 'OPENING_INVALID', OPENING);
  });

  it('phi with other values that still telescope is as good', async () => {
    const summed = (run: Run) => {
      run.phi = plus(run.phi, [5n]);
    };
    const proof = await dishonestProof(setting, { summed });
    await expectAccepted(engine, filesOf(setting, [proof]));
  });

  it('phi and Q of a higher degree than the protocol makes are as good', async () => {
    const wider = { ...setting, srs: { ...setting.srs, powers: (await parameters.srs(1024)).powers } };
    const extra = (run: Run) => {
      const high = timesVanishing([...new Array<bigint>(400).fill(0n), 3n], N);
      run.phi = plus(run.phi, high);
      run.quotient = quotientOf(run, N, maskOf(run));
    };
    const proof = await dishonestProof(wider, { summed: extra });
    await expectAccepted(engine, filesOf(wider, [proof]));
  });
});

describe('quotient and openings', () => {
  it('the quotient is another polynomial', async () => {
    const summed = (run: Run) => {
      run.quotient = plus(run.quotient, [1n]);
    };
    await expectOnly({ summed }, 'OPENING_INVALID', OPENING);
  });

  it('the sum is not divisible: a lane differs from the committed rows', async () => {
    const summing = (run: Run) => {
      run.lanes[0]!.rows = plus(run.lanes[0]!.rows, bump(3, 1n));
    };
    await expectOnly({ summing }, 'OPENING_INVALID', OPENING);
  });

  it('e is wrong', async () => {
    const opened = (run: Run) => {
      run.e = mod(run.e + 1n);
    };
    await expectOnly({ opened }, 'OPENING_INVALID', OPENING);
  });

  it('e is wrong and W knows it', async () => {
    // Lambda opens to S/N + e for another e if phi is shifted by a constant, which (6) sees
    const opened = (run: Run) => {
      run.e = 0n;
      run.opening = plus(run.opening, [1n]);
    };
    await expectOnly({ opened }, 'OPENING_INVALID', OPENING);
  });

  it.each(['opening', 'shiftedOpening'] as const)('%s is of another polynomial', async (name) => {
    const opened = (run: Run) => {
      run[name] = plus(run[name], [0n, 1n]);
    };
    await expectOnly({ opened }, 'OPENING_INVALID', OPENING);
  });

  it('the openings are exchanged', async () => {
    const opened = (run: Run) => {
      [run.opening, run.shiftedOpening] = [run.shiftedOpening, run.opening];
    };
    await expectOnly({ opened }, 'OPENING_INVALID', OPENING);
  });
});
