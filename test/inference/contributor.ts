import { expect, onTestFinished } from 'vitest';
import type { QuantizedModule } from '../../src/adapter/types.js';
import type { Clock } from '../../src/inference/clock.js';
import { ContributorSessions } from '../../src/inference/contributorSessions.js';
import type { LeakageGuard } from '../../src/inference/leakage/guard.js';
import { MAX_OPEN_SESSIONS } from '../../src/inference/limits.js';
import type { ProveSession } from '../../src/inference/proofJobs.js';
import { openSessionRecord } from '../../src/inference/record.js';
import { closingMessage, sign } from '../../src/inference/signatures.js';
import type { StageRequest } from '../../src/inference/stageRequest.js';
import { toBytes } from '../../src/littleEndian.js';
import { sessionDigest } from '../../src/protocol/sessionPass.js';
import { temporaryFolder } from './fixtures.js';
import {
  CONTRIBUTOR,
  commitTo,
  INPUTS,
  MODULES,
  openRequest,
  randomModule,
  randomRows,
  sessionFolders,
  USER,
} from './parties.js';

/** A clock that stands until it is told to go on. */
export class TestClock implements Clock {
  time = 0;
  readonly work = new Set<() => void>();

  now(): number {
    return this.time;
  }

  every(_ms: number, work: () => void): () => void {
    this.work.add(work);
    return () => this.work.delete(work);
  }

  /** Time passes and every timer runs. */
  advance(ms: number): void {
    this.time += ms;
    for (const work of this.work) work();
  }
}

export interface ContributorOptions {
  /** No limit, without it. */
  readonly sessionsPerUser?: number;
  readonly dir?: string;
  readonly modules?: readonly QuantizedModule[];
  readonly prove?: ProveSession;
  readonly clock?: Clock;
  readonly allowedUsers?: ReadonlySet<string>;
  readonly leakage?: LeakageGuard;
  readonly minFreeBytes?: number;
}

/** A contributor without a transport; it ends with the test. */
export async function contributor(options: ContributorOptions = {}) {
  const modules = options.modules ?? MODULES;
  const sessionsDir = options.dir ?? (await temporaryFolder());
  const sessions = new ContributorSessions({
    commitment: commitTo(modules),
    modules,
    secretKey: CONTRIBUTOR.secretKey,
    sessionsDir,
    prove: options.prove ?? (async () => Uint8Array.of(1)),
    ...(options.clock && { clock: options.clock }),
    sessionsPerUser: options.sessionsPerUser ?? MAX_OPEN_SESSIONS + 1,
    ...(options.allowedUsers && { allowedUsers: options.allowedUsers }),
    ...(options.leakage && { leakage: options.leakage }),
    ...(options.minFreeBytes !== undefined && { minFreeBytes: options.minFreeBytes }),
  });
  onTestFinished(() => sessions.dispose());
  return { sessions, dir: sessionsDir, commitment: sessions.commitment };
}

export async function opened(sessions: ContributorSessions, inputs: readonly (readonly number[])[] = INPUTS) {
  const { sessionId } = await sessions.open(openRequest(sessions.commitment, { inputs }));
  return sessionId;
}

/** One input of one stage: input 0 has four features, input 1 five. */
export function stageOf(call: number, stage: number, seed: number, tokens = 2): StageRequest {
  const { x, exponents } = randomRows(tokens, stage === 0 ? 4 : 5, seed);
  return { call, stage, tokens, inputs: [{ input: stage, rows: toBytes(x), exponents: toBytes(exponents) }] };
}

/** Sixteen modules of 2^14 outputs and a narrow one: 500 tokens come to just below the limit of a call. */
export const WIDE = [
  randomModule('narrow', 1, 1, 1),
  ...Array.from({ length: 16 }, (_, i) => randomModule(`wide.${i}`, 1, 2 ** 14, 1)),
];
export const WIDE_INPUTS = WIDE.map((_, i) => [i]);
export const wideStage = (tokens: number, stage = 0): StageRequest => ({
  call: 0,
  stage,
  tokens,
  inputs: [{ input: stage, rows: new Uint8Array(2 * tokens), exponents: new Uint8Array(2 * tokens) }],
});

/**
 * A guard that lets everything pass and counts nothing.
 *
 * @param charging before a stage takes its room; what it throws refuses the stage
 */
export function guard(
  charging: () => Promise<void> = async () => undefined,
  written: () => Promise<void> = async () => undefined,
): LeakageGuard {
  return {
    open: async (_header, place) => place.take(),
    charge: async (_header, _stage, _rows, room) => {
      await charging();
      room.check();
      room.take();
      return { written: written() };
    },
    chargeOf: () => ({ written: written() }),
  };
}

export async function onlyFolder(dir: string): Promise<string> {
  const folders = await sessionFolders(dir);
  expect(folders).toHaveLength(1);
  return folders[0]!;
}

export async function wholeCall(sessions: ContributorSessions, id: string, call = 0): Promise<void> {
  for (const stage of [0, 1]) await sessions.apply(id, stageOf(call, stage, call));
}

/** Closes a session as its user would who has the same record. */
export async function closed(sessions: ContributorSessions, id: string, folder: string, user = USER) {
  const record = await openSessionRecord(folder);
  const digest = await sessionDigest(record, MODULES);
  const request = {
    calls: record.callCount,
    digest,
    userSignature: sign(closingMessage(digest), user.secretKey),
  };
  return { request, signature: await sessions.close(id, request) };
}

export const refusal = (message: RegExp, code = 'SESSION_MISMATCH') =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });
