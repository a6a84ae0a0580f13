import { cp, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { adapterId } from '../../../src/adapter/commitment.js';
import type { QuantizedModule } from '../../../src/adapter/types.js';
import { bytesToHex } from '../../../src/bytes.js';
import { ZkLoraError } from '../../../src/errors.js';
import { readAnswered } from '../../../src/inference/answeredJournal.js';
import { ContributorSessions } from '../../../src/inference/contributorSessions.js';
import { type LeakageBudget, LeakageLedger, readLeakage } from '../../../src/inference/leakage/ledger.js';
import { readLedger } from '../../../src/inference/leakage/ledgerFile.js';
import { openSessionRecord } from '../../../src/inference/record.js';
import { closingMessage, type KeyPair, keyPairFromSeed, sign } from '../../../src/inference/signatures.js';
import type { StageRequest } from '../../../src/inference/stageRequest.js';
import { toBytes } from '../../../src/littleEndian.js';
import type { SessionHeader } from '../../../src/protocol/session.js';
import { sessionDigest } from '../../../src/protocol/sessionPass.js';
import { temporaryFolder } from '../fixtures.js';
import { CONTRIBUTOR, commitTo, openRequest, randomRows, USER } from '../parties.js';
import { randomAdapter, rows, unit } from './adapters.js';

const WIDTH = 12;
const MODULES = [1, 2].map((seed) => randomAdapter(seed, { name: `m.${seed}` }));
const INPUTS = [[0], [1]];
const OFF: LeakageBudget = { maxRevealed: 1, maxRevealedTotal: 1 };
/** A direction counts three of twelve: two directions are half. */
const HALF: LeakageBudget = { maxRevealed: 0.5, maxRevealedTotal: 1 };
const OTHER = keyPairFromSeed(new Uint8Array(32).fill(3));

/** A contributor with a ledger; `stop` lets go of it as a restart would. */
async function contributor(
  dir: string,
  budget: LeakageBudget,
  modules: readonly QuantizedModule[] = MODULES,
) {
  const commitment = commitTo(modules);
  const sessionsDir = join(dir, 'sessions');
  const leakage = await LeakageLedger.open({
    dir: join(dir, 'ledger'),
    sessionsDir,
    commitment,
    modules,
    budget,
  });
  const sessions = new ContributorSessions({
    commitment,
    modules,
    secretKey: CONTRIBUTOR.secretKey,
    sessionsDir,
    prove: async () => new Uint8Array(),
    leakage,
  });
  const stop = async () => {
    sessions.dispose();
    await leakage.close();
  };
  let nonce = 0;
  return {
    sessions,
    leakage,
    meter: leakage.state.meter,
    stop,
    open: async (user: KeyPair = USER, number?: number) => {
      nonce += 1;
      const request = openRequest(commitment, { inputs: INPUTS, user, nonce: number ?? nonce });
      return (await sessions.open(request)).sessionId;
    },
  };
}

type Contributor = Awaited<ReturnType<typeof contributor>>;

function asked(call: number, stage: number, x: Int16Array): StageRequest {
  const tokens = x.length / WIDTH;
  return {
    call,
    stage,
    tokens,
    inputs: [{ input: stage, rows: toBytes(x), exponents: new Uint8Array(2 * tokens) }],
  };
}

const axis = (...indices: number[]) => rows(...indices.map((index) => unit(WIDTH, index)));
const directions = ({ meter }: Contributor, user?: KeyPair) =>
  [0, 1].map((module) => meter.revealed(module, user && bytesToHex(user.publicKey)).directions);
const overBudget = (message: RegExp) =>
  expect.objectContaining({
    code: 'LEAKAGE_BUDGET',
    message: expect.stringMatching(message),
    details: { grpcStatus: 'RESOURCE_EXHAUSTED' },
  });
const ONE_USER = /one user key/;
const ALL_USERS = /all users together/;

async function readAnsweredStages(dir: string) {
  const [folder] = await readdir(join(dir, 'sessions'));
  const { header } = await openSessionRecord(join(dir, 'sessions', folder!));
  return readAnswered(join(dir, 'sessions', folder!), header);
}

async function ledgerFile(dir: string): Promise<string> {
  const [name] = (await readdir(join(dir, 'ledger'))).filter((file) => file.endsWith('.ledger'));
  return join(dir, 'ledger', name!);
}

describe('the ledger', () => {
  it('has a record of its own for each module that is counted apart', async () => {
    const dir = await temporaryFolder();
    const first = await contributor(dir, OFF);
    const { commitment } = first.sessions;
    await first.sessions.apply(await first.open(), asked(0, 0, axis(0)));
    const shared = await first.sessions.open(openRequest(commitment, { inputs: [[0, 1]], nonce: 77 }));
    await first.sessions.apply(shared.sessionId, asked(0, 0, axis(1)));
    await first.stop();
    const subject = { adapterId: adapterId(commitment), widths: [WIDTH, WIDTH] };
    const groups: (readonly number[])[][] = [];
    await readLedger(await ledgerFile(dir), subject, async (entry) => {
      if (entry.kind === 'stage') groups.push(entry.asked.map(({ modules }) => modules));
    });
    expect(groups).toEqual([[[0]], [[0]], [[1]]]);
    const again = await contributor(dir, OFF);
    expect(directions(again)).toEqual([2, 1]);
    await again.stop();
  });

  it('counts answered stages over restarts, also of calls that never became whole', async () => {
    const dir = await temporaryFolder();
    const first = await contributor(dir, OFF);
    const id = await first.open();
    await first.sessions.apply(id, asked(0, 0, axis(0, 1)));
    await first.sessions.apply(id, asked(0, 1, axis(2, 2)));
    await first.sessions.apply(id, asked(1, 0, axis(5)));
    const before = [first.meter.revealed(0), first.meter.revealed(1)];
    expect(directions(first)).toEqual([3, 1]);
    await first.stop();
    const second = await contributor(dir, OFF);
    expect([second.meter.revealed(0), second.meter.revealed(1)]).toEqual(before);
    expect(directions(second, USER)).toEqual([3, 1]);
    expect(directions(second, OTHER)).toEqual([0, 0]);
    expect((await stat(await ledgerFile(dir))).mode & 0o777).toBe(0o600);
    await second.stop();
  });

  it('is not reset by deleting a session, nor by opening another', async () => {
    const dir = await temporaryFolder();
    const first = await contributor(dir, HALF);
    await first.sessions.apply(await first.open(), asked(0, 0, axis(0, 1)));
    await first.stop();
    await rm(join(dir, 'sessions'), { recursive: true });
    const second = await contributor(dir, HALF);
    const id = await second.open(USER, 9);
    await expect(second.sessions.apply(id, asked(0, 0, axis(2)))).rejects.toEqual(overBudget(ONE_USER));
    await second.stop();
  });

  it('comes back from the session records when it is deleted or set back', async () => {
    const dir = await temporaryFolder();
    const first = await contributor(dir, OFF);
    const id = await first.open();
    await first.sessions.apply(id, asked(0, 0, axis(0, 1)));
    const isKept = (path: string) => !path.endsWith('.lock');
    await cp(join(dir, 'ledger'), join(dir, 'old'), { recursive: true, filter: isKept });
    await first.sessions.apply(id, asked(0, 1, randomRows(2, WIDTH).x));
    await first.sessions.apply(id, asked(1, 0, axis(4, 5, 6)));
    const before = [0, 1].map((module) => first.meter.revealed(module));
    await first.stop();
    await rm(join(dir, 'ledger'), { recursive: true });
    await cp(join(dir, 'old'), join(dir, 'ledger'), { recursive: true });
    const checked = await readLeakage({
      dir: join(dir, 'ledger'),
      sessionsDir: join(dir, 'sessions'),
      commitment: commitTo(MODULES),
      modules: MODULES,
    });
    expect(checked.missing).toBe(2);
    for (const folder of ['old', undefined]) {
      await rm(join(dir, 'ledger'), { recursive: true });
      if (folder) await cp(join(dir, folder), join(dir, 'ledger'), { recursive: true });
      const back = await contributor(dir, OFF);
      expect(back.meter.revealed(1)).toEqual(before[1]);
      // The rows of the call that never became whole are in no record: they count as so many directions.
      expect(back.meter.revealed(0)).toMatchObject({ directions: 5, packed: 1, tokens: 5 });
      expect(back.meter.revealed(0).measured).toBeLessThan(before[0]!.measured);
      await expect(back.open(USER, 1)).rejects.toMatchObject({ code: 'SESSION_MISMATCH' });
      await back.stop();
    }
  });

  it('cuts off a record that a crash left torn, and refuses an edited one', async () => {
    const dir = await temporaryFolder();
    const first = await contributor(dir, OFF);
    const id = await first.open();
    await first.sessions.apply(id, asked(0, 0, axis(0)));
    const path = await ledgerFile(dir);
    const { size } = await stat(path);
    await first.sessions.apply(id, asked(0, 1, axis(1)));
    await first.stop();
    const whole = await readFile(path);
    for (const cut of [size + 1, size + 40, whole.length - 1]) {
      await writeFile(path, whole);
      await truncate(path, cut);
      const counts = await contributor(dir, OFF);
      // From the records, which hold the stage.
      expect(directions(counts)).toEqual([1, 1]);
      await counts.stop();
    }
    const zeros = Buffer.from(whole);
    zeros.fill(0, size + 4);
    await writeFile(path, zeros);
    await (await contributor(dir, OFF)).stop();
    for (const at of [0, 4, 10, 36, 80, 150, size - 1]) {
      const edited = Buffer.from(whole);
      edited[at]! ^= 1;
      await writeFile(path, edited);
      const opened = contributor(dir, OFF);
      const state = await opened.then(
        async (counts) => {
          await counts.stop();
          return directions(counts);
        },
        (error: unknown) => (error as { code: string }).code,
      );
      // A longer length hides what follows, as cutting would: the records bring it back.
      expect(['LEDGER_MALFORMED', [1, 1]]).toContainEqual(state);
    }
  });

  it('is of one process at a time', async () => {
    const dir = await temporaryFolder();
    const first = await contributor(dir, OFF);
    await expect(contributor(dir, OFF)).rejects.toMatchObject({ code: 'FOLDER_IN_USE' });
    await first.stop();
    await (await contributor(dir, OFF)).stop();
  });

  it('refuses the ledger of another adapter', async () => {
    const dir = await temporaryFolder();
    const first = await contributor(dir, OFF);
    await first.open();
    await first.stop();
    const path = await ledgerFile(dir);
    const others = [randomAdapter(5)];
    const other = await contributor(dir, OFF, others);
    await other.stop();
    const files = await readdir(join(dir, 'ledger'));
    const names = files.filter((name) => name.endsWith('.ledger')).map((name) => join(dir, 'ledger', name));
    await writeFile(names.find((name) => name !== path)!, await readFile(path));
    await expect(contributor(dir, OFF, others)).rejects.toMatchObject({ code: 'LEDGER_MALFORMED' });
  });

  it('answers nothing that it could not write, and goes on when it can', async () => {
    const dir = await temporaryFolder();
    const counts = await contributor(dir, OFF);
    const id = await counts.open();
    const file = Reflect.get(counts.leakage, 'file') as { handle: { write: unknown } };
    const { handle } = file;
    const write = handle.write;
    handle.write = async () => {
      throw Object.assign(new Error('full'), { code: 'ENOSPC' });
    };
    await expect(counts.sessions.apply(id, asked(0, 0, axis(0)))).rejects.toMatchObject({
      code: 'FILE_UNWRITABLE',
    });
    handle.write = write;
    const next = await counts.open();
    await counts.sessions.apply(next, asked(0, 0, axis(1)));
    expect(directions(counts)).toEqual([2, 0]);
    await counts.stop();
    const again = await contributor(dir, OFF);
    expect(directions(again)).toEqual([2, 0]);
    await again.stop();
  });
});

describe('a stage that comes again', () => {
  const counted = ({ meter }: Contributor) =>
    [0, 1].flatMap((module) => [meter.revealed(module), meter.revealed(module, bytesToHex(USER.publicKey))]);

  it('after a restart is not counted again, nor noted', async () => {
    const dir = await temporaryFolder();
    const first = await contributor(dir, HALF);
    const id = await first.open();
    const request = asked(0, 0, axis(0, 1));
    const answer = await first.sessions.apply(id, request);
    const before = counted(first);
    await first.stop();
    const second = await contributor(dir, HALF);
    const { size } = await stat(await ledgerFile(dir));
    expect(await second.sessions.apply(id, request)).toEqual(answer);
    expect(counted(second)).toEqual(before);
    expect((await stat(await ledgerFile(dir))).size).toBe(size);
    // what follows it is counted as ever
    await second.sessions.apply(id, asked(0, 1, axis(2, 3)));
    expect(directions(second)).toEqual([2, 2]);
    await second.stop();
  });

  it('is answered to a key that was refused since, which asks nothing else', async () => {
    const dir = await temporaryFolder();
    const budget = { maxRevealed: 0.8, maxRevealedTotal: 1 };
    const first = await contributor(dir, budget);
    const id = await first.open();
    const answer = await first.sessions.apply(id, asked(0, 0, axis(0)));
    const { tokens, inputs } = asked(0, 1, MODULES[1]!.a);
    const all = { call: 0, stage: 0, tokens, inputs };
    await expect(first.sessions.apply(await first.open(), all)).rejects.toEqual(overBudget(ONE_USER));
    await first.stop();
    const second = await contributor(dir, budget);
    expect(await second.sessions.apply(id, asked(0, 0, axis(0)))).toEqual(answer);
    await expect(second.sessions.apply(id, asked(0, 1, axis(0)))).rejects.toEqual(overBudget(ONE_USER));
    await second.stop();
  });

  it('is answered once its first count is on disk', async () => {
    const dir = await temporaryFolder();
    const counts = await contributor(dir, OFF);
    const id = await counts.open();
    const { handle } = Reflect.get(counts.leakage, 'file') as { handle: { write: unknown } };
    const { write } = handle;
    handle.write = async () => {
      throw Object.assign(new Error('full'), { code: 'ENOSPC' });
    };
    const failed = expect.objectContaining({ code: 'FILE_UNWRITABLE' });
    for (let i = 0; i < 2; i += 1) {
      await expect(counts.sessions.apply(id, asked(0, 0, axis(0)))).rejects.toEqual(failed);
    }
    expect(await readAnsweredStages(dir)).toHaveLength(1);
    handle.write = write;
    await counts.sessions.apply(id, asked(0, 0, axis(0)));
    expect([directions(counts), counts.meter.revealed(0).tokens]).toEqual([[1, 0], 1]);
    await counts.stop();
    // the ledger alone has it
    await rm(join(dir, 'sessions'), { recursive: true });
    const again = await contributor(dir, OFF);
    expect([directions(again), again.meter.revealed(0).tokens]).toEqual([[1, 0], 1]);
    await again.stop();
  });

  it('is measured when it comes again, where the ledger had lost its rows', async () => {
    const dir = await temporaryFolder();
    const first = await contributor(dir, OFF);
    const id = await first.open();
    const row = MODULES[0]!.a.slice(0, WIDTH);
    await first.sessions.apply(id, asked(0, 0, row));
    const { measured } = first.meter.revealed(0);
    await first.stop();
    await rm(await ledgerFile(dir));
    const second = await contributor(dir, OFF);
    expect(second.meter.revealed(0)).toMatchObject({ directions: 1, measured: 0 });
    await second.sessions.apply(id, asked(0, 0, row));
    const lost = second.meter.revealed(0);
    expect(lost.directions).toBe(2);
    expect(lost.measured).toBeCloseTo(measured, 9);
    await second.stop();
    // from now on it is known, in this process and in later ones
    const third = await contributor(dir, OFF);
    await third.sessions.apply(id, asked(0, 0, row));
    expect(third.meter.revealed(0)).toEqual(lost);
    await third.stop();
  });
});

describe('room', () => {
  const noRoom = new ZkLoraError('SESSION_MISMATCH', 'no room');
  const header = (counts: Contributor): SessionHeader => ({
    format: 'zklora/session/v1',
    adapterId: adapterId(counts.sessions.commitment),
    contributorKey: counts.sessions.commitment.contributorKey,
    userKey: bytesToHex(USER.publicKey),
    nonce: '00'.repeat(32),
    inputs: INPUTS,
  });
  /** What becomes of it, and whether it took its room. */
  const charged = async (counts: Contributor, input: number, x: Int16Array, hasRoom: boolean) => {
    let taken = 0;
    const stage = { call: 0, stage: 0, tokens: x.length / WIDTH };
    const room = {
      check: () => {
        if (!hasRoom) throw noRoom;
      },
      take: () => {
        taken += 1;
      },
    };
    const outcome = await counts.leakage.charge(header(counts), stage, [{ input, x }], room).then(
      ({ written }) => written,
      (error: unknown) => error,
    );
    return [outcome, taken];
  };

  it('is taken once by a stage that is counted, by no other', async () => {
    const counts = await contributor(await temporaryFolder(), { maxRevealed: 0.8, maxRevealedTotal: 1 });
    onTestFinished(counts.stop);
    expect(await charged(counts, 0, axis(0), true)).toEqual([undefined, 1]);
    // known rows need it, too
    expect(await charged(counts, 0, axis(0), true)).toEqual([undefined, 1]);
    expect(await charged(counts, 0, axis(1, 2, 3, 4), true)).toEqual([overBudget(/more than/), 0]);
    expect(await charged(counts, 1, MODULES[1]!.a, true)).toEqual([overBudget(ONE_USER), 0]);
    expect(await charged(counts, 0, axis(0), true)).toEqual([overBudget(ONE_USER), 0]);
  });

  it('that is lacking is said before anything that depends on the weights, and counts nothing', async () => {
    const counts = await contributor(await temporaryFolder(), { maxRevealed: 0.8, maxRevealedTotal: 1 });
    onTestFinished(counts.stop);
    // within the budget, known, beyond the budget: the same is said of all
    await charged(counts, 0, axis(0), true);
    const before = counts.meter.revealed(0);
    for (const x of [axis(1), axis(0)]) expect(await charged(counts, 0, x, false)).toEqual([noRoom, 0]);
    expect(await charged(counts, 1, MODULES[1]!.a, false)).toEqual([noRoom, 0]);
    expect(counts.meter.revealed(0)).toEqual(before);
    expect(counts.leakage.state.refused.size).toBe(0);
    // how many rows there are is no secret
    expect(await charged(counts, 0, axis(1, 2, 3, 4), false)).toEqual([overBudget(/more than/), 0]);
  });
});

describe('a header', () => {
  it('opens one session, also after a restart', async () => {
    const dir = await temporaryFolder();
    const first = await contributor(dir, OFF);
    await first.open(USER, 1);
    const repeated = expect.objectContaining({
      code: 'SESSION_MISMATCH',
      message: expect.stringMatching(/nonce/),
    });
    await expect(first.open(USER, 1)).rejects.toEqual(repeated);
    await first.open(OTHER, 1);
    await first.stop();
    const second = await contributor(dir, OFF);
    await expect(second.open(USER, 1)).rejects.toEqual(repeated);
    await second.open(USER, 2);
    await second.stop();
  });
});

describe('a budget', () => {
  it('refuses before it counts or notes anything, and leaves the session to be closed', async () => {
    const dir = await temporaryFolder();
    const counts = await contributor(dir, HALF);
    onTestFinished(counts.stop);
    const id = await counts.open();
    await counts.sessions.apply(id, asked(0, 0, axis(0, 1)));
    await counts.sessions.apply(id, asked(0, 1, axis(3, 3)));
    // Rows that are known cost nothing.
    await counts.sessions.apply(id, asked(1, 0, rows(unit(WIDTH, 1, 9))));
    await counts.sessions.apply(id, asked(1, 1, axis(4)));
    const answered = await readAnsweredStages(dir);
    const before = await readFile(await ledgerFile(dir));
    await expect(counts.sessions.apply(id, asked(2, 0, axis(0, 1, 2)))).rejects.toEqual(overBudget(ONE_USER));
    expect(directions(counts)).toEqual([2, 2]);
    expect(await readAnsweredStages(dir)).toEqual(answered);
    expect(await readFile(await ledgerFile(dir))).toEqual(before);
    const [folder] = await readdir(join(dir, 'sessions'));
    const record = await openSessionRecord(join(dir, 'sessions', folder!));
    const digest = await sessionDigest(record, MODULES);
    const userSignature = sign(closingMessage(digest), USER.secretKey);
    await counts.sessions.close(id, { calls: 2, digest, userSignature });
  });

  it('is of a key, whatever its sessions, and of all keys together', async () => {
    const dir = await temporaryFolder();
    const counts = await contributor(dir, { maxRevealed: 0.5, maxRevealedTotal: 0.75 });
    onTestFinished(counts.stop);
    const mine = [await counts.open(), await counts.open()];
    await counts.sessions.apply(mine[0]!, asked(0, 0, axis(0)));
    await counts.sessions.apply(mine[1]!, asked(0, 0, axis(1)));
    await expect(counts.sessions.apply(mine[0]!, asked(0, 1, axis(2)))).resolves.toBeDefined();
    await expect(counts.sessions.apply(mine[0]!, asked(1, 0, axis(2, 3, 4)))).rejects.toEqual(
      overBudget(ONE_USER),
    );
    expect(directions(counts)).toEqual([2, 1]);
    // What it said follows from the rows alone: fewer may be asked.
    await counts.sessions.apply(mine[1]!, asked(0, 1, axis(3)));
    const theirs = await counts.open(OTHER);
    await counts.sessions.apply(theirs, asked(0, 0, axis(1, 2)));
    expect(directions(counts)).toEqual([3, 2]);
    const third = keyPairFromSeed(new Uint8Array(32).fill(4));
    await expect(counts.sessions.apply(await counts.open(third), asked(0, 0, axis(7)))).rejects.toEqual(
      overBudget(ALL_USERS),
    );
  });

  it('is not spent twice by two sessions at the same time', async () => {
    const dir = await temporaryFolder();
    const counts = await contributor(dir, HALF);
    onTestFinished(counts.stop);
    const ids = await Promise.all([1, 2, 3, 4].map((nonce) => counts.open(USER, nonce)));
    const outcomes = await Promise.allSettled(
      ids.map((id, i) => counts.sessions.apply(id, asked(0, 0, axis(i)))),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected']);
    expect(directions(counts, USER)).toEqual([2, 0]);
  });

  it('holds what rows in the row space of A reveal, and the key that asked them asks no more', async () => {
    const dir = await temporaryFolder();
    const budget = { maxRevealed: 0.8, maxRevealedTotal: 1 };
    const first = await contributor(dir, budget);
    const id = await first.open();
    const other = await first.open();
    const before = (await stat(await ledgerFile(dir))).size;
    await expect(first.sessions.apply(id, asked(0, 0, MODULES[0]!.a))).rejects.toEqual(overBudget(ONE_USER));
    expect(directions(first)).toEqual([0, 0]);
    // One record: the key that was refused, and two limits.
    expect((await stat(await ledgerFile(dir))).size - before).toBe(4 + 1 + 32 + 16 + 32);
    // Refused once, refused for good: a refusal tells a bit about the weights.
    await expect(first.sessions.apply(other, asked(0, 0, axis(0)))).rejects.toEqual(overBudget(ONE_USER));
    await expect(first.open()).rejects.toEqual(overBudget(ONE_USER));
    await first.open(OTHER);
    await first.stop();
    const second = await contributor(dir, budget);
    await expect(second.open(USER, 8)).rejects.toEqual(overBudget(ONE_USER));
    await second.stop();
    const lower = await contributor(dir, { maxRevealed: 0.25, maxRevealedTotal: 0.5 });
    await expect(lower.open(USER, 8)).rejects.toEqual(overBudget(ONE_USER));
    await lower.stop();
    const raised = await contributor(dir, { maxRevealed: 1, maxRevealedTotal: 1 });
    await raised.sessions.apply(await raised.open(USER, 8), asked(0, 0, MODULES[0]!.a));
    await raised.stop();
  });

  describe('of rows whose direction float64 cannot see', () => {
    const wide = 4 * WIDTH;
    const modules = [1, 2].map((seed) => randomAdapter(seed, { name: `m.${seed}`, inFeatures: wide }));
    /** Four rows whose combination differs from the first axis by 32767^-4: exact arithmetic has the fifth direction. */
    const chain = [0, 1, 2, 3].map((at) =>
      Array.from({ length: wide }, (_, i) => (i === at ? 32767 : i === at + 1 ? 1 : 0)),
    );
    const hidden = unit(wide, 0, 32767);
    const request = (...x: number[][]) => ({
      ...asked(0, 0, rows(...x)),
      tokens: x.length,
      inputs: [{ input: 0, rows: toBytes(rows(...x)), exponents: new Uint8Array(2 * x.length) }],
    });
    const tooClose = overBudget(/lie so close/);

    it('refuses them, counts each message as a direction, and lets the key ask others', async () => {
      const dir = await temporaryFolder();
      const counts = await contributor(dir, { maxRevealed: 0.9, maxRevealedTotal: 0.95 }, modules);
      await counts.sessions.apply(await counts.open(), request(...chain));
      const id = await counts.open();
      for (let i = 0; i < 3; i++) {
        await expect(counts.sessions.apply(id, request(hidden))).rejects.toEqual(tooClose);
      }
      expect([directions(counts), counts.leakage.state.refused.size]).toEqual([[7, 0], 0]);
      await counts.sessions.apply(id, request(unit(wide, 9)));
      // of another key, for which it is the first row: all together would know what cannot be measured
      const theirs = await counts.open(OTHER);
      await expect(counts.sessions.apply(theirs, request(hidden))).rejects.toEqual(tooClose);
      await counts.sessions.apply(theirs, request(unit(wide, 10)));
      const figures = ({ meter }: Contributor) =>
        [undefined, USER, OTHER].map((user) => meter.revealed(0, user && bytesToHex(user.publicKey)));
      const before = figures(counts);
      expect(before.map((one) => one.directions)).toEqual([10, 8, 2]);
      await counts.stop();
      // also after a restart
      const later = await contributor(dir, { maxRevealed: 0.9, maxRevealedTotal: 0.95 }, modules);
      expect(figures(later)).toEqual(before);
      await later.stop();
    });

    it('says nothing about them in a message with more rows than are left', async () => {
      const dir = await temporaryFolder();
      const counts = await contributor(dir, { maxRevealed: 0.5, maxRevealedTotal: 0.95 }, modules);
      const left = Math.floor((0.5 * wide) / 3) - 4;
      const filler = Array.from({ length: left }, (_, i) => unit(wide, 10 + i));
      await counts.sessions.apply(await counts.open(), request(...chain));
      const id = await counts.open();
      for (const probe of [hidden, unit(wide, 9)]) {
        await expect(counts.sessions.apply(id, request(probe, ...filler))).rejects.toEqual(
          overBudget(/more than/),
        );
      }
      expect(directions(counts)).toEqual([4, 0]);
      await counts.stop();
    });

    it('counts them as everything where they are answered, of their key and of all, also after a restart', async () => {
      const dir = await temporaryFolder();
      const first = await contributor(dir, OFF, modules);
      await first.sessions.apply(await first.open(), request(...chain, hidden));
      await first.sessions.apply(await first.open(OTHER), request(unit(wide, 9), hidden));
      const figures = ({ meter }: Contributor) =>
        [undefined, USER, OTHER].map((user) => {
          const key = user && bytesToHex(user.publicKey);
          return [meter.isUnresolved(0, key), meter.revealed(0, key)] as const;
        });
      const before = figures(first);
      expect(before.map(([isUnresolved]) => isUnresolved)).toEqual([true, true, false]);
      expect(before.map(([, { measured }]) => measured < 1)).toEqual([false, false, true]);
      await first.stop();
      const second = await contributor(dir, { maxRevealed: 0.9, maxRevealedTotal: 1 }, modules);
      expect(figures(second)).toEqual(before);
      // refused for the rows, and not for the measure: the key is not refused for good
      const id = await second.open(USER, 8);
      await expect(second.sessions.apply(id, request(unit(wide, 11)))).rejects.toEqual(tooClose);
      expect(second.leakage.state.refused.size).toBe(0);
      // what adds nothing is answered
      await second.sessions.apply(id, request(hidden));
      await second.sessions.apply(await second.open(OTHER, 8), request(unit(wide, 10)));
      await second.stop();
    });
  });
});

describe('session records', () => {
  it('of another adapter are left alone', async () => {
    const dir = await temporaryFolder();
    const others = [randomAdapter(8, { name: 'm.1' }), randomAdapter(9, { name: 'm.2' })];
    const elsewhere = await contributor(dir, OFF, others);
    const commitment = commitTo(others, '55'.repeat(32));
    await elsewhere.stop();
    await mkdir(join(dir, 'sessions', 'empty'), { recursive: true });
    const foreign = await LeakageLedger.open({
      dir: join(dir, 'ledger'),
      sessionsDir: join(dir, 'sessions'),
      commitment,
      modules: others,
      budget: OFF,
    });
    expect(foreign.state.meter.users).toEqual([]);
    await foreign.close();
  });
});
