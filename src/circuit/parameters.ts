import { z } from 'zod';
import type { Engine } from '../algebra/engine.js';
import { decodeG2, G2_BYTES } from '../algebra/points.js';
import { bytesToHex, canonicalJson, hexToBytes, labelledSha256 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonText } from '../jsonText.js';
import { sha256Of } from '../sha256.js';
import { KNOWN_TAU_G2 } from './knownSecrets.js';
import { CIRCUIT_SIZES, constraintCount } from './size.js';
import { parseVerificationKey, type VerificationKey } from './verificationKey.js';

/** Files of one circuit size. */
export interface CircuitFiles {
  /** K. */
  readonly pairs: number;
  readonly constraints: number;
  /** Digests are SHA-256, hex. */
  readonly r1csSha256: string;
  readonly wasmSha256: string;
  readonly zkeySha256: string;
  readonly vkeySha256: string;
}

/** One contribution to a parameter set. */
export interface Contribution {
  readonly phase: 'powers-of-tau' | 'phase2';
  /** K of the key it went into; null in phase 1, which all circuits share. */
  readonly pairs: number | null;
  /** A participant's own randomness, or a public random beacon. */
  readonly kind: 'participant' | 'beacon';
  readonly name: string;
  /** snarkjs's contribution hash, BLAKE2b-512, hex. */
  readonly hash: string;
}

/** Description of a parameter set: params.json. Its digest is the id that proofs bind. */
export interface ParameterSet {
  readonly format: 'zklora/params/v1';
  /** `development`: the secrets behind it are known, anybody can forge proofs. */
  readonly kind: 'development' | 'ceremony';
  readonly curve: 'bn254';
  /** tau G2, uncompressed x.c1 | x.c0 | y.c1 | y.c0, hex of 128 bytes. */
  readonly tauG2: string;
  /** powers.g1: tau^i G, i = 0..count-1. */
  readonly powers: { readonly count: number; readonly sha256: string };
  /** lagrange-N.g1, ascending. */
  readonly domains: readonly { readonly size: number; readonly sha256: string }[];
  /** transcript.ptau: the history of phase 1. Ceremonies have it. */
  readonly transcript?: { readonly sha256: string };
  /** Ascending by pairs. */
  readonly circuits: readonly CircuitFiles[];
  readonly source: string;
  readonly contributions: readonly Contribution[];
}

/** Largest params.json: 1024 contributions of about 500 bytes, with room. */
export const MAX_PARAMETERS_JSON = 2 ** 20;

/** Largest evaluation domain: 64 MiB of points. */
export const MAX_PARAMETERS_DOMAIN = 2 ** 20;

/** Smallest evaluation domain an adapter commitment may use. */
const MIN_DOMAIN = 512;

/** Powers beyond the largest domain: the blinded running sum has degree N + 2. */
const EXTRA_POWERS = 3;

/** The largest ceremony so far (Perpetual Powers of Tau) has under 100 contributions per phase and circuit. */
const MAX_CONTRIBUTIONS = 1024;

const MAX_NAME = 128;
const MAX_SOURCE = 1024;

/** Longest part of a schema message, which may repeat a key of the file. */
const MAX_MESSAGE = 120;

const digest = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hex digits in lower case');
const printable = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[\x20-\x7e]*$/, 'expected printable ASCII in one line');
const pairs = z.union(CIRCUIT_SIZES.map((size) => z.literal(size)));

/** Fields that params.json and the state of an unfinished ceremony share. */
export const SHARED_FIELDS = {
  curve: z.literal('bn254'),
  tauG2: z.string().regex(new RegExp(`^[0-9a-f]{${2 * G2_BYTES}}$`), 'expected 256 hex digits in lower case'),
  powers: z.strictObject({
    count: z
      .int()
      .min(MIN_DOMAIN + EXTRA_POWERS)
      .max(MAX_PARAMETERS_DOMAIN + EXTRA_POWERS),
    sha256: digest,
  }),
  domains: z
    .array(z.strictObject({ size: z.int().min(MIN_DOMAIN).max(MAX_PARAMETERS_DOMAIN), sha256: digest }))
    .min(1)
    .max(Math.log2(MAX_PARAMETERS_DOMAIN)),
  transcript: z.strictObject({ sha256: digest }),
  source: printable(MAX_SOURCE),
} as const;

/** One circuit size of a file. */
export const PAIRS_FIELD = pairs;

/** A BLAKE2b-512 hash of snarkjs. */
export const HASH_FIELD = z.string().regex(/^[0-9a-f]{128}$/, 'expected 128 hex digits in lower case');

const schema = z.strictObject({
  format: z.literal('zklora/params/v1'),
  kind: z.enum(['development', 'ceremony']),
  ...SHARED_FIELDS,
  transcript: SHARED_FIELDS.transcript.exactOptional(),
  circuits: z
    .array(
      z.strictObject({
        pairs,
        constraints: z.int(),
        r1csSha256: digest,
        wasmSha256: digest,
        zkeySha256: digest,
        vkeySha256: digest,
      }),
    )
    .min(1)
    .max(CIRCUIT_SIZES.length),
  contributions: z
    .array(
      z.strictObject({
        phase: z.enum(['powers-of-tau', 'phase2']),
        pairs: pairs.nullable(),
        kind: z.enum(['participant', 'beacon']),
        name: printable(MAX_NAME),
        hash: HASH_FIELD,
      }),
    )
    .max(MAX_CONTRIBUTIONS),
}) satisfies z.ZodType<ParameterSet>;

/**
 * Reads params.json.
 *
 * @throws ZkLoraError `PARAMETERS_MALFORMED`.
 */
export function parseParameterSet(json: string): ParameterSet {
  const set = parseDescription(json, schema, malformed);
  const reason = inconsistency(set);
  if (reason !== null) throw malformed(reason);
  return set;
}

/**
 * Reads a JSON file of a parameter set against its schema.
 *
 * @param refuse makes the error from a reason in one line
 */
export function parseDescription<T>(
  json: string,
  schema: z.ZodType<T>,
  refuse: (reason: string, cause?: unknown) => ZkLoraError,
): T {
  if (json.length > MAX_PARAMETERS_JSON) throw refuse(`longer than ${MAX_PARAMETERS_JSON} characters`);
  let value: unknown;
  try {
    value = parseJsonText(json, 'PARAMETERS_MALFORMED', 'the file');
  } catch (cause) {
    throw refuse(cause instanceof Error ? cause.message : 'not valid JSON', cause);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const message = (issue?.message ?? 'invalid').replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_MESSAGE);
  throw refuse(`${issue?.path.join('.') || 'top level'}: ${message}`);
}

/** What the schema cannot say; null if all is well. */
function inconsistency(set: ParameterSet): string | null {
  const { circuits } = set;
  const reason = pointsInconsistency(set);
  if (reason !== null) return reason;
  if (!ascending(circuits.map((circuit) => circuit.pairs))) return 'circuits are not ascending';
  if (!circuits.every((circuit) => circuit.constraints === constraintCount(circuit.pairs))) {
    return 'a circuit has another number of constraints than RankCheck';
  }
  const withKey = (n: number | null) => circuits.some((circuit) => circuit.pairs === n);
  if (!set.contributions.every((c) => (c.phase === 'phase2' ? withKey(c.pairs) : c.pairs === null))) {
    return 'a contribution belongs to no circuit of the set';
  }
  if (!circuits.every((c) => set.contributions.some(({ pairs: n }) => n === c.pairs))) {
    return 'a circuit has no phase-2 contribution';
  }
  return set.kind === 'ceremony' ? ceremonyInconsistency(set) : null;
}

/** A beacon is public: secrets that beacons alone have made are known to everybody. */
function ceremonyInconsistency({ tauG2, transcript, circuits, contributions }: ParameterSet): string | null {
  if (KNOWN_TAU_G2.has(tauG2)) return 'a ceremony whose secret is known';
  const hasParticipant = (pairs: number | null) =>
    contributions.some((c) => c.kind === 'participant' && c.pairs === pairs);
  if (transcript === undefined) return 'a ceremony without transcript of phase 1';
  if (!hasParticipant(null)) return 'a ceremony without participant in phase 1';
  if (!circuits.every((c) => hasParticipant(c.pairs))) return 'a circuit without participant in phase 2';
  return null;
}

/** What the schema cannot say about {@link SHARED_FIELDS}; null if all is well. */
export function pointsInconsistency({
  domains,
  powers,
  tauG2,
}: Pick<ParameterSet, 'domains' | 'powers' | 'tauG2'>): string | null {
  if (!ascending(domains.map(({ size }) => size))) return 'domains are not ascending';
  if (!domains.every(({ size }) => Number.isInteger(Math.log2(size)))) return 'a domain is no power of two';
  if (powers.count < domains.at(-1)!.size + EXTRA_POWERS) return 'too few powers for the largest domain';
  try {
    decodeG2(hexToBytes(tauG2));
  } catch {
    return 'tauG2 is no valid point of G2';
  }
  return null;
}

function ascending(values: readonly number[]): boolean {
  return values.every((value, i) => i === 0 || value > values[i - 1]!);
}

/** Id of a parameter set: hex SHA-256 of the label `zklora/params/v1` and the canonical JSON (RFC 8785). */
export function parameterSetId(set: ParameterSet): string {
  return bytesToHex(labelledSha256(set.format, canonicalJson(set)));
}

/**
 * The entry of one circuit size.
 *
 * @throws ZkLoraError `PARAMETERS_MISMATCH` if the set has no such size.
 */
export function circuitFiles(set: ParameterSet, pairs: number): CircuitFiles {
  const found = set.circuits.find((circuit) => circuit.pairs === pairs);
  if (found !== undefined) return found;
  const sizes = set.circuits.map((circuit) => circuit.pairs).join(', ');
  throw new ZkLoraError(
    'PARAMETERS_MISMATCH',
    `the parameter set has no circuit for ${pairs} pairs (it has ${sizes}); use a larger set`,
  );
}

/**
 * Reads the verification key of one circuit size after checking it against the set's digest.
 *
 * @throws ZkLoraError `PARAMETERS_MISMATCH` for bytes that do not belong to the set, `PARAMETERS_MALFORMED` for
 * a key that the set names but that must not be used.
 */
export function verificationKeyOf(
  set: ParameterSet,
  pairs: number,
  bytes: Uint8Array,
  engine?: Engine,
): VerificationKey {
  requireDigest(`rank_check_${pairs}.vkey`, bytes, circuitFiles(set, pairs).vkeySha256);
  return parseVerificationKey(bytes, pairs, engine);
}

/** @throws ZkLoraError `PARAMETERS_MISMATCH` if the bytes have another SHA-256 than params.json says. */
export function requireDigest(file: string, bytes: Uint8Array, expected: string): void {
  if (bytesToHex(sha256Of(bytes)) === expected) return;
  throw new ZkLoraError(
    'PARAMETERS_MISMATCH',
    `${file} does not belong to this parameter set (its SHA-256 differs from params.json); fetch the set again`,
  );
}

function malformed(reason: string, cause?: unknown): ZkLoraError {
  return new ZkLoraError(
    'PARAMETERS_MALFORMED',
    `params.json refused: ${reason}; fetch the parameter set again or make a new one`,
    cause === undefined ? {} : { cause },
  );
}
