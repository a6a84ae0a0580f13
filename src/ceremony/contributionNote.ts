import type { ByteReader } from '../byteReader.js';
import { sha256 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';

/** A public random value that was applied as a contribution. */
export interface Beacon {
  /** 1 to 255 bytes. */
  readonly value: Uint8Array;
  /** log2 of the number of times that SHA-256 is applied to it. */
  readonly iterationsExponent: number;
}

/** What snarkjs writes behind a contribution. */
export interface ContributionNote {
  /** Printable ASCII; other characters of the file are replaced by `?`. */
  readonly name: string;
  /** Null for a participant's own randomness. */
  readonly beacon: Beacon | null;
}

/** Contributions of one phase and circuit; the largest ceremony so far has under 100. */
export const MAX_CONTRIBUTIONS = 1024;

/** Bytes of the longest note: three fields of two bytes and at most 255. */
const MAX_NOTE_BYTES = 3 * 257;

const MAX_NAME = 128;

const TYPE = { participant: 0, beacon: 1 } as const;
const FIELD = { name: 1, iterationsExponent: 2, beacon: 3 } as const;

/**
 * Reads u32 type | u32 length | fields in ascending order: 1 | u8 length | name, 2 | u8 exponent,
 * 3 | u8 length | beacon.
 *
 * Only beacons have an exponent and a value, and they have both: snarkjs takes a contribution of any other type for
 * a participant's.
 */
export function readContributionNote(
  reader: ByteReader,
  refuse: (reason: string) => Error,
): ContributionNote {
  const type = reader.u32();
  if (type !== TYPE.participant && type !== TYPE.beacon) throw refuse(`a contribution has the type ${type}`);
  const length = reader.u32();
  if (length > MAX_NOTE_BYTES) throw refuse(`the note of a contribution has ${length} bytes`);
  const fields = reader.part(length);
  let name = '';
  let iterationsExponent: number | undefined;
  let value: Uint8Array | undefined;
  for (let last = 0; !fields.atEnd; ) {
    const field = fields.u8();
    if (field <= last || field > FIELD.beacon) throw refuse('the note of a contribution is out of order');
    last = field;
    if (field === FIELD.iterationsExponent) iterationsExponent = fields.u8();
    else if (field === FIELD.name) name = printable(fields.take(fields.u8()));
    else value = fields.take(fields.u8());
  }
  if (type === TYPE.participant) {
    if (iterationsExponent !== undefined || value !== undefined) {
      throw refuse('a participant has a beacon');
    }
    return { name, beacon: null };
  }
  if (iterationsExponent === undefined || value === undefined || value.length === 0) {
    throw refuse('a beacon has no value');
  }
  return { name, beacon: { value, iterationsExponent } };
}

function printable(utf8: Uint8Array): string {
  return new TextDecoder()
    .decode(utf8)
    .replace(/[^\x20-\x7e]/gu, '?')
    .slice(0, MAX_NAME);
}

/** Rounds of SHA-256 that one chain of contributions may ask for: some 20 s. Ceremonies use 2^10. */
const MAX_BEACON_ROUNDS = 2 ** 24;

/** Refuses chains whose beacons would take too long to recompute. */
export function requireBoundedBeacons(notes: readonly ContributionNote[]): void {
  const rounds = notes.reduce((sum, { beacon }) => sum + (beacon ? 2 ** beacon.iterationsExponent : 0), 0);
  if (rounds <= MAX_BEACON_ROUNDS) return;
  throw new ZkLoraError(
    'PARAMETERS_MALFORMED',
    `beacons with ${rounds} rounds of SHA-256 are not recomputed here, the limit is ${MAX_BEACON_ROUNDS}; use another ceremony`,
  );
}

/** SHA-256 applied 2^e times. */
export function beaconHash({ value, iterationsExponent }: Beacon): Uint8Array {
  let hash = value;
  for (let i = 0; i < 2 ** iterationsExponent; i++) hash = sha256(hash);
  return hash;
}
