import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { create } from '@bufbuild/protobuf';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Admission, DEFAULT_LIMITS } from '../../src/inference/admission.js';
import { connectContributor } from '../../src/inference/client.js';
import { Connections } from '../../src/inference/connections.js';
import { DescribeRequestSchema } from '../../src/inference/gen/zklora_pb.js';
import { contributorMethods } from '../../src/inference/grpcMethods.js';
import { CALL_QUIET_MS, STREAM_IDLE_MS, TLS_HANDSHAKE_MS } from '../../src/inference/limits.js';
import { RpcChannel } from '../../src/inference/rpc.js';
import { AccessTokens } from '../../src/inference/tokens.js';
import { call, data, FRAME, grpcMessage, RawConnection } from '../support/http2Frames.js';
import { issue, pinTo, serverTls } from './certificates.js';
import { guard, TestClock } from './contributor.js';
import { temporaryFolder } from './fixtures.js';
import { INPUTS, randomRows, type Served, type ServedOptions, serve, USER } from './parties.js';

const TOKEN = 'a'.repeat(40);
const CERTIFICATE = issue('alone');

async function started(options: Omit<ServedOptions, 'dir'>) {
  const clock = new TestClock();
  const served = await serve({
    ...options,
    dir: await temporaryFolder(),
    serving: { clock, ...options.serving },
  });
  return { ...served, clock };
}

async function raw({ server }: Pick<Served, 'server'>): Promise<RawConnection> {
  const connection = await RawConnection.open(server.address.port);
  onTestFinished(() => connection.destroy());
  return connection;
}

const refusals = ({ events }: Pick<Served, 'events'>) =>
  events.flatMap(({ error }) => (error === undefined ? [] : [(error as { code: string }).code]));

/** A socket as far as the table of connections knows it. */
class FakeSocket extends EventEmitter {
  isDestroyed = false;
  readonly remoteAddress = '203.0.113.1';

  constructor(readonly remotePort: number) {
    super();
  }

  destroy(): void {
    this.isDestroyed = true;
  }
}

/** Three places, and connections that are numbered as they come. */
function table() {
  const clock = new TestClock();
  const admission = new Admission({ ...DEFAULT_LIMITS, connections: 3 }, clock);
  const connections = new Connections(admission, clock);
  const sockets: FakeSocket[] = [];
  const come = (): boolean => {
    const socket = new FakeSocket(sockets.length);
    sockets.push(socket);
    return connections.admit(socket as unknown as Socket);
  };
  const ended = () => sockets.flatMap(({ isDestroyed }, i) => (isDestroyed ? [i] : []));
  const begin = (i: number) => connections.begin(sockets[i]!);
  return { clock, come, ended, begin, sockets };
}

describe('connections, when all places are taken', () => {
  it('go from those that asked nothing to others, after the time of a handshake, the oldest first', () => {
    const { clock, come, ended, begin } = table();
    come();
    come();
    begin(1)();
    clock.time += 1;
    come();
    clock.time += TLS_HANDSHAKE_MS - 2;
    expect([come(), ended()]).toEqual([false, []]);
    clock.time += 1;
    expect([come(), ended()]).toEqual([true, [0]]);
    // one place was free, not two
    expect([come(), ended()]).toEqual([false, [0]]);
    clock.time += 1;
    expect([come(), ended()]).toEqual([true, [0, 2]]);
  });

  it('go from those that ask nothing more for a minute, and from none within a call', () => {
    const { clock, come, ended, begin, sockets } = table();
    for (let i = 0; i < 3; i += 1) come();
    const ends = [0, 1, 2].map(begin);
    clock.time += STREAM_IDLE_MS;
    expect([come(), ended()]).toEqual([false, []]);
    ends[2]!();
    clock.time += 1;
    ends[0]!();
    clock.time += CALL_QUIET_MS - 2;
    expect(come()).toBe(false);
    clock.time += 1;
    expect([come(), ended()]).toEqual([true, [2]]);
    // what is closed has given its place back already
    sockets[2]!.emit('close');
    expect(come()).toBe(false);
    clock.time += 1;
    expect([come(), ended()]).toEqual([true, [0, 2]]);
    // ends that are told late change nothing
    begin(2)();
    expect(come()).toBe(false);
  });

  it('are closed in the service itself, those of its users excepted', async () => {
    const served = await started({
      serving: { tls: serverTls(CERTIFICATE), limits: { connections: 2 } },
      connecting: { tls: pinTo(CERTIFICATE) },
    });
    const { client, clock } = served;
    await client.describe();
    const idle = await raw(served);
    // this one finds no place: the one before has it
    await (await raw(served)).closed;
    clock.time += TLS_HANDSHAKE_MS;
    await raw(served);
    await idle.closed;
    await client.describe();
  });

  it('are not kept by who has no token, whatever is asked', async () => {
    const tokens = AccessTokens.parse(`alice ${TOKEN}`);
    const served = await started({
      serving: { tokens, limits: { connections: 2 } },
      connecting: { token: TOKEN },
    });
    const { client, clock, server } = served;
    await client.describe();
    const stranger = await RawConnection.http2(server.address.port);
    onTestFinished(() => stranger.destroy());
    const empty = data(1, grpcMessage(Buffer.alloc(0)), { end: true });
    stranger.send(call(1, '/grpc.health.v1.Health/Watch'), empty, call(3, '/zklora.v1.Contributor/Describe'));
    await stranger.find(({ type, stream }) => type === FRAME.data && stream === 1);
    await stranger.find(({ type, stream }) => type === FRAME.headers && stream === 3);
    expect(refusals(served)).toEqual(['ACCESS_REFUSED']);
    clock.time += TLS_HANDSHAKE_MS;
    await raw(served);
    await stranger.closed;
    await client.describe();
  });
});

describe('streams, when there are as many calls as may be', () => {
  const asking = async (served: Served) => {
    const { client, commitment } = served;
    const session = await client.openSession({ commitment, user: USER, inputs: INPUTS });
    const ask = (stage: number) =>
      session.apply(0, stage, 1, [{ input: stage, rows: randomRows(1, stage === 0 ? 4 : 5) }]);
    return { ask };
  };
  const retry = { attempts: 1, firstPause: 1, longestWait: 0 };

  it('go from those that wait for their next request, whose clients open others', async () => {
    const served = await started({ serving: { limits: { calls: 2 } }, connecting: { retry } });
    const { client, clock } = served;
    const one = await asking(served);
    await one.ask(0);
    clock.time += 1;
    const two = await asking(served);
    await two.ask(0);
    clock.time += CALL_QUIET_MS - 2;
    await expect(client.describe()).rejects.toMatchObject({
      code: 'CONTRIBUTOR_REFUSED',
      details: { contributorCode: 'LIMIT_REACHED', retryMs: STREAM_IDLE_MS },
    });
    clock.time += 1;
    await client.describe();
    expect(refusals(served)).toEqual(['LIMIT_REACHED', 'LIMIT_REACHED']);
    // the second had its minute
    expect((await two.ask(1)).size).toBe(1);
    expect(refusals(served)).toHaveLength(2);
    expect((await one.ask(1)).size).toBe(1);
  });

  it('stay where a request is being answered', async () => {
    let answer: () => void = () => undefined;
    const mayAnswer = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const leakage = guard(() => mayAnswer);
    const served = await started({ serving: { limits: { calls: 1 }, leakage }, connecting: { retry } });
    const { ask } = await asking(served);
    const asked = ask(0);
    await expect
      .poll(async () =>
        served.client.describe().then(
          () => 'answered',
          ({ details }) => details.contributorCode,
        ),
      )
      .toBe('LIMIT_REACHED');
    served.clock.time += STREAM_IDLE_MS;
    await expect(served.client.describe()).rejects.toMatchObject({
      details: { contributorCode: 'LIMIT_REACHED' },
    });
    answer();
    expect((await asked).size).toBe(2);
  });

  it('stay when a call comes that is not let in', async () => {
    const tokens = AccessTokens.parse(`alice ${TOKEN}`);
    const served = await started({
      serving: { tokens, limits: { calls: 1 } },
      connecting: { token: TOKEN, retry },
    });
    const { ask } = await asking(served);
    await ask(0);
    served.clock.time += CALL_QUIET_MS;
    const stranger = new RpcChannel(served.server.address);
    onTestFinished(() => stranger.close());
    const request = create(DescribeRequestSchema);
    await expect(stranger.unary(contributorMethods.describe, request, 5000)).rejects.toMatchObject({
      details: { contributorCode: 'ACCESS_REFUSED' },
    });
    expect((await ask(1)).size).toBe(1);
    expect(refusals(served)).toEqual(['ACCESS_REFUSED']);
    const friend = await connectContributor({ address: served.server.address, token: TOKEN, retry });
    onTestFinished(() => friend.close());
    served.clock.time += CALL_QUIET_MS;
    await friend.describe();
  });
});
