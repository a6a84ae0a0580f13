import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Hex } from 'viem';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { adapterId, quantizeModule, readPeftAdapter } from '../../src/adapter/index.js';
import { lineageHeadDigest, makeLineageHead } from '../../src/checkpoint/index.js';
import { ZkLoraError } from '../../src/errors.js';
import type { EscrowChain, EscrowStatus } from '../../src/settlement/chain.js';
import { DeliveryFile } from '../../src/settlement/deliveryFile.js';
import { parseFraudProofFile } from '../../src/settlement/fraudProofFile.js';
import {
  type FraudProof,
  type Offer,
  parseSignedReceipt,
  receiptTypedData,
  type SignedOffer,
  type SignedReceipt,
} from '../../src/settlement/index.js';
import { openDelivery } from '../../src/settlement/openDelivery.js';
import {
  type PipelineOptions,
  type PipelineOutcome,
  type PipelineStep,
  runPipeline,
} from '../../src/settlement/pipeline.js';
import { type PipelinePolicy, parsePipelinePolicy } from '../../src/settlement/pipelinePolicy.js';
import { refusal, refusalOf } from '../adapter/refusal.js';
import { BASE, EXPERT, edge, NOW, policyOf } from '../checkpoint/lineageBuilder.js';
import {
  type Bargain,
  cheatingDelivery,
  deliverTo,
  makeBargain,
  type Terms,
  withEvidence,
} from './bargain.js';
import { buyer, type ChainWorld, contributor, GENESIS, makeChainWorld } from './chainWorld.js';

const ZERO = `0x${'00'.repeat(20)}` as const;

const POLICY = {
  format: 'zklora/pipeline-policy/v1',
  minimumImprovement: 0.05,
  minimumPredictions: 100,
  requireLineage: false,
  evaluators: [],
  maximumPrice: '1000000000000000000',
  minimumStake: '1000',
  token: ZERO,
  maximumRevealWindow: 3600,
  minimumDisputeWindow: 7200,
  allowDevelopmentParameters: true,
} as const;

/** What the store says of the adapter's base, and the head over it that the adapter is bound to. */
const OF_EXPERT = [edge(EXPERT, 'finetuned-from', BASE)];
const HEAD = makeLineageHead(EXPERT.digest, OF_EXPERT);

let bargain: Awaited<ReturnType<typeof withEvidence>>;
let world: ChainWorld;
let runs = 0;
let deliveries = 0;
beforeAll(async () => {
  bargain = await withEvidence(await makeBargain(lineageHeadDigest(HEAD)));
});
beforeEach(async () => {
  world = await makeChainWorld();
});
afterAll(() => bargain.close());

type Deal = { path: string; offer: SignedOffer };

/** Terms under the world's contract; every offer is another one. */
const terms = (changes: Terms = {}): Terms => ({
  ...world.escrow,
  fundBy: BigInt(GENESIS + 100_000 + deliveries++),
  stake: 5000n,
  ...changes,
});

async function honest(changes: Terms = {}): Promise<Deal> {
  const deal = await deliverTo(bargain, `delivery-${deliveries}`, terms(changes));
  await (await world.connect(contributor)).deposit(ZERO, deal.offer.offer.stake);
  return deal;
}

async function cheating(change: Parameters<typeof cheatingDelivery>[2]): Promise<Deal> {
  const deal = await cheatingDelivery(bargain as Bargain, `cheat-${deliveries}`, change, terms());
  await (await world.connect(contributor)).deposit(ZERO, deal.offer.offer.stake);
  return deal;
}

async function reveal({ offer }: Deal, masterKey = bargain.masterKey): Promise<void> {
  await (await world.connect(contributor)).reveal(offer.offer, masterKey);
}

async function options(deal: Deal, changes: Partial<PipelineOptions> = {}): Promise<PipelineOptions> {
  const { engine, parameters, commitment, session, proof, deliveryKey, dir } = bargain;
  return {
    engine,
    parameters,
    policy: parsePipelinePolicy(JSON.stringify(POLICY)),
    adapter: commitment,
    evaluation: {
      kind: 'own',
      evaluate: async () => ({ baseLoss: 2.5, adapterLoss: 2.25, predictions: 190 }),
    },
    evidence: async () => ({ session, proof }),
    lineage: null,
    account: buyer,
    dir: join(dir, `pipeline-${runs++}`),
    now: () => NOW,
    offer: deal.offer,
    delivery: deal.path,
    deliveryKey,
    chain: await world.connect(buyer),
    pause: async () => undefined,
    maximumLooks: 1,
    ...changes,
  };
}

const adapterNode = () => ({ kind: 'adapter' as const, digest: adapterId(bargain.commitment) });

/** A lineage that holds. */
const lineage = () => ({
  policy: policyOf(),
  files: [...OF_EXPERT, edge(adapterNode(), 'adapter-of', EXPERT)],
  head: HEAD as typeof HEAD | undefined,
});

const policy = (changes: Partial<Record<keyof typeof POLICY, unknown>>): PipelinePolicy =>
  parsePipelinePolicy(JSON.stringify({ ...POLICY, ...changes }));

/** Transactions of the buyer that carry the price. */
const payments = () =>
  world.dev
    .transactions(0, world.dev.blockNumber)
    .filter(({ tx, succeeded }) => tx.value === 10n ** 18n && succeeded).length;

/** Opens a delivery that has a wrong row. */
async function fraudProofOf(deal: Deal): Promise<FraudProof> {
  const { engine, srs, parameters, commitment, masterKey, deliveryKey } = bargain;
  const delivery = await DeliveryFile.open(deal.path, deliveryKey, commitment);
  try {
    const opened = await openDelivery({
      ...{ engine, srs, parameters: parameters.set, commitment, masterKey, delivery },
      offer: deal.offer,
    });
    if (opened.valid) throw new Error('expected fraud');
    return opened.fraudProof;
  } finally {
    await delivery.close();
  }
}

/**
 * The chain as a buyer sees it who waits for confirmations: the state that counts is an earlier one.
 *
 * @param late answers about the newest state, too, that are still the earlier one
 */
function lagging(chain: EscrowChain, earlier: EscrowStatus, late = 0): EscrowChain {
  let left = late;
  return new Proxy(chain, {
    get(target, name) {
      if (name === 'status') {
        return async (offer: Offer, depth?: 'latest' | 'confirmed') =>
          depth === 'latest' && left-- <= 0 ? target.status(offer, 'latest') : earlier;
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** A transaction of the buyer's that did nothing. */
async function revertedTransaction(): Promise<Hex> {
  const raw = await buyer.signTransaction({
    ...{ type: 'eip1559', to: world.escrow.contract, chainId: world.escrow.chainId, nonce: 0 },
    ...{ gas: 100_000n, maxFeePerGas: 3n * 10n ** 9n, maxPriorityFeePerGas: 10n ** 9n, data: '0x12345678' },
  });
  return (await world.rpc.request({ method: 'eth_sendRawTransaction', params: [raw] })) as Hex;
}

/** The buyer's connection, which breaks when it would pay. */
const brokenAtPayment = () =>
  world.connect(buyer, (method) => {
    if (method === 'eth_sendRawTransaction') throw new Error('interrupted');
  });

describe('a pipeline', () => {
  it('buys the evaluated adapter, and signs a receipt of its evaluation', async () => {
    const deal = await honest();
    const steps: PipelineStep[] = [];
    const run = await options(deal, {
      onStep: (step) => steps.push(step),
      pause: () => reveal(deal),
      maximumLooks: 3,
    });
    const outcome = await runPipeline(run);
    expect(outcome).toEqual({
      status: 'done',
      adapterDir: join(run.dir, 'adapter'),
      baseLoss: 2.5,
      adapterLoss: 2.25,
    });
    expect(steps).toEqual(['evidence', 'offer', 'fund', 'wait', 'open']);
    const written = (await readPeftAdapter(join(run.dir, 'adapter'))).modules.map(quantizeModule);
    expect(written).toEqual(bargain.modules);
    const { receipt } = await parseSignedReceipt(await readFile(join(run.dir, 'receipt.json'), 'utf8'));
    expect(receipt).toMatchObject({
      verdict: 'VALID',
      adapterLoss: 2_250_000_000n,
      evaluator: buyer.address,
    });
  });

  it('goes on where it was after an interruption at any request to the chain, and pays once', async () => {
    const deal = await honest();
    let evaluations = 0;
    const evaluation = {
      kind: 'own' as const,
      evaluate: async () => {
        evaluations++;
        return { baseLoss: 2.5, adapterLoss: 2.25, predictions: 190 };
      },
    };
    const { dir } = await options(deal);
    let interruptions = 0;
    let last: PipelineOutcome | undefined;
    for (let allowed = 1; last?.status !== 'done' && allowed < 80; allowed++) {
      // connecting takes two requests; the run ends at the n-th one after them
      let left = allowed + 2;
      const chain = await world.connect(buyer, () => {
        if (left-- === 0) throw new Error('interrupted');
      });
      const run = await options(deal, { dir, evaluation, chain });
      const outcome = await runPipeline(run).catch((error: unknown) => {
        if (!(error instanceof ZkLoraError) || error.code !== 'CHAIN_UNREACHABLE') throw error;
      });
      if (!outcome) interruptions++;
      else last = outcome;
      if (outcome?.status === 'waiting') await reveal(deal);
    }
    expect(last).toMatchObject({ status: 'done' });
    expect(interruptions).toBeGreaterThan(3);
    expect(evaluations).toBe(1);
    expect(payments()).toBe(1);
  });

  it('pays once when it runs twice at a time', async () => {
    const deal = await honest();
    const first = await options(deal);
    const both = await Promise.allSettled([
      runPipeline(first),
      runPipeline(await options(deal, { chain: await world.connect(buyer) })),
    ]);
    expect(payments()).toBe(1);
    expect(both.some(({ status }) => status === 'fulfilled')).toBe(true);
    await reveal(deal);
    expect(await runPipeline(first)).toMatchObject({ status: 'done' });
  });

  it('opens what was paid for even when its journal is lost', async () => {
    const deal = await honest();
    expect(await runPipeline(await options(deal))).toMatchObject({ status: 'waiting' });
    await reveal(deal);
    const lost = await runPipeline(await options(deal));
    expect(lost).toMatchObject({ status: 'done', baseLoss: null, adapterLoss: null });
    expect(payments()).toBe(1);
  });

  it('takes the price back when no key comes', async () => {
    const deal = await honest();
    const run = await options(deal);
    expect(await runPipeline(run)).toMatchObject({ status: 'waiting' });
    world.dev.increaseTime(3700);
    world.dev.mine(1);
    for (let again = 0; again < 2; again++) {
      expect(await runPipeline(run)).toMatchObject({ status: 'aborted', reason: 'NOT_REVEALED' });
      expect(await run.chain.balance(buyer.address, ZERO)).toBe(0n);
    }
    // all but gas
    expect(await run.chain.funds(buyer.address, ZERO)).toBeGreaterThan(99_990_000_000_000_000_000n);
    expect(await run.chain.balance(contributor.address, ZERO)).toBe(5000n);
  });

  it('gets price and stake for one wrong weight, and writes no adapter', async () => {
    const deal = await cheating(({ row }, plain) => {
      if (row === 7) plain[9]! ^= 1;
    });
    const run = await options(deal, { pause: () => reveal(deal), maximumLooks: 2 });
    const before = await run.chain.funds(contributor.address, ZERO);
    expect(await runPipeline(run)).toMatchObject({ status: 'aborted', reason: 'FRAUD_PROVEN' });
    expect(await run.chain.status(deal.offer.offer)).toMatchObject({ state: 'convicted' });
    expect(await run.chain.balance(contributor.address, ZERO)).toBe(0n);
    expect(await run.chain.funds(contributor.address, ZERO)).toBeLessThanOrEqual(before);
    await expect(readFile(join(run.dir, 'adapter', 'adapter_config.json'))).rejects.toThrow('ENOENT');
    const file = parseFraudProofFile(await readFile(join(run.dir, 'fraud-proof.json'), 'utf8'));
    expect(file.proof.row).toBe(7);
    expect(await runPipeline(run)).toMatchObject({ status: 'aborted', reason: 'FRAUD_PROVEN' });
  });

  it.each([
    ['that it does not see as final yet', 0],
    ['in the very moment that it does itself', 3],
  ])('takes price and stake when the fraud was shown %s', async (_, late) => {
    const deal = await cheating((_, plain) => plain.fill(0));
    const run = await options(deal);
    expect(await runPipeline(run)).toMatchObject({ status: 'waiting' });
    await reveal(deal);
    const earlier = await run.chain.status(deal.offer.offer);
    const anybody = await world.connect(contributor);
    await anybody.dispute(deal.offer.offer, bargain.masterKey, await fraudProofOf(deal));
    const before = await run.chain.funds(buyer.address, ZERO);
    const outcome = await runPipeline({ ...run, chain: lagging(run.chain, earlier, late) });
    expect(outcome).toMatchObject({ status: 'aborted', reason: 'FRAUD_PROVEN' });
    expect(await run.chain.balance(buyer.address, ZERO)).toBe(0n);
    expect((await run.chain.funds(buyer.address, ZERO)) - before).toBeGreaterThan(99n * 10n ** 16n);
  });

  it.each([
    ['that it does not see as final yet', 0],
    ['in the very moment that it does itself', 3],
  ])('takes the price when somebody else asked for the refund %s', async (_, late) => {
    const deal = await honest();
    const run = await options(deal);
    expect(await runPipeline(run)).toMatchObject({ status: 'waiting' });
    world.dev.increaseTime(3700);
    world.dev.mine(1);
    const earlier = await run.chain.status(deal.offer.offer);
    await (await world.connect(contributor)).refund(deal.offer.offer);
    const outcome = await runPipeline({ ...run, chain: lagging(run.chain, earlier, late) });
    expect(outcome).toMatchObject({ status: 'aborted', reason: 'NOT_REVEALED' });
    expect(await run.chain.balance(buyer.address, ZERO)).toBe(0n);
    expect(await run.chain.funds(buyer.address, ZERO)).toBeGreaterThan(9999n * 10n ** 16n);
  });

  it('waits for a reveal in the last moment instead of asking for a refund', async () => {
    const deal = await honest();
    const run = await options(deal);
    expect(await runPipeline(run)).toMatchObject({ status: 'waiting' });
    const funded = await run.chain.status(deal.offer.offer);
    await reveal(deal);
    const earlier = { ...funded, now: funded.deadline + 1n };
    const late = { ...run, chain: lagging(run.chain, earlier) };
    expect(await runPipeline(late)).toMatchObject({ status: 'waiting' });
    expect(await runPipeline(run)).toMatchObject({ status: 'done' });
  });

  it('pays again after a transaction that was reverted', async () => {
    const deal = await honest();
    const run = await options(deal);
    const interrupted = runPipeline({ ...run, chain: await brokenAtPayment() });
    expect((await refusalOf(interrupted)).code).toBe('CHAIN_UNREACHABLE');
    const path = join(run.dir, 'pipeline.json');
    const journal = JSON.parse(await readFile(path, 'utf8')) as object;
    const fundTransaction = await revertedTransaction();
    await writeFile(path, JSON.stringify({ ...journal, fundTransaction }));
    expect((await refusalOf(run.chain.settled(fundTransaction))).code).toBe('CHAIN_REFUSED');
    expect(await runPipeline(run)).toMatchObject({ status: 'waiting' });
    expect(payments()).toBe(1);
    await reveal(deal);
    expect(await runPipeline(run)).toMatchObject({ status: 'done' });
  });

  it('opens the file that it has checked, whatever becomes of the download', async () => {
    const deal = await honest();
    const other = await cheatingDelivery(bargain, 'another', (_, plain) => plain.fill(1), terms());
    const run = await options(deal);
    const wrong = { ...run, delivery: other.path };
    expect(await runPipeline(wrong)).toMatchObject({ status: 'aborted', reason: 'DELIVERY_REFUSED' });
    // another download is looked at
    expect(await runPipeline(run)).toMatchObject({ status: 'waiting' });
    await writeFile(deal.path, await readFile(other.path));
    await reveal(deal);
    expect(await runPipeline(run)).toMatchObject({ status: 'done' });
  });

  it('opens again what it has bought when the adapter was not kept', async () => {
    const deal = await honest();
    const run = await options(deal, { pause: () => reveal(deal), maximumLooks: 2 });
    expect(await runPipeline(run)).toMatchObject({ status: 'done' });
    const folder = join(run.dir, 'adapter');
    await rm(folder, { recursive: true });
    expect(await runPipeline(run)).toMatchObject({ status: 'done', adapterLoss: 2.25 });
    expect((await readPeftAdapter(folder)).modules.map(quantizeModule)).toEqual(bargain.modules);
  });

  it('removes no folder that it did not make', async () => {
    const deal = await honest();
    const run = await options(deal, { pause: () => reveal(deal), maximumLooks: 2 });
    const folder = join(run.dir, 'adapter');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'mine'), 'x');
    expect((await refusalOf(runPipeline(run))).code).toBe('FILE_EXISTS');
    expect(await readFile(join(folder, 'mine'), 'utf8')).toBe('x');
    await rm(folder, { recursive: true });
    expect(await runPipeline(run)).toMatchObject({ status: 'done' });
  });

  it('looks at the lineage in every run until it has paid', async () => {
    const deal = await honest();
    const run = await options(deal);
    const interrupted = runPipeline({ ...run, chain: await brokenAtPayment() });
    expect((await refusalOf(interrupted)).code).toBe('CHAIN_UNREACHABLE');
    const good = lineage();
    const keys = good.policy.keys.map((key) => ({ ...key, revoked: true }));
    const revoked = { ...run, lineage: { ...good, policy: { ...good.policy, keys } } };
    expect(await runPipeline(revoked)).toMatchObject({ reason: 'LINEAGE_INVALID' });
    expect(payments()).toBe(0);
    expect(await runPipeline({ ...run, lineage: good })).toMatchObject({ status: 'waiting' });
    expect(payments()).toBe(1);
  });

  it('pays nothing for a lineage that does not hold, or is not the one that the adapter is bound to', async () => {
    const deal = await honest();
    const { policy: trust, files, head } = lineage();
    const [origin, own] = files as [(typeof files)[number], (typeof files)[number]];
    const tampered = own.bytes.slice();
    tampered[100]! ^= 1;
    for (const [change, code] of [
      [{ files: [] }, 'missing-parent'],
      [{ files: [origin, { ...own, bytes: tampered }] }, 'missing-parent'],
      [{ files: [own], policy: policyOf({ allowedRoots: [EXPERT] }) }, 'head-incomplete'],
      [{ head: undefined }, 'head-missing'],
      [{ head: makeLineageHead(EXPERT.digest, []) }, 'head-missing'],
      [{ files: [origin, edge(adapterNode(), 'adapter-of', BASE)] }, 'base-mismatch'],
      [{ policy: policyOf({ allowedRoots: [] }) }, 'missing-parent'],
      [{ policy: policyOf({ expires: '2026-01-01T00:00:00Z' }) }, 'policy-expired'],
    ] as [Partial<ReturnType<typeof lineage>>, string][]) {
      const run = await options(deal, { lineage: { policy: trust, files, head, ...change } });
      const outcome = await runPipeline({ ...run, policy: policy({ requireLineage: true }) });
      expect(outcome, code).toMatchObject({ status: 'aborted', reason: 'LINEAGE_INVALID' });
      expect((outcome as { message: string }).message).toContain(`[${code}]`);
    }
    expect(payments()).toBe(0);
  });

  it('signs no receipt about an adapter without effect', async () => {
    const run = await options(await honest(), { policy: policy({ minimumImprovement: 0.26 }) });
    expect(await runPipeline(run)).toMatchObject({ reason: 'NO_EFFECT' });
    await expect(readFile(join(run.dir, 'receipt.json'))).rejects.toThrow('ENOENT');
  });

  it('says so when it comes too late to show fraud', async () => {
    const deal = await cheating((_, plain) => plain.fill(0));
    const run = await options(deal);
    expect(await runPipeline(run)).toMatchObject({ status: 'waiting' });
    await reveal(deal);
    world.dev.increaseTime(7300);
    world.dev.mine(1);
    expect(await runPipeline(run)).toMatchObject({ status: 'aborted', reason: 'FRAUD_TOO_LATE' });
  });

  it.each([
    ['OFFER_REFUSED', { maximumPrice: '999999999999999999' }],
    ['OFFER_REFUSED', { minimumStake: '5001' }],
    ['OFFER_REFUSED', { token: '0x1111111111111111111111111111111111111111' }],
    ['OFFER_REFUSED', { maximumRevealWindow: 3599 }],
    ['OFFER_REFUSED', { minimumDisputeWindow: 7201 }],
    ['NO_EFFECT', { minimumImprovement: 0.26 }],
    ['NO_EFFECT', { minimumPredictions: 191 }],
    ['LINEAGE_INVALID', { requireLineage: true }],
    ['REGISTRATION_INVALID', { allowDevelopmentParameters: false }],
  ])('pays nothing: %s under %j', async (reason, change) => {
    const run = await options(await honest(), { policy: policy(change) });
    expect(await runPipeline(run)).toMatchObject({ status: 'aborted', reason });
    expect(payments()).toBe(0);
  });

  it('pays nothing for a proof of another session, or another delivery', async () => {
    const deal = await honest();
    const session = bargain.session.clone();
    session.calls[0]!.outputs[0]![0]! ^= 1n;
    const { proof } = bargain;
    const wrongProof = await options(deal, { evidence: async () => ({ session, proof }) });
    expect(await runPipeline(wrongProof)).toMatchObject({ status: 'aborted', reason: 'PROOF_INVALID' });
    const other = await cheatingDelivery(bargain, 'other', (_, plain) => plain.fill(1), terms());
    const wrongFile = await options(deal, { delivery: other.path });
    expect(await runPipeline(wrongFile)).toMatchObject({ status: 'aborted', reason: 'DELIVERY_REFUSED' });
    const elsewhere = await options(await honest({ contract: `0x${'11'.repeat(20)}` }));
    expect(await runPipeline(elsewhere)).toMatchObject({ status: 'aborted', reason: 'OFFER_REFUSED' });
    expect(payments()).toBe(0);
  });

  it('pays nothing without a stake, after the offer ended, or when it was cancelled', async () => {
    const poor = await deliverTo(bargain, 'poor', terms({ stake: 6000n }));
    expect(await runPipeline(await options(poor))).toMatchObject({ reason: 'FUNDING_REFUSED' });
    const old = await honest({ fundBy: BigInt(GENESIS) });
    expect(await runPipeline(await options(old))).toMatchObject({ reason: 'OFFER_REFUSED' });
    const gone = await honest();
    await (await world.connect(contributor)).cancel(gone.offer.offer);
    expect(await runPipeline(await options(gone))).toMatchObject({ reason: 'OFFER_CANCELLED' });
    expect(payments()).toBe(0);
  });

  it('takes the receipt of an evaluator that its policy names, about this session and proof', async () => {
    const deal = await honest();
    const own = await options(deal);
    await runPipeline(own);
    const signed = await parseSignedReceipt(await readFile(join(own.dir, 'receipt.json'), 'utf8'));
    const trusted = { policy: policy({ evaluators: [buyer.address] }) };
    const source = (receipt: SignedReceipt) => ({ kind: 'receipt' as const, receipt });
    const second = await honest();
    const good = await options(second, { ...trusted, evaluation: source(signed) });
    expect(await runPipeline(good)).toMatchObject({ status: 'waiting' });

    const third = await honest();
    const stranger = await options(third, { evaluation: source(signed) });
    expect(await runPipeline(stranger)).toMatchObject({ reason: 'RECEIPT_REFUSED' });
    for (const change of [
      { verdict: 'WRONG_SESSION' },
      { adapterId: `0x${'01'.repeat(32)}` as const },
      { sessionDigest: `0x${'01'.repeat(32)}` as const },
      { proofDigest: `0x${'01'.repeat(32)}` as const },
    ]) {
      const receipt = { ...signed.receipt, ...change };
      const signature = await buyer.signTypedData(receiptTypedData(receipt));
      const run = await options(third, { ...trusted, evaluation: source({ receipt, signature }) });
      expect(await runPipeline(run), JSON.stringify(change)).toMatchObject({ reason: 'RECEIPT_REFUSED' });
    }
    const forged = { receipt: { ...signed.receipt, adapterLoss: 1n }, signature: signed.signature };
    const run = await options(third, { ...trusted, evaluation: source(forged) });
    expect((await refusalOf(runPipeline(run))).code).toBe('RECEIPT_MALFORMED');
  });

  it('does not go on under another policy or offer', async () => {
    const deal = await honest();
    const run = await options(deal);
    await runPipeline(run);
    const looser = { ...run, policy: policy({ minimumImprovement: 0 }) };
    expect((await refusalOf(runPipeline(looser))).details).toEqual({ member: 'policyDigest' });
    const other = { ...run, offer: (await honest()).offer };
    expect((await refusalOf(runPipeline(other))).details).toEqual({ member: 'offerId' });
    expect(refusal(() => parsePipelinePolicy('{}')).code).toBe('POLICY_MALFORMED');
  });
});

describe('the contract', () => {
  it('convicts for every kind of wrong row, and acquits the honest', async () => {
    for (const change of [
      (plain: Uint8Array) => plain.fill(0),
      (plain: Uint8Array) => plain.fill(0xff),
      (plain: Uint8Array) => plain.set([0x80, 0]),
      (plain: Uint8Array) => plain.fill(3, plain.length - 32),
    ]) {
      const deal = await cheating(({ row }, plain) => {
        if (row === 4) change(plain);
      });
      const run = await options(deal, { pause: () => reveal(deal), maximumLooks: 2 });
      expect(await runPipeline(run)).toMatchObject({ reason: 'FRAUD_PROVEN' });
    }
    // the proof of a wrong delivery does not convict another offer
    const cheat = await cheating((_, plain) => plain.fill(0));
    const fraudProof = await fraudProofOf(cheat);
    const deal = await honest();
    const chain = await world.connect(buyer);
    await chain.fund(deal.offer);
    await reveal(deal);
    const refused = await refusalOf(chain.dispute(deal.offer.offer, bargain.masterKey, fraudProof));
    expect(refused).toMatchObject({ code: 'CHAIN_REFUSED', details: { revert: 'CipherPathInvalid' } });
  });
});
