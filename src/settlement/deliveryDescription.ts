import type { Address, LocalAccount } from 'viem';
import { z } from 'zod';
import { type AdapterCommitment, adapterId } from '../adapter/index.js';
import { decodeG2 } from '../algebra/index.js';
import { hexToBytes } from '../bytes.js';
import { type ParameterSet, parameterSetId } from '../circuit/parameters.js';
import { ZkLoraError } from '../errors.js';
import { parseJson } from '../jsonText.js';
import type { DeliveryDigests } from './deliver.js';
import { srsDigest } from './fraudProof.js';
import { bytes32, toHex } from './hex.js';
import { MAX_OFFER_BYTES, MAX_SETTLEMENT_ROWS } from './limits.js';
import { type EscrowAddress, type Offer, offerTypedData, type SignedOffer } from './offer.js';
import { settlementRows } from './rows.js';

/** delivery.json: the part of an offer that follows from the delivery file; the terms are still missing. */
export type DeliveryDescription = Pick<
  Offer,
  'adapterId' | 'rowsRoot' | 'cipherRoot' | 'keyHash' | 'srsDigest' | 'rowCount'
>;

/** What the parties agree on. */
export type OfferTerms = Omit<Offer, keyof DeliveryDescription | 'contributor'>;

const FORMAT = 'zklora/delivery-description/v1';

const schema = z.strictObject({
  format: z.literal(FORMAT),
  adapterId: bytes32,
  rowsRoot: bytes32,
  cipherRoot: bytes32,
  keyHash: bytes32,
  srsDigest: bytes32,
  rowCount: z.number().int().min(1).max(MAX_SETTLEMENT_ROWS),
});

/**
 * Describes a delivery that was written.
 *
 * @throws ZkLoraError `PARAMETERS_MISMATCH` for another parameter set than the adapter was registered under: who knows the
 * secret of the string that an offer binds can convict its contributor
 */
export function describeDelivery(
  digests: DeliveryDigests,
  commitment: AdapterCommitment,
  parameters: ParameterSet,
): DeliveryDescription {
  requireRegisteredUnder(parameters, commitment);
  return {
    adapterId: `0x${adapterId(commitment)}`,
    rowsRoot: toHex(digests.rowsRoot),
    cipherRoot: toHex(digests.cipherRoot),
    keyHash: toHex(digests.keyHash),
    srsDigest: srsDigest(commitment.domainSize, decodeG2(hexToBytes(parameters.tauG2))),
    rowCount: settlementRows(commitment).length,
  };
}

/** @throws ZkLoraError `PARAMETERS_MISMATCH` */
export function requireRegisteredUnder(parameters: ParameterSet, { parametersId }: AdapterCommitment): void {
  if (parameterSetId(parameters) === parametersId) return;
  throw new ZkLoraError(
    'PARAMETERS_MISMATCH',
    'the adapter was registered under another parameter set; deliver it under that one',
    { details: { registered: parametersId } },
  );
}

/** Parses delivery.json. @throws ZkLoraError `OFFER_MALFORMED` */
export function parseDeliveryDescription(json: string | Uint8Array): DeliveryDescription {
  const parsed =
    json.length <= MAX_OFFER_BYTES
      ? schema.safeParse(parseJson(json, 'OFFER_MALFORMED', 'the delivery description'))
      : undefined;
  if (!parsed?.success) {
    throw new ZkLoraError('OFFER_MALFORMED', 'not a delivery description; zklora deliver writes it');
  }
  const { format: _, ...description } = parsed.data;
  return description;
}

/** Readable JSON text of a description, ending in a newline. */
export function serializeDeliveryDescription(description: DeliveryDescription): string {
  return `${JSON.stringify({ format: FORMAT, ...description }, null, 2)}\n`;
}

/** Signs an offer with the contributor's account (EIP-712). */
export async function signOffer(
  account: LocalAccount,
  escrow: EscrowAddress,
  description: DeliveryDescription,
  terms: OfferTerms,
): Promise<SignedOffer> {
  const offer: Offer = { ...description, ...terms, contributor: account.address as Address };
  return { escrow, offer, signature: await account.signTypedData(offerTypedData(escrow, offer)) };
}
