import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { MAX_MODULES } from '../adapter/limits.js';
import { bytesToHex, canonicalJson, concatBytes, labelledSha256, u32, utf8ToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { appendFileDurable, readFileBounded } from '../files.js';
import { parseJsonText } from '../jsonText.js';
import type { SessionHeader } from '../protocol/session.js';
import { headerDigest, MAX_CALL_TOKENS, MAX_SESSION_CALLS } from '../protocol/sessionDigest.js';
import { MAX_ANSWERED_FILE_BYTES } from './limits.js';
import { refusal } from './refusal.js';

/** Beside session.json in a contributor's records. */
export const ANSWERED_FILE = 'answered.jsonl';

const LABEL = 'zklora/answered/v1';
const FILE_MODE = 0o600;

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

/**
 * Everything that one session gave out, whole calls or not. A line for each stage: a checksum over the line before
 * and this one, a space, the stage as canonical JSON.
 */
export class AnsweredJournal {
  private readonly path: string;
  private checksum: Uint8Array;
  private bytes = 0;

  /** @param dir folder of a new session record */
  constructor(dir: string, header: SessionHeader) {
    this.path = join(dir, ANSWERED_FILE);
    this.checksum = headerDigest(header);
  }

  /**
   * Notes a stage; on disk when the promise resolves, and only then may it be answered.
   *
   * @throws ZkLoraError `SESSION_MALFORMED` when the journal is full, `FILE_UNWRITABLE`
   */
  async append(stage: AnsweredStage): Promise<void> {
    const json = canonicalJson(stage);
    const checksum = labelledSha256(LABEL, this.checksum, json);
    const line = concatBytes(utf8ToBytes(`${bytesToHex(checksum)} `), json, utf8ToBytes('\n'));
    if (this.bytes + line.length > MAX_ANSWERED_FILE_BYTES) {
      throw refusal('RESOURCE_EXHAUSTED', 'SESSION_MALFORMED', 'the session is full; close it, open another');
    }
    await appendFileDurable(this.path, line, FILE_MODE);
    this.checksum = checksum;
    this.bytes += line.length;
  }
}

/**
 * Reads what a contributor's session gave out; empty when nothing was. A last line that was cut off by a crash is
 * left out: its stage was not answered.
 *
 * @throws ZkLoraError `SESSION_MALFORMED` for a journal that was edited, `FILE_UNREADABLE`
 */
export async function readAnswered(dir: string, header: SessionHeader): Promise<AnsweredStage[]> {
  let bytes: Uint8Array;
  try {
    bytes = await readFileBounded(join(dir, ANSWERED_FILE), MAX_ANSWERED_FILE_BYTES, 'answered stages');
  } catch (error) {
    if (error instanceof ZkLoraError && error.code === 'FILE_NOT_FOUND') return [];
    throw error;
  }
  const lines = new TextDecoder().decode(bytes).split('\n');
  lines.pop();
  let checksum = headerDigest(header);
  return lines.map((line) => {
    const parts = /^([0-9a-f]{64}) (.*)$/.exec(line);
    if (parts === null) throw edited();
    const json = parts[2]!;
    checksum = labelledSha256(LABEL, checksum, utf8ToBytes(json));
    if (bytesToHex(checksum) !== parts[1]) throw edited();
    const stage = stageSchema.safeParse(parseJsonText(json, 'SESSION_MALFORMED', ANSWERED_FILE));
    if (!stage.success || stage.data.inputs.some((input) => header.inputs[input] === undefined))
      throw edited();
    return stage.data;
  });
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

function edited(): ZkLoraError {
  return new ZkLoraError('SESSION_MALFORMED', `${ANSWERED_FILE} was edited or is not of this session`);
}
