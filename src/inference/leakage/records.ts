import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { bytesToHex } from '../../bytes.js';
import { ZkLoraError } from '../../errors.js';
import { headerDigest } from '../../protocol/sessionDigest.js';
import { type AnsweredStage, readAnswered } from '../answeredJournal.js';
import { openSessionRecord, type SessionRecord } from '../record.js';
import { type LedgerEntry, placeOf } from './ledgerEntry.js';
import type { AskedRows } from './meter.js';

/** What a ledger knows of. */
interface Known {
  readonly sessions: ReadonlyMap<string, string>;
  readonly stages: ReadonlySet<string>;
}

/**
 * Openings and answered stages of an adapter's session records that a ledger lacks. Rows of calls that never became
 * whole are in no record: they are counted without being known.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`, `SAFETENSORS_MALFORMED`, `FILE_UNREADABLE`
 */
export async function* unledgeredStages(
  sessionsDir: string,
  adapterId: string,
  known: Known,
): AsyncGenerator<LedgerEntry> {
  for (const name of await folderNames(sessionsDir)) {
    const dir = join(sessionsDir, name);
    const record = await named(dir, openRecord(dir));
    if (record === undefined || record.header.adapterId !== adapterId) continue;
    const session = bytesToHex(headerDigest(record.header));
    const user = record.header.userKey;
    if (!known.sessions.has(session)) yield { kind: 'opening', session, user };
    for (const answered of await named(dir, readAnswered(dir, record.header))) {
      const { call, stage } = answered;
      if (known.stages.has(placeOf({ session, call, stage }))) continue;
      const asked = await named(dir, askedRows(record, answered));
      yield { kind: 'stage', user, session, call, stage, asked };
    }
  }
}

/** Says in errors which of the many records is meant. */
async function named<T>(dir: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof ZkLoraError)) throw error;
    const message = `session record ${dir}: ${error.message}; restore it, or move it out of the sessions folder`;
    throw new ZkLoraError(error.code, message, { details: error.details, cause: error });
  }
}

async function askedRows(
  record: SessionRecord,
  { call, tokens, inputs }: AnsweredStage,
): Promise<AskedRows[]> {
  const { header, callCount } = record;
  const whole = call < callCount ? await record.readCall(call) : undefined;
  return inputs.map((input) => {
    const modules = header.inputs[input]!;
    if (whole === undefined) return { modules, tokens, lost: tokens, x: new Int16Array() };
    return { modules, tokens, x: whole.inputs[input]!.x };
  });
}

/** Session folders; none where the folder is not there yet. */
async function folderNames(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    return entries
      .flatMap((entry) => (entry.isDirectory() && !entry.name.startsWith('.') ? [entry.name] : []))
      .sort();
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return [];
    throw new ZkLoraError('FILE_UNREADABLE', `the sessions in ${dir} cannot be listed`, { cause });
  }
}

/** Undefined for a folder whose session was never begun: its header is written before anything is answered. */
async function openRecord(dir: string): Promise<SessionRecord | undefined> {
  try {
    return await openSessionRecord(dir);
  } catch (error) {
    if (error instanceof ZkLoraError && error.code === 'FILE_NOT_FOUND') return undefined;
    throw error;
  }
}
