import { appendFile, readdir, readFile, rename, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readAnswered } from '../../src/inference/answeredJournal.js';
import { MAX_OPEN_SESSIONS } from '../../src/inference/limits.js';
import { openSessionRecord } from '../../src/inference/record.js';
import { closed, contributor, onlyFolder, opened, refusal, stageOf, wholeCall } from './contributor.js';
import { MODULES } from './parties.js';

/** A session of one whole call and one answered stage, whose process has ended. */
async function interrupted() {
  const { sessions, dir } = await contributor();
  const id = await opened(sessions);
  await wholeCall(sessions, id);
  const answer = await sessions.apply(id, stageOf(1, 0, 1));
  await sessions.dispose();
  const folder = await onlyFolder(dir);
  return { dir, id, folder, answer, journal: join(folder, 'answered.jsonl') };
}

const stages = async (folder: string) => {
  const { header } = await openSessionRecord(folder);
  return (await readAnswered(folder, header)).map(({ call, stage }) => [call, stage]);
};

const unusable = expect.objectContaining({
  code: 'FILE_UNREADABLE',
  message: expect.stringMatching(/^the record of a session cannot be used: /),
});

describe('a session after a restart', () => {
  it('goes on where it was: the call under way from its first stage, nothing noted twice', async () => {
    const { dir, id, folder, answer } = await interrupted();
    const { sessions } = await contributor({ dir });
    await expect(sessions.apply(id, stageOf(1, 1, 1))).rejects.toEqual(
      refusal(/send its stages again from the first on/),
    );
    expect(await sessions.apply(id, stageOf(1, 0, 1))).toEqual(answer);
    expect(await sessions.apply(id, stageOf(1, 0, 1))).toEqual(answer);
    await sessions.apply(id, stageOf(1, 1, 1));
    await wholeCall(sessions, id, 2);
    expect(await stages(folder)).toEqual([0, 1, 2].flatMap((call) => [0, 1].map((stage) => [call, stage])));
    await closed(sessions, id, folder);
    expect((await openSessionRecord(folder)).closing?.calls).toBe(3);
  });

  it('answers the last whole call again', async () => {
    const { dir, id } = await interrupted();
    const first = await contributor({ dir });
    const before = await first.sessions.apply(id, stageOf(0, 0, 0));
    const { sessions } = await contributor({ dir });
    expect(await sessions.apply(id, stageOf(0, 0, 0))).toEqual(before);
    await expect(sessions.apply(id, stageOf(0, 0, 7))).rejects.toEqual(refusal(/the next call is number 1/));
  });

  it.each([
    ['other rows', stageOf(1, 0, 2)],
    ['another number of tokens', stageOf(1, 0, 1, 3)],
    [
      'another exponent',
      { ...stageOf(1, 0, 1), inputs: [{ ...stageOf(1, 0, 1).inputs[0]!, exponents: new Uint8Array(4) }] },
    ],
  ])('is broken off by an answered stage with %s', async (_, other) => {
    const { dir, id, folder } = await interrupted();
    const { sessions } = await contributor({ dir });
    await expect(sessions.apply(id, other)).rejects.toEqual(refusal(/broken off/));
    await expect(sessions.apply(id, stageOf(1, 0, 1))).rejects.toEqual(refusal(/broken off/));
    // Nothing more was given out, and what is whole can be closed.
    expect(await stages(folder)).toEqual([
      [0, 0],
      [0, 1],
      [1, 0],
    ]);
    await closed(sessions, id, folder);
  });

  it('goes on when every stage was noted and the call was not recorded', async () => {
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    await wholeCall(sessions, id);
    const folder = await onlyFolder(dir);
    const call = join(folder, 'calls', '000000.safetensors');
    const bytes = await readFile(call);
    // As a crash between journal and call leaves it.
    await rename(call, join(folder, 'calls', '.000000.safetensors.aa.tmp'));
    const later = await contributor({ dir });
    await expect(later.sessions.apply(id, stageOf(0, 0, 3))).rejects.toEqual(refusal(/broken off/));
    const last = await contributor({ dir });
    await wholeCall(last.sessions, id);
    expect(await readFile(call)).toEqual(bytes);
    expect(await stages(folder)).toEqual([
      [0, 0],
      [0, 1],
    ]);
  });

  it('loses a journal line and a call file that were cut off, and nothing else', async () => {
    const { dir, id, folder, journal } = await interrupted();
    const whole = await readFile(journal);
    for (const length of [1, 64, 65, 100]) {
      await appendFile(journal, whole.subarray(0, length));
      const { sessions } = await contributor({ dir });
      await sessions.apply(id, stageOf(1, 0, 1));
      expect(await readFile(journal)).toEqual(whole);
      await sessions.dispose();
    }
    const call = join(folder, 'calls', '000000.safetensors');
    const bytes = await readFile(call);
    // The stage after it in the journal says that the call was whole: only without it may the file be cut off.
    await truncate(journal, whole.lastIndexOf('\n', whole.length - 2) + 1);
    for (const length of [0, 7, 9, bytes.length - 1]) {
      await writeFile(call, bytes.subarray(0, length));
      const { sessions } = await contributor({ dir });
      await wholeCall(sessions, id);
      expect(await readFile(call)).toEqual(bytes);
      await sessions.dispose();
    }
  });

  it.each<[string, (folder: string) => Promise<void>]>([
    ['a changed delta', (folder) => flip(join(folder, 'calls', '000000.safetensors'), -1)],
    [
      'a call cut off that later stages build on',
      (folder) => truncate(join(folder, 'calls', '000000.safetensors'), 100),
    ],
    ['a call without its journal', (folder) => writeFile(join(folder, 'answered.jsonl'), '')],
    ['a journal line too few', (folder) => cutLines(folder, 1)],
    ['a changed journal', (folder) => flip(join(folder, 'answered.jsonl'), -20)],
    ['a changed header', (folder) => edit(join(folder, 'session.json'), /"nonce": "09/, '"nonce": "08')],
    [
      'a call in the place of another',
      (folder) =>
        rename(join(folder, 'calls', '000000.safetensors'), join(folder, 'calls', '000001.safetensors')),
    ],
  ])('is refused after %s', async (_, damage) => {
    const { dir, id, folder } = await interrupted();
    await damage(folder);
    const names = (await readdir(folder, { recursive: true })).sort();
    const { sessions } = await contributor({ dir });
    await expect(sessions.apply(id, stageOf(1, 0, 1))).rejects.toEqual(unusable);
    await expect(sessions.apply(id, stageOf(1, 0, 1))).rejects.toEqual(unusable);
    expect((await readdir(folder, { recursive: true })).sort()).toEqual(names);
  });

  it('takes a place like any other, and does not belong to another adapter', async () => {
    const { dir, id } = await interrupted();
    const { sessions } = await contributor({ dir });
    await Promise.all(Array.from({ length: MAX_OPEN_SESSIONS }, () => opened(sessions)));
    // a client asks again
    const full = {
      details: { grpcStatus: 'UNAVAILABLE' },
      message: expect.stringMatching(/too many open sessions/),
    };
    await expect(sessions.apply(id, stageOf(1, 0, 1))).rejects.toMatchObject(full);
    const other = await contributor({ dir, modules: MODULES.slice(0, 2) });
    await expect(other.sessions.apply(id, stageOf(1, 0, 1))).rejects.toEqual(refusal(/no such session/));
  });
});

it('requests under way are waited for at the end, later ones refused', async () => {
  const { sessions, dir } = await contributor();
  const id = await opened(sessions);
  const answer = sessions.apply(id, stageOf(0, 0, 1));
  await sessions.dispose();
  expect(await stages(await onlyFolder(dir))).toEqual([[0, 0]]);
  expect(await answer).toHaveLength(2);
  await expect(sessions.apply(id, stageOf(0, 1, 1))).rejects.toEqual(refusal(/shutting down/));
  await expect(opened(sessions)).rejects.toEqual(refusal(/shutting down/));
});

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[bytes.length + at]! ^= 1;
  await writeFile(path, bytes);
}

async function edit(path: string, what: RegExp, by: string): Promise<void> {
  const text = await readFile(path, 'utf8');
  expect(text).toMatch(what);
  await writeFile(path, text.replace(what, by));
}

async function cutLines(folder: string, keep: number): Promise<void> {
  const path = join(folder, 'answered.jsonl');
  const lines = (await readFile(path, 'utf8')).split('\n');
  await writeFile(path, `${lines.slice(0, keep).join('\n')}\n`);
}
