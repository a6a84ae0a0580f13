import { z } from 'zod';
import { bytesToHex, canonicalJson, labelledSha256 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonText } from '../jsonText.js';
import {
  MAX_COMMITMENT_BYTES,
  MAX_DOMAIN_SIZE,
  MAX_EXPONENT,
  MAX_FEATURES,
  MAX_MODULES,
  MAX_NAME_LENGTH,
  MAX_RANK,
  MAX_REGISTRATION_PROOF_BYTES,
  MAX_SCALING,
  MAX_TOTAL_RANK,
  MIN_DOMAIN_SIZE,
  MIN_EXPONENT,
  MIN_SCALING,
  MODULE_NAME,
} from './limits.js';
import { quoted } from './quoted.js';
import type { AdapterCommitment } from './types.js';

/** Domain-separation label of the adapter id. */
const LABEL = 'zklora/adapter/v1';

/** Hex is lower case only: anything hashed has one byte form. */
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const POINT = /^[0-9a-f]{128}$/;
/** Points, up to MAX_RANK; in one check, since a schema for each of thousands takes longer than all other checks. */
const points = z.custom<string[]>().check(({ value, issues }) => {
  const list: unknown = value;
  const fail = (path: number[]) => {
    issues.push({ code: 'custom', input: list, path, message: 'no list of points' });
  };
  if (!Array.isArray(list) || list.length > MAX_RANK) return fail([]);
  // by index: holes are no points
  for (let i = 0; i < list.length; i++) {
    const point: unknown = list[i];
    if (typeof point !== 'string' || !POINT.test(point)) return fail([i]);
  }
});
const registrationProof = z
  .string()
  .max(2 * MAX_REGISTRATION_PROOF_BYTES)
  .regex(/^(?:[0-9a-f]{2})+$/);
const exponent = z.number().int().min(MIN_EXPONENT).max(MAX_EXPONENT);
const features = z.number().int().min(1).max(MAX_FEATURES);

const moduleSchema = z.strictObject({
  name: z.string().max(MAX_NAME_LENGTH).regex(MODULE_NAME),
  rank: z.number().int().min(1).max(MAX_RANK),
  inFeatures: features,
  outFeatures: features,
  aExponent: exponent,
  bExponent: exponent,
  scaling: z.number().refine((value) => Math.abs(value) >= MIN_SCALING && Math.abs(value) <= MAX_SCALING),
  columnOffset: z.number().int().min(0).max(MAX_DOMAIN_SIZE),
  aRows: points,
  bColumns: points,
});

const schema = z.strictObject({
  format: z.literal(LABEL),
  parametersId: digest,
  contributorKey: digest,
  baseDigest: digest,
  lineageDigest: digest,
  salt: digest,
  domainSize: z.number().int().min(MIN_DOMAIN_SIZE).max(MAX_DOMAIN_SIZE),
  modules: z.array(moduleSchema).min(1).max(MAX_MODULES),
  registrationProof: registrationProof.nullable(),
});

/**
 * Parses adapter.zkl.json (docs/formats.md, "Adapter commitment"). Pure: runs in a browser.
 *
 * Checks form, limits and sizes. That the points are on the curve, and what the registration proof holds, is
 * checked where they are used.
 *
 * @throws ZkLoraError `COMMITMENT_MALFORMED`
 */
export function parseAdapterCommitment(json: string): AdapterCommitment {
  if (json.length > MAX_COMMITMENT_BYTES) throw malformed(`it is larger than ${MAX_COMMITMENT_BYTES} bytes`);
  return checkAdapterCommitment(parseJsonText(json, 'COMMITMENT_MALFORMED', 'the adapter commitment'));
}

/**
 * The checks of {@link parseAdapterCommitment} on a value that is no longer text.
 *
 * @throws ZkLoraError `COMMITMENT_MALFORMED`
 */
export function checkAdapterCommitment(value: unknown): AdapterCommitment {
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const path = parsed.error.issues[0]?.path.map(String).join('.') || 'the top level';
    throw malformed(`${quoted(path)} is missing, unknown or out of range`);
  }
  const commitment = parsed.data;
  checkSizes(commitment);
  return commitment;
}

/** Readable JSON text of a commitment, ending in a newline. The id does not depend on its layout. */
export function serializeAdapterCommitment(commitment: AdapterCommitment): string {
  return `${JSON.stringify(commitment, null, 2)}\n`;
}

/**
 * Id of an adapter, 32 bytes, hex: SHA-256 under the label `zklora/adapter/v1` of the canonical JSON (RFC 8785)
 * of the commitment without its registration proof.
 */
export function adapterId(commitment: AdapterCommitment): string {
  const { registrationProof: _, ...identified } = commitment;
  return bytesToHex(labelledSha256(LABEL, canonicalJson(identified)));
}

function checkSizes({ domainSize, modules }: AdapterCommitment): void {
  if (!Number.isInteger(Math.log2(domainSize))) throw malformed('domainSize is not a power of two');
  const names = new Set<string>();
  let totalRank = 0;
  for (const { name, rank, inFeatures, outFeatures, columnOffset, aRows, bColumns } of modules) {
    const label = `module ${quoted(name)}`;
    if (names.has(name)) throw malformed(`${label} appears twice`);
    names.add(name);
    if (aRows.length !== rank || bColumns.length !== rank) {
      throw malformed(`${label} does not have as many points as its rank`);
    }
    if (inFeatures > domainSize || outFeatures > domainSize) {
      throw malformed(`${label} has more features than the domain has places`);
    }
    if (columnOffset + inFeatures > domainSize) {
      throw malformed(`${label} has rows of A that leave the domain`);
    }
    totalRank += rank;
  }
  if (totalRank > MAX_TOTAL_RANK) throw malformed(`the ranks sum to more than ${MAX_TOTAL_RANK}`);
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError(
    'COMMITMENT_MALFORMED',
    `not a usable adapter commitment: ${problem}; get adapter.zkl.json from the contributor again`,
  );
}
