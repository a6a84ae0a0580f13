import type { Address } from 'viem';
import type { EscrowAddress, SignedOffer } from './offer.js';
import { abort } from './pipelineAbort.js';
import type { PipelinePolicy } from './pipelinePolicy.js';

/**
 * What the policy says about the offer itself.
 *
 * @param connected contract that money would go to
 */
export function checkTerms(
  { offer, escrow }: SignedOffer,
  policy: PipelinePolicy,
  connected: EscrowAddress,
  buyer: Address,
): void {
  const refuse = (problem: string) => abort('OFFER_REFUSED', problem);
  if (escrow.chainId !== connected.chainId || escrow.contract !== connected.contract) {
    throw refuse('the offer is for another chain or contract');
  }
  if (offer.buyer !== buyer) throw refuse('the offer is for another buyer');
  if (offer.token !== policy.token) throw refuse('the offer is in another token than the policy wants');
  if (offer.price > policy.maximumPrice)
    throw refuse(`the price ${offer.price} is above the policy's maximum`);
  if (offer.stake < policy.minimumStake)
    throw refuse(`the stake ${offer.stake} is below the policy's minimum`);
  if (offer.revealWindow > policy.maximumRevealWindow) {
    throw refuse('the price could be locked longer than the policy allows');
  }
  if (offer.disputeWindow < policy.minimumDisputeWindow) {
    throw refuse('the dispute window is shorter than the policy wants');
  }
}
