import { createHash } from 'node:crypto';
import { z } from 'zod';
import { MAX_MODULES } from '../adapter/limits.js';
import { u32 } from '../bytes.js';
import { ChecksummedLines, type LinesFormat } from '../checksummedLines.js';
import { ZkLoraError } from '../errors.js';
import { nextTurn } from '../nextTurn.js';
import type { SessionHeader } from '../protocol/session.js';
import { headerDigest, MAX_CALL_TOKENS, MAX_SESSION_CALLS } from '../protocol/sessionDigest.js';
import { MAX_ANSWERED_FILE_BYTES } from './limits.js';

/** Beside session.json in a contributor's records. */
export const ANSWERED_FILE = 'answered.jsonl';

const LABEL = 'zklora/answered/v1';

/** Entries that are checked before other work has its turn: some milliseconds. */
const STAGES_PER_TURN = 1024;

const FORMAT: LinesFormat = {
  name: ANSWERED_FILE,
  label: LABEL,
  maxBytes: MAX_ANSWERED_FILE_BYTES,
  code: 'SESSION_MALFORMED',
};

/** One stage whose deltas were given out, or were about to be when the process ended. */
export interface AnsweredStage {
  readonly call: number;
  readonly stage: number;
  readonly tokens: number;
  /** Indices into the header's inputs, ascending. */
  readonly inputs: readonly number[];
  /** {@link requestDigest} of the activations, hex. */
  readonly request: string;
}

const count = (max: number) => z.number().int().min(0).max(max);
const stageSchema = z.strictObject({
  call: count(MAX_SESSION_CALLS - 1),
  stage: count(MAX_MODULES - 1),
  tokens: count(MAX_CALL_TOKENS),
  inputs: z
    .array(count(MAX_MODULES - 1))
    .min(1)
    .max(MAX_MODULES),
  request: z.string().regex(/^[0-9a-f]{64}$/),
});

/** The parts of a stage request that the journal binds. */
export interface RequestContent {
  readonly call: number;
  readonly stage: number;
  readonly tokens: number;
  readonly inputs: readonly {
    readonly input: number;
    readonly rows: Uint8Array;
    readonly exponents: Uint8Array;
  }[];
}

/**
 * SHA-256, hex, of a stage request without its session: label, 00, then as u32 (big-endian) call, stage, tokens and
 * the number of inputs, then for each input its index, the byte lengths of rows and exponents, and both.
 */
export function requestDigest({ call, stage, tokens, inputs }: RequestContent): string {
  // Node's own SHA-256: a request has up to 64 MiB.
  const hash = createHash('sha256').update(`${LABEL}/request\0`);
  const numbers = (...values: number[]): void => {
    for (const value of values) hash.update(u32(value));
  };
  numbers(call, stage, tokens, inputs.length);
  for (const { input, rows, exponents } of inputs) {
    numbers(input, rows.length, exponents.length);
    hash.update(rows).update(exponents);
  }
  return hash.digest('hex');
}

/** Everything that one session gave out, whole calls or not: an entry for each stage. */
export class AnsweredJournal {
  private constructor(private readonly lines: ChecksummedLines) {}

  /** @param dir folder of a new session record */
  static begin(dir: string, header: SessionHeader): AnsweredJournal {
    return new AnsweredJournal(ChecksummedLines.begin(dir, FORMAT, headerDigest(header)));
  }

  /**
   * Goes on with the journal of an earlier process. What is left of a line that was cut off is taken away.
   *
   * @throws ZkLoraError as {@link readAnswered}, `FILE_UNWRITABLE`
   */
  static async reopen(
    dir: string,
    header: SessionHeader,
  ): Promise<{ journal: AnsweredJournal; stages: AnsweredStage[] }> {
    const resumed = await ChecksummedLines.resume(dir, FORMAT, headerDigest(header));
    if (resumed === undefined) return { journal: AnsweredJournal.begin(dir, header), stages: [] };
    return {
      journal: new AnsweredJournal(resumed.lines),
      stages: await parseStages(header, resumed.entries),
    };
  }

  /**
   * Notes a stage; on disk when the promise resolves, and only then may it be answered. After a failure the journal
   * is of no use until it is opened again.
   *
   * @param onFlush told when the stage is written and the disk begins to flush it
   * @throws ZkLoraError `SESSION_MALFORMED` when the journal is full, `FILE_UNWRITABLE`
   */
  append(stage: AnsweredStage, onFlush?: () => void): Promise<void> {
    return this.lines.append(stage, onFlush);
  }

  /** Closes the file between two calls. */
  rest(): Promise<void> {
    return this.lines.rest();
  }
}

/**
 * Reads what a contributor's session gave out; empty when nothing was. A last line that was cut off by a crash is
 * left out: its stage was not answered.
 *
 * @throws ZkLoraError `SESSION_MALFORMED` for a journal that was edited, `FILE_UNREADABLE`
 */
export async function readAnswered(dir: string, header: SessionHeader): Promise<AnsweredStage[]> {
  return parseStages(header, (await ChecksummedLines.read(dir, FORMAT, headerDigest(header))) ?? []);
}

async function parseStages(header: SessionHeader, entries: readonly unknown[]): Promise<AnsweredStage[]> {
  const stages: AnsweredStage[] = [];
  for (const entry of entries) {
    const stage = stageSchema.safeParse(entry);
    if (!stage.success || stage.data.inputs.some((input) => header.inputs[input] === undefined))
      throw edited();
    stages.push(stage.data);
    if (stages.length % STAGES_PER_TURN === 0) await nextTurn();
  }
  return stages;
}

/** Token rows that were given out of each module, by module index; a stage that is noted twice counts once. */
export function answeredRows(header: SessionHeader, stages: readonly AnsweredStage[]): Map<number, number> {
  const rows = new Map<number, number>();
  const seen = new Set<string>();
  for (const { call, stage, tokens, inputs, request } of stages) {
    const name = `${call}/${stage}/${request}`;
    if (seen.has(name)) continue;
    seen.add(name);
    for (const input of inputs) {
      for (const module of header.inputs[input]!) rows.set(module, (rows.get(module) ?? 0) + tokens);
    }
  }
  return rows;
}

/** A journal that is not of its session or of its calls. */
export function edited(): ZkLoraError {
  return new ZkLoraError('SESSION_MALFORMED', `${ANSWERED_FILE} was edited or is not of this session`);
}
