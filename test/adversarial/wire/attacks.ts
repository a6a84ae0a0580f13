import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type ApplyRequest,
  ApplyRequestSchema,
  ApplyResponseSchema,
  CloseSessionRequestSchema,
  OpenSessionRequestSchema,
  OpenSessionResponseSchema,
  ProveRequestSchema,
} from '../../../src/inference/gen/zklora_pb.js';
import { toBytes } from '../../../src/littleEndian.js';
import { INPUTS, MODULES, openRequest, randomRows } from '../../inference/parties.js';
import {
  call,
  data,
  FLAG,
  FRAME,
  frame,
  grpcMessage,
  headerBlock,
  PREFACE,
  RawConnection,
  reset,
  settings,
  windowUpdate,
} from '../../support/http2Frames.js';

/** A session of the attacker, and the stage that comes next in it. */
interface AttackerSession {
  readonly id: Uint8Array;
  call: number;
  stage: number;
}

/** What an attack works with. */
export interface Attack {
  readonly port: number;
  /** In [0, 1). */
  readonly next: () => number;
  readonly commitment: Parameters<typeof openRequest>[0];
  /** Sessions of the attacker that may be used again. */
  readonly sessions: AttackerSession[];
  /** Checks an answer to a stage that the attacker asked for. */
  readonly onAnswer: (request: ApplyRequest, answer: Uint8Array) => void;
}

const SERVICE = '/zklora.v1.Contributor';
const METHODS = ['Describe', 'OpenSession', 'Apply', 'CloseSession', 'Prove'].map(
  (name) => `${SERVICE}/${name}`,
);
const PATHS = [
  ...METHODS,
  '/grpc.health.v1.Health/Check',
  '/grpc.health.v1.Health/Watch',
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  `${SERVICE}/Nothing`,
  '/',
];
const MAX_SESSIONS = 12;
const TOKENS = 2;

const below = ({ next }: Attack, n: number) => Math.floor(next() * n);
const pick = <T>(attack: Attack, from: readonly T[]): T => from[below(attack, from.length)]!;
const bytes = (attack: Attack, n: number) =>
  Buffer.from(Uint8Array.from({ length: n }, () => below(attack, 256)));

/** Some bytes changed, left out, doubled or cut off. */
function mutate(attack: Attack, original: Uint8Array): Buffer {
  let mutant = Buffer.from(original);
  for (let edits = 1 + below(attack, 4); edits > 0; edits -= 1) {
    const at = below(attack, mutant.length + 1);
    const length = below(attack, 1 + Math.min(16, mutant.length - at));
    const [head, part, tail] = [
      mutant.subarray(0, at),
      mutant.subarray(at, at + length),
      mutant.subarray(at + length),
    ];
    const middle = pick(attack, [
      Buffer.alloc(0),
      bytes(attack, length),
      Buffer.concat([part, part]),
      Buffer.alloc(length, 255),
    ]);
    mutant = Buffer.concat(attack.next() < 0.1 ? [head] : [head, middle, tail]);
  }
  return mutant;
}

/** The next stage of a session, or any other; all calls have as many tokens. */
function stage(attack: Attack, session: AttackerSession, isNext: boolean): ApplyRequest {
  const [callNumber, stageNumber] = isNext
    ? [session.call, session.stage]
    : [below(attack, session.call + 3), below(attack, 2)];
  const { x, exponents } = randomRows(TOKENS, stageNumber === 0 ? 4 : 5, below(attack, 1e6));
  const inputs = [{ input: stageNumber, rows: toBytes(x), exponents: toBytes(exponents) }];
  const place = { sessionId: session.id, call: callNumber, stage: stageNumber };
  return create(ApplyRequestSchema, { ...place, tokens: TOKENS, inputs });
}

function openBytes(attack: Attack): Uint8Array {
  const { inputs, ...fields } = openRequest(attack.commitment, { nonce: below(attack, 256) });
  return toBinary(
    OpenSessionRequestSchema,
    create(OpenSessionRequestSchema, {
      ...fields,
      inputs: inputs.map((modules) => ({ modules: [...modules] })),
    }),
  );
}

/** A message of a method as an honest client might send it. */
function validBytes(attack: Attack, path: string): Uint8Array {
  const session =
    attack.sessions.length > 0
      ? pick(attack, attack.sessions)
      : { id: new Uint8Array(16), call: 0, stage: 0 };
  const sessionId = session.id;
  switch (path) {
    case `${SERVICE}/OpenSession`:
      return openBytes(attack);
    case `${SERVICE}/Apply`:
      return toBinary(ApplyRequestSchema, stage(attack, session, false));
    case `${SERVICE}/CloseSession`: {
      const fields = { sessionId, calls: 1, digest: bytes(attack, 32), userSignature: bytes(attack, 64) };
      return toBinary(CloseSessionRequestSchema, create(CloseSessionRequestSchema, fields));
    }
    case `${SERVICE}/Prove`:
      return toBinary(ProveRequestSchema, create(ProveRequestSchema, { sessionId }));
    default:
      return bytes(attack, below(attack, 40));
  }
}

/** First message that came on a stream, without its prefix. */
async function answerOn(connection: RawConnection, stream: number): Promise<Buffer | undefined> {
  const end = ({ type, stream: on, flags }: { type: number; stream: number; flags: number }) =>
    on === stream && (type === FRAME.reset || (type !== FRAME.data ? (flags & FLAG.endStream) !== 0 : true));
  const found = await connection.find(end);
  if (found?.type !== FRAME.data) return undefined;
  await connection.settled();
  const parts = connection.frames.filter(({ type, stream: on }) => type === FRAME.data && on === stream);
  return Buffer.concat(parts.map(({ payload }) => payload)).subarray(5);
}

/** Opens a session of the attacker and keeps its name. */
async function openSession(attack: Attack, connection: RawConnection, stream: number): Promise<void> {
  connection.send(
    call(stream, `${SERVICE}/OpenSession`),
    data(stream, grpcMessage(openBytes(attack)), { end: true }),
  );
  const answer = await answerOn(connection, stream);
  if (answer !== undefined) {
    attack.sessions.push({ id: fromBinary(OpenSessionResponseSchema, answer).sessionId, call: 0, stage: 0 });
  }
}

/** Each works on a fresh connection; the caller gives up on those that hang. */
export const ATTACKS: Readonly<Record<string, (attack: Attack) => Promise<RawConnection>>> = {
  garbage: async (attack) => {
    const connection = await RawConnection.open(attack.port);
    connection.send(bytes(attack, below(attack, 400)));
    return connection;
  },

  frames: async (attack) => {
    const connection = await RawConnection.http2(attack.port);
    for (let i = below(attack, 30); i >= 0; i -= 1) {
      const payload = bytes(attack, below(attack, 60));
      connection.send(frame(below(attack, 12), below(attack, 256), below(attack, 8), payload));
    }
    return connection;
  },

  mutatedFrames: async (attack) => {
    const connection = await RawConnection.open(attack.port);
    const path = pick(attack, PATHS);
    const usual = [
      PREFACE,
      settings(),
      call(1, path),
      data(1, grpcMessage(validBytes(attack, path)), { end: true }),
    ];
    connection.send(mutate(attack, Buffer.concat(usual)));
    return connection;
  },

  mutatedMessages: async (attack) => {
    const connection = await RawConnection.http2(attack.port);
    for (let stream = 1; stream < 20; stream += 2) {
      const path = pick(attack, PATHS);
      const message = mutate(attack, validBytes(attack, path));
      connection.send(call(stream, path), data(stream, grpcMessage(message), { end: attack.next() < 0.8 }));
    }
    await connection.settled();
    return connection;
  },

  interleavedSessions: async (attack) => {
    const connection = await RawConnection.http2(attack.port);
    if (attack.sessions.length < MAX_SESSIONS) await openSession(attack, connection, 1);
    // several at once, mostly the next stage of each, some of them changed on the way
    const asked = new Map<number, { request: ApplyRequest; session: AttackerSession }>();
    for (const [i, session] of attack.sessions.entries()) {
      const stream = 3 + 2 * i;
      const message = toBinary(ApplyRequestSchema, stage(attack, session, true));
      const sent = attack.next() < 0.2 ? mutate(attack, message) : Buffer.from(message);
      try {
        asked.set(stream, { request: fromBinary(ApplyRequestSchema, sent), session });
      } catch {
        // no message: there can be no answer
      }
      connection.send(call(stream, `${SERVICE}/Apply`), data(stream, grpcMessage(sent), { end: true }));
    }
    for (const [stream, { request, session }] of asked) {
      const answer = await answerOn(connection, stream);
      if (answer === undefined) continue;
      attack.onAnswer(request, answer);
      session.call += session.stage;
      session.stage = 1 - session.stage;
    }
    return connection;
  },

  cutStreams: async (attack) => {
    const connection = await RawConnection.http2(attack.port);
    for (let stream = 1; stream < 30; stream += 2) {
      const path = pick(attack, METHODS);
      const message = grpcMessage(validBytes(attack, path));
      connection.send(
        call(stream, path),
        data(stream, message.subarray(0, below(attack, message.length + 1))),
      );
      if (attack.next() < 0.7) connection.send(reset(stream, below(attack, 14)));
    }
    if (attack.next() < 0.5) connection.destroy();
    return connection;
  },

  lyingLengths: async (attack) => {
    const connection = await RawConnection.http2(attack.port);
    for (let stream = 1; stream < 9; stream += 2) {
      const declared = pick(attack, [2 ** 32 - 1, 2 ** 31, 2 ** 26 + 1, 2 ** 26, 300_000, 6, 0]);
      const message = grpcMessage(bytes(attack, 40), declared, attack.next() < 0.2 ? 1 : 0);
      const filler = Buffer.alloc(below(attack, 100_000));
      connection.send(
        call(stream, pick(attack, METHODS)),
        data(stream, message),
        data(stream, filler),
        data(stream, message),
      );
    }
    await connection.settled();
    return connection;
  },

  metadataFlood: async (attack) => {
    const connection = await RawConnection.http2(attack.port);
    const count = below(attack, 400);
    const many = Array.from(
      { length: count },
      (_, i) => [`key-${i}`, 'v'.repeat(below(attack, 200))] as const,
    );
    connection.send(call(1, pick(attack, PATHS), many));
    const block = headerBlock([[':method', 'POST'], ...many]);
    connection.send(frame(FRAME.headers, 0, 3, block.subarray(0, 10)));
    for (let i = 0; i < 200; i += 1) connection.send(frame(FRAME.continuation, 0, 3, block.subarray(10, 60)));
    return connection;
  },

  slowReaders: async (attack) => {
    // a window of no bytes, or of very few
    const connection = await RawConnection.http2(attack.port, [4, below(attack, 3)]);
    for (let stream = 1; stream < 40; stream += 2) {
      connection.send(
        call(stream, `${SERVICE}/Describe`),
        data(stream, grpcMessage(Buffer.alloc(0)), { end: true }),
      );
    }
    await connection.settled();
    return connection;
  },

  tinyPieces: async (attack) => {
    const connection = await RawConnection.http2(attack.port);
    const message = grpcMessage(bytes(attack, 600 + below(attack, 3000)), 2 ** 20);
    connection.send(call(1, `${SERVICE}/Apply`), data(1, message, { size: 1 }));
    for (let i = 0; i < 300; i += 1) connection.send(frame(FRAME.data, 0, 1));
    return connection;
  },

  floods: async (attack) => {
    const connection = await RawConnection.http2(attack.port);
    const kind = below(attack, 5);
    for (let i = 0; i < 500; i += 1) {
      if (kind === 0) connection.send(frame(FRAME.ping, 0, 0, Buffer.alloc(8)));
      else if (kind === 1) connection.send(settings([below(attack, 8), below(attack, 2 ** 31)]));
      else if (kind === 2) connection.send(call(2 * i + 1, pick(attack, METHODS)), reset(2 * i + 1));
      else if (kind === 3) connection.send(windowUpdate(0, 2 ** 31 - 1));
      else connection.send(frame(FRAME.priority, 0, 2 * i + 1, bytes(attack, 5)));
    }
    return connection;
  },
};

/** Deltas by module in an answer. */
export function deltasOf(answer: Uint8Array): Map<number, Uint8Array> {
  const { deltas } = fromBinary(ApplyResponseSchema, answer);
  return new Map(deltas.map(({ module, values }) => [module, values]));
}

/** Modules that a stage of an attack asks for. */
export function modulesOf(request: ApplyRequest): number[] {
  return request.inputs.flatMap(({ input }) => INPUTS[input] ?? []).filter((module) => MODULES[module]);
}
