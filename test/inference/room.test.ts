import { rm } from 'node:fs/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { bytesToHex } from '../../src/bytes.js';
import { CallRoom } from '../../src/inference/callRoom.js';
import { DiskFloor } from '../../src/inference/diskFloor.js';
import {
  CALL_LIFE_MS,
  CALL_QUIET_MS,
  GUEST_READS_PER_USER_AND_MINUTE,
  MAX_OPEN_SESSIONS,
  MAX_PENDING_BYTES,
  SESSION_QUIET_MS,
} from '../../src/inference/limits.js';
import { refusal as refusalOf } from '../../src/inference/refusal.js';
import { keyPairFromSeed } from '../../src/inference/signatures.js';
import type { StageRequest } from '../../src/inference/stageRequest.js';
import { UserQueue } from '../../src/inference/userQueue.js';
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
import { openRequest, randomModule, sessionFolders, USER } from './parties.js';

const OVER = refusalOf('RESOURCE_EXHAUSTED', 'LEAKAGE_BUDGET', 'over the budget');
const CROWDED = expect.objectContaining({
  message: expect.stringMatching(/too many calls/),
  details: expect.objectContaining({ retryMs: CALL_QUIET_MS }),
});
const FULL = expect.objectContaining({
  message: expect.stringMatching(/too many open sessions;/),
  details: expect.objectContaining({ retryMs: SESSION_QUIET_MS }),
});

/** A guard that refuses while `refuses` is set, and has stages wait while `gate` is there. */
function switched() {
  const control: { refuses: boolean; gate: Promise<void> | undefined; waiting: number } = {
    refuses: false,
    gate: undefined,
    waiting: 0,
  };
  const leakage = guard(async () => {
    control.waiting += 1;
    await control.gate;
    control.waiting -= 1;
    if (control.refuses) throw OVER;
  });
  return { control, leakage };
}

/** Two calls that lie and fill the room, and a third session. */
async function crowded(options: Parameters<typeof contributor>[0] = {}) {
  const clock = new TestClock();
  const { sessions } = await contributor({ modules: WIDE, clock, ...options });
  const lying: string[] = [];
  for (let i = 0; i < 2; i += 1) {
    lying.push(await opened(sessions, WIDE_INPUTS));
    await sessions.apply(lying[i]!, wideStage(500));
  }
  const third = await opened(sessions, WIDE_INPUTS);
  clock.advance(CALL_QUIET_MS);
  /** Whether both calls are where they were. */
  const goOn = async (stage: number) => {
    for (const id of lying) expect(await sessions.apply(id, wideStage(500, stage))).toHaveLength(1);
  };
  return { clock, sessions, lying, third, goOn };
}

describe('a call that is refused', () => {
  const wrong = (change: Partial<StageRequest>): StageRequest => ({ ...wideStage(500), ...change });
  it.each<[string, StageRequest]>([
    ['for its place', wrong({ stage: 1 })],
    ['for its number', wrong({ call: 1 })],
    ['for its size', wideStage(32_768)],
    ['for its shape', wrong({ inputs: [{ ...wideStage(500).inputs[0]!, rows: new Uint8Array(2) }] })],
    [
      'for an exponent',
      wrong({ inputs: [{ ...wideStage(500).inputs[0]!, exponents: new Uint8Array(1000).fill(127) }] }),
    ],
    ['for its inputs', wrong({ inputs: [] })],
  ])('%s has made no room', async (_, request) => {
    const { sessions, third, goOn } = await crowded();
    await expect(sessions.apply(third, request)).rejects.toMatchObject({
      code: expect.stringMatching(/^SESSION_M/),
    });
    await goOn(1);
  });

  it('for its leakage has made no room', async () => {
    const { control, leakage } = switched();
    const { sessions, third, goOn } = await crowded({ leakage });
    control.refuses = true;
    await expect(sessions.apply(third, wideStage(500))).rejects.toBe(OVER);
    control.refuses = false;
    await goOn(1);
  });

  it('for the disk has made no room', async () => {
    const { dir } = await contributor({ modules: WIDE });
    const { sessions, third, goOn } = await crowded({ dir });
    // too large by itself, whoever gives way
    const full = await contributor({ dir, modules: WIDE, minFreeBytes: 2 ** 60 });
    await expect(full.sessions.apply(third, wideStage(500))).rejects.toEqual(
      expect.objectContaining({ code: 'LIMIT_REACHED', details: { grpcStatus: 'RESOURCE_EXHAUSTED' } }),
    );
    await goOn(1);
    await sessions.dispose();
  });

  it('has taken none', async () => {
    const { control, leakage } = switched();
    const { sessions, third, lying } = await crowded({ leakage });
    control.refuses = true;
    for (let i = 0; i < 3; i += 1) {
      await expect(sessions.apply(third, wideStage(500))).rejects.toBe(OVER);
    }
    control.refuses = false;
    await sessions.apply(third, wideStage(500));
    // one of the two gave way
    const answers = await Promise.allSettled(lying.map((id) => sessions.apply(id, wideStage(500, 1))));
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });
});

describe('two keys that ask a little of their calls every minute', () => {
  /** Stages of a few bytes, for sixteen minutes, ahead of what makes the call large. */
  const modules = [
    ...Array.from({ length: 17 }, (_, i) => randomModule(`small.${i}`, 1, 1, 1)),
    ...WIDE.slice(1),
  ];
  const inputs = modules.map((_, i) => [i]);
  const ask = (stage: number) => wideStage(495, stage);

  it('have the room for a quarter of an hour', async () => {
    const clock = new TestClock();
    const { sessions, commitment } = await contributor({ modules, clock });
    const [one, two, third] = await Promise.all(
      [81, 82, 83].map(async (seed) => {
        const user = keyPairFromSeed(new Uint8Array(32).fill(seed));
        return (await sessions.open(openRequest(commitment, { user, inputs }))).sessionId;
      }),
    );
    await sessions.apply(one!, ask(0));
    clock.time += 1;
    await sessions.apply(two!, ask(0));
    let stage = 1;
    for (; clock.now() < CALL_LIFE_MS - CALL_QUIET_MS; stage += 1) {
      clock.time += CALL_QUIET_MS - 1;
      for (const id of [one!, two!]) await sessions.apply(id, ask(stage));
      await expect(sessions.apply(third!, ask(0))).rejects.toEqual(CROWDED);
    }
    clock.time = CALL_LIFE_MS - 1;
    await expect(sessions.apply(third!, ask(0))).rejects.toEqual(CROWDED);
    clock.time += 1;
    await sessions.apply(third!, ask(0));
    // the first had its time; the second has a millisecond left
    await expect(sessions.apply(one!, ask(stage))).rejects.toEqual(refusal(/from the first on/));
    await sessions.apply(two!, ask(stage));
  });
});

describe('a call that waits for the leakage meter', () => {
  it('is refused, and counts nothing, when the room is used again meanwhile', async () => {
    const { control, leakage } = switched();
    const { sessions, third, goOn } = await crowded({ leakage });
    let open: () => void = () => undefined;
    control.gate = new Promise((resolve) => {
      open = resolve;
    });
    const asked = sessions.apply(third, wideStage(500));
    await expect.poll(() => control.waiting).toBe(1);
    control.gate = undefined;
    await goOn(1);
    open();
    await expect(asked).rejects.toEqual(CROWDED);
    await goOn(2);
  });

  it('does not share its room with another that waits', async () => {
    const { control, leakage } = switched();
    const { sessions, third, clock, lying } = await crowded({ leakage });
    const fourth = await opened(sessions, WIDE_INPUTS);
    const fifth = await opened(sessions, WIDE_INPUTS);
    let open: () => void = () => undefined;
    control.gate = new Promise((resolve) => {
      open = resolve;
    });
    const asked = [third, fourth, fifth].map((id) => sessions.apply(id, wideStage(500)));
    await expect.poll(() => control.waiting).toBe(3);
    open();
    const outcomes = await Promise.allSettled(asked);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({ reason: CROWDED });
    // both that lay gave way, and what was answered of them is answered again once there is room
    control.gate = undefined;
    for (const id of lying) {
      await expect(sessions.apply(id, wideStage(500, 1))).rejects.toEqual(refusal(/from the first on/));
      await expect(sessions.apply(id, wideStage(500))).rejects.toEqual(CROWDED);
    }
    clock.advance(CALL_QUIET_MS);
    for (const id of lying) await sessions.apply(id, wideStage(500));
  });
});

describe('room on the disk', () => {
  const disk = (free: () => number) => {
    const floor = new DiskFloor('.', 0);
    floor.room = async () => free();
    return floor;
  };

  it('comes from calls that lie, as memory does', async () => {
    const calls: { bytes: number; giveWay(): void }[] = [];
    const room = new CallRoom(
      disk(() => 100),
      () => calls,
    );
    const first = await room.claim(60, 'RESOURCE_EXHAUSTED');
    first.check();
    first.take();
    const second = await room.claim(70, 'RESOURCE_EXHAUSTED');
    // there is room once the first call is over
    expect(() => second.check()).toThrow(
      expect.objectContaining({
        code: 'LIMIT_REACHED',
        details: expect.objectContaining({ retryMs: CALL_QUIET_MS }),
      }),
    );
    calls.push({ bytes: 60, giveWay: () => room.give(calls.pop()!.bytes) });
    second.check();
    second.take();
    expect(calls).toEqual([]);
    const never = await room.claim(101, 'RESOURCE_EXHAUSTED');
    expect(() => never.check()).toThrow(
      expect.objectContaining({ code: 'LIMIT_REACHED', details: { grpcStatus: 'RESOURCE_EXHAUSTED' } }),
    );
  });

  it('is less by what was written since the disk was asked', async () => {
    const room = new CallRoom(
      disk(() => 100),
      () => [],
    );
    const early = await room.claim(60, 'UNAVAILABLE');
    const other = await room.claim(60, 'UNAVAILABLE');
    other.check();
    other.take();
    room.give(60, true);
    expect(() => early.check()).toThrow(expect.objectContaining({ code: 'LIMIT_REACHED' }));
    // asked again, the disk says what it has
    const late = await room.claim(60, 'UNAVAILABLE');
    late.check();
  });

  it('has the memory of all calls under way as its bound where the disk does not tell', async () => {
    const room = new CallRoom(
      disk(() => Number.POSITIVE_INFINITY),
      () => [],
    );
    const half = MAX_PENDING_BYTES / 2;
    for (let i = 0; i < 2; i += 1) {
      const claim = await room.claim(half, 'RESOURCE_EXHAUSTED');
      claim.check();
      claim.take();
    }
    const more = await room.claim(1, 'UNAVAILABLE');
    expect(() => more.check()).toThrow(CROWDED);
    room.give(half, true);
    more.check();
  });
});

describe('sessions that come back at once', () => {
  it('are read a file at a time, the users taking turns', async () => {
    const before = await contributor();
    const ids: string[] = [];
    for (let i = 0; i < 3; i += 1) {
      const id = await opened(before.sessions);
      ids.push(id);
      for (let call = 0; call <= i; call += 1) await wholeCall(before.sessions, id, call);
    }
    await before.sessions.dispose();
    let reading = 0;
    let most = 0;
    let reads = 0;
    const run = UserQueue.prototype.run;
    vi.spyOn(UserQueue.prototype, 'run').mockImplementation(function (this: UserQueue, user, work) {
      expect(user).toBe(bytesToHex(USER.publicKey));
      return run.call(this, user, async () => {
        reads += 1;
        reading += 1;
        most = Math.max(most, reading);
        const done = await work();
        reading -= 1;
        return done;
      }) as never;
    });
    onTestFinished(() => void vi.restoreAllMocks());
    const { sessions } = await contributor({ dir: before.dir });
    const standings = await Promise.all(ids.map((id) => sessions.standing(id, new Uint8Array(32))));
    expect(standings.map(({ calls }) => calls)).toEqual([1, 2, 3]);
    // a journal for each, and the calls
    expect([reads, most]).toEqual([3 + 6, 1]);
    // so are answers that are made again
    await Promise.all(ids.map((id, i) => sessions.apply(id, stageOf(i, 1, i))));
    expect([reads, most]).toEqual([3 + 6 + 3, 1]);
  });
});

describe('a place in memory', () => {
  /** All places taken, by sessions that are quiet; the first has no folder any more. Another one is on the disk alone. */
  async function full(options: Parameters<typeof contributor>[0] = {}) {
    const before = await contributor();
    const { dir } = before;
    const stored = await opened(before.sessions);
    await wholeCall(before.sessions, stored);
    const folder = await onlyFolder(dir);
    await before.sessions.dispose();
    const clock = new TestClock();
    const { sessions, commitment } = await contributor({ dir, clock, ...options });
    const first = await opened(sessions);
    for (const path of await sessionFolders(dir)) {
      if (path !== folder) await rm(path, { recursive: true });
    }
    for (let i = 1; i < MAX_OPEN_SESSIONS; i += 1) await opened(sessions);
    clock.advance(SESSION_QUIET_MS);
    const isThere = () =>
      sessions.standing(first, new Uint8Array(32)).then(
        () => true,
        () => false,
      );
    return { sessions, commitment, clock, stored, folder, isThere };
  }

  it('is not made for an opening that the guard refuses', async () => {
    let refuses = false;
    const { isThere, sessions } = await full({
      leakage: {
        ...guard(),
        open: async (_, place) => {
          if (refuses) throw OVER;
          place.take();
        },
      },
    });
    refuses = true;
    await expect(opened(sessions)).rejects.toBe(OVER);
    expect(await isThere()).toBe(true);
  });

  it('is made for a stage that is answered, not for one that is refused', async () => {
    const { control, leakage } = switched();
    const { sessions, stored, isThere, clock } = await full({ leakage });
    await expect(sessions.apply(stored, stageOf(2, 0, 1))).rejects.toEqual(refusal(/number 1/));
    control.refuses = true;
    await expect(sessions.apply(stored, stageOf(1, 0, 1))).rejects.toBe(OVER);
    control.refuses = false;
    // what was answered is answered again without a place
    expect(await sessions.apply(stored, stageOf(0, 1, 0))).toHaveLength(1);
    expect(await isThere()).toBe(true);
    clock.advance(SESSION_QUIET_MS);
    await sessions.apply(stored, stageOf(1, 0, 1));
    // its call is under way in memory
    await sessions.apply(stored, stageOf(1, 1, 1));
  });

  it('goes to the session that was read for a stage', async () => {
    const { sessions, stored, isThere } = await full();
    await sessions.apply(stored, stageOf(1, 0, 1));
    expect(await isThere()).toBe(false);
    await sessions.apply(stored, stageOf(1, 1, 1));
  });

  it('is not kept by asking the same again, nor by what is refused', async () => {
    const { sessions, stored, clock, isThere } = await full();
    clock.time -= 1;
    // the first one asks, but nothing new
    expect(await isThere()).toBe(true);
    clock.time += 1;
    await sessions.apply(stored, stageOf(1, 0, 1));
    expect(await isThere()).toBe(false);
  });

  it('is not needed to come back, nor to close', async () => {
    const { sessions, stored, folder, isThere } = await full();
    const standing = await sessions.standing(stored, new Uint8Array(32));
    expect(standing).toMatchObject({ calls: 1, closed: false });
    await closed(sessions, stored, folder);
    expect(await isThere()).toBe(true);
  });

  it('is looked for so often a minute', async () => {
    const { sessions, commitment, stored, clock } = await full();
    const standing = () => sessions.standing(stored, new Uint8Array(32));
    for (let i = 0; i < GUEST_READS_PER_USER_AND_MINUTE; i += 1) await standing();
    const often = refusal(/not in memory are asked for/, 'LIMIT_REACHED');
    await expect(standing()).rejects.toEqual(often);
    await expect(sessions.apply(stored, stageOf(1, 0, 1))).rejects.toEqual(often);
    // new sessions are read from nowhere
    const other = keyPairFromSeed(new Uint8Array(32).fill(80));
    await sessions.open(openRequest(commitment, { user: other }));
    clock.advance(60_000);
    await standing();
  });

  it('that nobody gives up is said to be lacking, with the time after which to ask again', async () => {
    const { sessions, stored, clock } = await full();
    clock.time -= 1;
    await expect(opened(sessions)).rejects.toEqual(FULL);
    await expect(sessions.apply(stored, stageOf(1, 0, 1))).rejects.toEqual(FULL);
  });
});
