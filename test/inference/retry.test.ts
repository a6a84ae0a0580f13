import { Metadata, status } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ZkLoraError } from '../../src/errors.js';
import { CALL_QUIET_MS, MAX_ROOM_WAIT_MS } from '../../src/inference/limits.js';
import { RETRY_METADATA } from '../../src/inference/refusal.js';
import { DEFAULT_RETRY, type RetryOptions, retrying } from '../../src/inference/retry.js';
import { RpcChannel } from '../../src/inference/rpc.js';
import { TestClock, WIDE, WIDE_INPUTS } from './contributor.js';
import { temporaryFolder } from './fixtures.js';
import { LOOPBACK, serve, USER } from './parties.js';

const refused = (details: object) =>
  new ZkLoraError('CONTRIBUTOR_REFUSED', 'the contributor refused', { details: { ...details } });
const LOST = refused({ status: 'UNAVAILABLE' });

/** Asks something that fails with one error after the other, the last one for ever. @returns what it took */
async function asking(errors: readonly ZkLoraError[], options: Partial<RetryOptions> = {}) {
  let time = 0;
  let tries = 0;
  const waits: number[] = [];
  const outcome = await retrying(
    {
      ...DEFAULT_RETRY,
      pause: async (ms) => {
        expect(ms).toBeGreaterThan(0);
        time += ms;
      },
      now: () => time,
      onWait: (ms) => void waits.push(ms),
      ...options,
    },
    async () => {
      const error = errors[Math.min(tries, errors.length - 1)]!;
      tries += 1;
      throw error;
    },
  ).catch((error: unknown) => error);
  return { outcome, time, tries, waits };
}

describe('room', () => {
  it('is waited for as long as the contributor says, the last try being the last moment', async () => {
    const crowded = refused({ status: 'RESOURCE_EXHAUSTED', retryMs: CALL_QUIET_MS });
    const { outcome, time, tries, waits } = await asking([crowded]);
    expect(outcome).toBe(crowded);
    expect(time).toBe(CALL_QUIET_MS);
    // pauses of up to five seconds
    expect(tries).toBeGreaterThan(12);
    expect(tries).toBeLessThan(32);
    expect(waits).toEqual([CALL_QUIET_MS]);
  });

  it('is not waited for longer than the user likes, whatever the contributor says and how often', async () => {
    const endless = (retryMs: number) => refused({ status: 'UNAVAILABLE', retryMs });
    expect(await asking([endless(1)])).toMatchObject({ time: 1, tries: 2, waits: [1] });
    // another room may be lacking next, and take longer
    const longer = await asking([endless(1000), endless(5000), endless(1000)]);
    expect(longer).toMatchObject({ time: 5000, waits: [1000, 5000] });
    const rising = Array.from({ length: 500 }, (_, i) => endless(1000 * (i + 1)));
    expect((await asking(rising)).time).toBeLessThanOrEqual(MAX_ROOM_WAIT_MS);
    // a little more each time
    const creeping = await asking(Array.from({ length: 10 ** 5 }, (_, i) => endless(5 * (i + 1))));
    expect(creeping.tries).toBeLessThan(MAX_ROOM_WAIT_MS / (DEFAULT_RETRY.firstPause / 2));
    expect(creeping.waits.length).toBeLessThan(MAX_ROOM_WAIT_MS / 1000);
    expect(await asking([endless(10 ** 9)])).toMatchObject({ time: MAX_ROOM_WAIT_MS });
    expect(await asking([endless(10 ** 9)], { longestWait: 700 })).toMatchObject({ time: 700, waits: [700] });
    expect(await asking([endless(10 ** 9)], { longestWait: 0 })).toMatchObject({
      time: 0,
      tries: 1,
      waits: [],
    });
    // in turns with lost connections, each of which is one of nine
    const turns = Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? endless(10 ** 9) : LOST));
    const { outcome, tries, time } = await asking(turns);
    expect([outcome, tries]).toEqual([LOST, 20]);
    expect(time).toBeLessThan(MAX_ROOM_WAIT_MS);
  });

  it('is not waited for where the contributor says nothing of it, and does not use up the tries', async () => {
    const never = refused({ status: 'RESOURCE_EXHAUSTED' });
    expect(await asking([never])).toMatchObject({ outcome: never, tries: 1, waits: [] });
    expect(await asking([LOST])).toMatchObject({ outcome: LOST, tries: 10, waits: [] });
    const room = refused({ status: 'UNAVAILABLE', retryMs: 5000 });
    expect(await asking([room, room, LOST])).toMatchObject({ outcome: LOST, tries: 12, waits: [5000] });
  });
});

describe('what a contributor says of room', () => {
  const channel = new RpcChannel(LOOPBACK);
  const translated = (code: status, text?: string) => {
    const metadata = new Metadata();
    metadata.set('zklora-code', 'LIMIT_REACHED');
    if (text !== undefined) metadata.set(RETRY_METADATA, text);
    return channel.translate(Object.assign(new Error('x'), { code, details: 'x', metadata })).details.retryMs;
  };

  it('is a bounded number of milliseconds of a refusal for lack of it', () => {
    onTestFinished(() => channel.close());
    expect(translated(status.RESOURCE_EXHAUSTED, '60000')).toBe(60_000);
    expect(translated(status.UNAVAILABLE, '0')).toBe(0);
    expect(translated(status.UNAVAILABLE)).toBeUndefined();
    for (const text of ['', '-1', '1e3', '0x10', ' 5', '5.5', 'NaN', 'Infinity', '1234567890']) {
      expect(translated(status.UNAVAILABLE, text)).toBeUndefined();
    }
    for (const code of [status.INVALID_ARGUMENT, status.FAILED_PRECONDITION, status.INTERNAL]) {
      expect(translated(code, '60000')).toBeUndefined();
    }
  });

  it('has a call wait until others gave way, which then come again', async () => {
    const clock = new TestClock();
    const waits: number[] = [];
    const retry = {
      ...DEFAULT_RETRY,
      attempts: 1,
      now: () => clock.now(),
      pause: async (ms: number) => {
        clock.time += ms;
      },
      onWait: (ms: number) => void waits.push(ms),
    };
    const { client, commitment } = await serve({
      dir: await temporaryFolder(),
      modules: WIDE,
      serving: { clock },
      connecting: { retry },
    });
    const open = () => client.openSession({ commitment, user: USER, inputs: WIDE_INPUTS });
    const ask = async (session: Awaited<ReturnType<typeof open>>) => {
      const rows = { x: new Int16Array(500), exponents: new Int16Array(500) };
      return session.apply(0, 0, 500, [{ input: 0, rows }]);
    };
    const sessions = [await open(), await open(), await open()] as const;
    const answer = await ask(sessions[0]);
    await ask(sessions[1]);
    await ask(sessions[2]);
    expect(waits).toEqual([CALL_QUIET_MS]);
    expect(clock.now()).toBe(CALL_QUIET_MS);
    // the first gave way, and the second, which is as quiet by now, does to it
    expect(await ask(sessions[0])).toEqual(answer);
    expect(clock.now()).toBe(CALL_QUIET_MS);
    for (const session of sessions) session.abandon();
  });
});
