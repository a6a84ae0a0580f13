import { type Address, type Hex, recoverTypedDataAddress } from 'viem';
import { z } from 'zod';
import { ZkLoraError } from '../errors.js';
import { parseJsonText } from '../jsonText.js';
import { address, bytes32, decimal, integer, signature65 } from './hex.js';
import { MAX_OFFER_BYTES } from './limits.js';
import { isLowS } from './signature.js';

/** EIP-712 type of an evaluation receipt. */
export const RECEIPT_TYPES = {
  EvaluationReceipt: [
    { name: 'adapterId', type: 'bytes32' },
    { name: 'sessionDigest', type: 'bytes32' },
    { name: 'proofDigest', type: 'bytes32' },
    { name: 'textDigest', type: 'bytes32' },
    { name: 'baseLoss', type: 'uint64' },
    { name: 'adapterLoss', type: 'uint64' },
    { name: 'predictions', type: 'uint64' },
    { name: 'verdict', type: 'string' },
    { name: 'evaluator', type: 'address' },
    { name: 'issuedAt', type: 'uint64' },
  ],
} as const;

/** What a buyer says it measured: a statement of its signer, no proof by itself. */
export interface EvaluationReceipt {
  readonly adapterId: Hex;
  /** Digest of the session that was proven (docs/protocol.md, section 4). */
  readonly sessionDigest: Hex;
  /** SHA-256 of proof.zkl. */
  readonly proofDigest: Hex;
  /** SHA-256 of the held-out text; zeros where it stays private. */
  readonly textDigest: Hex;
  /** Mean loss of the base model, in 10^-9 nats. */
  readonly baseLoss: bigint;
  /** Mean loss with the adapter, in 10^-9 nats. */
  readonly adapterLoss: bigint;
  /** Number of predictions the means are over. */
  readonly predictions: bigint;
  /** `VALID`, or the reason why the proof is not (docs/formats.md). */
  readonly verdict: string;
  /** Signer. */
  readonly evaluator: Address;
  /** Seconds since 1970. */
  readonly issuedAt: bigint;
}

/** A receipt with its evaluator's signature. */
export interface SignedReceipt {
  readonly receipt: EvaluationReceipt;
  /** r | s | v, 65 bytes; low s, v 27 or 28. */
  readonly signature: Hex;
}

/** EIP-712 domain of receipts: of no chain, since they say nothing about one. */
const DOMAIN = { name: 'zklora EvaluationReceipt', version: '1' } as const;

const NANO = 1e9;

/**
 * A loss in nats as a receipt has it, in 10^-9 nats, rounded.
 *
 * @throws ZkLoraError `USAGE` for a loss that is negative, not finite or above 10^6 nats
 */
export function lossToNano(loss: number): bigint {
  if (!(loss >= 0 && loss <= 1e6)) throw new ZkLoraError('USAGE', 'a loss is a number from 0 to 10^6 nats');
  return BigInt(Math.round(loss * NANO));
}

/** Typed data of a receipt, for a wallet to sign. */
export function receiptTypedData(receipt: EvaluationReceipt) {
  return {
    domain: DOMAIN,
    types: RECEIPT_TYPES,
    primaryType: 'EvaluationReceipt',
    message: receipt,
  } as const;
}

/**
 * Checks the evaluator's signature.
 *
 * @throws ZkLoraError `RECEIPT_MALFORMED`
 */
export async function checkReceiptSignature({ receipt, signature }: SignedReceipt): Promise<void> {
  const signer = isLowS(signature)
    ? await recoverTypedDataAddress({ ...receiptTypedData(receipt), signature }).catch(() => undefined)
    : undefined;
  if (signer !== receipt.evaluator) throw malformed('it is not signed by its evaluator');
}

const FORMAT = 'zklora/receipt/v1';

const schema = z.strictObject({
  format: z.literal(FORMAT),
  adapterId: bytes32,
  sessionDigest: bytes32,
  proofDigest: bytes32,
  textDigest: bytes32,
  baseLoss: decimal(64),
  adapterLoss: decimal(64),
  predictions: integer(53),
  verdict: z.string().regex(/^[A-Z][A-Z0-9_]{0,63}$/),
  evaluator: address,
  issuedAt: integer(53),
  signature: signature65,
});

/**
 * Parses a receipt file (docs/formats.md, "Evaluation receipt") and checks its signature.
 *
 * @throws ZkLoraError `RECEIPT_MALFORMED`
 */
export async function parseSignedReceipt(json: string): Promise<SignedReceipt> {
  if (json.length > MAX_OFFER_BYTES) throw malformed(`it is larger than ${MAX_OFFER_BYTES} bytes`);
  const parsed = schema.safeParse(parseJsonText(json, 'RECEIPT_MALFORMED', 'the receipt'));
  if (!parsed.success) {
    const path = parsed.error.issues[0]?.path.map(String).join('.') || 'the top level';
    throw malformed(`"${path}" is missing, unknown or out of range`);
  }
  const { format: _, signature, ...members } = parsed.data;
  const receipt = {
    ...members,
    predictions: BigInt(members.predictions),
    issuedAt: BigInt(members.issuedAt),
  };
  await checkReceiptSignature({ receipt, signature });
  return { receipt, signature };
}

/** Readable JSON text of a signed receipt, ending in a newline. */
export function serializeSignedReceipt({ receipt, signature }: SignedReceipt): string {
  const { baseLoss, adapterLoss, predictions, issuedAt, ...members } = receipt;
  const file = {
    format: FORMAT,
    ...members,
    baseLoss: baseLoss.toString(),
    adapterLoss: adapterLoss.toString(),
    predictions: Number(predictions),
    issuedAt: Number(issuedAt),
    signature,
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError('RECEIPT_MALFORMED', `not a usable evaluation receipt: ${problem}`);
}
