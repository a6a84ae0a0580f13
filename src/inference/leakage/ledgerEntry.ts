import { ByteReader } from '../../byteReader.js';
import { bytesToHex, hexToBytes } from '../../bytes.js';
import { ZkLoraError } from '../../errors.js';
import { int16FromBytes, toBytes } from '../../littleEndian.js';
import type { AskedRows } from './meter.js';

/** A session was opened. */
export interface Opening {
  readonly kind: 'opening';
  /** Header digest, hex. */
  readonly session: string;
  /** Public key, hex. */
  readonly user: string;
}

/** A stage was counted. */
export interface CountedStage {
  readonly kind: 'stage';
  readonly session: string;
  readonly user: string;
  readonly call: number;
  readonly stage: number;
  /** Only rows that added something for the user. */
  readonly asked: readonly AskedRows[];
}

/** A key was refused, and asks nothing more unless one of these limits is raised. */
export interface BudgetRefusal {
  readonly kind: 'refusal';
  readonly user: string;
  readonly maxRevealed: number;
  readonly maxRevealedTotal: number;
}

export type LedgerEntry = Opening | CountedStage | BudgetRefusal;

/** Call and stage of a record about rows that were refused, as a direction that nobody can read: no stage has these. */
export const REFUSED_PLACE = { call: 2 ** 32 - 1, stage: 2 ** 32 - 1 } as const;

/** Names a stage among all sessions of an adapter. */
export function placeOf({ session, call, stage }: Pick<CountedStage, 'session' | 'call' | 'stage'>): string {
  return `${session}/${call}/${stage}`;
}

const KINDS = ['opening', 'stage', 'refusal'] as const;
const DIGEST_BYTES = 32;

/** Payload of a record; integers are little-endian. docs/formats.md, "Leakage ledger". */
export function encodeEntry(entry: LedgerEntry): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(KINDS.indexOf(entry.kind)), hexToBytes(entry.user)];
  if (entry.kind === 'refusal') {
    parts.push(new Uint8Array(Float64Array.of(entry.maxRevealed, entry.maxRevealedTotal).buffer));
  } else {
    parts.push(hexToBytes(entry.session));
    if (entry.kind === 'stage') {
      parts.push(u32s(entry.call, entry.stage, entry.asked.length));
      for (const { modules, tokens, lost, x } of entry.asked) {
        parts.push(u32s(modules.length, ...modules, tokens, lost ?? 0, x.length), toBytes(x));
      }
    }
  }
  return Buffer.concat(parts);
}

/** @throws ZkLoraError `LEDGER_MALFORMED` */
export function decodeEntry(payload: Uint8Array, widths: readonly number[] | undefined): LedgerEntry {
  const reader = new ByteReader(payload, malformed);
  const kind = KINDS[reader.u8()];
  const user = bytesToHex(reader.take(DIGEST_BYTES));
  const entry = kind === undefined ? undefined : ENTRY_READERS[kind](reader, user, widths);
  if (entry === undefined) throw malformed('a record is of no known kind');
  reader.expectEnd();
  return entry;
}

const ENTRY_READERS: {
  [K in LedgerEntry['kind']]: (
    reader: ByteReader,
    user: string,
    widths: readonly number[] | undefined,
  ) => LedgerEntry;
} = {
  opening: (reader, user) => ({ kind: 'opening', user, session: bytesToHex(reader.take(DIGEST_BYTES)) }),
  refusal: (reader, user) => {
    const [maxRevealed, maxRevealedTotal] = new Float64Array(reader.take(16).buffer);
    return { kind: 'refusal', user, maxRevealed: maxRevealed!, maxRevealedTotal: maxRevealedTotal! };
  },
  stage: (reader, user, widths) => {
    const session = bytesToHex(reader.take(DIGEST_BYTES));
    const [call, stage, groups] = [reader.u32(), reader.u32(), reader.u32()];
    const asked: AskedRows[] = [];
    for (let i = 0; i < groups; i++) asked.push(readAsked(reader, widths));
    return { kind: 'stage', user, session, call, stage, asked };
  },
};

function readAsked(reader: ByteReader, widths: readonly number[] | undefined): AskedRows {
  const count = reader.u32();
  const modules: number[] = [];
  for (let i = 0; i < count; i++) modules.push(reader.u32());
  const [tokens, lost, entries] = [reader.u32(), reader.u32(), reader.u32()];
  const width = widths === undefined ? 1 : widths[modules[0] ?? -1];
  const isOrdered = modules.every((module, i) => i === 0 || module > modules[i - 1]!);
  if (width === undefined || !isOrdered || modules.some((module) => (widths?.[module] ?? width) !== width)) {
    throw malformed('a record names modules that the adapter does not have');
  }
  if (entries % width !== 0) throw malformed('a record holds a part of a row');
  const x = int16FromBytes(reader.take(2 * entries), entries, 'rows of a ledger');
  return { modules, tokens, x, ...(lost > 0 && { lost }) };
}

export function malformed(reason: string): ZkLoraError {
  return new ZkLoraError(
    'LEDGER_MALFORMED',
    `the leakage ledger was edited or is of another adapter: ${reason}`,
  );
}

function u32s(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}
