import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import { bytesToHex } from '../../src/bytes.js';
import {
  type ProveOptions,
  proveSession,
  proveUnchecked,
  type Session,
  type SessionCall,
  sessionDigest,
  type VerifyOptions,
  verifyProof,
} from '../../src/protocol/index.js';
import { SessionPass } from '../../src/protocol/sessionPass.js';
import { developmentParameters, MemorySession, makeScenario, type Scenario } from '../support/scenario.js';
import { expectRefused } from './refused.js';

/** The first call comes to 64 MiB: what follows is not kept. */
const CALLS = [8192, 2, 3];
const TOKENS = 8197;

let engine: Engine;
let scenario: Scenario;
let proof: Uint8Array;
/** Of version 1. */
let byCircuit: Uint8Array;
beforeAll(async () => {
  engine = await loadEngine();
  scenario = await makeScenario(engine, await developmentParameters(), {
    shapes: [{ rank: 1, inFeatures: 1, outFeatures: 1024 }],
    calls: CALLS,
  });
  proof = await proveSession({ ...scenario });
  byCircuit = await proveUnchecked({ ...scenario, rankCheck: 'groth16' });
});
afterAll(() => engine.terminate());

/** The session as if it lay in files: it counts what is read, and may change what is read a second time. */
function stored(
  statedTokens?: Session['statedTokens'],
  again: (call: SessionCall) => SessionCall = (call) => call,
): { session: Session; reads: number[] } {
  const { header, seed, callCount, calls } = scenario.session;
  const reads = CALLS.map(() => 0);
  const readCall = async (index: number) => {
    reads[index]! += 1;
    return reads[index] === 1 ? calls[index]! : again(calls[index]!);
  };
  return { session: { header, seed, callCount, readCall, ...(statedTokens && { statedTokens }) }, reads };
}

const verify = (session: Session, change: Partial<VerifyOptions> = {}) =>
  verifyProof({
    engine,
    parameters: scenario.parameters.set,
    verificationKeys: scenario.parameters.vkey,
    adapter: scenario.adapter,
    session,
    proof,
    allowDevelopmentParameters: true,
    ...change,
  });

const digestOf = () => sessionDigest(scenario.session, scenario.adapter.modules);

const otherDelta = (call: SessionCall): SessionCall => ({
  ...call,
  outputs: call.outputs.map((y) => y.map((value) => value + 1n)),
});

describe('a long session', () => {
  it('whose calls state their tokens is read once', async () => {
    const { session, reads } = stored(async (index) => CALLS[index]);
    expect(await verify(session)).toMatchObject({ valid: true, tokens: TOKENS });
    expect(reads).toEqual([1, 1, 1]);
  });

  it.each<[string, Session['statedTokens']]>([
    ['has nothing to state them', undefined],
    ['cannot tell', async () => undefined],
  ])('that %s is read again beyond 64 MiB', async (_, statedTokens) => {
    const { session, reads } = stored(statedTokens);
    expect(await verify(session)).toMatchObject({ valid: true, tokens: TOKENS });
    // the call after the kept one came with it
    expect(reads).toEqual([1, 2, 2]);
  });

  it('that changes between the readings is another one', async () => {
    const { session, reads } = stored(undefined, otherDelta);
    expect(await verify(session)).toMatchObject({ valid: false, reason: 'WRONG_SESSION' });
    expect(reads).toEqual([1, 2, 2]);
  });

  it.each([0, 1, 4, 2 ** 32, Number.NaN])('is refused when it states %d tokens for 2', async (stated) => {
    const { session } = stored(async (index) => (index === 1 ? stated : CALLS[index]));
    await expectRefused(() => verify(session), 'SESSION_MALFORMED', /^the session changed while it was read/);
  });

  it('is refused for what reading its last call says, whatever the proof is', async () => {
    const broken = { ...scenario.session.calls[2]!, tokens: 4 };
    const { session } = stored(async (index) => CALLS[index]);
    const readCall = (index: number) => (index === 2 ? Promise.resolve(broken) : session.readCall(index));
    const says = /^activations of input 0 do not have the size of their module$/;
    await expectRefused(() => verify({ ...session, readCall }), 'SESSION_MALFORMED', says);
  });

  it('that is another one is said before what else is wrong', async () => {
    const { session } = stored(async (index) => CALLS[index]);
    const readCall = async (index: number) => {
      const call = await session.readCall(index);
      return index === 2 ? otherDelta(call) : call;
    };
    const verificationKeys = () => Promise.reject(new Error('disk'));
    const points = proof.slice();
    points.fill(255, points.length - 64);
    for (const change of [{ verificationKeys, proof: byCircuit }, { proof: points }]) {
      expect(await verify({ ...session, readCall }, change)).toMatchObject({ reason: 'WRONG_SESSION' });
    }
    await expect(
      verify(stored(session.statedTokens).session, { verificationKeys, proof: byCircuit }),
    ).rejects.toThrow('disk');
  });
});

describe('a source that takes its calls back', () => {
  it('is given those that nobody looks at any more', async () => {
    const { session } = stored(async (index) => CALLS[index]);
    const lent = new Set<SessionCall>();
    const readCall = async (index: number) => {
      const call = structuredClone(await session.readCall(index));
      lent.add(call);
      // the one that is worked on, and the one that comes meanwhile
      expect(lent.size).toBeLessThanOrEqual(2);
      return call;
    };
    const recycle = (call: SessionCall) => {
      expect(lent.delete(call)).toBe(true);
      for (const { x } of call.inputs) x.fill(77);
      for (const y of call.outputs) y.fill(77n);
    };
    const reused = { ...session, readCall, recycle };
    expect(await verify(reused)).toMatchObject({ valid: true, tokens: TOKENS });
    lent.clear();
    const sessionDigest = await digestOf();
    const made = await proveUnchecked({ ...scenario, session: reused, sessionDigest });
    expect(await verify(scenario.session, { proof: made })).toMatchObject({ valid: true });
  });
});

describe('a pass', () => {
  it('digests what it reads, in order only', async () => {
    const { session, adapter } = scenario;
    const pass = new SessionPass(session, adapter.modules);
    expect(await pass.readCall(0)).toBe(session.calls[0]);
    await expectRefused(() => pass.readCall(0), 'INTERNAL', /in order$/);
    await expectRefused(() => pass.readCall(2), 'INTERNAL', /in order$/);
    const digest = bytesToHex(await sessionDigest(session, adapter.modules));
    expect(bytesToHex(await pass.finish())).toBe(digest);
  });
});

describe('a prover that is told the digest', () => {
  const prove = (session: Session, change: Partial<ProveOptions> = {}) =>
    proveUnchecked({ ...scenario, session, ...change });

  it('reads a long session once, and one proof for each module again', async () => {
    const aggregated = stored(async (index) => CALLS[index]);
    const made = await prove(aggregated.session, { sessionDigest: await digestOf() });
    expect(aggregated.reads).toEqual([1, 1, 1]);
    expect(await verify(scenario.session, { proof: made })).toMatchObject({ valid: true, tokens: TOKENS });
    const single = stored(async (index) => CALLS[index]);
    await prove(single.session, { sessionDigest: await digestOf(), mode: 'per-module' });
    // the calls behind the first fit 64 MiB
    expect(single.reads).toEqual([2, 1, 1]);
    const untold = stored(async (index) => CALLS[index]);
    await prove(untold.session);
    expect(untold.reads).toEqual([2, 1, 1]);
  });

  it('proves no other session, long or short', async () => {
    const wrong = (await digestOf()).map((byte, i) => (i === 31 ? byte ^ 1 : byte));
    const short = new MemorySession(scenario.session.header, scenario.session.calls.slice(1));
    for (const change of [{}, { mode: 'per-module' as const }]) {
      for (const session of [stored().session, stored(async (index) => CALLS[index]).session, short]) {
        await expectRefused(
          () => prove(session, { sessionDigest: wrong, ...change }),
          'SESSION_MISMATCH',
          /^the session is not the one that both sides signed/,
        );
      }
    }
    const own = await sessionDigest(short, scenario.adapter.modules);
    const proof = await prove(short, { sessionDigest: own });
    expect(await verify(short, { proof })).toMatchObject({ valid: true, tokens: 5 });
  });
});
