import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { adapterId } from '../../src/adapter/commitment.js';
import { LOCK_FOLDER, lockFolder } from '../../src/folderLock.js';
import type { Timeouts } from '../../src/inference/client.js';
import { unionModules } from '../../src/inference/contributorView.js';
import {
  type EvaluateSetOptions,
  type EvaluationProgress,
  evaluateAdapter,
  evaluateSet,
} from '../../src/inference/evaluate.js';
import { ApplyResponseSchema } from '../../src/inference/gen/zklora_pb.js';
import { localLora } from '../../src/inference/localLora.js';
import { measureLoss } from '../../src/inference/loss.js';
import { checkClosing, EVALUATION_FILE, openSessionRecord } from '../../src/inference/record.js';
import { byteWindows } from '../../src/inference/windows.js';
import { heldOutText, loadFixture } from './fixtures.js';
import type { Tamper } from './relay.js';
import { at, inflated, type Part, type Parties, partiesOf } from './setParties.js';

const fixture = await loadFixture('llama-tiny');
const ALL = fixture.adapter.modules;
/** Query and value of layer 0, of layer 1. */
const [LAYER_0, LAYER_1] = [ALL.slice(0, 2), ALL.slice(2)];
const WINDOWS = byteWindows(await heldOutText(), 12, 5);
const PASSES = 3;
const BATCH = 2;

const parties = (parts: readonly Part[]) => partiesOf(fixture.modelPath, parts);

function options({ model, members, dir }: Parties) {
  return { model, members, dir: join(dir, 'user'), windows: WINDOWS, batch: BATCH };
}

/** The loss with some adapters alone, over servers of their own. */
async function lossOf(parts: readonly Part[]): Promise<number> {
  return (await evaluateSet(options(await parties(parts)))).adapterLoss;
}

describe('a set of contributors', () => {
  it('gives the losses of the whole adapter when each serves a part of it', async () => {
    const whole = await parties([{ name: 'all', modules: ALL }]);
    const { members } = whole;
    const alone = await evaluateAdapter({
      ...options(whole),
      client: await members[0]!.connect(),
      commitment: members[0]!.commitment,
    });
    const both = await parties([
      { name: 'late', modules: LAYER_1 },
      { name: 'early', modules: LAYER_0 },
    ]);
    const set = await evaluateSet(options(both));
    expect(set.baseLoss).toBe(alone.baseLoss);
    expect(set.adapterLoss).toBe(alone.adapterLoss);
    expect(set.adapterSums).toEqual(alone.adapterSums);
    expect(set.adapterLoss).not.toBe(set.baseLoss);
    const float = await measureLoss(localLora(whole.model, ALL), WINDOWS, { batch: BATCH });
    expect(Math.abs(set.adapterLoss - float.loss)).toBeLessThan(1e-3);
    for (const [i, member] of both.members.entries()) {
      expect(set.members[i]).toMatchObject({
        name: member.name,
        adapterId: adapterId(member.commitment),
        measured: true,
        failure: null,
        calls: PASSES,
      });
      const record = await openSessionRecord(member.dir);
      expect(record.header.adapterId).toBe(adapterId(member.commitment));
      await checkClosing(record, member.commitment.modules);
      expect([...(await set.members[i]!.session!.prove())]).toEqual([1, 2, 3]);
    }
  });

  it('adds weighted deltas of one module', async () => {
    const whole = await lossOf([{ name: 'all', modules: ALL }]);
    // 0.25 + 0.75 of one adapter, exact in float64
    const shared = await lossOf([
      { name: 'quarter', modules: ALL, weight: 0.25 },
      { name: 'rest', modules: ALL, weight: 0.75 },
    ]);
    expect(shared).toBe(whole);
    const cancelled = await parties([
      { name: 'plus', modules: ALL },
      { name: 'minus', modules: LAYER_0, weight: -1 },
    ]);
    const layer1 = await lossOf([{ name: 'one', modules: LAYER_1 }]);
    expect(Math.abs((await evaluateSet(options(cancelled))).adapterLoss - layer1)).toBeLessThan(1e-6);
  });

  it('refuses another base model, two shapes of a module, equal names and weights that are no numbers', async () => {
    const both = await parties([
      { name: 'a', modules: LAYER_0 },
      { name: 'b', modules: LAYER_1 },
    ]);
    const [a, b] = [both.members[0]!, both.members[1]!];
    const other = { ...b, commitment: { ...b.commitment, baseDigest: 'ab'.repeat(32) } };
    await expect(evaluateSet({ ...options(both), members: [a, other] })).rejects.toMatchObject({
      code: 'BASE_MODEL_MISMATCH',
      message: expect.stringMatching(/^contributor b: /),
    });
    await expect(evaluateSet({ ...options(both), members: [a, { ...b, name: 'a' }] })).rejects.toMatchObject({
      code: 'USAGE',
    });
    await expect(
      evaluateSet({ ...options(both), members: [a, { ...b, weight: Number.NaN }] }),
    ).rejects.toMatchObject({ code: 'USAGE' });
    expect(() => unionModules([LAYER_0, [{ ...LAYER_0[0]!, outFeatures: 7 }]])).toThrow(
      expect.objectContaining({ code: 'SHAPE_MISMATCH' }),
    );
    expect(both.served.flatMap(({ events }) => events)).toEqual([]);
  });
});

const halved = at(1, 0, (answer) =>
  create(ApplyResponseSchema, {
    call: answer.call,
    stage: answer.stage,
    deltas: answer.deltas.map(({ module, values }) => ({ module, values: values.subarray(8) })),
  }),
);
const relabelled = at(0, 0, (answer) => create(ApplyResponseSchema, { ...answer, stage: 7 }));
const silent = at(2, 0, () => undefined);

describe('a contributor that fails', () => {
  it.each<[string, Tamper, string, Partial<Timeouts>]>([
    ['answers with another size', halved, 'SESSION_MALFORMED', {}],
    ['answers with numbers that no adapter gives', at(1, 0, inflated), 'SESSION_MALFORMED', {}],
    ['answers another stage', relabelled, 'SESSION_MISMATCH', {}],
    ['falls silent', silent, 'CONTRIBUTOR_UNREACHABLE', { answer: 1500 }],
  ])('is named and left out: %s', async (_, tamper, code, timeouts) => {
    const all = await parties([
      { name: 'late', modules: LAYER_1 },
      { name: 'liar', modules: ALL, weight: 0.5, tamper, timeouts },
      { name: 'early', modules: LAYER_0 },
    ]);
    const progress: EvaluationProgress[] = [];
    const set = await evaluateSet({
      ...options(all),
      onFailure: 'drop',
      onProgress: (event) => progress.push(event),
    });
    // the losses are those of the others alone
    const rest = await lossOf([
      { name: 'late', modules: LAYER_1 },
      { name: 'early', modules: LAYER_0 },
    ]);
    expect(Math.abs(set.adapterLoss - rest)).toBeLessThan(1e-6);
    const [late, liar, early] = set.members;
    expect(liar).toMatchObject({ name: 'liar', measured: false, failure: { code } });
    // their sessions hold whole calls only, and are closed and proven
    for (const [i, member] of [late, early].entries()) {
      expect(member).toMatchObject({ measured: true, failure: null });
      const { dir, commitment } = all.members[2 * i]!;
      const record = await openSessionRecord(dir);
      await checkClosing(record, commitment.modules);
      expect(record.callCount).toBeGreaterThan(PASSES);
      expect([...(await member!.session!.prove())]).toEqual([1, 2, 3]);
    }
    expect(progress.at(-1)).toEqual({ part: 'adapter', done: WINDOWS.count, total: WINDOWS.count });
  });

  it('ends the evaluation with its name, when that is wanted', async () => {
    const all = await parties([
      { name: 'early', modules: LAYER_0 },
      { name: 'liar', modules: LAYER_1, tamper: halved },
    ]);
    await expect(evaluateSet(options(all))).rejects.toMatchObject({
      code: 'SESSION_MALFORMED',
      message: expect.stringMatching(/^contributor liar: /),
    });
    // nothing half: the record of the other ends with a whole call
    const record = await openSessionRecord(all.members[0]!.dir);
    expect(record.callCount).toBe(2);
    expect((await record.readCall(1)).tokens).toBe(BATCH * WINDOWS.sequence);
  });

  it('is left out when it cannot be reached at all', async () => {
    const all = await parties([
      { name: 'gone', modules: LAYER_0, timeouts: { connect: 300 } },
      { name: 'there', modules: LAYER_1 },
    ]);
    await all.served[0]!.server.close();
    const set = await evaluateSet({ ...options(all), onFailure: 'drop' });
    expect(set.members[0]).toMatchObject({
      measured: false,
      failure: { code: 'CONTRIBUTOR_UNREACHABLE' },
      calls: 0,
      session: null,
    });
    expect(set.members[1]).toMatchObject({ measured: true, calls: PASSES });
  });

  it('ends the evaluation when nobody is left', async () => {
    const all = await parties([{ name: 'liar', modules: LAYER_0, tamper: halved }]);
    await expect(evaluateSet({ ...options(all), onFailure: 'drop' })).rejects.toMatchObject({
      code: 'SESSION_MALFORMED',
    });
  });
});

describe('an evaluation that goes on', () => {
  /** Two contributors; the second lies about call 1 while `lying.now` is set. */
  async function interrupted() {
    const lying = { now: true };
    const tamper: Tamper = (answer) => (lying.now ? halved(answer) : answer);
    const all = await parties([
      { name: 'early', modules: LAYER_0 },
      { name: 'late', modules: LAYER_1, tamper },
    ]);
    await expect(evaluateSet(options(all))).rejects.toMatchObject({ code: 'SESSION_MALFORMED' });
    return {
      all,
      lying,
      run: { ...options(all), resume: true },
      journal: join(all.dir, 'user', EVALUATION_FILE),
    };
  }

  async function uninterrupted() {
    return evaluateSet(
      options(
        await parties([
          { name: 'early', modules: LAYER_0 },
          { name: 'late', modules: LAYER_1 },
        ]),
      ),
    );
  }

  it('has the losses of one that was never interrupted, and every call once', async () => {
    const { all, lying, run } = await interrupted();
    lying.now = false;
    const progress: EvaluationProgress[] = [];
    const set = await evaluateSet({ ...run, onProgress: (event) => progress.push(event) });
    const whole = await uninterrupted();
    expect(set.adapterSums).toEqual(whole.adapterSums);
    expect(set.baseSums).toEqual(whole.baseSums);
    // the base model and the first pass were measured before
    expect(progress.map(({ part, done }) => `${part} ${done}`)).toEqual(['adapter 4', 'adapter 5']);
    for (const { dir, commitment } of all.members) {
      const record = await openSessionRecord(dir);
      expect(record.callCount).toBe(PASSES);
      await checkClosing(record, commitment.modules);
    }
  });

  it('takes a call from the record when the crash came before its line in the journal', async () => {
    const { all, lying, run, journal } = await interrupted();
    lying.now = false;
    // without the only pass with adapters, of which something is left
    const lines = (await readFile(journal, 'utf8')).split('\n');
    await writeFile(journal, `${lines.slice(0, -2).join('\n')}\n${lines.at(-2)!.slice(0, 50)}`);
    const asked = all.served.map(({ events }) => events.length);
    const set = await evaluateSet(run);
    expect(set.adapterSums).toEqual((await uninterrupted()).adapterSums);
    expect(set.members.map(({ calls }) => calls)).toEqual([PASSES, PASSES]);
    // the recorded calls were not asked again
    const early = all.served[0]!.events.slice(asked[0]).filter(({ method }) => method === 'apply');
    expect(early.every(({ error }) => error === undefined)).toBe(true);
  });

  it('can be asked again when it is done, and gives the same without a call', async () => {
    const both = await parties([
      { name: 'early', modules: LAYER_0 },
      { name: 'late', modules: LAYER_1 },
    ]);
    const first = await evaluateSet(options(both));
    const again = await evaluateSet({ ...options(both), resume: true });
    expect(again.adapterSums).toEqual(first.adapterSums);
    expect(again.members.map(({ calls }) => calls)).toEqual([PASSES, PASSES]);
    expect(again.members.map(({ closing }) => closing)).toEqual(first.members.map(({ closing }) => closing));
    expect([...(await again.members[0]!.session!.prove())]).toEqual([1, 2, 3]);
  });

  it('can leave out whom it stopped for; that one stays out, and what it gave is closed', async () => {
    const { all, lying, run } = await interrupted();
    const dropped = await evaluateSet({ ...run, onFailure: 'drop' });
    expect(dropped.members.map(({ measured }) => measured)).toEqual([true, false]);
    const rest = await lossOf([{ name: 'early', modules: LAYER_0 }]);
    expect(Math.abs(dropped.adapterLoss - rest)).toBeLessThan(1e-6);
    lying.now = false;
    const again = await evaluateSet({ ...run, onFailure: 'drop' });
    expect(again.adapterSums).toEqual(dropped.adapterSums);
    expect(again.members[1]).toMatchObject({ measured: false, failure: { code: 'SESSION_MALFORMED' } });
    await checkClosing(await openSessionRecord(all.members[0]!.dir), all.members[0]!.commitment.modules);
  });

  it('never leaves a contributor out for a damaged file of the user', async () => {
    const both = await parties([
      { name: 'alice', modules: LAYER_0 },
      { name: 'bob', modules: LAYER_1 },
    ]);
    const first = await evaluateSet({ ...options(both), onFailure: 'drop' });
    const run = { ...options(both), onFailure: 'drop', resume: true } as const;
    const journal = join(both.dir, 'user', EVALUATION_FILE);
    const before = await readFile(journal);
    const { dir } = both.members[0]!;
    const damages: [string, (bytes: Buffer) => Buffer, string][] = [
      // in its header, in its numbers, and gone but for its name
      ['calls/000000.safetensors', (bytes) => changed(bytes, 9), 'SAFETENSORS_MALFORMED'],
      ['calls/000001.safetensors', (bytes) => changed(bytes, bytes.length - 2), 'SESSION_MALFORMED'],
      ['calls/000002.safetensors', () => Buffer.alloc(0), 'SAFETENSORS_MALFORMED'],
      ['session.json', () => Buffer.from('{'), 'SESSION_MALFORMED'],
      ['session.access', () => Buffer.from('{'), 'SESSION_MALFORMED'],
      ['close.json', () => Buffer.from('{'), 'SESSION_MALFORMED'],
    ];
    for (const [name, damage, code] of damages) {
      const path = join(dir, name);
      const whole = await readFile(path);
      await writeFile(path, damage(whole));
      await expect(evaluateSet(run)).rejects.toMatchObject({
        code,
        message: expect.stringMatching(
          /^contributor alice: your own record in .*alice cannot be used: .*copy/,
        ),
      });
      if (name.startsWith('calls')) {
        await expect(evaluateSet(run)).rejects.toThrow(`call file ${name.slice('calls/'.length)}`);
      }
      await writeFile(path, whole);
    }
    expect(await readFile(journal)).toEqual(before);
    expect((await evaluateSet(run)).adapterSums).toEqual(first.adapterSums);
    // a record that went back to an earlier state, and one that is not there any more: nobody is asked about it
    const opened = both.served[0]!.events.length;
    for (const gone of ['close.json', 'calls/000002.safetensors']) await rm(join(dir, gone));
    await expect(evaluateSet(run)).rejects.toMatchObject({ code: 'EVALUATION_MISMATCH' });
    await rm(dir, { recursive: true });
    await expect(evaluateSet(run)).rejects.toMatchObject({ code: 'EVALUATION_MISMATCH' });
    expect(both.served[0]!.events.slice(opened).map(({ method }) => method)).toEqual([]);
    expect(await readFile(journal)).toEqual(before);
  });

  it('keeps whom it has measured, also one that is gone when it goes on', async () => {
    const both = await parties([
      { name: 'alice', modules: LAYER_0, timeouts: { connect: 300 } },
      { name: 'bob', modules: LAYER_1 },
    ]);
    const first = await evaluateSet(options(both));
    const journal = await readFile(join(both.dir, 'user', EVALUATION_FILE));
    await both.served[0]!.server.close();
    const again = await evaluateSet({ ...options(both), onFailure: 'drop', resume: true });
    expect(again.adapterSums).toEqual(first.adapterSums);
    expect(again.members).toMatchObject([
      { measured: true, calls: PASSES, session: null, failure: { code: 'CONTRIBUTOR_UNREACHABLE' } },
      { measured: true, calls: PASSES, failure: null },
    ]);
    expect(again.members.map(({ closing }) => closing)).toEqual(first.members.map(({ closing }) => closing));
    expect(await readFile(join(both.dir, 'user', EVALUATION_FILE))).toEqual(journal);
  });

  it('is refused while another process has it', async () => {
    const { all, run } = await interrupted();
    const lock = await lockFolder(join(all.dir, 'user', LOCK_FOLDER, 'evaluation'));
    await expect(evaluateSet(run)).rejects.toMatchObject({ code: 'FOLDER_IN_USE' });
    await lock.release();
  });
});

/** One byte is another. */
function changed(bytes: Buffer, at: number): Buffer {
  const damaged = Buffer.from(bytes);
  damaged[at]! ^= 0x55;
  return damaged;
}

describe('the journal of an evaluation', () => {
  it('is bound to model, texts, sequences and contributors', async () => {
    const both = await parties([
      { name: 'a', modules: LAYER_0 },
      { name: 'b', modules: LAYER_1 },
    ]);
    const source = { texts: [{ name: 'held out', sha256: '12'.repeat(32) }], tokenizer: null };
    const run = { ...options(both), source };
    await evaluateSet(run);
    const [a, b] = [both.members[0]!, both.members[1]!];
    const others: [Partial<EvaluateSetOptions>, string][] = [
      [{ batch: 3 }, 'another batch'],
      [{ windows: byteWindows(await heldOutText(), 12, 4) }, 'other sequences'],
      [{ source: { ...source, tokenizer: '34'.repeat(32) } }, 'another tokenizer'],
      [{ source: { ...source, texts: [] } }, 'other texts'],
      [{ members: [b, a] }, 'other contributors'],
      [{ members: [a, { ...b, weight: 2 }] }, 'other contributors'],
    ];
    for (const [change, message] of others) {
      await expect(evaluateSet({ ...run, ...change, resume: true })).rejects.toMatchObject({
        code: 'EVALUATION_MISMATCH',
        message: expect.stringContaining(message),
      });
    }
    await expect(evaluateSet(run)).rejects.toMatchObject({ code: 'FILE_EXISTS' });
    const path = join(both.dir, 'user', EVALUATION_FILE);
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('"kind":"pass"', '"kind":"past"'));
    await expect(evaluateSet({ ...run, resume: true })).rejects.toMatchObject({
      code: 'EVALUATION_MALFORMED',
    });
  });
});
