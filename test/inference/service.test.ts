import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import type { MethodDefinition } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { adapterId, parseAdapterCommitment } from '../../src/adapter/commitment.js';
import { applyExact } from '../../src/adapter/forward.js';
import { bytesToHex, hexToBytes } from '../../src/bytes.js';
import { answeredRows, readAnswered } from '../../src/inference/answeredJournal.js';
import { connectContributor, type RemoteSession } from '../../src/inference/client.js';
import {
  ApplyRequestSchema,
  CloseSessionRequestSchema,
  InputGroupSchema,
  OpenSessionRequestSchema,
  ProveRequestSchema,
} from '../../src/inference/gen/zklora_pb.js';
import { contributorMethods } from '../../src/inference/grpcMethods.js';
import { MAX_OPEN_SESSIONS, MAX_PROOF_BYTES } from '../../src/inference/limits.js';
import { checkClosing, openSessionRecord } from '../../src/inference/record.js';
import { RpcChannel } from '../../src/inference/rpc.js';
import { serveContributor } from '../../src/inference/service.js';
import {
  closingMessage,
  isSignedBy,
  keyPairFromSeed,
  openingMessage,
  sign,
} from '../../src/inference/signatures.js';
import { toBytes } from '../../src/littleEndian.js';
import { sessionDigest } from '../../src/protocol/sessionPass.js';
import { temporaryFolder } from './fixtures.js';
import {
  CONTRIBUTOR,
  commitTo,
  INPUTS,
  LOOPBACK,
  MODULES,
  openRequest,
  randomModule,
  randomRows,
  type Served,
  serve,
  sessionFolders,
  USER,
} from './parties.js';

const TIMEOUT = 30_000;

async function open(served: Served): Promise<RemoteSession> {
  const session = await served.client.openSession({
    commitment: served.commitment,
    user: USER,
    inputs: INPUTS,
  });
  onTestFinished(() => session.abandon());
  return session;
}

/** One whole call: the shared input in stage 0, the other one in stage 1. */
async function ask(session: RemoteSession, call: number, tokens = 3) {
  const rows = [randomRows(tokens, 4, call), randomRows(tokens, 5, call + 100)] as const;
  const first = await session.apply(call, 0, tokens, [{ input: 0, rows: rows[0] }]);
  const second = await session.apply(call, 1, tokens, [{ input: 1, rows: rows[1] }]);
  return { rows, answers: new Map([...first, ...second]) };
}

async function contributorFolder(dir: string): Promise<string> {
  return (await sessionFolders(join(dir, 'contributor')))[0]!;
}

async function closeOnce(session: RemoteSession, dir: string): Promise<void> {
  await ask(session, 0);
  const record = await openSessionRecord(await contributorFolder(dir));
  await session.finish(1, await sessionDigest(record, MODULES));
}

const refused = (contributorCode: string, status: string, message = /./) =>
  expect.objectContaining({
    code: 'CONTRIBUTOR_REFUSED',
    message: expect.stringMatching(message),
    details: { contributorCode, status },
  });

describe('a session over gRPC', () => {
  it('shows the commitment it serves', async () => {
    const served = await serve({ dir: await temporaryFolder() });
    expect(parseAdapterCommitment(await served.client.describe())).toEqual(served.commitment);
  });

  it('answers with exact integers, records, closes and proves', async () => {
    const dir = await temporaryFolder();
    const proof = Uint8Array.from({ length: 200_000 }, (_, i) => i);
    const proven: number[] = [];
    const served = await serve({
      dir,
      prove: async (session, onProgress) => {
        onProgress({ step: 'first \u001b[31m', done: 1, total: 2 });
        proven.push(session.callCount);
        return proof;
      },
    });
    const session = await open(served);
    expect(session.header).toMatchObject({ adapterId: adapterId(served.commitment), inputs: INPUTS });
    for (const call of [0, 1]) {
      const { rows, answers } = await ask(session, call);
      expect([...answers.keys()].sort()).toEqual([0, 1, 2]);
      for (const [module, values] of answers) {
        expect(values).toEqual(applyExact(MODULES[module]!, rows[module === 1 ? 1 : 0].x, 3));
      }
    }
    const folder = await contributorFolder(dir);
    const open1 = await openSessionRecord(folder);
    expect(open1.header).toEqual(session.header);
    expect(open1.callCount).toBe(2);
    const digest = await sessionDigest(open1, MODULES);
    const signatures = await session.finish(2, digest);
    expect(isSignedBy(signatures.contributor, closingMessage(digest), CONTRIBUTOR.publicKey)).toBe(true);
    // Asking again gives the same answer.
    expect(await session.finish(2, digest)).toEqual(signatures);
    const closed = await openSessionRecord(folder);
    expect(await checkClosing(closed, MODULES)).toEqual(digest);
    expect(closed.closing?.userSignature).toBe(bytesToHex(signatures.user));

    const progress: unknown[] = [];
    const received = await session.prove((event) => progress.push(event));
    expect(Buffer.from(received).equals(proof)).toBe(true);
    expect(progress).toEqual([{ step: 'first ?[31m', done: 1, total: 2 }]);
    expect(proven).toEqual([2]);
    expect(served.events.filter(({ error }) => error !== undefined)).toEqual([]);
  });

  it('keeps sessions apart', async () => {
    const dir = await temporaryFolder();
    const served = await serve({ dir });
    const [one, two] = [await open(served), await open(served)];
    expect(one.header.nonce).not.toBe(two.header.nonce);
    await Promise.all([ask(one, 0), ask(two, 0, 5)]);
    await ask(one, 1);
    const counts = await Promise.all(
      (await sessionFolders(join(dir, 'contributor'))).map(
        async (folder) => (await openSessionRecord(folder)).callCount,
      ),
    );
    expect(counts.sort()).toEqual([1, 2]);
  });

  it('breaks off when an answered stage is asked again with other rows', async () => {
    const dir = await temporaryFolder();
    const session = await open(await serve({ dir }));
    await session.apply(0, 0, 2, [{ input: 0, rows: randomRows(2, 4, 77) }]);
    const brokenOff = refused('SESSION_MISMATCH', 'FAILED_PRECONDITION', /broken off/);
    await expect(session.apply(0, 0, 2, [{ input: 0, rows: randomRows(2, 4, 78) }])).rejects.toEqual(
      brokenOff,
    );
    await expect(ask(session, 0)).rejects.toEqual(brokenOff);
    const folder = await contributorFolder(dir);
    const { header } = await openSessionRecord(folder);
    expect([...answeredRows(header, await readAnswered(folder, header))]).toEqual([
      [0, 2],
      [2, 2],
    ]);
  });

  it('answers the same question again on a new stream', async () => {
    const dir = await temporaryFolder();
    const session = await open(await serve({ dir }));
    const { answers } = await ask(session, 0);
    session.abandon();
    // The stream that was cut is noticed once; then the last call is asked again, and the next one.
    const rows = randomRows(3, 5, 100);
    await session.apply(0, 1, 3, [{ input: 1, rows }]).catch(() => undefined);
    expect(await session.apply(0, 1, 3, [{ input: 1, rows }])).toEqual(new Map([[1, answers.get(1)]]));
    await ask(session, 1);
    expect((await openSessionRecord(await contributorFolder(dir))).callCount).toBe(2);
  });

  it('records nothing before the call is whole', async () => {
    const dir = await temporaryFolder();
    const session = await open(await serve({ dir }));
    await session.apply(0, 0, 2, [{ input: 0, rows: randomRows(2, 4) }]);
    expect((await openSessionRecord(await contributorFolder(dir))).callCount).toBe(0);
  });
});

/** Requests that the client itself would not send. */
async function raw(served: Served, groups: readonly (readonly number[])[] = INPUTS) {
  const channel = new RpcChannel(served.server.address);
  onTestFinished(() => channel.close());
  const { inputs, ...fields } = openRequest(served.commitment, { inputs: groups });
  const request = create(OpenSessionRequestSchema, {
    ...fields,
    inputs: inputs.map((modules) => ({ modules: [...modules] })),
  });
  return { channel, request };
}

describe('refusals', () => {
  it('refuses sessions that do not fit the adapter', async () => {
    const dir = await temporaryFolder();
    const served = await serve({ dir });
    const { channel, request } = await raw(served);
    const cases: [Partial<typeof request>, ReturnType<typeof refused>][] = [
      [{ adapterId: new Uint8Array(32) }, refused('SESSION_MISMATCH', 'NOT_FOUND', /another adapter/)],
      [{ userKey: new Uint8Array(31) }, refused('SESSION_MALFORMED', 'INVALID_ARGUMENT')],
      [{ nonce: new Uint8Array() }, refused('SESSION_MALFORMED', 'INVALID_ARGUMENT')],
      [{ seed: new Uint8Array(31) }, refused('SESSION_MALFORMED', 'INVALID_ARGUMENT')],
      [{ inputs: [] }, refused('SESSION_MALFORMED', 'INVALID_ARGUMENT')],
      [
        { inputs: [create(InputGroupSchema, { modules: [3] })] },
        refused('SESSION_MALFORMED', 'INVALID_ARGUMENT'),
      ],
      [
        { inputs: [create(InputGroupSchema, { modules: [] })] },
        refused('SESSION_MALFORMED', 'INVALID_ARGUMENT'),
      ],
      [
        { inputs: [create(InputGroupSchema, { modules: [0, 1] })] },
        refused('SESSION_MALFORMED', 'INVALID_ARGUMENT', /width/),
      ],
      [
        { inputs: [create(InputGroupSchema, { modules: [2, 0] })] },
        refused('SESSION_MALFORMED', 'INVALID_ARGUMENT'),
      ],
      [{ userSignature: new Uint8Array() }, refused('SESSION_MISMATCH', 'INVALID_ARGUMENT', /signature/)],
      [{ nonce: new Uint8Array(32) }, refused('SESSION_MISMATCH', 'INVALID_ARGUMENT', /signature/)],
      [{ seed: new Uint8Array(32) }, refused('SESSION_MISMATCH', 'INVALID_ARGUMENT', /signature/)],
    ];
    for (const [change, expected] of cases) {
      const changed = create(OpenSessionRequestSchema, { ...request, ...change });
      await expect(channel.unary(contributorMethods.openSession, changed, TIMEOUT)).rejects.toEqual(expected);
    }
    expect(await sessionFolders(join(dir, 'contributor'))).toEqual([]);
  });

  it('refuses more sessions than the limit', async () => {
    const served = await serve({
      dir: await temporaryFolder(),
      serving: { sessionsPerUser: MAX_OPEN_SESSIONS },
    });
    const { channel, request } = await raw(served);
    for (let i = 0; i < MAX_OPEN_SESSIONS; i += 1) {
      await channel.unary(contributorMethods.openSession, request, TIMEOUT);
    }
    await expect(channel.unary(contributorMethods.openSession, request, TIMEOUT)).rejects.toEqual(
      refused('SESSION_MISMATCH', 'RESOURCE_EXHAUSTED', /too many/),
    );
  });

  it('refuses stages out of order, of the wrong size or out of range, and computes nothing', async () => {
    const dir = await temporaryFolder();
    const served = await serve({ dir });
    const { channel, request } = await raw(served);
    const { sessionId } = await channel.unary(contributorMethods.openSession, request, TIMEOUT);
    const rows = (input: number, tokens = 2) => {
      const { x, exponents } = randomRows(tokens, input === 0 ? 4 : 5);
      return { input, rows: toBytes(x), exponents: toBytes(exponents) };
    };
    const good = { sessionId, call: 0, stage: 0, tokens: 2, inputs: [rows(0)] };
    const order = refused('SESSION_MISMATCH', 'FAILED_PRECONDITION');
    const shape = refused('SESSION_MALFORMED', 'INVALID_ARGUMENT');
    const wide = Int16Array.of(0, 513);
    const cases: [object, ReturnType<typeof refused>][] = [
      [{ sessionId: new Uint8Array(16) }, refused('SESSION_MISMATCH', 'NOT_FOUND')],
      [{ sessionId: new Uint8Array() }, refused('SESSION_MISMATCH', 'NOT_FOUND')],
      [{ call: 1 }, order],
      [{ stage: 1 }, order],
      [{ tokens: 0 }, shape],
      [{ tokens: 32_769 }, shape],
      [{ tokens: 3 }, shape],
      [{ inputs: [] }, shape],
      [{ inputs: [{ ...rows(0), input: 2 }] }, shape],
      [{ inputs: [rows(0), rows(0)] }, shape],
      [{ inputs: [rows(1), rows(0)] }, shape],
      [{ inputs: [{ ...rows(0), rows: new Uint8Array(15) }] }, shape],
      [{ inputs: [{ ...rows(0), exponents: new Uint8Array(2) }] }, shape],
      [{ inputs: [{ ...rows(0), exponents: toBytes(wide) }] }, shape],
      [{ inputs: [{ ...rows(0), exponents: toBytes(wide.map((e) => -e)) }] }, shape],
    ];
    for (const [change, expected] of cases) {
      const exchange = channel.exchange(contributorMethods.apply);
      const question = create(ApplyRequestSchema, { ...good, ...change });
      await expect(exchange.ask(question, TIMEOUT)).rejects.toEqual(expected);
    }
    // After a first stage: the same input again, another token count, a stage left out.
    const after: [object, ReturnType<typeof refused>][] = [
      [{ stage: 1 }, shape],
      [{ stage: 1, tokens: 1, inputs: [rows(1, 1)] }, order],
      [{ stage: 2, inputs: [rows(1)] }, order],
    ];
    for (const [change, expected] of after) {
      const exchange = channel.exchange(contributorMethods.apply);
      await exchange.ask(create(ApplyRequestSchema, good), TIMEOUT);
      const question = create(ApplyRequestSchema, { ...good, ...change });
      await expect(exchange.ask(question, TIMEOUT)).rejects.toEqual(expected);
    }
    expect((await openSessionRecord(await contributorFolder(dir))).callCount).toBe(0);
  });

  it('refuses deltas that would not fit a message before computing them', async () => {
    const modules = [randomModule('wide', 1, 2 ** 14, 1)];
    const served = await serve({ dir: await temporaryFolder(), modules });
    const session = await served.client.openSession({
      commitment: served.commitment,
      user: USER,
      inputs: [[0]],
    });
    const rows = randomRows(1024, 1);
    // The client does not even ask.
    await expect(session.apply(0, 0, 1024, [{ input: 0, rows }])).rejects.toMatchObject({ code: 'USAGE' });
    const { channel, request } = await raw(served, [[0]]);
    const { sessionId } = await channel.unary(contributorMethods.openSession, request, TIMEOUT);
    const exchange = channel.exchange(contributorMethods.apply);
    const inputs = [{ input: 0, rows: toBytes(rows.x), exponents: toBytes(rows.exponents) }];
    await expect(
      exchange.ask(create(ApplyRequestSchema, { sessionId, tokens: 1024, inputs }), TIMEOUT),
    ).rejects.toEqual(refused('SESSION_MALFORMED', 'RESOURCE_EXHAUSTED', /message limit/));
  });

  it('refuses a close that differs from its own record or is not signed', async () => {
    const dir = await temporaryFolder();
    const served = await serve({ dir });
    const { channel, request } = await raw(served);
    const { sessionId } = await channel.unary(contributorMethods.openSession, request, TIMEOUT);
    const close = (calls: number, digest: Uint8Array, key = USER) =>
      channel.unary(
        contributorMethods.closeSession,
        create(CloseSessionRequestSchema, {
          sessionId,
          calls,
          digest,
          userSignature: sign(closingMessage(digest), key.secretKey),
        }),
        TIMEOUT,
      );
    await expect(close(0, new Uint8Array(32))).rejects.toEqual(
      refused('SESSION_MISMATCH', 'FAILED_PRECONDITION', /no call/),
    );
    const exchange = channel.exchange(contributorMethods.apply);
    const inputs = [4, 5].map((features, input) => {
      const { x, exponents } = randomRows(1, features);
      return { input, rows: toBytes(x), exponents: toBytes(exponents) };
    });
    await exchange.ask(create(ApplyRequestSchema, { sessionId, tokens: 1, inputs }), TIMEOUT);
    exchange.end();
    const digest = await sessionDigest(await openSessionRecord(await contributorFolder(dir)), MODULES);
    const differs = refused('SESSION_MISMATCH', 'FAILED_PRECONDITION', /differs/);
    await expect(
      close(
        1,
        digest.map((byte) => byte ^ 1),
      ),
    ).rejects.toEqual(differs);
    await expect(close(2, digest)).rejects.toEqual(differs);
    await expect(close(1, digest, CONTRIBUTOR)).rejects.toEqual(
      refused('SESSION_MISMATCH', 'INVALID_ARGUMENT', /signature/),
    );
    await close(1, digest);
    const more = channel.exchange(contributorMethods.apply);
    await expect(
      more.ask(create(ApplyRequestSchema, { sessionId, call: 1, tokens: 1, inputs }), TIMEOUT),
    ).rejects.toEqual(refused('SESSION_MISMATCH', 'FAILED_PRECONDITION', /closed/));
  });

  it('proves closed sessions only, one at a time', async () => {
    const dir = await temporaryFolder();
    let release: () => void = () => undefined;
    let started: () => void = () => undefined;
    const running = new Promise<void>((resolve) => {
      started = resolve;
    });
    const served = await serve({
      dir,
      prove: async () => {
        started();
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        return Uint8Array.of(7);
      },
    });
    const session = await open(served);
    await expect(session.prove()).rejects.toEqual(
      refused('SESSION_MISMATCH', 'FAILED_PRECONDITION', /close the session/),
    );
    await closeOnce(session, dir);
    const proof = session.prove();
    await running;
    const joined = session.prove();
    release();
    expect([...(await proof)]).toEqual([7]);
    expect([...(await joined)]).toEqual([7]);
    const { channel } = await raw(served);
    const stream = channel.serverStream(contributorMethods.prove, create(ProveRequestSchema), TIMEOUT);
    const error = await new Promise((resolve) => stream.on('error', resolve).resume());
    expect(channel.translate(error)).toEqual(refused('SESSION_MISMATCH', 'NOT_FOUND'));
  });

  it('tells the prover when nobody waits for the proof any more', async () => {
    const dir = await temporaryFolder();
    let ended: (reason: unknown) => void = () => undefined;
    const aborted = new Promise((resolve) => {
      ended = resolve;
    });
    const served = await serve({
      dir,
      prove: async (_session, onProgress, signal) => {
        const wanted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        onProgress({ step: 'begun', done: 0, total: 1 });
        await wanted;
        ended(signal.aborted);
        throw signal.reason;
      },
    });
    const session = await open(served);
    await closeOnce(session, dir);
    const { channel } = await raw(served);
    const request = create(ProveRequestSchema, { sessionId: hexToBytes(session.id) });
    const stream = channel.serverStream(contributorMethods.prove, request, TIMEOUT);
    stream.on('error', () => undefined).once('data', () => stream.cancel());
    expect(await aborted).toBe(true);
  });

  it('goes on with a proof that was started, until it is cancelled', async () => {
    const dir = await temporaryFolder();
    let runs = 0;
    const served = await serve({
      dir,
      prove: async (_session, onProgress, signal) => {
        runs += 1;
        onProgress({ step: 'begun', done: 0, total: 1 });
        if (runs === 1) await new Promise((resolve) => signal.addEventListener('abort', resolve));
        signal.throwIfAborted();
        return Uint8Array.of(6);
      },
    });
    const session = await open(served);
    await expect(session.startProof()).rejects.toEqual(
      refused('SESSION_MISMATCH', 'FAILED_PRECONDITION', /close the session/),
    );
    await closeOnce(session, dir);
    const states: string[] = [];
    await session.watchProof(({ state }) => states.push(state));
    expect(states).toEqual(['none']);
    // A listener that fails ends its own stream only.
    const proof = session.prove(() => {
      throw new Error('nobody listens');
    });
    await expect(proof).rejects.toThrow('nobody listens');
    expect(await session.startProof()).toBe('running');
    const watched = session.watchProof(({ state }) => states.push(state));
    const waiting = expect(session.prove()).rejects.toEqual(
      refused('SESSION_MISMATCH', 'FAILED_PRECONDITION', /called off/),
    );
    await expect.poll(() => states).toContain('running');
    expect(await session.cancelProof()).toBe('cancelled');
    expect(await watched).toBe('cancelled');
    await waiting;
    expect(states.filter((state, i) => state !== states[i - 1])).toEqual(['none', 'running', 'cancelled']);
    expect([...(await session.prove())]).toEqual([6]);
    expect(await session.cancelProof()).toBe('done');
    expect([...(await session.prove())]).toEqual([6]);
    expect(runs).toBe(2);
  });

  it('survives a log that fails', async () => {
    const dir = await temporaryFolder();
    const commitment = commitTo(MODULES);
    const server = await serveContributor({
      commitment,
      modules: MODULES,
      secretKey: CONTRIBUTOR.secretKey,
      sessionsDir: join(dir, 'contributor'),
      prove: async () => Uint8Array.of(4),
      address: LOOPBACK,
      onEvent: () => {
        throw new Error('the disk of the log is full');
      },
    });
    onTestFinished(() => server.close());
    const client = await connectContributor({ address: server.address });
    onTestFinished(() => client.close());
    expect(parseAdapterCommitment(await client.describe())).toEqual(commitment);
    await expect(
      client.openSession({ commitment: commitTo(MODULES.slice(1)), user: USER, inputs: [[0]] }),
    ).rejects.toEqual(refused('SESSION_MISMATCH', 'NOT_FOUND'));
    const session = await client.openSession({ commitment, user: USER, inputs: INPUTS });
    await closeOnce(session, dir);
    expect([...(await session.prove())]).toEqual([4]);
  });

  it('says nothing about what went wrong inside', async () => {
    const dir = await temporaryFolder();
    const served = await serve({
      dir,
      prove: async () => {
        throw new Error('weight 42 of module m.0');
      },
    });
    const session = await open(served);
    await closeOnce(session, dir);
    const failed = session.prove();
    await expect(failed).rejects.toEqual(
      refused('INTERNAL', 'INTERNAL', /^the contributor refused: the contributor cannot answer$/),
    );
    await expect(failed).rejects.not.toThrow(/42/);
    expect(served.events.at(-1)).toMatchObject({
      method: 'prove',
      error: { message: 'weight 42 of module m.0' },
    });
  });

  it('survives requests that are no messages', async () => {
    const dir = await temporaryFolder();
    const served = await serve({ dir });
    const { channel } = await raw(served);
    const asBytes = <O>(method: { path: string; responseDeserialize: (bytes: Buffer) => O }) => ({
      ...(method as unknown as MethodDefinition<Uint8Array, O>),
      requestSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
    });
    const methods = contributorMethods;
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 64 }), async (bytes) => {
        const settled = await Promise.allSettled([
          channel.unary(asBytes(methods.openSession), bytes, TIMEOUT),
          channel.unary(asBytes(methods.closeSession), bytes, TIMEOUT),
          channel.exchange(asBytes(methods.apply)).ask(bytes, TIMEOUT),
          new Promise((_, reject) => {
            channel.serverStream(asBytes(methods.prove), bytes, TIMEOUT).on('error', reject).resume();
          }),
        ]);
        expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected', 'rejected']);
      }),
      { numRuns: 50, seed: 1 },
    );
    const session = await open(served);
    await ask(session, 0);
    expect(await sessionFolders(join(dir, 'contributor'))).toHaveLength(1);
  });

  it('refuses a message beyond the limit', async () => {
    const served = await serve({ dir: await temporaryFolder() });
    const { channel, request } = await raw(served);
    const big = create(OpenSessionRequestSchema, { ...request, nonce: new Uint8Array(65 * 2 ** 20) });
    await expect(channel.unary(contributorMethods.openSession, big, TIMEOUT)).rejects.toMatchObject({
      code: 'CONTRIBUTOR_REFUSED',
      details: { status: 'RESOURCE_EXHAUSTED' },
    });
  });
});

describe('serveContributor', () => {
  const base = {
    modules: MODULES,
    secretKey: CONTRIBUTOR.secretKey,
    prove: async () => new Uint8Array(),
    address: LOOPBACK,
  };
  const secretMismatch = expect.objectContaining({ code: 'SECRET_MISMATCH' });

  it('refuses weights or a key that were not committed to', async () => {
    const sessionsDir = await temporaryFolder();
    const commitment = commitTo(MODULES);
    const start = (change: object) => serveContributor({ ...base, commitment, sessionsDir, ...change });
    await expect(start({ secretKey: new Uint8Array(32).fill(3) })).rejects.toEqual(secretMismatch);
    await expect(start({ modules: MODULES.slice(1) })).rejects.toEqual(secretMismatch);
    await expect(start({ modules: [MODULES[1], MODULES[0], MODULES[2]] })).rejects.toEqual(secretMismatch);
    await expect(start({ modules: [{ ...MODULES[0], scaling: 3 }, ...MODULES.slice(1)] })).rejects.toEqual(
      secretMismatch,
    );
  });

  it('takes away what killed processes left of their calls, and nothing else', async () => {
    const dir = await temporaryFolder();
    const sessionsDir = join(dir, 'contributor');
    const [name, other] = ['0a'.repeat(16), 'notes'];
    const left = `.000003.safetensors.${'1f'.repeat(8)}.tmp`;
    const keep = ['000002.safetensors', '.000003.safetensors.tmp', `.notes.${'1f'.repeat(8)}.tmp`];
    for (const folder of [name, other]) {
      await mkdir(join(sessionsDir, folder, 'calls'), { recursive: true });
      for (const file of [left, ...keep]) await writeFile(join(sessionsDir, folder, 'calls', file), 'half');
    }
    const linked = '0b'.repeat(16);
    await mkdir(join(sessionsDir, linked));
    await symlink(join(sessionsDir, other, 'calls'), join(sessionsDir, linked, 'calls'));
    await serve({ dir });
    expect((await readdir(join(sessionsDir, name, 'calls'))).sort()).toEqual([...keep].sort());
    expect(await readdir(join(sessionsDir, other, 'calls'))).toContain(left);
  });

  it('stays on this machine and says when a port is taken', async () => {
    const dir = await temporaryFolder();
    const commitment = commitTo(MODULES);
    const start = (address: { host: string; port: number }) =>
      serveContributor({ ...base, commitment, sessionsDir: dir, address });
    await expect(start({ host: '0.0.0.0', port: 0 })).rejects.toMatchObject({ code: 'USAGE' });
    const { server } = await serve({ dir });
    const printed = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    onTestFinished(() => printed.mockRestore());
    await expect(start(server.address)).rejects.toMatchObject({
      code: 'CONTRIBUTOR_UNREACHABLE',
      message: expect.stringMatching(/another port/),
    });
    expect(printed).not.toHaveBeenCalled();
  });
});

describe('connectContributor', () => {
  it('says that nobody answers', async () => {
    const { server } = await serve({ dir: await temporaryFolder() });
    await server.close();
    await expect(
      connectContributor({ address: server.address, timeouts: { connect: 300 } }),
    ).rejects.toMatchObject({
      code: 'CONTRIBUTOR_UNREACHABLE',
      message: expect.stringMatching(/is it running there\?$/),
    });
    await expect(connectContributor({ address: { host: '192.0.2.1', port: 1 } })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });

  it("does not take somebody else's contributor for the pinned one", async () => {
    const dir = await temporaryFolder();
    const served = await serve({ dir });
    const thief = keyPairFromSeed(new Uint8Array(32).fill(8));
    const pinned = commitTo(MODULES, undefined, thief);
    // Another adapter id is refused by the contributor; the same id with another key cannot be had.
    await expect(
      served.client.openSession({ commitment: pinned, user: USER, inputs: INPUTS }),
    ).rejects.toEqual(refused('SESSION_MISMATCH', 'NOT_FOUND'));
    const { channel, request } = await raw(served);
    const { contributorSignature } = await channel.unary(contributorMethods.openSession, request, TIMEOUT);
    const folder = await contributorFolder(dir);
    const header = JSON.parse(await readFile(join(folder, 'session.json'), 'utf8'));
    expect(isSignedBy(contributorSignature, openingMessage(header), CONTRIBUTOR.publicKey)).toBe(true);
    expect(
      isSignedBy(
        contributorSignature,
        openingMessage({ ...header, nonce: '00'.repeat(32) }),
        CONTRIBUTOR.publicKey,
      ),
    ).toBe(false);
  });

  it('refuses a proof larger than the limit', async () => {
    const dir = await temporaryFolder();
    const served = await serve({ dir, prove: async () => new Uint8Array(MAX_PROOF_BYTES + 1) });
    const session = await open(served);
    await closeOnce(session, dir);
    await expect(session.prove()).rejects.toMatchObject({ code: 'CONTRIBUTOR_REFUSED' });
  });
});
