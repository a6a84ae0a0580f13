import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { applyExact } from '../../src/adapter/forward.js';
import { bytesToHex } from '../../src/bytes.js';
import { ZkLoraError } from '../../src/errors.js';
import { answeredRows, readAnswered } from '../../src/inference/answeredJournal.js';
import { CallRoom } from '../../src/inference/callRoom.js';
import { callBytes } from '../../src/inference/callSizes.js';
import {
  CALL_QUIET_MS,
  MAX_CALL_FILE_BYTES,
  MAX_OPEN_SESSIONS,
  MAX_PENDING_BYTES,
  MAX_QUEUED_PROOFS_PER_USER,
  PROOF_TURN_MS,
  SESSION_IDLE_MS,
  SESSION_QUIET_MS,
} from '../../src/inference/limits.js';
import type { ProveSession } from '../../src/inference/proofJobs.js';
import { openSessionRecord } from '../../src/inference/record.js';
import { closingMessage, keyPairFromSeed, sign } from '../../src/inference/signatures.js';
import type { StageRequest } from '../../src/inference/stageRequest.js';
import { sessionDigest } from '../../src/protocol/sessionPass.js';
import {
  closed,
  contributor,
  guard,
  onlyFolder,
  opened,
  refusal,
  stageOf,
  TestClock,
  WIDE,
  WIDE_INPUTS,
  wholeCall,
  wideStage,
} from './contributor.js';
import { temporaryFolder } from './fixtures.js';
import {
  CONTRIBUTOR,
  INPUTS,
  MODULES,
  openRequest,
  randomModule,
  randomRows,
  sessionFolders,
  USER,
} from './parties.js';

describe('the user of a session', () => {
  it('has to hold the key that budgets belong to', async () => {
    const { sessions, commitment, dir } = await contributor();
    const stolen = openRequest(commitment, { signer: CONTRIBUTOR });
    await expect(sessions.open(stolen)).rejects.toEqual(refusal(/signature of the user's key/));
    const otherSession = openRequest(commitment, { nonce: 1 });
    const replayed = { ...openRequest(commitment, { nonce: 2 }), userSignature: otherSession.userSignature };
    await expect(sessions.open(replayed)).rejects.toEqual(refusal(/signature of the user's key/));
    await expect(sessions.open({ ...otherSession, seed: new Uint8Array(32) })).rejects.toEqual(
      refusal(/signature of the user's key/),
    );
    expect(await readdir(dir)).toEqual([]);
    await sessions.open(otherSession);
  });

  it('has to be on the list where there is one', async () => {
    const allowed = keyPairFromSeed(new Uint8Array(32).fill(7));
    const { sessions, commitment } = await contributor({
      allowedUsers: new Set([bytesToHex(allowed.publicKey)]),
    });
    await expect(sessions.open(openRequest(commitment))).rejects.toEqual(refusal(/not on the list/));
    await sessions.open(openRequest(commitment, { user: allowed }));
  });

  it('closes and is proven, but asks nothing more, once it is off the list', async () => {
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    await wholeCall(sessions, id);
    const later = await contributor({ dir, allowedUsers: new Set() });
    await expect(later.sessions.apply(id, stageOf(1, 0, 1))).rejects.toEqual(refusal(/not on the list/));
    await closed(later.sessions, id, await onlyFolder(dir));
    expect(await later.sessions.prove(id, () => undefined)).toEqual(Uint8Array.of(1));
  });
});

/** What the client's library takes for a lost connection, so that it sends the call's stages again. */
const AGAIN = expect.objectContaining({
  code: 'SESSION_MISMATCH',
  message: expect.stringMatching(/send its stages again from the first on/),
  details: { grpcStatus: 'UNAVAILABLE' },
});

describe('memory of unfinished calls', () => {
  it('is bounded for one call at its first stage', async () => {
    const { sessions } = await contributor({ modules: WIDE });
    const id = await opened(sessions, WIDE_INPUTS);
    const tokens = 512;
    expect(callBytes({ inputs: WIDE_INPUTS }, WIDE, tokens)).toBeGreaterThan(MAX_CALL_FILE_BYTES);
    await expect(sessions.apply(id, wideStage(tokens))).rejects.toEqual(
      refusal(/larger than \d+ bytes; send fewer tokens/, 'SESSION_MALFORMED'),
    );
    expect(await sessions.apply(id, wideStage(500))).toHaveLength(1);
  });

  it('is bounded over all sessions, and given back', async () => {
    const clock = new TestClock();
    const { sessions } = await contributor({ modules: WIDE, clock });
    const size = callBytes({ inputs: WIDE_INPUTS }, WIDE, 500);
    const fit = Math.floor(MAX_PENDING_BYTES / size);
    const ids: string[] = [];
    for (let i = 0; i < fit; i += 1) {
      ids.push(await opened(sessions, WIDE_INPUTS));
      await sessions.apply(ids[i]!, wideStage(500));
    }
    const more = await opened(sessions, WIDE_INPUTS);
    const crowded = refusal(/too many calls are under way/);
    await expect(sessions.apply(more, wideStage(500))).rejects.toEqual(crowded);
    // A session that is broken off gives its memory back.
    await expect(sessions.apply(ids[0]!, wideStage(499))).rejects.toEqual(refusal(/broken off/));
    expect(await sessions.apply(more, wideStage(500))).toHaveLength(1);
    // So do idle ones.
    const last = await opened(sessions, WIDE_INPUTS);
    await expect(sessions.apply(last, wideStage(500))).rejects.toEqual(crowded);
    clock.advance(SESSION_IDLE_MS);
    const fresh = await opened(sessions, WIDE_INPUTS);
    expect(await sessions.apply(fresh, wideStage(500))).toHaveLength(1);
  });

  it('goes from a call that lies to one that is to begin, and nothing that was answered is lost', async () => {
    const clock = new TestClock();
    const { sessions, dir } = await contributor({ modules: WIDE, clock });
    const ids = [await opened(sessions, WIDE_INPUTS), await opened(sessions, WIDE_INPUTS)] as const;
    const [first, second] = ids;
    const answer = await sessions.apply(first, wideStage(500));
    clock.advance(1);
    await sessions.apply(second, wideStage(500));
    const third = await opened(sessions, WIDE_INPUTS);
    const crowded = refusal(/too many calls are under way/);
    clock.advance(CALL_QUIET_MS - 2);
    // asking the same again keeps nothing fresh
    await sessions.apply(first, wideStage(500));
    await expect(sessions.apply(third, wideStage(500))).rejects.toEqual(crowded);
    clock.advance(1);
    await sessions.apply(third, wideStage(500));
    // the first gave way, and is told to come again; meanwhile there is no room
    await expect(sessions.apply(first, wideStage(500, 1))).rejects.toEqual(AGAIN);
    await expect(sessions.apply(first, wideStage(500))).rejects.toMatchObject({
      details: { grpcStatus: 'UNAVAILABLE' },
    });
    clock.advance(1);
    expect(await sessions.apply(first, wideStage(500))).toEqual(answer);
    await expect(sessions.apply(second, wideStage(500, 1))).rejects.toEqual(AGAIN);
    // who came back has a minute as others have
    await expect(sessions.apply(second, wideStage(500))).rejects.toMatchObject({
      details: { grpcStatus: 'UNAVAILABLE' },
    });
    clock.advance(CALL_QUIET_MS);
    await sessions.apply(second, wideStage(500));
    for (const folder of await sessionFolders(dir)) {
      const journal = await readFile(join(folder, 'answered.jsonl'), 'utf8');
      expect(journal.trimEnd().split('\n')).toHaveLength(1);
    }
  });

  it('is not taken from calls that lie when all of them are too small', async () => {
    const clock = new TestClock();
    const { sessions } = await contributor({ modules: WIDE, clock });
    const small = await opened(sessions, WIDE_INPUTS);
    await sessions.apply(small, wideStage(20));
    clock.advance(CALL_QUIET_MS);
    for (const tokens of [490, 490])
      await sessions.apply(await opened(sessions, WIDE_INPUTS), wideStage(tokens));
    const more = await opened(sessions, WIDE_INPUTS);
    await expect(sessions.apply(more, wideStage(500))).rejects.toEqual(refusal(/too many calls/));
    expect(await sessions.apply(small, wideStage(20, 1))).toHaveLength(1);
  });

  it('is given back by whole calls and closes', async () => {
    const give = vi.spyOn(CallRoom.prototype, 'give');
    onTestFinished(() => void vi.restoreAllMocks());
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    const size = callBytes({ inputs: INPUTS }, MODULES, 2);
    await wholeCall(sessions, id);
    expect(give.mock.calls).toEqual([[size, true]]);
    await sessions.apply(id, stageOf(1, 0, 1));
    await closed(sessions, id, await onlyFolder(dir));
    expect(give.mock.calls).toEqual([
      [size, true],
      [size, false],
    ]);
  });
});

describe('what was answered', () => {
  it('is on disk before the call is whole', async () => {
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    const folder = await onlyFolder(dir);
    const { header } = await openSessionRecord(folder);
    expect(await readAnswered(folder, header)).toEqual([]);
    await sessions.apply(id, stageOf(0, 0, 1, 3));
    expect([...answeredRows(header, await readAnswered(folder, header))]).toEqual([
      [0, 3],
      [2, 3],
    ]);
    await sessions.apply(id, stageOf(0, 1, 2, 3));
    await sessions.apply(id, stageOf(1, 0, 3, 2));
    const stages = await readAnswered(folder, header);
    expect(stages.map(({ call, stage, tokens, inputs }) => [call, stage, tokens, inputs])).toEqual([
      [0, 0, 3, [0]],
      [0, 1, 3, [1]],
      [1, 0, 2, [0]],
    ]);
    expect([...answeredRows(header, stages)].sort()).toEqual([
      [0, 5],
      [1, 3],
      [2, 5],
    ]);
    // The record is what it was: one whole call, and the journal beside it.
    expect((await openSessionRecord(folder)).callCount).toBe(1);
  });

  it('cannot be asked with other content: the session is broken off', async () => {
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    await wholeCall(sessions, id);
    await sessions.apply(id, stageOf(1, 0, 1));
    const brokenOff = refusal(/other content; close it and open another$/);
    await expect(sessions.apply(id, stageOf(1, 0, 2))).rejects.toEqual(brokenOff);
    // Not even the first request is answered now.
    await expect(sessions.apply(id, stageOf(1, 0, 1))).rejects.toEqual(brokenOff);
    await expect(sessions.apply(id, stageOf(1, 1, 1))).rejects.toEqual(brokenOff);
    const folder = await onlyFolder(dir);
    const { header } = await openSessionRecord(folder);
    expect(answeredRows(header, await readAnswered(folder, header)).get(0)).toBe(4);
    // Whole calls can be closed and proven.
    await closed(sessions, id, folder);
    expect(await sessions.prove(id, () => undefined)).toEqual(Uint8Array.of(1));
  });

  it.each([
    ['a later stage', (good: StageRequest) => ({ ...good, inputs: stageOf(0, 1, 2).inputs }), 1],
    ['another number of tokens', () => stageOf(0, 0, 1, 3), 0],
    [
      'another exponent',
      (good: StageRequest) => ({
        ...good,
        inputs: [{ ...good.inputs[0]!, exponents: new Uint8Array(4) }],
      }),
      0,
    ],
    ['malformed content', (good: StageRequest) => ({ ...good, inputs: [] }), 0],
  ])('cannot be asked with other content: %s', async (_, change, stage) => {
    const { sessions } = await contributor({ modules: [...MODULES, randomModule('m.3', 4, 2)] });
    const id = await opened(sessions, [...INPUTS, [3]]);
    for (let s = 0; s <= stage; s += 1) await sessions.apply(id, stageOf(0, s, 1));
    await expect(sessions.apply(id, change(stageOf(0, stage, 1)))).rejects.toEqual(refusal(/broken off/));
  });

  it('is not given out when it cannot be noted', async () => {
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    await rm(await onlyFolder(dir), { recursive: true });
    await expect(sessions.apply(id, stageOf(0, 0, 1))).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
    await expect(sessions.apply(id, stageOf(0, 0, 1))).rejects.toEqual(refusal(/no such session/));
  });
});

describe('the disk', () => {
  it('is not filled: no session and no call begins, and what was answered is answered again', async () => {
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    await wholeCall(sessions, id);
    const full = await contributor({ dir, minFreeBytes: 2 ** 60 });
    const refused = refusal(/disk is full/, 'LIMIT_REACHED');
    await expect(opened(full.sessions)).rejects.toEqual(refused);
    await expect(full.sessions.apply(id, stageOf(1, 0, 1))).rejects.toEqual(refused);
    expect(await full.sessions.apply(id, stageOf(0, 1, 0))).toHaveLength(1);
    const { header, callCount } = await openSessionRecord(await onlyFolder(dir));
    expect(callCount).toBe(1);
    expect(await readAnswered(await onlyFolder(dir), header)).toHaveLength(2);
  });

  it('has the stage in the journal once when the ledger fails before it', async () => {
    const failure = new ZkLoraError('FILE_UNWRITABLE', 'the ledger cannot be written');
    const written = vi.fn().mockRejectedValueOnce(failure).mockResolvedValue(undefined);
    const { sessions, dir } = await contributor({
      leakage: guard(undefined, written),
    });
    const id = await opened(sessions);
    const folder = await onlyFolder(dir);
    const { header } = await openSessionRecord(folder);
    await expect(sessions.apply(id, stageOf(0, 0, 1))).rejects.toBe(failure);
    expect(await readAnswered(folder, header)).toHaveLength(1);
    // opened again from its files
    await sessions.apply(id, stageOf(0, 0, 1));
    await sessions.apply(id, stageOf(0, 1, 1));
    expect(await readAnswered(folder, header)).toHaveLength(2);
  });
});

describe('a lost answer', () => {
  it('is given again, at any stage of the last call', async () => {
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    const asked: [StageRequest, unknown][] = [];
    const ask = async (request: StageRequest) => {
      const outputs = await sessions.apply(id, request);
      asked.push([request, outputs]);
      for (const [before, answer] of asked) expect(await sessions.apply(id, before)).toEqual(answer);
      return outputs;
    };
    const [first] = await ask(stageOf(0, 0, 1));
    expect(first!.values).toEqual(applyExact(MODULES[0]!, randomRows(2, 4, 1).x, 2));
    await ask(stageOf(0, 1, 2));
    // The whole call was lost: from the start again, then on.
    const folder = await onlyFolder(dir);
    const { header, callCount } = await openSessionRecord(folder);
    expect(callCount).toBe(1);
    expect(await readAnswered(folder, header)).toHaveLength(2);
    await wholeCall(sessions, id, 1);
    expect((await openSessionRecord(folder)).callCount).toBe(2);
    // A call before the last is past, and so is the last one with other content.
    const past = refusal(/the next call is number 2/);
    await expect(sessions.apply(id, stageOf(0, 0, 1))).rejects.toEqual(past);
    await expect(sessions.apply(id, stageOf(1, 0, 99))).rejects.toEqual(past);
    await wholeCall(sessions, id, 2);
  });

  it('of a close is given again, also by a later process', async () => {
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    await wholeCall(sessions, id);
    const folder = await onlyFolder(dir);
    const { request, signature } = await closed(sessions, id, folder);
    expect(await sessions.close(id, request)).toEqual(signature);
    const later = await contributor({ dir });
    expect(await later.sessions.close(id, request)).toEqual(signature);
    const other = new Uint8Array(32).fill(5);
    const forged = { ...request, digest: other, userSignature: sign(closingMessage(other), USER.secretKey) };
    await expect(later.sessions.close(id, forged)).rejects.toEqual(refusal(/differs/));
    await expect(later.sessions.close(id, { ...request, calls: 2 })).rejects.toEqual(refusal(/differs/));
  });
});

describe('a closed session', () => {
  it('is proven by a later process of the same adapter, not by another', async () => {
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    await wholeCall(sessions, id);
    await closed(sessions, id, await onlyFolder(dir));
    const proven: number[] = [];
    const prove: ProveSession = async (session) => {
      proven.push((await session.readCall(0)).tokens);
      return Uint8Array.of(7);
    };
    const later = await contributor({ dir, prove });
    expect(await later.sessions.prove(id, () => undefined)).toEqual(Uint8Array.of(7));
    expect(await later.sessions.prove(id, () => undefined)).toEqual(Uint8Array.of(7));
    // What is made is not made again.
    expect(proven).toEqual([2]);
    const none = refusal(/no such session/);
    const other = await contributor({ dir, modules: MODULES.slice(0, 2) });
    await expect(other.sessions.prove(id, () => undefined)).rejects.toEqual(none);
    await expect(later.sessions.prove('', () => undefined)).rejects.toEqual(none);
    await expect(later.sessions.prove('00', () => undefined)).rejects.toEqual(none);
  });

  it('does not show its name in the folder', async () => {
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    await wholeCall(sessions, id);
    const folder = await onlyFolder(dir);
    await closed(sessions, id, folder);
    const name = folder.slice(dir.length + 1);
    expect(name).toMatch(/^[0-9a-f]{32}$/);
    expect(name).not.toBe(id);
    await expect(sessions.prove(name, () => undefined)).rejects.toEqual(refusal(/no such session/));
  });

  it('waits for its proof in a share of its user', async () => {
    let free: () => void = () => undefined;
    const blocked = new Promise<void>((resolve) => {
      free = resolve;
    });
    const { sessions, dir, commitment } = await contributor({
      prove: async () => {
        await blocked;
        return Uint8Array.of(1);
      },
    });
    const closedBy = async (user: typeof USER) => {
      const before = await sessionFolders(dir);
      const { sessionId } = await sessions.open(openRequest(commitment, { user }));
      await wholeCall(sessions, sessionId);
      const folder = (await sessionFolders(dir)).find((name) => !before.includes(name))!;
      await closed(sessions, sessionId, folder, user);
      return sessionId;
    };
    // one is worked on, the others wait
    for (let i = 0; i <= MAX_QUEUED_PROOFS_PER_USER; i += 1) await sessions.startProof(await closedBy(USER));
    const more = await closedBy(USER);
    await expect(sessions.startProof(more)).rejects.toMatchObject({
      code: 'SESSION_MISMATCH',
      message: expect.stringMatching(/too many proofs of this user/),
      details: { retryMs: PROOF_TURN_MS },
    });
    const other = keyPairFromSeed(new Uint8Array(32).fill(77));
    expect(await sessions.startProof(await closedBy(other))).toBe('queued');
    free();
  });

  it('frees its place', async () => {
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    await wholeCall(sessions, id);
    await closed(sessions, id, await onlyFolder(dir));
    await Promise.all(Array.from({ length: MAX_OPEN_SESSIONS }, () => opened(sessions)));
  });
});

describe('places for open sessions', () => {
  it('are counted when they are asked for, not when the folder is made', async () => {
    const { sessions, dir } = await contributor();
    const asked = await Promise.allSettled(
      Array.from({ length: MAX_OPEN_SESSIONS + 36 }, () => opened(sessions)),
    );
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(MAX_OPEN_SESSIONS);
    expect(await readdir(dir)).toHaveLength(MAX_OPEN_SESSIONS);
    const refused = asked.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
    expect(refused.reason).toEqual(refusal(/too many open sessions/));
  });

  it('are not all for one user', async () => {
    const { sessions, commitment } = await contributor({ sessionsPerUser: 2 });
    const ask = (user = USER) => sessions.open(openRequest(commitment, { user }));
    const asked = await Promise.allSettled([ask(), ask(), ask()]);
    expect(asked.map(({ status }) => status).sort()).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    await expect(ask()).rejects.toEqual(refusal(/too many open sessions of this user/));
    await ask(keyPairFromSeed(new Uint8Array(32).fill(77)));
  });

  it('come back when the folder cannot be made', async () => {
    const dir = join(await temporaryFolder(), 'file');
    await writeFile(dir, '');
    const { sessions } = await contributor({ dir });
    for (let i = 0; i < MAX_OPEN_SESSIONS; i += 1) {
      await expect(opened(sessions)).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
    }
    await rm(dir);
    await opened(sessions);
  });

  it('come back from sessions that fall idle', async () => {
    const clock = new TestClock();
    const { sessions } = await contributor({ clock });
    const kept = await opened(sessions);
    for (let i = 1; i < MAX_OPEN_SESSIONS; i += 1) await opened(sessions);
    clock.advance(SESSION_IDLE_MS);
    await sessions.apply(kept, stageOf(0, 0, 1));
    await Promise.all(Array.from({ length: MAX_OPEN_SESSIONS - 1 }, () => opened(sessions)));
    await expect(opened(sessions)).rejects.toEqual(refusal(/too many/));
    // The one that was used is still there; an hour later it is not.
    await sessions.apply(kept, stageOf(0, 1, 1));
    clock.advance(SESSION_IDLE_MS);
    await Promise.all(Array.from({ length: MAX_OPEN_SESSIONS }, () => opened(sessions)));
    await expect(sessions.apply(kept, stageOf(1, 0, 1))).rejects.toEqual(refusal(/too many/));
  });

  it('go from the session that was quiet for longest to a new one, those within a call last', async () => {
    const clock = new TestClock();
    const { sessions } = await contributor({ clock });
    const asking = await opened(sessions);
    await sessions.apply(asking, stageOf(0, 0, 1));
    const quiet = await opened(sessions);
    await wholeCall(sessions, quiet);
    clock.advance(1);
    for (let i = 2; i < MAX_OPEN_SESSIONS; i += 1) await opened(sessions);
    clock.advance(SESSION_QUIET_MS - 2);
    await expect(opened(sessions)).rejects.toEqual(refusal(/too many/));
    clock.advance(1);
    // `quiet` makes room, then `asking`, and the others are too fresh
    const latest = await opened(sessions);
    await opened(sessions);
    await expect(opened(sessions)).rejects.toEqual(refusal(/too many/));
    // they go on from their folders, in the places of others
    clock.advance(1);
    await wholeCall(sessions, quiet, 1);
    await expect(sessions.apply(asking, stageOf(0, 1, 1))).rejects.toEqual(AGAIN);
    for (const stage of [0, 1]) await sessions.apply(asking, stageOf(0, stage, 1));
    await sessions.apply(latest, stageOf(0, 0, 1));
  });

  it('are not for keys that are off the list: those close what they have without one', async () => {
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    await wholeCall(sessions, id);
    const kept = keyPairFromSeed(new Uint8Array(32).fill(79));
    const allowedUsers = new Set([bytesToHex(kept.publicKey)]);
    const later = await contributor({ dir, allowedUsers });
    const challenge = new Uint8Array(32);
    expect(await later.sessions.standing(id, challenge)).toMatchObject({ calls: 1, closed: false });
    const ask = () => later.sessions.open(openRequest(later.commitment, { user: kept }));
    await Promise.all(Array.from({ length: MAX_OPEN_SESSIONS }, ask));
    await expect(ask()).rejects.toEqual(refusal(/too many open sessions/));
    expect(await later.sessions.standing(id, challenge)).toMatchObject({ calls: 1, closed: false });
  });

  it('are read in turn for keys that are off the list', async () => {
    const { sessions, dir } = await contributor();
    const ids = [await opened(sessions), await opened(sessions), await opened(sessions)];
    for (const id of ids) await wholeCall(sessions, id);
    const later = await contributor({ dir, allowedUsers: new Set() });
    const challenge = new Uint8Array(32);
    const standings = await Promise.all(ids.map((id) => later.sessions.standing(id, challenge)));
    expect(standings.map(({ calls }) => calls)).toEqual([1, 1, 1]);
  });

  it('are not made free for a user who has none left', async () => {
    const clock = new TestClock();
    const { sessions, dir, commitment } = await contributor({
      clock,
      sessionsPerUser: MAX_OPEN_SESSIONS - 1,
    });
    const other = keyPairFromSeed(new Uint8Array(32).fill(78));
    const { sessionId } = await sessions.open(openRequest(commitment, { user: other }));
    // from here on the session is in memory alone
    await rm(await onlyFolder(dir), { recursive: true });
    for (let i = 1; i < MAX_OPEN_SESSIONS; i += 1) await opened(sessions);
    clock.advance(SESSION_QUIET_MS);
    await expect(opened(sessions)).rejects.toEqual(refusal(/too many open sessions of this user/));
    expect(await sessions.standing(sessionId, new Uint8Array(32))).toMatchObject({ calls: 0, closed: false });
  });

  it('are not watched any more after the end', async () => {
    const clock = new TestClock();
    const { sessions } = await contributor({ clock });
    expect(clock.work.size).toBe(1);
    sessions.dispose();
    expect(clock.work.size).toBe(0);
  });
});

describe('close', () => {
  it('reads no call: digests are kept as calls come in', async () => {
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    await wholeCall(sessions, id);
    const folder = await onlyFolder(dir);
    const digest = await sessionDigest(await openSessionRecord(folder), MODULES);
    await rm(join(folder, 'calls', '000000.safetensors'));
    const userSignature = sign(closingMessage(digest), USER.secretKey);
    await expect(sessions.close(id, { calls: 1, digest, userSignature })).resolves.toHaveLength(64);
  });

  it('checks the signature before the digest', async () => {
    const { sessions } = await contributor();
    const id = await opened(sessions);
    await wholeCall(sessions, id);
    const wrong = { calls: 1, digest: new Uint8Array(32), userSignature: new Uint8Array(64) };
    await expect(sessions.close(id, wrong)).rejects.toEqual(refusal(/signature/));
  });
});

describe('a proof that is called off', () => {
  async function ready(prove: ProveSession) {
    const { sessions, dir } = await contributor({ prove });
    const id = await opened(sessions);
    await wholeCall(sessions, id);
    await closed(sessions, id, await onlyFolder(dir));
    return { sessions, id };
  }

  it('stops a prover that only reports, and frees the place', async () => {
    const abort = new AbortController();
    let runs = 0;
    const { sessions, id } = await ready(async (_, onProgress) => {
      runs += 1;
      if (runs > 1) return Uint8Array.of(9);
      abort.abort();
      onProgress({ step: 'on', done: 0, total: 1 });
      return Uint8Array.of(8);
    });
    await expect(sessions.prove(id, () => undefined, abort.signal)).rejects.toEqual(refusal(/called off/));
    expect(await sessions.prove(id, () => undefined)).toEqual(Uint8Array.of(9));
  });

  it('tells the prover, whose place is taken until it has ended', async () => {
    const abort = new AbortController();
    let end: () => void = () => undefined;
    let begun: () => void = () => undefined;
    const running = new Promise<void>((resolve) => {
      begun = resolve;
    });
    let runs = 0;
    const { sessions, id } = await ready(async (_session, _onProgress, signal) => {
      runs += 1;
      await new Promise<void>((resolve) => {
        end = resolve;
        begun();
      });
      signal.throwIfAborted();
      return Uint8Array.of(8);
    });
    const proof = sessions.prove(id, () => undefined, abort.signal);
    await running;
    abort.abort();
    // Whoever asks now waits for the end of the one, and gets another.
    const next = sessions.prove(id, () => undefined);
    end();
    await expect(proof).rejects.toEqual(refusal(/called off/));
    await expect.poll(() => runs).toBe(2);
    end();
    expect(await next).toEqual(Uint8Array.of(8));
  });
});

describe('files of a session', () => {
  it('are for their owner alone', async () => {
    const { sessions, dir } = await contributor();
    const id = await opened(sessions);
    await wholeCall(sessions, id);
    const folder = await onlyFolder(dir);
    await closed(sessions, id, folder);
    const modes = await Promise.all(
      [
        '',
        'calls',
        'session.json',
        'session.secret',
        'answered.jsonl',
        'close.json',
        'calls/000000.safetensors',
      ].map(async (name) => `${name} ${((await stat(join(folder, name))).mode & 0o777).toString(8)}`),
    );
    expect(modes).toEqual([
      ' 700',
      'calls 700',
      'session.json 600',
      'session.secret 600',
      'answered.jsonl 600',
      'close.json 600',
      'calls/000000.safetensors 600',
    ]);
  });
});
