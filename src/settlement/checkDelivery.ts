import { type AdapterCommitment, adapterId, peftConfigText } from '../adapter/index.js';
import { decodeG2 } from '../algebra/index.js';
import { hexToBytes } from '../bytes.js';
import { type ParameterSet, parameterSetId } from '../circuit/parameters.js';
import { ZkLoraError } from '../errors.js';
import { rowsRootOf } from './deliver.js';
import type { DeliveryFile } from './deliveryFile.js';
import { srsDigest } from './fraudProof.js';
import { toHex } from './hex.js';
import type { MerkleTree } from './merkle.js';
import type { Offer } from './offer.js';
import { requireDisputable, settlementRows } from './rows.js';

/**
 * Checks that an offer is about the adapter that was evaluated, under the buyer's own parameters, that a wrong row of it
 * could be shown to the contract, and that it can be written as PEFT files at all. Needs neither delivery file nor key.
 *
 * @throws ZkLoraError `DELIVERY_MISMATCH` with the member that differs, `ADAPTER_UNSUPPORTED`
 */
export function checkOffer(offer: Offer, commitment: AdapterCommitment, parameters: ParameterSet): void {
  if (parameterSetId(parameters) !== commitment.parametersId) {
    throw mismatch('parametersId', 'the adapter was registered under another parameter set than yours');
  }
  if (offer.adapterId !== `0x${adapterId(commitment)}`) {
    throw mismatch('adapterId', 'the offer is for another adapter than the one you evaluated');
  }
  requireDisputable(commitment);
  const rows = settlementRows(commitment);
  if (offer.rowCount !== rows.length || offer.rowsRoot !== toHex(rowsRootOf(rows))) {
    throw mismatch('rowsRoot', 'the offer binds other rows than the adapter commitment has');
  }
  if (offer.srsDigest !== srsDigest(commitment.domainSize, decodeG2(hexToBytes(parameters.tauG2)))) {
    throw mismatch(
      'srsDigest',
      'the offer binds another reference string, under which fraud could not be shown',
    );
  }
  peftConfigText(commitment.modules, null);
}

/**
 * Everything that a buyer checks before it pays: {@link checkOffer}, and that the offer binds the delivery file at hand.
 *
 * @returns the tree over the encrypted rows
 * @throws ZkLoraError `DELIVERY_MISMATCH`, `DELIVERY_MALFORMED`, `ADAPTER_UNSUPPORTED`
 */
export async function checkDelivery(
  offer: Offer,
  commitment: AdapterCommitment,
  parameters: ParameterSet,
  delivery: DeliveryFile,
): Promise<MerkleTree> {
  checkOffer(offer, commitment, parameters);
  const tree = await delivery.cipherTree();
  if (offer.cipherRoot !== toHex(tree.root)) {
    throw mismatch('cipherRoot', 'the delivery file is not the one that the offer binds');
  }
  return tree;
}

export function mismatch(member: string, problem: string): ZkLoraError {
  return new ZkLoraError('DELIVERY_MISMATCH', `${problem}; do not fund it, ask the contributor`, {
    details: { member },
  });
}
