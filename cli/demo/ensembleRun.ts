import { join } from 'node:path';
import type { AdapterCommitment } from '../../src/adapter/index.js';
import type { Engine } from '../../src/algebra/index.js';
import type { AdapterLineageQuestion } from '../../src/checkpoint/index.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import {
  type Ensemble,
  type EnsembleRun,
  runEnsemble,
  type ServedAdapter,
  sessionFolder,
  verifyProvenRun,
} from '../../src/ensemble/index.js';
import { ZkLoraError } from '../../src/errors.js';
import { writeFileAtomic } from '../../src/files.js';
import { connectContributor, openSessionRecord, parseAddress } from '../../src/inference/index.js';
import type { VerifyOptions } from '../../src/protocol/index.js';
import { ZkloraProcess } from '../childProcess.js';
import { adapterQuestion, loadModelAtHand } from '../lineageInputs.js';
import type { Terminal } from '../terminal.js';
import type { SignedLineage } from './ensembleLineage.js';
import type { EnsemblePlaces, EnsembleTask } from './ensembleParts.js';
import type { EnsemblePart } from './ensembleReport.js';

export interface Tools {
  readonly terminal: Terminal;
  readonly engine: Engine;
  readonly parameters: ParameterStore;
}

/** A run, and the proof of each of its sessions by expert. */
export interface ProvenRun {
  readonly run: EnsembleRun;
  readonly proofs: ReadonlyMap<number, Uint8Array>;
  readonly figures: Pick<EnsemblePart, 'proofBytes' | 'sampleSeconds' | 'proveSeconds'>;
}

/** Samples with the contributors' adapters; then every contributor proves. */
export async function runAndProve(
  { terminal }: Tools,
  task: EnsembleTask,
  places: EnsemblePlaces,
  ensemble: Ensemble,
  commitments: ReadonlyMap<number, AdapterCommitment>,
): Promise<ProvenRun> {
  const servers = [...commitments.keys()].map((expert) => serve(places, expert));
  const adapters: ServedAdapter[] = [];
  try {
    for (const [i, [expert, commitment]] of [...commitments].entries()) {
      const { address } = await servers[i]!.next();
      const client = await connectContributor({ address: parseAddress(address as string) });
      adapters.push({ expert, commitment, client });
    }
    const begun = performance.now();
    const { labels, guidance, steps, seed, samples } = task;
    const run = await runEnsemble({
      ...{ ensemble, adapters, dir: places.run, labels, guidance, steps, seed, samples, top: 1 },
      onStep: (step, total) => terminal.progress(`${task.name}: samples with remote adapters`, step, total),
    });
    const sampled = performance.now();
    const proofs = new Map<number, Uint8Array>();
    const figures = { proofBytes: 0, sampleSeconds: (sampled - begun) / 1000, proveSeconds: 0 };
    for (const [expert, { session }] of run.sessions) {
      const started = performance.now();
      const proof = await session.prove(({ step }) =>
        terminal.progress(`${task.name}: contributor of expert ${expert} proves: ${step}`),
      );
      figures.proveSeconds += (performance.now() - started) / 1000;
      figures.proofBytes += proof.length;
      proofs.set(expert, proof);
      await writeFileAtomic(join(sessionFolder(places.run, expert), 'proof.zkl'), proof);
    }
    return { run, proofs, figures };
  } finally {
    for (const { client } of adapters) client.close();
    for (const server of servers) server.stop();
    for (const server of servers) await server.exitCode();
  }
}

function serve(places: EnsemblePlaces, expert: number): ZkloraProcess {
  const folder = places.contributor(expert);
  return new ZkloraProcess([
    'serve',
    ...['--adapter', places.adapter(expert), '--parameters', places.parameters],
    ...['--commitment', join(folder, 'adapter.zkl.json'), '--secret', join(folder, 'adapter.secret')],
    ...['--sessions', join(folder, 'sessions'), '--listen', '127.0.0.1:0', '--max-revealed', '1'],
  ]);
}

/** The user runs the plan again on the recorded deltas, and verifies every proof together with its adapter's lineage. */
export async function verifyWhole(
  { terminal, engine, parameters }: Tools,
  task: EnsembleTask,
  places: EnsemblePlaces,
  ensemble: Ensemble,
  { policy }: SignedLineage,
  proofs: ReadonlyMap<number, Uint8Array>,
  adapters: ReadonlyMap<number, AdapterCommitment>,
): Promise<Pick<EnsemblePart, 'calls' | 'tokens' | 'replaySeconds' | 'verifySeconds'>> {
  const lineages = new Map<number, Omit<AdapterLineageQuestion, 'adapter'>>();
  for (const [expert, adapter] of adapters) {
    const model = await loadModelAtHand(join(places.model, `expert_${expert}`, 'model.onnx'), terminal);
    lineages.set(expert, await adapterQuestion(places.lineage, policy, adapter, model));
  }
  terminal.progress(`${task.name}: running the plan again on the recorded deltas`);
  const started = performance.now();
  let replayed: number | undefined;
  const verdict = await verifyProvenRun({
    ...{ dir: places.run, ensemble, adapters, proofs, lineages, engine },
    parameters: parameters.set,
    verificationKeys: parameters.vkey,
    allowDevelopmentParameters: true,
    onProof: (expert) => {
      replayed ??= performance.now();
      terminal.progress(`${task.name}: verifying the proof and lineage of expert ${expert}`);
    },
  });
  const ended = performance.now();
  if (!verdict.valid) throw new ZkLoraError('INTERNAL', `the honest run was refused: ${verdict.message}`);
  return {
    calls: verdict.calls,
    tokens: verdict.sessions.reduce((sum, { proof }) => sum + proof.tokens, 0),
    replaySeconds: ((replayed ?? ended) - started) / 1000,
    verifySeconds: (ended - (replayed ?? ended)) / 1000,
  };
}

/** What the proof of one expert's session is verified with. */
export async function verifyOptions(
  { engine, parameters }: Tools,
  places: EnsemblePlaces,
  proofs: ReadonlyMap<number, Uint8Array>,
  adapters: ReadonlyMap<number, AdapterCommitment>,
  expert: number,
): Promise<VerifyOptions> {
  return {
    engine,
    parameters: parameters.set,
    verificationKeys: parameters.vkey,
    adapter: adapters.get(expert)!,
    session: await openSessionRecord(sessionFolder(places.run, expert)),
    proof: proofs.get(expert)!,
    allowDevelopmentParameters: true,
  };
}
