import type { Hex } from 'viem';
import { z } from 'zod';
import { MAX_DOMAIN_SIZE, MAX_FEATURES } from '../adapter/limits.js';
import { ZkLoraError } from '../errors.js';
import { parseJson } from '../jsonText.js';
import type { FraudProof } from './fraudProof.js';
import { bytes32 } from './hex.js';
import { MAX_SETTLEMENT_ROWS, MAX_TREE_DEPTH } from './limits.js';
import { rowBytes } from './rows.js';

/** What a buyer takes to the chain when a row is wrong. */
export interface FraudProofFile {
  readonly offerId: Hex;
  /** Revealed key: public by then. */
  readonly masterKey: Hex;
  readonly proof: FraudProof;
}

/** A row of the most features as hex, two paths and a few numbers. */
export const MAX_FRAUD_PROOF_BYTES = 2 * rowBytes(MAX_FEATURES) + 16_384;

const FORMAT = 'zklora/fraud-proof/v1';

const word = bytes32.transform(BigInt);
const path = z.array(bytes32).max(MAX_TREE_DEPTH);
const schema = z.strictObject({
  format: z.literal(FORMAT),
  offerId: bytes32,
  masterKey: bytes32,
  proof: z.strictObject({
    row: z
      .number()
      .int()
      .min(0)
      .max(MAX_SETTLEMENT_ROWS - 1),
    offset: z.number().int().min(0).max(MAX_DOMAIN_SIZE),
    length: z.number().int().min(1).max(MAX_FEATURES),
    domainSize: z.number().int().min(1).max(MAX_DOMAIN_SIZE),
    tauG2: z.tuple([word, word, word, word]),
    registered: z.tuple([word, word]),
    delivered: z.tuple([word, word]),
    opening: z.tuple([word, word]),
    ciphertext: z
      .string()
      .regex(/^0x(?:[0-9a-f]{2})+$/)
      .transform((text) => text as Hex),
    rowsPath: path,
    cipherPath: path,
  }),
});

/**
 * Parses a fraud proof file (docs/settlement.md, "Command line"). Whether it convinces is for the contract to say.
 *
 * @throws ZkLoraError `FRAUD_PROOF_MALFORMED`
 */
export function parseFraudProofFile(json: string | Uint8Array): FraudProofFile {
  if (json.length > MAX_FRAUD_PROOF_BYTES) throw malformed('it is too large');
  const parsed = schema.safeParse(parseJson(json, 'FRAUD_PROOF_MALFORMED', 'the fraud proof'));
  if (!parsed.success) {
    const where = parsed.error.issues[0]?.path.map(String).join('.') || 'the top level';
    throw malformed(`"${where}" is missing, unknown or out of range`);
  }
  const { format: _, ...file } = parsed.data;
  return file;
}

/** JSON text of a fraud proof, ending in a newline. */
export function serializeFraudProofFile(file: FraudProofFile): string {
  const toWord = (_: string, value: unknown) =>
    typeof value === 'bigint' ? `0x${value.toString(16).padStart(64, '0')}` : value;
  return `${JSON.stringify({ format: FORMAT, ...file }, toWord, 2)}\n`;
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError(
    'FRAUD_PROOF_MALFORMED',
    `not a usable fraud proof: ${problem}; zklora open writes it`,
  );
}
