import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { adapterId, writePeftAdapter } from '../adapter/index.js';
import { bytesToHex, hexToBytes } from '../bytes.js';
import { type ErrorCode, ZkLoraError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import type { EscrowChain, EscrowStatus } from './chain.js';
import { checkDelivery } from './checkDelivery.js';
import { DeliveryFile } from './deliveryFile.js';
import { type FraudProofFile, serializeFraudProofFile } from './fraudProofFile.js';
import { offerId, type SignedOffer } from './offer.js';
import { openDelivery } from './openDelivery.js';
import { type AbortReason, abort, PipelineAbort } from './pipelineAbort.js';
import { checkEvidence, type EvidenceOptions } from './pipelineEvidence.js';
import { PipelineJournal } from './pipelineJournal.js';
import { policyDigest } from './pipelinePolicy.js';

/** Steps in their order. */
export type PipelineStep = 'evidence' | 'offer' | 'fund' | 'wait' | 'open' | 'dispute' | 'refund';

/** Arguments of {@link runPipeline}. */
export interface PipelineOptions extends EvidenceOptions {
  readonly offer: SignedOffer;
  /** Path of the downloaded delivery file. */
  readonly delivery: string;
  /** The buyer's delivery key, 32 bytes. */
  readonly deliveryKey: Uint8Array;
  /** Connected with the buyer's account. */
  readonly chain: EscrowChain;
  /** Waits between two looks at the chain; rejects to stop waiting. */
  readonly pause: () => Promise<void>;
  /** Looks at the chain for a revealed key before it gives up for now; the pipeline can be run again. */
  readonly maximumLooks: number;
  readonly baseModelName?: string;
  readonly onStep?: (step: PipelineStep) => void;
}

/** How a pipeline ended. */
export type PipelineOutcome =
  | {
      readonly status: 'done';
      /** PEFT folder with the evaluated weights. */
      readonly adapterDir: string;
      /** Nats; null when the pipeline's folder was lost after it had paid. */
      readonly baseLoss: number | null;
      readonly adapterLoss: number | null;
    }
  /** Paid for, and the contributor still has time to reveal: run the pipeline again. */
  | { readonly status: 'waiting'; readonly revealBy: bigint }
  | { readonly status: 'aborted'; readonly reason: AbortReason; readonly message: string };

/**
 * Buys an adapter: evaluates or takes a receipt, verifies, checks lineage and effect, checks offer and delivery file, funds
 * the escrow, waits for the key, opens, and writes the adapter. If the key does not come the price is taken back; if a
 * row is wrong the contract is shown so.
 *
 * Every step is in the journal of `dir` before the next begins, and money moves only as the chain's state allows: run again
 * after any interruption, it goes on where it was and never pays twice. Two runs at a time cannot pay twice either, as
 * the contract takes an offer once.
 *
 * @returns the outcome; a `no` is no exception
 * @throws ZkLoraError for what cannot be judged or reached: malformed files, no connection
 */
export async function runPipeline(options: PipelineOptions): Promise<PipelineOutcome> {
  const { dir, policy, adapter, offer } = options;
  const journal = await PipelineJournal.open(dir, {
    adapterId: adapterId(adapter),
    offerId: offerId(offer.escrow, offer.offer),
    policyDigest: policyDigest(policy),
  });
  try {
    return await new Run(options, journal).run();
  } catch (error) {
    if (error instanceof PipelineAbort) {
      return { status: 'aborted', reason: error.reason, message: error.message };
    }
    throw error;
  }
}

class Run {
  readonly #options: PipelineOptions;
  readonly #journal: PipelineJournal;
  readonly #adapterDir: string;

  constructor(options: PipelineOptions, journal: PipelineJournal) {
    this.#options = options;
    this.#journal = journal;
    this.#adapterDir = join(options.dir, 'adapter');
  }

  async run(): Promise<PipelineOutcome> {
    const { chain, offer } = this.#options;
    if (!this.#journal.state.opened) {
      const { state } = await chain.status(offer.offer, 'latest');
      // once it is paid for, what was checked before paying is no reason to stop
      if (state === 'none') await this.#pay();
      const status = await this.#waitForKey();
      if (status.state === 'none' || status.state === 'funded') {
        return { status: 'waiting', revealBy: status.deadline };
      }
      await this.#open();
    }
    const { evaluation } = this.#journal.state;
    return {
      status: 'done',
      adapterDir: this.#adapterDir,
      baseLoss: evaluation?.baseLoss ?? null,
      adapterLoss: evaluation?.adapterLoss ?? null,
    };
  }

  async #pay(): Promise<void> {
    const { chain, offer, account } = this.#options;
    this.#step('evidence');
    await checkEvidence(this.#options, this.#journal);
    this.#step('offer');
    checkTerms(this.#options);
    await this.#checkDelivery();
    this.#step('fund');
    const sent = this.#journal.state.fundTransaction;
    try {
      if (sent !== null && (await chain.isKnown(sent))) {
        await chain.settled(sent);
        return;
      }
      const { now } = await chain.status(offer.offer, 'latest');
      if (now > offer.offer.fundBy) throw abort('OFFER_REFUSED', 'the offer has expired; ask for a new one');
      const stake = await chain.balance(offer.offer.contributor, offer.offer.token);
      if (stake < offer.offer.stake) {
        throw abort('FUNDING_REFUSED', 'the contributor has not deposited its stake');
      }
      await chain.fund(offer, (fundTransaction) => this.#journal.write({ fundTransaction }));
    } catch (error) {
      if (!(error instanceof ZkLoraError) || error.code !== 'CHAIN_REFUSED') throw error;
      throw abort('FUNDING_REFUSED', `${account.address} could not fund the offer: ${error.message}`);
    }
  }

  /** Looks until the key is there, the time for it is over, or nobody wants to wait longer. */
  async #waitForKey(): Promise<EscrowStatus> {
    const { chain, offer, maximumLooks, pause } = this.#options;
    this.#step('wait');
    for (let look = 1; ; look++) {
      const status = await chain.status(offer.offer);
      switch (status.state) {
        case 'revealed':
        case 'withdrawn':
          return status;
        case 'cancelled':
          throw abort('OFFER_CANCELLED', 'the contributor has cancelled the offer');
        case 'convicted':
          await this.#collect();
          throw abort('FRAUD_PROVEN', 'a delivered row was wrong; price and stake came back');
        case 'refunded':
          await this.#collect();
          throw abort('NOT_REVEALED', 'the key was not revealed in time; the price came back');
        case 'funded':
          if (status.now > status.deadline) await this.#refund();
      }
      if (look >= maximumLooks) return status;
      await pause();
    }
  }

  async #refund(): Promise<never> {
    const { chain, offer } = this.#options;
    this.#step('refund');
    await chain.refund(offer.offer);
    await this.#collect();
    throw abort('NOT_REVEALED', 'the key was not revealed in time; the price came back');
  }

  async #open(): Promise<void> {
    const { engine, parameters, adapter, offer, chain } = this.#options;
    this.#step('open');
    const masterKey = await chain.revealedKey(offer.offer);
    const delivery = await this.#deliveryFile();
    try {
      const opened = await openDelivery({
        engine,
        srs: await parameters.srs(adapter.domainSize),
        parameters: parameters.set,
        commitment: adapter,
        offer,
        delivery,
        masterKey,
      });
      if (!opened.valid) {
        await this.#dispute({
          offerId: offerId(offer.escrow, offer.offer),
          masterKey: `0x${bytesToHex(masterKey)}`,
          proof: opened.fraudProof,
        });
        return;
      }
      // what an interrupted run left behind
      await rm(this.#adapterDir, { recursive: true, force: true });
      await writePeftAdapter(this.#adapterDir, opened.modules, this.#options.baseModelName ?? null);
      await this.#journal.write({ opened: true });
    } finally {
      await delivery.close();
    }
  }

  async #dispute(file: FraudProofFile): Promise<never> {
    const { chain, offer, dir } = this.#options;
    this.#step('dispute');
    await writeFileAtomic(join(dir, 'fraud-proof.json'), serializeFraudProofFile(file), { overwrite: true });
    const { state, now, deadline } = await chain.status(offer.offer, 'latest');
    if (state !== 'revealed' || now > deadline) {
      throw abort(
        'FRAUD_TOO_LATE',
        `row ${file.proof.row} is wrong, but the window for a dispute has passed`,
      );
    }
    await chain.dispute(offer.offer, hexToBytes(file.masterKey.slice(2)), file.proof);
    await this.#collect();
    throw abort('FRAUD_PROVEN', `row ${file.proof.row} is wrong; price and stake came back`);
  }

  /** Takes what the contract has credited to the buyer; nothing when an earlier run has. */
  async #collect(): Promise<void> {
    const { chain, offer, account } = this.#options;
    const { token } = offer.offer;
    const credit = await chain.balance(account.address, token);
    if (credit > 0n) await chain.collect(token, credit, account.address);
  }

  async #checkDelivery(): Promise<void> {
    const { offer, adapter, parameters } = this.#options;
    try {
      const delivery = await this.#deliveryFile();
      try {
        await checkDelivery(offer.offer, adapter, parameters.set, delivery);
      } finally {
        await delivery.close();
      }
    } catch (error) {
      if (!(error instanceof ZkLoraError) || !REFUSED_DELIVERY.has(error.code)) throw error;
      throw abort('DELIVERY_REFUSED', error.message);
    }
  }

  #deliveryFile(): Promise<DeliveryFile> {
    const { delivery, deliveryKey, adapter } = this.#options;
    return DeliveryFile.open(delivery, deliveryKey, adapter);
  }

  #step(step: PipelineStep): void {
    this.#options.onStep?.(step);
  }
}

/** A delivery file that another download would not mend. */
const REFUSED_DELIVERY: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ADAPTER_UNSUPPORTED',
  'DELIVERY_MALFORMED',
  'DELIVERY_MISMATCH',
]);

/** What the policy says about the offer itself. */
function checkTerms({ policy, offer: { offer, escrow }, chain, account }: PipelineOptions): void {
  const refuse = (problem: string) => abort('OFFER_REFUSED', problem);
  if (escrow.chainId !== chain.escrow.chainId || escrow.contract !== chain.escrow.contract) {
    throw refuse('the offer is for another chain or contract');
  }
  if (offer.buyer !== account.address) throw refuse('the offer is for another buyer');
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
