import { join } from 'node:path';
import type { LocalAccount } from 'viem';
import { type AdapterCommitment, adapterId } from '../adapter/index.js';
import type { Engine } from '../algebra/index.js';
import { bytesToHex, sha256 } from '../bytes.js';
import { type AdapterLineageQuestion, verifyAdapterLineage } from '../checkpoint/index.js';
import type { ParameterStore } from '../circuit/index.js';
import { writeFileAtomic } from '../files.js';
import { type Session, sessionDigest, verifyProof, verifyRegistration } from '../protocol/index.js';
import { abort } from './pipelineAbort.js';
import type { JournalState, PipelineJournal } from './pipelineJournal.js';
import type { PipelinePolicy } from './pipelinePolicy.js';
import {
  checkReceiptSignature,
  type EvaluationReceipt,
  lossToNano,
  receiptTypedData,
  type SignedReceipt,
  serializeSignedReceipt,
} from './receipt.js';

/** Mean losses of a text without and with the adapter, nats. */
export interface Losses {
  readonly baseLoss: number;
  readonly adapterLoss: number;
  readonly predictions: number;
}

/** What was evaluated: the session's record and the proof of it. */
export interface Evidence {
  readonly session: Session;
  readonly proof: Uint8Array;
}

/**
 * Where the losses come from: an evaluation of one's own, which runs once and has left the evidence behind when it
 * returns; or somebody else's signed receipt about the evidence.
 */
export type EvaluationSource =
  | { readonly kind: 'own'; readonly evaluate: () => Promise<Losses> }
  | { readonly kind: 'receipt'; readonly receipt: SignedReceipt };

/** Statements about the adapter's ancestors, the head that the adapter is bound to, and what is trusted about them. */
export type LineageEvidence = Pick<AdapterLineageQuestion, 'policy' | 'files' | 'head'>;

export interface EvidenceOptions {
  readonly engine: Engine;
  readonly parameters: ParameterStore;
  readonly policy: PipelinePolicy;
  readonly adapter: AdapterCommitment;
  readonly evaluation: EvaluationSource;
  /** Opens what the evaluation left behind. */
  readonly evidence: () => Promise<Evidence>;
  readonly lineage: LineageEvidence | null;
  /** Signs the evaluation receipt of an evaluation of one's own. */
  readonly account: LocalAccount;
  /** The pipeline's folder. */
  readonly dir: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

type Evaluated = NonNullable<JournalState['evaluation']>;

/**
 * Evaluates, verifies, and checks lineage and effect. What the journal has is not done again, except for the lineage: a
 * statement may have ended or been revoked since.
 */
export async function checkEvidence(options: EvidenceOptions, journal: PipelineJournal): Promise<void> {
  const losses = journal.state.evaluation ?? (await evaluate(options, journal));
  const { verified } = journal.state;
  if (!verified) await verify(options, losses);
  await checkLineage(options);
  checkEffect(options.policy, losses);
  if (verified) return;
  if (options.evaluation.kind === 'own') await writeReceipt(options, losses);
  await journal.write({ verified: true });
}

async function evaluate(options: EvidenceOptions, journal: PipelineJournal): Promise<Evaluated> {
  const { evaluation, policy, adapter } = options;
  let losses: Losses;
  if (evaluation.kind === 'own') {
    losses = await evaluation.evaluate();
  } else {
    const { receipt } = evaluation.receipt;
    await checkReceiptSignature(evaluation.receipt);
    if (!policy.evaluators.includes(receipt.evaluator)) {
      throw abort('RECEIPT_REFUSED', `the policy does not name ${receipt.evaluator} as an evaluator`);
    }
    if (receipt.adapterId !== `0x${adapterId(adapter)}` || receipt.verdict !== 'VALID') {
      throw abort('RECEIPT_REFUSED', 'the receipt is about another adapter, or its verdict is not VALID');
    }
    losses = {
      baseLoss: Number(receipt.baseLoss) / 1e9,
      adapterLoss: Number(receipt.adapterLoss) / 1e9,
      predictions: Number(receipt.predictions),
    };
  }
  const { session, proof } = await options.evidence();
  const { baseLoss, adapterLoss, predictions } = losses;
  const evaluated = {
    baseLoss,
    adapterLoss,
    predictions,
    sessionDigest: bytesToHex(await sessionDigest(session, adapter.modules)),
    proofDigest: bytesToHex(sha256(proof)),
  };
  if (evaluation.kind === 'receipt') {
    const { sessionDigest, proofDigest } = evaluation.receipt.receipt;
    if (sessionDigest !== `0x${evaluated.sessionDigest}` || proofDigest !== `0x${evaluated.proofDigest}`) {
      throw abort('RECEIPT_REFUSED', 'the receipt is about another session or proof than the ones at hand');
    }
  }
  await journal.write({ evaluation: evaluated });
  return evaluated;
}

async function verify(options: EvidenceOptions, evaluated: Evaluated): Promise<void> {
  const { engine, parameters, adapter, policy } = options;
  const { allowDevelopmentParameters } = policy;
  const shared = { engine, parameters: parameters.set, adapter, allowDevelopmentParameters };
  const registration = await verifyRegistration(shared);
  if (!registration.valid) {
    throw abort('REGISTRATION_INVALID', `${registration.message} [${registration.reason}]`);
  }
  const { session, proof } = await options.evidence();
  const verdict = await verifyProof({
    ...shared,
    registration,
    verificationKeys: parameters.vkey,
    session,
    proof,
  });
  if (!verdict.valid) throw abort('PROOF_INVALID', `${verdict.message} [${verdict.reason}]`);
  if (
    verdict.sessionDigest !== evaluated.sessionDigest ||
    bytesToHex(sha256(proof)) !== evaluated.proofDigest
  ) {
    throw abort('PROOF_INVALID', 'session or proof were exchanged after the evaluation');
  }
}

async function checkLineage({ lineage, policy, adapter, now }: EvidenceOptions): Promise<void> {
  if (lineage === null) {
    if (!policy.requireLineage) return;
    throw abort('LINEAGE_INVALID', 'the policy requires a lineage, and none was given');
  }
  const verdict = await verifyAdapterLineage({ ...lineage, adapter, now: now() });
  if (verdict.valid) return;
  const [first] = verdict.failures;
  throw abort('LINEAGE_INVALID', first ? `${first.message} [${first.code}]` : 'the lineage does not hold');
}

function checkEffect(policy: PipelinePolicy, { baseLoss, adapterLoss, predictions }: Evaluated): void {
  if (predictions < policy.minimumPredictions) {
    throw abort(
      'NO_EFFECT',
      `the means are over ${predictions} predictions, the policy wants ${policy.minimumPredictions}`,
    );
  }
  // written so that NaN is refused
  if (baseLoss - adapterLoss >= policy.minimumImprovement) return;
  throw abort(
    'NO_EFFECT',
    `the loss went from ${baseLoss} to ${adapterLoss}, the policy wants it to fall by ${policy.minimumImprovement}`,
  );
}

async function writeReceipt(options: EvidenceOptions, evaluated: Evaluated): Promise<void> {
  const { account, adapter, dir, now } = options;
  const receipt: EvaluationReceipt = {
    adapterId: `0x${adapterId(adapter)}`,
    sessionDigest: `0x${evaluated.sessionDigest}`,
    proofDigest: `0x${evaluated.proofDigest}`,
    textDigest: `0x${'0'.repeat(64)}`,
    baseLoss: lossToNano(evaluated.baseLoss),
    adapterLoss: lossToNano(evaluated.adapterLoss),
    predictions: BigInt(evaluated.predictions),
    verdict: 'VALID',
    evaluator: account.address,
    issuedAt: BigInt(Math.floor(now() / 1000)),
  };
  const signature = await account.signTypedData(receiptTypedData(receipt));
  await writeFileAtomic(join(dir, 'receipt.json'), serializeSignedReceipt({ receipt, signature }), {
    overwrite: true,
  });
}
