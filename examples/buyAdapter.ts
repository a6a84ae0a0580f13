/**
 * Buys an adapter under a policy: one run of the contract pipeline. Run it again while it is waiting.
 *
 *     ZKLORA_CHAIN_KEY=... ZKLORA_RPC_URL=... node dist/examples/buyAdapter.js --policy policy.json --deal <dir> \
 *       --parameters <dir> --delivery-key buyer.key --state <dir> \
 *       --base model.onnx --text heldout.txt --contributor 127.0.0.1:7321
 *
 * The deal holds what the contributor sent: adapter.zkl.json, offer.json, adapter.delivery. The state folder holds the
 * journal, the evaluation's session and, at the end, the adapter. With --receipt receipt.json and --session <dir> in place of
 * base, text and contributor the evaluation is somebody else's, whom the policy names: record and proof.zkl in that folder.
 *
 * Exit code: 0 bought, 1 aborted, 75 waiting for the key, 2 not judged. The outcome is one line of JSON.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { privateKeyToAccount } from 'viem/accounts';
import { loadEngine, openParameters, openSessionRecord, parseAdapterCommitment, ZkLoraError } from 'zklora';
import {
  byteWindows,
  connectContributor,
  evaluateAdapter,
  openBaseModel,
  parseAddress,
} from 'zklora/inference';
import {
  EscrowChain,
  type EvaluationSource,
  type Losses,
  type PipelineOutcome,
  parsePipelinePolicy,
  parseSignedOffer,
  parseSignedReceipt,
  readDeliveryKey,
  runPipeline,
} from 'zklora/settlement';

const EXIT: Record<PipelineOutcome['status'], number> = { done: 0, aborted: 1, waiting: 75 };
const SEQUENCE = 96;

const { values } = parseArgs({
  options: {
    policy: { type: 'string' },
    deal: { type: 'string' },
    parameters: { type: 'string' },
    'delivery-key': { type: 'string' },
    state: { type: 'string' },
    session: { type: 'string' },
    receipt: { type: 'string' },
    base: { type: 'string' },
    text: { type: 'string' },
    contributor: { type: 'string' },
    sequences: { type: 'string', default: '8' },
    confirmations: { type: 'string', default: '3' },
    /** Looks at the chain in this run, and seconds between them. */
    looks: { type: 'string', default: '1' },
    interval: { type: 'string', default: '12' },
  },
});

function required(name: keyof typeof values): string {
  const value = values[name];
  if (value === undefined) throw new ZkLoraError('USAGE', `--${name} is missing`);
  return value;
}

function fromEnvironment(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new ZkLoraError('USAGE', `set ${name}`);
  return value;
}

/** Evaluates against the contributor's service; session and proof are on disk when it returns. */
async function evaluate(
  commitment: ReturnType<typeof parseAdapterCommitment>,
  session: string,
): Promise<Losses> {
  // an evaluation that was interrupted begins again
  await rm(session, { recursive: true, force: true });
  const text = await readFile(required('text'));
  const model = await openBaseModel(required('base'), commitment.modules);
  try {
    const client = await connectContributor({ address: parseAddress(required('contributor')) });
    try {
      const windows = byteWindows(new Uint8Array(text), SEQUENCE, Number(values.sequences));
      const evaluation = await evaluateAdapter({
        model,
        client,
        commitment,
        dir: session,
        windows,
        batch: 4,
      });
      await writeFile(join(session, 'proof.zkl'), await evaluation.session.prove());
      return evaluation;
    } finally {
      client.close();
    }
  } finally {
    await model.close();
  }
}

async function main(): Promise<number> {
  const deal = required('deal');
  const adapter = parseAdapterCommitment(await readFile(join(deal, 'adapter.zkl.json'), 'utf8'));
  const offer = await parseSignedOffer(await readFile(join(deal, 'offer.json'), 'utf8'));
  const policy = parsePipelinePolicy(await readFile(required('policy'), 'utf8'));
  const account = privateKeyToAccount(fromEnvironment('ZKLORA_CHAIN_KEY') as `0x${string}`);
  const state = required('state');
  const session = values.receipt === undefined ? join(state, 'session') : required('session');
  const evaluation: EvaluationSource =
    values.receipt === undefined
      ? { kind: 'own', evaluate: () => evaluate(adapter, session) }
      : { kind: 'receipt', receipt: await parseSignedReceipt(await readFile(values.receipt, 'utf8')) };
  const engine = await loadEngine();
  try {
    const outcome = await runPipeline({
      engine,
      parameters: await openParameters(required('parameters')),
      policy,
      adapter,
      evaluation,
      evidence: async () => ({
        session: await openSessionRecord(session),
        proof: await readFile(join(session, 'proof.zkl')),
      }),
      lineage: null,
      account,
      dir: state,
      now: Date.now,
      offer,
      delivery: join(deal, 'adapter.delivery'),
      deliveryKey: (await readDeliveryKey(required('delivery-key'))).secret,
      chain: await EscrowChain.connect({
        node: fromEnvironment('ZKLORA_RPC_URL'),
        escrow: offer.escrow,
        account,
        confirmations: Number(values.confirmations),
      }),
      pause: () => new Promise((resolve) => setTimeout(resolve, Number(values.interval) * 1000)),
      maximumLooks: Number(values.looks),
      onStep: (step) => process.stderr.write(`${step}\n`),
    });
    const text = JSON.stringify(outcome, (_, value) => (typeof value === 'bigint' ? Number(value) : value));
    process.stdout.write(`${text}\n`);
    return EXIT[outcome.status];
  } finally {
    await engine.terminate();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  const code = error instanceof ZkLoraError ? ` [${error.code}]` : '';
  process.stderr.write(
    `not judged: ${error instanceof ZkLoraError ? error.message : 'unexpected error'}${code}\n`,
  );
  process.exitCode = 2;
}
