import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { adapterId, writePeftAdapter } from '../adapter/index.js';
import { hexToBytes } from '../bytes.js';
import { type ErrorCode, ZkLoraError } from '../errors.js';
import { requireFreeFolder, writeFileAtomic } from '../files.js';
import type { EscrowChain, EscrowState, EscrowStatus, Settled } from './chain.js';
import { checkDelivery } from './checkDelivery.js';
import { DeliveryFile } from './deliveryFile.js';
import { type FraudProofFile, serializeFraudProofFile } from './fraudProofFile.js';
import { toHex } from './hex.js';
import { offerId, type SignedOffer } from './offer.js';
import { openDelivery } from './openDelivery.js';
import { type AbortReason, abort, PipelineAbort } from './pipelineAbort.js';
import { checkEvidence, type EvidenceOptions } from './pipelineEvidence.js';
import { PipelineJournal } from './pipelineJournal.js';
import { policyDigest } from './pipelinePolicy.js';
import { checkTerms } from './pipelineTerms.js';

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
  /** The pipeline's own copy of the delivery file: what is opened is what was checked. */
  readonly #copy: string;

  constructor(options: PipelineOptions, journal: PipelineJournal) {
    this.#options = options;
    this.#journal = journal;
    this.#adapterDir = join(options.dir, 'adapter');
    this.#copy = join(options.dir, 'adapter.delivery');
  }

  async run(): Promise<PipelineOutcome> {
    const { chain, offer } = this.#options;
    if (!(await this.#isOpened())) {
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

  /** Whether the adapter is there: it may have been moved away, or not kept with the journal. */
  async #isOpened(): Promise<boolean> {
    if (!this.#journal.state.opened) return false;
    const names = await readdir(this.#adapterDir).catch(() => []);
    return names.length > 0;
  }

  async #pay(): Promise<void> {
    const { chain, offer, account } = this.#options;
    this.#step('evidence');
    await checkEvidence(this.#options, this.#journal);
    this.#step('offer');
    checkTerms(offer, this.#options.policy, chain.escrow, account.address);
    await this.#checkDelivery();
    this.#step('fund');
    if (await this.#isFundingSettled()) return;
    try {
      const { now } = await chain.status(offer.offer, 'latest');
      if (now > offer.offer.fundBy) throw abort('OFFER_REFUSED', 'the offer has expired; ask for a new one');
      const stake = await chain.balance(offer.offer.contributor, offer.offer.token);
      if (stake < offer.offer.stake) {
        throw abort('FUNDING_REFUSED', 'the contributor has not deposited its stake');
      }
      await chain.fund(offer, (fundTransaction) => this.#journal.write({ fundTransaction }));
    } catch (error) {
      if (!isRefused(error)) throw error;
      throw abort('FUNDING_REFUSED', `${account.address} could not fund the offer: ${error.message}`);
    }
  }

  /** Waits for a transaction that an earlier run has sent; false when there is none, or it did nothing. */
  async #isFundingSettled(): Promise<boolean> {
    const { chain } = this.#options;
    const sent = this.#journal.state.fundTransaction;
    if (sent === null || !(await chain.isKnown(sent))) return false;
    try {
      await chain.settled(sent);
      return true;
    } catch (error) {
      if (!isRefused(error)) throw error;
      await this.#journal.write({ fundTransaction: null });
      return false;
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

  /** Returns when there is nothing to refund: the key was revealed in a block that is not deep enough yet. */
  async #refund(): Promise<void> {
    const { chain, offer } = this.#options;
    const { state } = await chain.status(offer.offer, 'latest');
    if (state !== 'funded' && state !== 'refunded') return;
    this.#step('refund');
    await this.#unlessDone('refunded', () => chain.refund(offer.offer));
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
          masterKey: toHex(masterKey),
          proof: opened.fraudProof,
        });
        return;
      }
      // what an interrupted run of this pipeline left behind; nobody else's folder
      if (this.#journal.state.writing) await rm(this.#adapterDir, { recursive: true, force: true });
      else await requireFreeFolder(this.#adapterDir);
      await this.#journal.write({ writing: true });
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
    if (state !== 'convicted' && (state !== 'revealed' || now > deadline)) {
      throw abort(
        'FRAUD_TOO_LATE',
        `row ${file.proof.row} is wrong, but the window for a dispute has passed`,
      );
    }
    const masterKey = hexToBytes(file.masterKey.slice(2));
    await this.#unlessDone('convicted', () => chain.dispute(offer.offer, masterKey, file.proof));
    await this.#collect();
    throw abort('FRAUD_PROVEN', `row ${file.proof.row} is wrong; price and stake came back`);
  }

  /** Sends what anybody may send, unless an earlier run or somebody else was first. */
  async #unlessDone(wanted: EscrowState, send: () => Promise<Settled>): Promise<void> {
    const { chain, offer } = this.#options;
    const isDone = async () => (await chain.status(offer.offer, 'latest')).state === wanted;
    if (await isDone()) return;
    try {
      await send();
    } catch (error) {
      if (!isRefused(error) || !(await isDone())) throw error;
    }
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
      // for another download to be looked at
      await rm(this.#copy, { force: true });
      throw abort('DELIVERY_REFUSED', error.message);
    }
  }

  /** Opens the copy, which is made of the download first when it is not there. */
  async #deliveryFile(): Promise<DeliveryFile> {
    const { delivery, deliveryKey, adapter } = this.#options;
    const copy = () => DeliveryFile.open(this.#copy, deliveryKey, adapter);
    try {
      return await copy();
    } catch (error) {
      if (!(error instanceof ZkLoraError) || error.code !== 'FILE_NOT_FOUND') throw error;
    }
    const download = await DeliveryFile.open(delivery, deliveryKey, adapter);
    try {
      await download.copyTo(this.#copy);
    } finally {
      await download.close();
    }
    return copy();
  }

  #step(step: PipelineStep): void {
    this.#options.onStep?.(step);
  }
}

/** Whether the chain said no, rather than nothing. */
function isRefused(error: unknown): error is ZkLoraError {
  return error instanceof ZkLoraError && error.code === 'CHAIN_REFUSED';
}

/** A delivery file that another download would not mend. */
const REFUSED_DELIVERY: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ADAPTER_UNSUPPORTED',
  'DELIVERY_MALFORMED',
  'DELIVERY_MISMATCH',
]);
