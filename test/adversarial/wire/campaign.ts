import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { applyExact } from '../../../src/adapter/forward.js';
import { hexToBytes } from '../../../src/bytes.js';
import { connectContributor, type RemoteSession } from '../../../src/inference/client.js';
import type { ApplyRequest } from '../../../src/inference/gen/zklora_pb.js';
import { int16FromBytes, toBytes } from '../../../src/littleEndian.js';
import {
  CONTRIBUTOR,
  commitTo,
  INPUTS,
  MODULES,
  randomNumbers,
  randomRows,
  USER,
} from '../../inference/parties.js';
import type { RawConnection } from '../../support/http2Frames.js';
import { ATTACKS, type Attack, deltasOf, modulesOf } from './attacks.js';

/** How long an attack may wait for an answer that may never come, in milliseconds. */
const PATIENCE_MS = 150;
/** Attacks between two looks at the server. */
const ROUND = 25;
/** Bound of the server's memory: {@link MAX_RECEIVING_BYTES} and what a fresh process takes. */
const MAX_RSS_BYTES = 768 * 2 ** 20;

export interface Campaign {
  readonly seed: number;
  /** Asked after each round. */
  readonly isOver: (attacks: number) => boolean;
  readonly sessionsDir: string;
}

/** The process under attack. */
interface Server {
  readonly child: ChildProcess;
  readonly ended: Promise<never>;
}

export interface CampaignResult {
  readonly seed: number;
  readonly attacks: number;
  readonly byKind: Readonly<Record<string, number>>;
  /** Calls of the honest session that were answered rightly. */
  readonly honestCalls: number;
  /** Stages of the attacker that were answered, each with the deltas of its own rows. */
  readonly checkedAnswers: number;
  readonly receivedBytes: number;
  readonly rssBeforeBytes: number;
  readonly rssAfterBytes: number;
  readonly peakRssBytes: number;
}

/** Attacks a live contributor; fails where it crashes, answers wrongly, tells secrets or takes too much memory. */
export async function runCampaign({ seed, isOver, sessionsDir }: Campaign): Promise<CampaignResult> {
  const commitment = commitTo(MODULES);
  const child = fork(fileURLToPath(new URL('contributor.mjs', import.meta.url)), {
    serialization: 'advanced',
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const ended = once(child, 'exit').then((): never => {
    throw new Error('the server has ended');
  });
  ended.catch(() => undefined);
  const server = { child, ended };
  let complaints = '';
  child.stderr!.on('data', (part) => {
    complaints += part;
  });
  try {
    child.send({ modules: MODULES, commitment, secretKey: CONTRIBUTOR.secretKey, sessionsDir });
    const { port } = await told<{ port: number }>(server);
    const before = await memoryOf(server);
    const client = await connectContributor({ address: { host: '127.0.0.1', port } });
    const session = await client.openSession({ commitment, user: USER, inputs: INPUTS });
    const next = randomNumbers(seed);
    const byKind: Record<string, number> = {};
    const kinds = Object.keys(ATTACKS);
    const needles: Buffer[] = [CONTRIBUTOR.secretKey, USER.secretKey, hexToBytes(session.id)].map((one) =>
      Buffer.from(one),
    );
    let [attacks, honestCalls, checkedAnswers, receivedBytes, peak] = [0, 0, 0, 0, 0];
    const sessions: Attack['sessions'] = [];
    const onAnswer = (request: ApplyRequest, answer: Uint8Array): void => {
      checkAnswer(request, answer);
      checkedAnswers += 1;
    };
    do {
      needles.push(...(await honestCall(session, honestCalls)));
      honestCalls += 1;
      const round = Array.from({ length: ROUND }, () => kinds[Math.floor(next() * kinds.length)]!);
      for (const kind of round) {
        byKind[kind] = (byKind[kind] ?? 0) + 1;
        const connection = await ATTACKS[kind]!({ port, next, commitment, sessions, onAnswer });
        await Promise.race([connection.settled(), connection.closed, patience()]);
        receivedBytes += lookFor(needles, connection, kind);
        connection.destroy();
        attacks += 1;
        expect(child.exitCode, `the server ended in ${kind}, seed ${seed}: ${complaints}`).toBeNull();
      }
      needles.splice(3);
      const { rss } = await memoryOf(server);
      peak = Math.max(peak, rss);
      expect(rss, `memory, seed ${seed}`).toBeLessThan(MAX_RSS_BYTES);
    } while (!isOver(attacks));
    await honestCall(session, honestCalls);
    session.abandon();
    client.close();
    const after = await memoryOf(server);
    child.send('end');
    const [code] = await once(child, 'exit');
    expect({ code, complaints }).toEqual({ code: 0, complaints: '' });
    return {
      seed,
      attacks,
      byKind: Object.fromEntries(kinds.map((kind) => [kind, byKind[kind] ?? 0])),
      honestCalls: honestCalls + 1,
      checkedAnswers,
      receivedBytes,
      rssBeforeBytes: before.rss,
      rssAfterBytes: after.rss,
      peakRssBytes: Math.max(peak, after.peak),
    };
  } finally {
    child.kill('SIGKILL');
  }
}

/** One call of the honest session; returns what no other answer may hold. */
async function honestCall(session: RemoteSession, call: number): Promise<Buffer[]> {
  const tokens = 4;
  const secrets: Buffer[] = [];
  for (const [stage, features] of [4, 5].entries()) {
    const rows = randomRows(tokens, features, 7_000_000 + 2 * call + stage);
    const answers = await session.apply(call, stage, tokens, [{ input: stage, rows }]);
    expect([...answers.keys()]).toEqual(INPUTS[stage]);
    for (const [module, values] of answers) {
      expect(values).toEqual(applyExact(MODULES[module]!, rows.x, tokens));
      secrets.push(Buffer.from(toBytes(values)).subarray(0, 32));
    }
    secrets.push(Buffer.from(toBytes(rows.x)));
  }
  return secrets;
}

function checkAnswer(request: ApplyRequest, answer: Uint8Array): void {
  const deltas = deltasOf(answer);
  expect([...deltas.keys()]).toEqual(modulesOf(request).sort((a, b) => a - b));
  for (const { input, rows } of request.inputs) {
    for (const module of INPUTS[input]!) {
      const { inFeatures } = MODULES[module]!;
      const x = int16FromBytes(rows, request.tokens * inFeatures, 'rows');
      const expected = toBytes(applyExact(MODULES[module]!, x, request.tokens));
      expect(Buffer.from(deltas.get(module)!).equals(Buffer.from(expected))).toBe(true);
    }
  }
}

/** @returns bytes received on the connection */
function lookFor(needles: readonly Buffer[], { frames }: RawConnection, kind: string): number {
  const received = Buffer.concat(frames.map(({ payload }) => payload));
  for (const needle of needles)
    expect(received.includes(needle), `a secret in an answer to ${kind}`).toBe(false);
  return received.length;
}

/** Asks the server's process, and fails when it has ended. */
async function told<T>({ child, ended }: Server, question?: string): Promise<T> {
  const answered = once(child, 'message');
  if (question !== undefined) child.send(question);
  const [message] = await Promise.race([answered, ended]);
  return message as T;
}

function memoryOf(server: Server): Promise<{ rss: number; peak: number }> {
  return told(server, 'memory');
}

function patience(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PATIENCE_MS).unref());
}
