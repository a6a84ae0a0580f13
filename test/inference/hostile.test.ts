import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { status } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { ZkLoraError } from '../../src/errors.js';
import { connectContributor } from '../../src/inference/client.js';
import type { Clock } from '../../src/inference/clock.js';
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as Serving,
} from '../../src/inference/gen/grpc/health/v1/health_pb.js';
import { ServerReflectionRequestSchema } from '../../src/inference/gen/grpc/reflection/v1/reflection_pb.js';
import { ApplyRequestSchema, DescribeRequestSchema } from '../../src/inference/gen/zklora_pb.js';
import { contributorMethods, healthMethods, reflectionMethods } from '../../src/inference/grpcMethods.js';
import {
  MAX_HEALTH_WATCHERS,
  MAX_RECEIVING_BYTES,
  MESSAGE_MS,
  STREAM_IDLE_MS,
  SWEEP_MS,
} from '../../src/inference/limits.js';
import { MemoryBudget } from '../../src/inference/memoryBudget.js';
import { RpcChannel } from '../../src/inference/rpc.js';
import { AccessTokens } from '../../src/inference/tokens.js';
import { toBytes } from '../../src/littleEndian.js';
import {
  call,
  data,
  FLAG,
  FRAME,
  grpcMessage,
  RawConnection,
  reset,
  windowUpdate,
} from '../support/http2Frames.js';
import { guard } from './contributor.js';
import { temporaryFolder } from './fixtures.js';
import { INPUTS, openRequest, randomModule, randomRows, type Served, serve, USER } from './parties.js';

const TIMEOUT = 30_000;
const SERVICE = '/zklora.v1.Contributor';

async function started(serving: NonNullable<Parameters<typeof serve>[0]['serving']> = {}): Promise<Served> {
  return serve({ dir: await temporaryFolder(), serving });
}

async function raw(served: Served): Promise<RawConnection> {
  const connection = await RawConnection.http2(served.server.address.port);
  onTestFinished(() => connection.destroy());
  return connection;
}

function channelTo(served: Served): RpcChannel {
  const channel = new RpcChannel(served.server.address);
  onTestFinished(() => channel.close());
  return channel;
}

/** An ordinary call of another connection is answered. */
async function isWell(served: Served): Promise<void> {
  const client = await connectContributor({ address: served.server.address });
  onTestFinished(() => client.close());
  expect((await client.describe()).length).toBeGreaterThan(0);
}

const refusals = (served: Served) =>
  served.events
    .filter(({ method }) => method === 'admission')
    .map(({ error }) => (error as { code: string }).code);

describe('frames that no library sends', () => {
  it.each([
    [
      'a message beyond the limit, and more of it',
      grpcMessage(Buffer.alloc(40_000), 2 ** 31),
      'LIMIT_REACHED',
    ],
    ['a small request beyond its own limit', grpcMessage(Buffer.alloc(10), 300_000), 'LIMIT_REACHED'],
    ['a compressed message', grpcMessage(Buffer.alloc(10), 10, 1), 'SESSION_MALFORMED'],
    [
      'two requests that are no messages',
      Buffer.concat([grpcMessage(Buffer.alloc(9, 255)), grpcMessage(Buffer.alloc(9, 255))]),
      'SESSION_MALFORMED',
    ],
    ['too many fields', grpcMessage(Buffer.from('1a00'.repeat(20_000), 'hex')), 'SESSION_MALFORMED'],
  ])('end one call and nothing else: %s', async (_, bytes, code) => {
    const served = await started();
    const connection = await raw(served);
    connection.send(call(1, `${SERVICE}/OpenSession`));
    for (let at = 0; at < bytes.length; at += 9000) connection.send(data(1, bytes.subarray(at, at + 9000)));
    const answer = await connection.find(({ type, stream }) => type === FRAME.headers && stream === 1);
    expect(answer).toBeDefined();
    connection.send(data(1, bytes), data(1, bytes));
    await connection.settled();
    expect(refusals(served)).toEqual([code]);
    await isWell(served);
  });

  it('end a stream of requests in tiny pieces', async () => {
    const served = await started();
    const connection = await raw(served);
    const message = grpcMessage(Buffer.alloc(4000), 2 ** 20);
    connection.send(call(1, `${SERVICE}/Apply`), data(1, message, { size: 1 }));
    expect(await connection.find(({ type, stream }) => type === FRAME.headers && stream === 1)).toBeDefined();
    expect(refusals(served)).toEqual(['LIMIT_REACHED']);
    await isWell(served);
  });

  it('end a call with too many metadata', async () => {
    const served = await started();
    const connection = await raw(served);
    const many = Array.from({ length: 40 }, (_, i) => [`key-${i}`, 'v'] as const);
    connection.send(
      call(1, `${SERVICE}/Describe`, many),
      call(3, `${SERVICE}/Describe`, [['key', 'v'.repeat(9000)]]),
    );
    await connection.find(({ type, stream }) => type === FRAME.headers && stream === 3);
    await connection.settled();
    expect(refusals(served)).toEqual(['LIMIT_REACHED', 'LIMIT_REACHED']);
    await isWell(served);
  });

  it('give back what was counted when a stream or connection is cut', async () => {
    const served = await started({ limits: { calls: 4, connections: 3 } });
    for (let round = 0; round < 3; round += 1) {
      const connection = await raw(served);
      for (const stream of [1, 3, 5]) {
        connection.send(
          call(stream, `${SERVICE}/Apply`),
          data(stream, grpcMessage(Buffer.alloc(5000), 60_000)),
        );
      }
      await connection.settled();
      connection.send(reset(1), reset(3));
      await connection.settled();
      connection.send(call(7, `${SERVICE}/Apply`), call(9, `${SERVICE}/Apply`));
      await connection.settled();
      connection.destroy();
      await connection.closed;
    }
    await isWell(served);
    expect(refusals(served)).toEqual([]);
  });
});

describe('limits of a service', () => {
  const limited = { peersOnThisMachine: 'limited' } as const;

  it('hold for the calls of a peer', async () => {
    const served = await started({ limits: { ...limited, callsPerPeer: 2 } });
    const connection = await raw(served);
    for (const stream of [1, 3, 5]) connection.send(call(stream, `${SERVICE}/Apply`));
    expect(await connection.find(({ type, stream }) => type === FRAME.headers && stream === 5)).toBeDefined();
    expect(refusals(served)).toEqual(['LIMIT_REACHED']);
    await expect(served.client.describe()).rejects.toMatchObject({
      code: 'CONTRIBUTOR_REFUSED',
      details: { contributorCode: 'LIMIT_REACHED', status: 'RESOURCE_EXHAUSTED' },
    });
  });

  it('hold for connections', async () => {
    const served = await started({ limits: { ...limited, connectionsPerPeer: 2 } });
    const connection = await raw(served);
    await connection.settled();
    const third = await RawConnection.http2(served.server.address.port);
    await third.closed;
    expect(third.frames).toEqual([]);
    await served.client.describe();
    connection.destroy();
    await connection.closed;
  });

  it('hold for requests a second, and slow a stream down without ending it', async () => {
    const waits: number[] = [];
    const clock: Clock = {
      now: () => 0,
      every: (ms, work) => {
        if (ms >= SWEEP_MS) return () => undefined;
        waits.push(ms);
        setImmediate(work);
        return () => undefined;
      },
    };
    const limits = { ...limited, requestsBurst: 4, requestsPerSecond: 10 };
    const served = await started({ limits, clock });
    const session = await served.client.openSession({
      commitment: served.commitment,
      user: USER,
      inputs: INPUTS,
    });
    onTestFinished(() => session.abandon());
    for (const call of [0, 1]) {
      await session.apply(call, 0, 1, [{ input: 0, rows: randomRows(1, 4) }]);
      await session.apply(call, 1, 1, [{ input: 1, rows: randomRows(1, 5) }]);
    }
    // two calls and four stages on a burst of four
    expect(waits).toEqual([100, 200]);
    await expect(served.client.describe()).rejects.toMatchObject({
      details: { contributorCode: 'LIMIT_REACHED', status: 'RESOURCE_EXHAUSTED' },
    });
  });

  it('take one message each way for all modules of a stage', async () => {
    const served = await serve({
      dir: await temporaryFolder(),
      modules: ['q', 'k', 'v'].map((name) => randomModule(name, 4, 6)),
    });
    const commitment = served.commitment;
    const session = await served.client.openSession({ commitment, user: USER, inputs: [[0, 1, 2]] });
    onTestFinished(() => session.abandon());
    const answers = await session.apply(0, 0, 2, [{ input: 0, rows: randomRows(2, 4) }]);
    expect([...answers.keys()]).toEqual([0, 1, 2]);
    expect(served.events.filter(({ method }) => method === 'apply')).toHaveLength(1);
  });
});

describe('streams that take their time', () => {
  /** A clock that stands still until it is moved on. */
  function manualClock() {
    const works = new Set<[number, () => void]>();
    let now = 0;
    const clock: Clock = {
      now: () => now,
      every: (ms, work) => {
        const entry: [number, () => void] = [ms, work];
        works.add(entry);
        return () => works.delete(entry);
      },
    };
    return {
      clock,
      pass: (ms: number) => {
        now += ms;
        for (const [every, work] of works) if (every === SWEEP_MS) work();
      },
      /** What is to be done after so long. */
      due: (ms: number) => {
        for (const [every, work] of works) if (every === ms) work();
      },
      /** How much waits for so long. */
      waiting: (ms: number) => [...works].filter(([every]) => every === ms).length,
    };
  }

  it('are ended: without a request, with a message that never ends, between requests', async () => {
    const { clock, pass } = manualClock();
    const served = await started({ clock });
    const connection = await raw(served);
    connection.send(call(1, `${SERVICE}/Apply`));
    connection.send(call(3, `${SERVICE}/Apply`), data(3, grpcMessage(Buffer.alloc(50), 60_000)));
    const { sessionId } = await channelTo(served).unary(
      contributorMethods.openSession,
      rawOpen(served),
      TIMEOUT,
    );
    connection.send(call(5, `${SERVICE}/Apply`), data(5, grpcMessage(stageBytes(sessionId))));
    await connection.find(({ type, stream }) => type === FRAME.data && stream === 5);
    pass(MESSAGE_MS);
    await connection.settled();
    expect(refusals(served)).toEqual([]);
    pass(1);
    for (const ended of [1, 3]) {
      await connection.find(({ type, stream }) => type === FRAME.headers && stream === ended);
    }
    expect(refusals(served)).toEqual(['LIMIT_REACHED', 'LIMIT_REACHED']);
    pass(STREAM_IDLE_MS);
    await connection.settled();
    expect(refusals(served)).toHaveLength(3);
    await isWell(served);
  });

  it('hold up no small request, however much the large ones hold', async () => {
    const served = await started();
    const take = vi.spyOn(MemoryBudget.prototype, 'take');
    onTestFinished(() => void vi.restoreAllMocks());
    const full = new ZkLoraError('LIMIT_REACHED', 'full');
    take.mockImplementation(function (this: MemoryBudget) {
      if (Reflect.get(this, 'most') === MAX_RECEIVING_BYTES) throw full;
    });
    const { sessionId } = await channelTo(served).unary(
      contributorMethods.openSession,
      rawOpen(served),
      TIMEOUT,
    );
    const exchange = channelTo(served).exchange(contributorMethods.apply);
    const request = fromBinary(ApplyRequestSchema, stageBytes(sessionId));
    await expect(exchange.ask(request, TIMEOUT)).rejects.toMatchObject({
      details: { contributorCode: 'LIMIT_REACHED' },
    });
    exchange.cancel();
    take.mockRestore();
    await isWell(served);
  });

  it('hold no memory for an answer that nobody takes, once they are cut', async () => {
    const balance = { held: 0, taken: 0 };
    const served = await started();
    const { sessionId } = await channelTo(served).unary(
      contributorMethods.openSession,
      rawOpen(served),
      TIMEOUT,
    );
    const [take, give] = [MemoryBudget.prototype.take, MemoryBudget.prototype.give];
    vi.spyOn(MemoryBudget.prototype, 'take').mockImplementation(function (this: MemoryBudget, bytes) {
      balance.taken += 1;
      balance.held += bytes;
      take.call(this, bytes);
    });
    vi.spyOn(MemoryBudget.prototype, 'give').mockImplementation(function (this: MemoryBudget, bytes) {
      balance.held -= bytes;
      give.call(this, bytes);
    });
    onTestFinished(() => void vi.restoreAllMocks());
    // nothing may be sent on any stream
    const connection = await RawConnection.http2(served.server.address.port, [4, 0]);
    onTestFinished(() => connection.destroy());
    connection.send(call(1, `${SERVICE}/Apply`), data(1, grpcMessage(stageBytes(sessionId))));
    await connection.find(({ type, stream }) => type === FRAME.headers && stream === 1);
    await connection.settled();
    // a call with its deltas, and the answer
    const { held } = balance;
    expect(held).toBeGreaterThan(0);
    connection.send(reset(1));
    await vi.waitFor(() => expect(balance.held).toBeLessThan(held));
    await isWell(served);
  });

  it('are ended when the answer is not taken in time, also when it is taken byte by byte', async () => {
    const { clock, pass } = manualClock();
    const served = await started({ clock });
    // a window of no bytes: nothing may be sent on any stream
    const connection = await RawConnection.http2(served.server.address.port, [4, 0]);
    onTestFinished(() => connection.destroy());
    connection.send(call(1, `${SERVICE}/Describe`), data(1, grpcMessage(Buffer.alloc(0)), { end: true }));
    await connection.find(({ type, stream }) => type === FRAME.headers && stream === 1);
    for (let ms = SWEEP_MS; ms <= MESSAGE_MS; ms += SWEEP_MS) {
      connection.send(windowUpdate(1, 10));
      await connection.settled();
      pass(SWEEP_MS);
    }
    await connection.settled();
    const taken = connection.frames.filter(({ type }) => type === FRAME.data);
    expect(taken.length).toBeGreaterThan(10);
    expect(connection.frames.some(({ type }) => type === FRAME.reset)).toBe(false);
    pass(1);
    const ended = await connection.find(({ type, stream }) => type === FRAME.reset && stream === 1);
    expect(ended?.payload.readUInt32BE()).toBe(11);
  });

  it('leave nothing when they are reset before their answer', async () => {
    const { clock, waiting } = manualClock();
    const served = await started({ clock });
    const connection = await raw(served);
    // a session that is not there
    const body = grpcMessage(Buffer.concat([Buffer.of(0x0a, 16), Buffer.alloc(16, 7)]));
    const calls = Array.from({ length: 20 }, (_, i) => 2 * i + 1);
    for (const id of calls) connection.send(call(id, `${SERVICE}/StartProof`), data(id, body), reset(id));
    const refused = () => served.events.filter(({ method }) => method === 'startProof').length;
    await vi.waitFor(() => expect(refused()).toBe(calls.length));
    await vi.waitFor(() => expect(waiting(MESSAGE_MS)).toBe(0));
    await isWell(served);
  });

  it('are ended when no window is left for their status', async () => {
    const { clock, due } = manualClock();
    const served = await started({ clock });
    const { port } = served.server.address;
    const open = contributorMethods.openSession;
    const { sessionId } = await channelTo(served).unary(open, rawOpen(served), TIMEOUT);
    const stage = grpcMessage(stageBytes(sessionId));
    const answered = async (window: number) => {
      const connection = await RawConnection.http2(port, [4, window]);
      onTestFinished(() => connection.destroy());
      connection.send(call(1, `${SERVICE}/Apply`), data(1, stage));
      const answer = await connection.find(({ type, stream }) => type === FRAME.data && stream === 1);
      return { connection, length: answer!.payload.length };
    };
    const { length } = await answered(2 ** 16 - 1);
    const { connection } = await answered(length);
    connection.send(data(1, Buffer.concat([stage, stage])));
    await vi.waitFor(() => expect(refusals(served)).toEqual(['LIMIT_REACHED']));
    await connection.settled();
    const has = (frame: number) => connection.frames.some(({ type }) => type === frame);
    expect(has(FRAME.reset)).toBe(false);
    due(MESSAGE_MS);
    const ended = await connection.find(({ type, stream }) => type === FRAME.reset && stream === 1);
    expect(ended?.payload.readUInt32BE()).toBe(11);
    await isWell(served);
  });
});

describe('streams that do not wait for answers', () => {
  it('are ended at the second stage that is sent ahead', async () => {
    const served = await started();
    const connection = await raw(served);
    const open = contributorMethods.openSession;
    const { sessionId } = await channelTo(served).unary(open, rawOpen(served), TIMEOUT);
    const stage = grpcMessage(stageBytes(sessionId));
    // the same stage after its answer is in order
    connection.send(call(1, `${SERVICE}/Apply`), data(1, stage));
    await connection.find(({ type, stream }) => type === FRAME.data && stream === 1);
    connection.send(data(1, stage));
    await vi.waitFor(() => {
      expect(
        connection.frames.filter(({ type, stream }) => type === FRAME.data && stream === 1),
      ).toHaveLength(2);
    });
    expect(refusals(served)).toEqual([]);
    connection.send(data(1, Buffer.concat([stage, stage])));
    await connection.find(
      ({ type, stream, flags }) => type === FRAME.headers && stream === 1 && (flags & FLAG.endStream) !== 0,
    );
    expect(refusals(served)).toEqual(['LIMIT_REACHED']);
    await isWell(served);
  });

  it('may send 16 small questions to the reflection service, whose answers nobody takes, and no more', async () => {
    const served = await started();
    const connection = await RawConnection.http2(served.server.address.port, [4, 0]);
    onTestFinished(() => connection.destroy());
    const question = (host: string) =>
      grpcMessage(
        toBinary(
          ServerReflectionRequestSchema,
          create(ServerReflectionRequestSchema, {
            host,
            messageRequest: { case: 'fileByFilename', value: 'zklora.proto' },
          }),
        ),
      );
    const path = reflectionMethods.serverReflectionInfo.path;
    const questions = (count: number) => Buffer.concat(Array.from({ length: count }, () => question('h')));
    connection.send(call(1, path), data(1, questions(16)));
    await connection.find(({ type, stream }) => type === FRAME.headers && stream === 1);
    await connection.settled();
    expect(refusals(served)).toEqual([]);
    connection.send(call(3, path), data(3, questions(17)));
    await vi.waitFor(() => expect(refusals(served)).toEqual(['LIMIT_REACHED']));
    connection.send(call(5, path), data(5, question('h'.repeat(4096))));
    await vi.waitFor(() => expect(refusals(served)).toEqual(['LIMIT_REACHED', 'LIMIT_REACHED']));
    await isWell(served);
  });

  it('watch the health of the service in few places, which the latest take', async () => {
    const served = await started();
    const channel = channelTo(served);
    const watch = () => {
      const stream = channel.serverStream(healthMethods.watch, create(HealthCheckRequestSchema), TIMEOUT);
      const error = new Promise<unknown>((resolve) => stream.on('error', resolve));
      const first = new Promise<number>((resolve) => stream.on('data', ({ status }) => resolve(status)));
      return { first, error };
    };
    const watchers: ReturnType<typeof watch>[] = [];
    for (let i = 0; i <= MAX_HEALTH_WATCHERS; i++) {
      watchers.push(watch());
      expect(await watchers[i]!.first).toBe(Serving.SERVING);
    }
    expect(await watchers[0]!.error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    await isWell(served);
  });
});

/** A request for the first stage of a session. */
function stageBytes(sessionId: Uint8Array): Uint8Array {
  const rows = randomRows(1, 4);
  const inputs = [{ input: 0, rows: toBytes(rows.x), exponents: toBytes(rows.exponents) }];
  return toBinary(ApplyRequestSchema, create(ApplyRequestSchema, { sessionId, tokens: 1, inputs }));
}

function rawOpen(served: Served) {
  const { inputs, ...fields } = openRequest(served.commitment);
  return {
    $typeName: 'zklora.v1.OpenSessionRequest',
    ...fields,
    inputs: inputs.map((modules) => ({ $typeName: 'zklora.v1.InputGroup', modules: [...modules] })),
  } as never;
}

describe('health and reflection', () => {
  it('say that the service answers, also without a token, until it shuts down', async () => {
    const tokens = AccessTokens.parse(`alice ${'a'.repeat(40)}`);
    const served = await started({ tokens });
    const channel = channelTo(served);
    const check = (service: string) =>
      channel.unary(healthMethods.check, create(HealthCheckRequestSchema, { service }), TIMEOUT);
    expect((await check('')).status).toBe(Serving.SERVING);
    expect((await check('zklora.v1.Contributor')).status).toBe(Serving.SERVING);
    await expect(check('other')).rejects.toMatchObject({ details: { status: 'NOT_FOUND' } });
    await expect(
      channel.unary(contributorMethods.describe, create(DescribeRequestSchema), TIMEOUT),
    ).rejects.toMatchObject({ details: { contributorCode: 'ACCESS_REFUSED' } });

    const seen: number[] = [];
    const watch = channel.serverStream(healthMethods.watch, create(HealthCheckRequestSchema), TIMEOUT);
    const first = new Promise<void>((resolve) => {
      watch.on('data', (message) => {
        seen.push(message.status);
        resolve();
      });
    });
    const ended = new Promise<void>((resolve) => watch.on('end', () => resolve()));
    await first;
    await served.server.shutdown();
    await ended;
    expect(seen).toEqual([Serving.SERVING, Serving.NOT_SERVING]);
  });

  it('describe all services', async () => {
    const channel = channelTo(await started());
    const exchange = channel.exchange(reflectionMethods.serverReflectionInfo);
    const ask = async (messageRequest: object) =>
      (
        await exchange.ask(
          create(ServerReflectionRequestSchema, { messageRequest: messageRequest as never }),
          TIMEOUT,
        )
      ).messageResponse;
    expect(await ask({ case: 'listServices', value: '' })).toMatchObject({
      value: {
        service: [
          { name: 'zklora.v1.Contributor' },
          { name: 'grpc.health.v1.Health' },
          { name: 'grpc.reflection.v1.ServerReflection' },
        ],
      },
    });
    for (const question of [
      { case: 'fileContainingSymbol', value: 'zklora.v1.Contributor.Apply' },
      { case: 'fileContainingSymbol', value: 'zklora.v1.ApplyRequest' },
      { case: 'fileByFilename', value: 'zklora.proto' },
    ]) {
      const { value } = (await ask(question)) as { value: { fileDescriptorProto: Uint8Array[] } };
      const file = fromBinary(FileDescriptorProtoSchema, value.fileDescriptorProto[0]!);
      expect(file.package).toBe('zklora.v1');
      expect(file.service[0]!.method.map(({ name }) => name)).toContain('CloseSession');
    }
    expect(await ask({ case: 'allExtensionNumbersOfType', value: 'zklora.v1.ApplyRequest' })).toMatchObject({
      value: { baseTypeName: 'zklora.v1.ApplyRequest', extensionNumber: [] },
    });
    for (const question of [
      { case: 'fileByFilename', value: '../../etc/passwd' },
      { case: 'fileContainingSymbol', value: 'constructor' },
      { case: 'allExtensionNumbersOfType', value: 'x' },
      { case: undefined },
    ]) {
      expect(await ask(question)).toMatchObject({
        case: 'errorResponse',
        value: { errorCode: status.NOT_FOUND },
      });
    }
    exchange.end();
  });
});

describe('a shutdown', () => {
  it('lets the stage under way finish, and refuses what comes after', async () => {
    let answer: () => void = () => undefined;
    let asked: () => void = () => undefined;
    const arrived = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const mayAnswer = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const served = await started({
      leakage: guard(async () => {
        asked();
        await mayAnswer;
      }),
    });
    const session = await served.client.openSession({
      commitment: served.commitment,
      user: USER,
      inputs: INPUTS,
    });
    const stage = session.apply(0, 0, 1, [{ input: 0, rows: randomRows(1, 4) }]);
    await arrived;
    const ending = served.server.shutdown();
    await expect(served.client.describe()).rejects.toMatchObject({
      code: expect.stringMatching(/^CONTRIBUTOR_(UNREACHABLE|REFUSED)$/),
    });
    answer();
    expect((await stage).size).toBe(2);
    await ending;
    await expect(
      connectContributor({ address: served.server.address, timeouts: { connect: 300 } }),
    ).rejects.toMatchObject({ code: 'CONTRIBUTOR_UNREACHABLE' });
  });

  it('ends streams that wait for the next request at once', async () => {
    const served = await started();
    const session = await served.client.openSession({
      commitment: served.commitment,
      user: USER,
      inputs: INPUTS,
    });
    await session.apply(0, 0, 1, [{ input: 0, rows: randomRows(1, 4) }]);
    await served.server.shutdown();
    expect(refusals(served)).toEqual(['SHUTTING_DOWN']);
    await expect(session.apply(0, 1, 1, [{ input: 1, rows: randomRows(1, 5) }])).rejects.toMatchObject({
      details: { contributorCode: 'SHUTTING_DOWN', status: 'UNAVAILABLE' },
    });
  });
});
