import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { adapterId } from '../../src/adapter/commitment.js';
import type { AdapterCommitment } from '../../src/adapter/types.js';
import { bytesToHex, sha256 } from '../../src/bytes.js';
import {
  type Ensemble,
  runEnsemble,
  type ServedAdapter,
  sessionFolder,
  verifyEnsembleRun,
} from '../../src/ensemble/index.js';
import {
  parseRunPlan,
  parseRunTrace,
  planId,
  type RunTrace,
  traceDigest,
} from '../../src/ensemble/runFiles.js';
import { openSessionRecord, sign } from '../../src/inference/index.js';
import { temporaryFolder } from '../inference/fixtures.js';
import { commitTo, serve, USER } from '../inference/parties.js';
import { ADAPTED, adapterModules, openBundled, type TaskName } from './support.js';

const OPTIONS = {
  image: { labels: [0, 6, 3], guidance: 1.5, steps: 2, top: 2, seed: 7, samples: 3 },
  video: { labels: null, guidance: 1, steps: 2, top: 3, seed: 7, samples: 2 },
} as const;

interface Ran {
  readonly ensemble: Ensemble;
  readonly dir: string;
  readonly adapters: ServedAdapter[];
  readonly commitments: Map<number, AdapterCommitment>;
}

async function serveAll(task: TaskName, ensemble: Ensemble): Promise<ServedAdapter[]> {
  const adapters: ServedAdapter[] = [];
  for (const expert of ADAPTED[task]) {
    const modules = await adapterModules(task, expert);
    const commitment = commitTo(modules, ensemble.experts[expert]!.digest);
    const { client } = await serve({ dir: await temporaryFolder(), modules, commitment });
    adapters.push({ expert, commitment, client });
  }
  return adapters;
}

/** A recorded run of few steps; every adapter is asked. */
async function recorded(task: TaskName): Promise<Ran> {
  const ensemble = await openBundled(task);
  const adapters = await serveAll(task, ensemble);
  const dir = join(await temporaryFolder(), 'run');
  const run = await runEnsemble({ ...OPTIONS[task], ensemble, adapters, dir, user: USER });
  expect(run.unused).toEqual([]);
  return {
    ensemble,
    dir,
    adapters,
    commitments: new Map(adapters.map((each) => [each.expert, each.commitment])),
  };
}

const json = async (path: string) => JSON.parse(await readFile(path, 'utf8'));

describe.each<TaskName>(['image', 'video'])('a run of the %s ensemble', (task) => {
  it('is recorded so that its plan and deltas give it again', async () => {
    const { ensemble, dir, commitments } = await recorded(task);
    const plan = parseRunPlan(await readFile(join(dir, 'plan.json')));
    const trace = parseRunTrace(await readFile(join(dir, 'trace.json')));
    const { labels, samples, steps } = OPTIONS[task];
    expect(plan).toMatchObject({ ensemble: ensemble.digest, labels, samples, steps });
    const tokens = task === 'image' ? 16 * 2 : 36;
    for (const expert of ADAPTED[task]) {
      const session = await openSessionRecord(sessionFolder(dir, expert));
      // the plan is bound by the header, the header by the session digest, which proofs bind
      expect(session.header.nonce).toBe(planId(plan));
      const calls = trace.steps.flatMap((step) => step.calls).filter((call) => call.expert === expert);
      expect(calls.map(({ call }) => call)).toEqual([...calls.keys()]);
      expect(session.callCount).toBe(calls.length);
      for (const [index, { rows }] of calls.entries()) {
        expect((await session.readCall(index)).tokens).toBe(rows.length * tokens);
      }
    }
    expect(await verifyEnsembleRun({ dir, ensemble, adapters: commitments })).toEqual({
      valid: true,
      steps: steps + 1,
      calls: trace.steps.flatMap((step) => step.calls).filter(({ call }) => call !== null).length,
      unused: [],
      sessions: trace.sessions,
    });
  });
});

describe('verifyEnsembleRun', () => {
  it('refuses what was changed afterwards, each for its reason', async () => {
    const { ensemble, dir, commitments } = await recorded('image');
    const verify = async (
      change: (copy: string) => Promise<void>,
      adapters: ReadonlyMap<number, AdapterCommitment> = commitments,
    ) => {
      const copy = join(await temporaryFolder(), 'run');
      await cp(dir, copy, { recursive: true });
      await change(copy);
      const verdict = await verifyEnsembleRun({ dir: copy, ensemble, adapters });
      return verdict.valid ? 'valid' : verdict.reason;
    };
    const nothing = async () => undefined;
    const edit = (file: string, change: (value: never) => unknown) => async (copy: string) => {
      const path = join(copy, file);
      await writeFile(path, JSON.stringify(change((await json(path)) as never)));
    };
    /** As somebody who holds the user's key would: the trace is signed again. */
    const resigned = (change: (trace: Awaited<ReturnType<typeof parseRunTrace>>) => object) =>
      edit('trace.json', (trace: ReturnType<typeof parseRunTrace>) => {
        const changed = { ...trace, ...change(trace) };
        return { ...changed, signature: bytesToHex(sign(traceDigest(changed), USER.secretKey)) };
      });
    expect(await verify(nothing)).toBe('valid');

    // plan
    expect(await verify(edit('plan.json', (plan: object) => ({ ...plan, seed: 8 })))).toBe('TRACE_DIFFERS');
    const other = { ensemble: '00'.repeat(32) };
    expect(await verify(edit('plan.json', (plan: object) => ({ ...plan, ...other })))).toBe('PLAN_DIFFERS');
    expect(await verify(nothing, new Map([...commitments].slice(1)))).toBe('PLAN_DIFFERS');
    const [three, four] = ADAPTED.image;
    const crossed = new Map([
      [three!, commitments.get(four!)!],
      [four!, commitments.get(three!)!],
    ]);
    expect(await verify(nothing, crossed)).toBe('PLAN_DIFFERS');
    // a plan by hand names the pinned adapter of one expert on the other
    const pinned = commitments.get(three!)!;
    const moved = edit('plan.json', (plan: object) => ({
      ...plan,
      adapters: [{ expert: four, adapterId: adapterId(pinned) }],
    }));
    expect(await verify(moved, new Map([[four!, pinned]]))).toBe('WRONG_EXPERT');

    // trace and samples
    expect(await verify(edit('trace.json', (trace: object) => ({ ...trace, plan: '00'.repeat(32) })))).toBe(
      'TRACE_DIFFERS',
    );
    const unsigned = (trace: { steps: { calls: { weights: number[] }[] }[] }) => {
      trace.steps[0]!.calls[0]!.weights[0] = 0.5;
      return trace;
    };
    expect(await verify(edit('trace.json', unsigned))).toBe('TRACE_DIFFERS');
    const rerouted = resigned(({ steps }) => {
      const [first, ...rest] = steps;
      const calls = first!.calls.map((call) => ({ ...call, weights: call.weights.map((w) => w / 2) }));
      return { steps: [{ ...first!, calls }, ...rest] };
    });
    expect(await verify(rerouted)).toBe('ROUTING_DIFFERS');
    const editSteps = (change: (step: RunTrace['steps'][number]) => object) =>
      resigned(({ steps }) => ({ steps: steps.map((step) => ({ ...step, ...change(step) })) }));
    expect(await verify(editSteps((step) => step))).toBe('valid');
    expect(await verify(editSteps(({ time }) => ({ time: time - 2 ** -20 })))).toBe('TRACE_DIFFERS');
    const numbered = (call: (expert: number, given: number | null) => number | null) =>
      editSteps(({ calls }) => ({
        calls: calls.map((each) => ({ ...each, call: call(each.expert, each.call) })),
      }));
    // a number on an expert without an adapter, and none on one with
    expect(await verify(numbered((_, given) => given ?? 0))).toBe('TRACE_DIFFERS');
    expect(await verify(numbered((expert, given) => (expert === ADAPTED.image[0] ? null : given)))).toBe(
      'TRACE_DIFFERS',
    );
    expect(await verify((copy) => writeFile(join(copy, 'samples.f32'), new Uint8Array(4 * 192)))).toBe(
      'SAMPLES_DIFFER',
    );
    const fresh = async (copy: string) => {
      const samples = new Uint8Array(4 * 192);
      await writeFile(join(copy, 'samples.f32'), samples);
      await resigned(() => ({ samples: bytesToHex(sha256(samples)) }))(copy);
    };
    expect(await verify(fresh)).toBe('SAMPLES_DIFFER');

    // sessions
    const session = (copy: string) => sessionFolder(copy, three!);
    expect(await verify((copy) => rm(join(session(copy), 'close.json')))).toBe('SESSION_DIFFERS');
    const swapped = async (copy: string) => {
      await rm(session(copy), { recursive: true });
      await cp(sessionFolder(copy, four!), session(copy), { recursive: true });
    };
    expect(await verify(swapped)).toBe('SESSION_DIFFERS');
    expect(await verify(resigned(() => ({ sessions: [] })))).toBe('ACTIVATIONS_DIFFER');
    expect(
      await verify(
        resigned(({ sessions }) => ({
          sessions: sessions.map((each) => ({ ...each, digest: '00'.repeat(32) })),
        })),
      ),
    ).toBe('SESSION_DIFFERS');
  });

  it('refuses an expert, a sample or a file that is not there', async () => {
    const { ensemble, dir, commitments } = await recorded('video');
    const path = join(dir, 'trace.json');
    const trace = parseRunTrace(await readFile(path));
    const attempt = async (call: object) => {
      const steps = trace.steps.map((step) => ({ ...step, calls: [{ ...step.calls.at(-1)!, ...call }] }));
      const changed = { ...trace, steps };
      const signature = bytesToHex(sign(traceDigest(changed), USER.secretKey));
      await writeFile(path, JSON.stringify({ ...changed, signature }));
      // no sessions are left to compare with
      return verifyEnsembleRun({ dir, ensemble, adapters: commitments });
    };
    const malformed = expect.objectContaining({ code: 'ENSEMBLE_MALFORMED' });
    trace.sessions.length = 0;
    await expect(attempt({ expert: 3, call: null, rows: [0], weights: [1] })).rejects.toEqual(malformed);
    await expect(attempt({ expert: 1024, rows: [0], weights: [1] })).rejects.toEqual(malformed);
    await expect(attempt({ rows: [2], weights: [1] })).rejects.toEqual(malformed);
    await expect(attempt({ rows: [1, 0], weights: [0.5, 0.5] })).rejects.toEqual(malformed);
    await expect(attempt({ rows: [0], weights: [] })).rejects.toEqual(malformed);
    await expect(attempt({ rows: [0], weights: [0] })).rejects.toEqual(malformed);
    await writeFile(path, '{}');
    await expect(verifyEnsembleRun({ dir, ensemble, adapters: commitments })).rejects.toEqual(malformed);
    await rm(path);
    await expect(verifyEnsembleRun({ dir, ensemble, adapters: commitments })).rejects.toEqual(
      expect.objectContaining({ code: 'FILE_NOT_FOUND' }),
    );
  });
});

describe('runEnsemble', () => {
  it('refuses an adapter that was registered for another expert, and one on no expert', async () => {
    const ensemble = await openBundled('image');
    const [served] = await serveAll('image', ensemble);
    const run = async (expert: number) =>
      runEnsemble({
        ...OPTIONS.image,
        ensemble,
        adapters: [{ ...served!, expert }],
        dir: join(await temporaryFolder(), 'run'),
      });
    await expect(run(4)).rejects.toEqual(expect.objectContaining({ code: 'BASE_MODEL_MISMATCH' }));
    await expect(run(8)).rejects.toEqual(expect.objectContaining({ code: 'USAGE' }));
  });

  it('leaves a folder alone that holds something', async () => {
    const ensemble = await openBundled('video');
    const dir = await temporaryFolder();
    await writeFile(join(dir, 'mine'), '');
    await expect(runEnsemble({ ...OPTIONS.video, ensemble, adapters: [], dir })).rejects.toEqual(
      expect.objectContaining({ code: 'FILE_EXISTS' }),
    );
  });
});
