import { appendFileSync } from 'node:fs';
import { expect } from 'vitest';
import { bytesToHex, sha256 } from '../../../src/bytes.js';
import { type ErrorCode, ZkLoraError } from '../../../src/errors.js';
import { seeded } from '../../support/scenario.js';

/**
 * What a reader made of a mutant: an error of its own, a verdict that says no, or the very value of the original
 * (another layout of the same JSON, say). Anything else is a finding.
 */
export type Outcome = 'refused' | 'invalid' | 'same';

/** A reader of hostile bytes. */
export interface Target {
  readonly name: string;
  /** The codes it may throw. */
  readonly codes: readonly ErrorCode[];
  /** Reads a mutant; throws whatever the reader throws, and an ordinary error when it accepts what it must not. */
  judge(bytes: Uint8Array): Outcome | Promise<Outcome>;
}

/** One mutant. */
export interface Mutant {
  /** What was done to the original. */
  readonly label: string;
  readonly bytes: Uint8Array;
}

/** First seed of a run; a finding names the one that brings it back. */
export const SEED = Number(process.env.ZKLORA_FUZZ_SEED ?? 20_240_917);

/** Minutes for each target beyond the cases of the normal run; `npm run fuzz` sets it. */
export const MINUTES = Number(process.env.ZKLORA_FUZZ_MINUTES ?? 0);

/** File for one line of JSON about each target; `npm run fuzz` sets it. */
const RESULTS = process.env.ZKLORA_FUZZ_RESULTS;

/** Time limit of a test that fuzzes, milliseconds. */
export const FUZZ_TIMEOUT = 120_000 + MINUTES * 90_000;

/** What a message quotes from a file: any characters, as a JSON string. */
const QUOTED = /"(?:[^"\\]|\\.)*"/g;

/** Messages are one line, say something in each of their parts, and end without a blank. */
export function expectReadable(message: string): void {
  expect(message).toMatch(/^\S[\x20-\x7e]{14,399}$/);
  expect(message.replace(QUOTED, '""')).not.toMatch(/\[object|: ?[;:,]| {2}|^[;:,]|[ :;,]$/);
}

/** Holds an error against the codes of a target. */
export function expectListed(error: unknown, codes: readonly ErrorCode[]): void {
  if (!(error instanceof ZkLoraError)) throw error;
  expect(codes).toContain(error.code);
  expectReadable(error.message);
}

/** Counts of outcomes. */
export type Tally = Record<Outcome, number>;

/** @param codes counts the codes of refusals */
async function outcome(
  target: Target,
  mutant: Mutant,
  replay: string,
  codes: Map<string, number> = new Map(),
): Promise<Outcome> {
  try {
    return await target.judge(mutant.bytes);
  } catch (error) {
    try {
      expectListed(error, target.codes);
    } catch (finding) {
      const digest = bytesToHex(sha256(mutant.bytes)).slice(0, 16);
      throw new Error(`${target.name}: ${mutant.label} (SHA-256 ${digest}..; ${replay})`, { cause: finding });
    }
    const { code } = error as ZkLoraError;
    codes.set(code, 1 + (codes.get(code) ?? 0));
    return 'refused';
  }
}

/** Runs a list of mutants. */
export async function runAll(target: Target, mutants: Iterable<Mutant>): Promise<Tally> {
  const tally: Tally = { refused: 0, invalid: 0, same: 0 };
  for (const mutant of mutants) tally[await outcome(target, mutant, 'no seed')]++;
  return tally;
}

/**
 * Runs `count` random mutants, and goes on for {@link MINUTES}.
 *
 * Case i depends on the seed SEED + i alone: a finding comes back as the first case of its own seed.
 */
export async function runRandom(
  target: Target,
  count: number,
  draw: (random: () => number) => Mutant,
): Promise<Tally> {
  const tally: Tally = { refused: 0, invalid: 0, same: 0 };
  const codes = new Map<string, number>();
  const began = Date.now();
  const end = began + MINUTES * 60_000;
  for (let i = 0; i < count || Date.now() < end; i++) {
    const seed = SEED + i;
    tally[await outcome(target, draw(seeded(seed)), `ZKLORA_FUZZ_SEED=${seed}`, codes)]++;
  }
  if (RESULTS) {
    const seconds = (Date.now() - began) / 1000;
    const { invalid, same } = tally;
    const outcomes = { ...Object.fromEntries(codes), invalid, same };
    const line = { target: target.name, seconds, mutants: total(tally), outcomes };
    appendFileSync(RESULTS, `${JSON.stringify(line)}\n`);
  }
  return tally;
}

/** Number of mutants in a tally. */
export function total(tally: Tally): number {
  return tally.refused + tally.invalid + tally.same;
}
