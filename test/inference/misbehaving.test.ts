import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { adapterId } from '../../src/adapter/commitment.js';
import { bytesToHex } from '../../src/bytes.js';
import { connectContributor, type Timeouts } from '../../src/inference/client.js';
import {
  type ApplyRequest,
  type ApplyResponse,
  ApplyResponseSchema,
  type CloseSessionRequest,
  type CloseSessionResponse,
  CloseSessionResponseSchema,
  type OpenSessionRequest,
  type OpenSessionResponse,
  OpenSessionResponseSchema,
  type ProveRequest,
  type ProveResponse,
  ProveResponseSchema,
} from '../../src/inference/gen/zklora_pb.js';
import { contributorMethods } from '../../src/inference/grpcMethods.js';
import { MAX_PROOF_BYTES, MAX_PROOF_MESSAGES } from '../../src/inference/limits.js';
import {
  closingMessage,
  type KeyPair,
  keyPairFromSeed,
  openingMessage,
  sign,
} from '../../src/inference/signatures.js';
import { CONTRIBUTOR, commitTo, INPUTS, MODULES, randomRows, USER } from './parties.js';

const COMMITMENT = commitTo(MODULES);
const IMPOSTOR = keyPairFromSeed(new Uint8Array(32).fill(66));

interface Behaviour {
  readonly openKey?: KeyPair;
  readonly closeKey?: KeyPair;
  readonly answer?: (request: ApplyRequest) => MessageInitShape<typeof ApplyResponseSchema>[];
  readonly prove?: (stream: ServerWritableStream<ProveRequest, ProveResponse>) => void;
  readonly methods?: typeof contributorMethods;
}

/** A server that keeps to proto/zklora.proto, but not to its meaning. */
async function misbehave(behaviour: Behaviour) {
  const server = new Server();
  server.addService(behaviour.methods ?? contributorMethods, {
    describe: () => undefined,
    openSession: (
      { request }: ServerUnaryCall<OpenSessionRequest, OpenSessionResponse>,
      done: sendUnaryData<OpenSessionResponse>,
    ) => {
      const message = openingMessage({
        format: 'zklora/session/v1',
        adapterId: adapterId(COMMITMENT),
        contributorKey: COMMITMENT.contributorKey,
        userKey: bytesToHex(request.userKey),
        nonce: bytesToHex(request.nonce),
        inputs: INPUTS,
      });
      const contributorSignature = sign(message, (behaviour.openKey ?? CONTRIBUTOR).secretKey);
      done(null, create(OpenSessionResponseSchema, { sessionId: new Uint8Array(16), contributorSignature }));
    },
    apply: (stream: ServerDuplexStream<ApplyRequest, ApplyResponse>) => {
      stream.on('data', (request: ApplyRequest) => {
        for (const answer of behaviour.answer?.(request) ?? [])
          stream.write(create(ApplyResponseSchema, answer));
      });
      stream.on('end', () => stream.end());
    },
    closeSession: (
      { request }: ServerUnaryCall<CloseSessionRequest, CloseSessionResponse>,
      done: sendUnaryData<CloseSessionResponse>,
    ) => {
      const contributorSignature = sign(
        closingMessage(request.digest),
        (behaviour.closeKey ?? CONTRIBUTOR).secretKey,
      );
      done(null, create(CloseSessionResponseSchema, { contributorSignature }));
    },
    prove: (stream: ServerWritableStream<ProveRequest, ProveResponse>) => behaviour.prove?.(stream),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  onTestFinished(() => server.forceShutdown());
  return { host: '127.0.0.1', port };
}

async function openWith(behaviour: Behaviour, timeouts: Partial<Timeouts> = {}) {
  const client = await connectContributor({ address: await misbehave(behaviour), timeouts });
  onTestFinished(() => client.close());
  return client.openSession({ commitment: COMMITMENT, user: USER, inputs: INPUTS });
}

const TOKENS = 2;
const delta = (module: number, value = 0n) => ({
  module,
  values: new Uint8Array(new BigInt64Array(TOKENS * MODULES[module]!.outFeatures).fill(value).buffer),
});

describe('a contributor that does not hold the key', () => {
  it('is noticed at the opening', async () => {
    await expect(openWith({ openKey: IMPOSTOR })).rejects.toMatchObject({
      code: 'SESSION_MISMATCH',
      message: expect.stringMatching(/does not hold the key of the pinned adapter commitment/),
    });
  });

  it('is noticed at the closing', async () => {
    const session = await openWith({ closeKey: IMPOSTOR });
    await expect(session.finish(1, new Uint8Array(32))).rejects.toMatchObject({ code: 'SESSION_MISMATCH' });
  });
});

describe('an answer that was not asked for', () => {
  const good = { call: 0, stage: 0, deltas: [delta(0), delta(2)] };
  it.each([
    ['of another call', { ...good, call: 1 }, 'SESSION_MISMATCH'],
    ['of another stage', { ...good, stage: 1 }, 'SESSION_MISMATCH'],
    ['without a module', { ...good, deltas: [delta(0)] }, 'SESSION_MISMATCH'],
    ['with another module', { ...good, deltas: [delta(0), delta(1)] }, 'SESSION_MISMATCH'],
    ['with a module twice', { ...good, deltas: [delta(0), delta(0)] }, 'SESSION_MISMATCH'],
    ['in another order', { ...good, deltas: [delta(2), delta(0)] }, 'SESSION_MISMATCH'],
    [
      'too short',
      { ...good, deltas: [delta(0), { module: 2, values: new Uint8Array(8) }] },
      'SESSION_MALFORMED',
    ],
    ['with -2^63', { ...good, deltas: [delta(0), delta(2, -(2n ** 63n))] }, 'SESSION_MALFORMED'],
  ])('is refused: %s', async (_, answer, code) => {
    const session = await openWith({ answer: () => [answer] });
    const rows = randomRows(TOKENS, 4);
    await expect(session.apply(0, 0, TOKENS, [{ input: 0, rows }])).rejects.toMatchObject({ code });
  });

  it('ends the stream: two answers to one question', async () => {
    const session = await openWith({ answer: () => [good, good] });
    const rows = randomRows(TOKENS, 4);
    await session.apply(0, 0, TOKENS, [{ input: 0, rows }]);
    const second = session.apply(0, 1, TOKENS, [{ input: 1, rows: randomRows(TOKENS, 5) }]);
    await expect(second).rejects.toMatchObject({ code: 'SESSION_MISMATCH' });
  });

  it('is refused: not of this protocol', async () => {
    const garbage = { ...contributorMethods.apply, responseSerialize: () => Buffer.from([0xff, 0xff, 0xff]) };
    const session = await openWith({
      answer: () => [good],
      methods: { ...contributorMethods, apply: garbage },
    });
    await expect(
      session.apply(0, 0, TOKENS, [{ input: 0, rows: randomRows(TOKENS, 4) }]),
    ).rejects.toMatchObject({
      code: 'CONTRIBUTOR_REFUSED',
      message: 'the contributor speaks another protocol',
    });
  });
});

describe('a contributor that falls silent', () => {
  it('is given up after the timeout', async () => {
    const session = await openWith({ answer: () => [] }, { answer: 200 });
    await expect(
      session.apply(0, 0, TOKENS, [{ input: 0, rows: randomRows(TOKENS, 4) }]),
    ).rejects.toMatchObject({
      code: 'CONTRIBUTOR_UNREACHABLE',
    });
    const client = await connectContributor({ address: await misbehave({}), timeouts: { answer: 200 } });
    onTestFinished(() => client.close());
    await expect(client.describe()).rejects.toMatchObject({ code: 'CONTRIBUTOR_UNREACHABLE' });
  });
});

describe('a proof', () => {
  it('beyond the limit is cut off', async () => {
    const session = await openWith({
      prove: (stream) => {
        const value = new Uint8Array(MAX_PROOF_BYTES / 4);
        for (let i = 0; i < 5; i += 1)
          stream.write(create(ProveResponseSchema, { event: { case: 'chunk', value } }));
        stream.end();
      },
    });
    await expect(session.prove()).rejects.toMatchObject({ code: 'PROOF_MALFORMED' });
  });

  it('without an end is cut off: empty parts', async () => {
    const session = await openWith({
      prove: (stream) => {
        stream.write(create(ProveResponseSchema, { event: { case: 'chunk', value: new Uint8Array() } }));
      },
    });
    await expect(session.prove()).rejects.toMatchObject({ code: 'PROOF_MALFORMED' });
  });

  it.each([
    ['progress', { event: { case: 'progress', value: { step: 'on', done: 1, total: 2 } } }],
    ['nothing', {}],
  ] as const)('without an end is cut off: %s', async (_, message) => {
    const session = await openWith({
      prove: (stream) => {
        for (let i = 0; i <= MAX_PROOF_MESSAGES; i += 1) stream.write(create(ProveResponseSchema, message));
      },
    });
    await expect(session.prove()).rejects.toMatchObject({
      code: 'PROOF_MALFORMED',
      message: expect.stringMatching(/messages$/),
    });
  });

  it('is called off when the listener fails', async () => {
    const cancelled = new Promise<void>((resolve) => {
      void openWith({
        prove: (stream) => {
          stream.on('cancelled', () => resolve());
          stream.write(create(ProveResponseSchema, { event: { case: 'progress', value: { step: 'on' } } }));
        },
      }).then(async (session) => {
        const failing = session.prove(() => {
          throw new Error('listener');
        });
        await expect(failing).rejects.toThrow('listener');
      });
    });
    await cancelled;
  });

  it('may come with messages that say nothing', async () => {
    const session = await openWith({
      prove: (stream) => {
        stream.write(create(ProveResponseSchema));
        stream.write(create(ProveResponseSchema, { event: { case: 'chunk', value: Uint8Array.of(5) } }));
        stream.end();
      },
    });
    expect([...(await session.prove())]).toEqual([5]);
  });
});
