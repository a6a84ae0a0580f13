import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { AdapterCommitment } from '../../src/adapter/index.js';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import { openParameters, type ParameterStore } from '../../src/circuit/index.js';
import {
  checkSignedEnsemble,
  type Ensemble,
  type EnsembleRun,
  gaussianNoise,
  openEnsemble,
  runEnsemble,
  type ServedAdapter,
  sampleEnsemble,
  sampleValues,
  sessionFolder,
  verifyEnsembleRun,
} from '../../src/ensemble/index.js';
import { ZkLoraError } from '../../src/errors.js';
import { writeFileAtomic } from '../../src/files.js';
import { connectContributor, openSessionRecord, parseAddress } from '../../src/inference/index.js';
import { verifyProof, verifyRegistration } from '../../src/protocol/index.js';
import { runZklora, ZkloraProcess } from '../childProcess.js';
import { loadCommitment } from '../inputs.js';
import type { Terminal } from '../terminal.js';
import { trySwappedExpert } from './ensembleFrauds.js';
import { drawLineage, signLineage, tryTamperedEdge, verifiedEdges } from './ensembleLineage.js';
import { ENSEMBLE_TASKS, type EnsemblePlaces, type EnsembleTask, ensemblePlaces } from './ensembleParts.js';
import { measureQuality } from './ensembleQuality.js';
import { type EnsemblePart, type EnsembleSummary, summarise } from './ensembleReport.js';
import { makeDemoFolder } from './folder.js';
import { framesOf, pictureOf } from './picture.js';

interface Tools {
  readonly terminal: Terminal;
  readonly engine: Engine;
  readonly parameters: ParameterStore;
}

/** Tells the story of both bundled ensembles: this process is the user, every contributor is a process of its own. */
export async function runEnsembleDemo(options: {
  out: string;
  terminal: Terminal;
}): Promise<EnsembleSummary> {
  const { out, terminal } = options;
  await makeDemoFolder(out);
  terminal.note('using development parameters: their secret is known, so proofs show the mechanics only');
  const engine = await loadEngine();
  try {
    const parameters = await openParameters(ensemblePlaces(out, 'image').parameters);
    const parts = new Map<EnsembleTask['name'], EnsemblePart>();
    for (const task of ENSEMBLE_TASKS) {
      parts.set(
        task.name,
        await tellOne({ terminal, engine, parameters }, task, ensemblePlaces(out, task.name)),
      );
    }
    return summarise({ image: parts.get('image')!, video: parts.get('video')! });
  } finally {
    await engine.terminate();
  }
}

async function tellOne(tools: Tools, task: EnsembleTask, places: EnsemblePlaces): Promise<EnsemblePart> {
  const { terminal } = tools;
  const tell = (what: string) => (done?: number, total?: number) =>
    terminal.progress(`${task.name}: ${what}`, done, total);
  await mkdir(places.pictures, { recursive: true });
  tell('contributors register their adapters')();
  const commitments = await registerAll(task, places);
  tell('signing and verifying the lineage')();
  const lineage = await signLineage(places, commitments);
  if (!lineage.whole.valid) {
    throw new ZkLoraError('INTERNAL', `the lineage was refused: ${lineage.whole.failures[0]?.message}`);
  }
  await checkSignedEnsemble(places.model, lineage.imported.manifest);
  terminal.note(await drawLineage(places, lineage));

  const modules = new Map([...commitments].map(([expert, { modules: each }]) => [expert, each]));
  const ensemble = await openEnsemble(places.model, modules);
  try {
    const { labels, guidance, steps, seed, samples } = task;
    const noise = gaussianNoise(seed, samples * sampleValues(ensemble.description));
    tell('samples without adapters')();
    const base = await sampleEnsemble(ensemble, noise, { labels, guidance, steps, top: 1 });
    const proven = await runAndProve(tools, task, places, ensemble, commitments);

    tell('running the plan again on the recorded deltas')();
    const started = performance.now();
    const replayed = await verifyEnsembleRun({ dir: places.run, ensemble, adapters: commitments });
    const replaySeconds = (performance.now() - started) / 1000;
    if (!replayed.valid) throw new ZkLoraError('INTERNAL', `the honest run was refused: ${replayed.message}`);

    const expert = task.adapted[0]!;
    tell('frauds')();
    const swapped = await trySwappedExpert(
      places,
      lineage.imported,
      ensemble,
      commitments.get(expert)!,
      expert,
    );
    terminal.note(`swapped expert: ${swapped.codes.join(', ')}`);
    const turned = await tryTamperedEdge(places, lineage, expert);
    terminal.note(`tampered edge: ${turned.reasons.join(', ')}`);
    const quality = await measureQuality({
      ensemble,
      judge: places.judge,
      samples: task.judged,
      steps,
      seed: seed + 1,
      onVariant: (variant) => tell(`quality, ${variant}`)(),
    });
    return {
      experts: ensemble.experts.length,
      adaptedExperts: task.adapted,
      samples,
      steps: proven.run.trace.length,
      calls: replayed.calls,
      ...proven.figures,
      replaySeconds,
      ...changeBy(base.samples, proven.run, new Set(task.adapted)),
      lineageEdges: verifiedEdges(lineage.whole),
      swappedExpertRejected: swapped.rejected,
      tamperedEdgeRejected: turned.rejected,
      pictures: await drawSamples(places, ensemble, base.samples, proven.run.samples),
      quality,
    };
  } finally {
    await ensemble.close();
  }
}

/** Each contributor registers its adapter for its expert's file; the user pins what they publish. */
async function registerAll(
  task: EnsembleTask,
  places: EnsemblePlaces,
): Promise<Map<number, AdapterCommitment>> {
  const commitments = new Map<number, AdapterCommitment>();
  for (const expert of task.adapted) {
    await runZklora([
      'register',
      ...['--adapter', places.adapter(expert)],
      ...['--base', join(places.model, `expert_${expert}`, 'model.onnx')],
      ...['--parameters', places.parameters, '--out', places.contributor(expert)],
    ]);
    await copyFile(join(places.contributor(expert), 'adapter.zkl.json'), places.pinned(expert));
    commitments.set(expert, await loadCommitment(places.pinned(expert)));
  }
  return commitments;
}

type Figures = Pick<
  EnsemblePart,
  'tokens' | 'proofBytes' | 'sampleSeconds' | 'proveSeconds' | 'verifySeconds'
>;

/** Samples with the contributors' adapters; then every contributor proves and the user verifies. */
async function runAndProve(
  { terminal, engine, parameters }: Tools,
  task: EnsembleTask,
  places: EnsemblePlaces,
  ensemble: Ensemble,
  commitments: ReadonlyMap<number, AdapterCommitment>,
): Promise<{ run: EnsembleRun; figures: Figures }> {
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
    const figures = { tokens: 0, proofBytes: 0, proveSeconds: 0, verifySeconds: 0 };
    for (const [expert, { session }] of run.sessions) {
      const commitment = commitments.get(expert)!;
      const started = performance.now();
      const proof = await session.prove(({ step }) =>
        terminal.progress(`${task.name}: contributor of expert ${expert} proves: ${step}`),
      );
      const proved = performance.now();
      await writeFileAtomic(join(sessionFolder(places.run, expert), 'proof.zkl'), proof);
      const common = {
        engine,
        parameters: parameters.set,
        adapter: commitment,
        allowDevelopmentParameters: true,
      };
      const registration = await verifyRegistration(common);
      const record = await openSessionRecord(sessionFolder(places.run, expert));
      const verdict = await verifyProof({
        ...common,
        verificationKeys: parameters.vkey,
        session: record,
        proof,
      });
      for (const each of [registration, verdict]) {
        if (!each.valid) throw new ZkLoraError('INTERNAL', `an honest proof was refused: ${each.message}`);
      }
      figures.tokens += verdict.valid ? verdict.tokens : 0;
      figures.proofBytes += proof.length;
      figures.proveSeconds += (proved - started) / 1000;
      figures.verifySeconds += (performance.now() - proved) / 1000;
    }
    return { run, figures: { ...figures, sampleSeconds: (sampled - begun) / 1000 } };
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
    ...['--sessions', join(folder, 'sessions'), '--listen', '127.0.0.1:0'],
  ]);
}

/** How far the adapters moved the samples that they took part in. */
function changeBy(
  base: Float32Array,
  { samples, trace }: EnsembleRun,
  adapted: ReadonlySet<number>,
): Pick<EnsemblePart, 'largestChange' | 'meanChange'> {
  const calls = trace.flatMap((step) => step.calls);
  const touched = new Set(calls.filter(({ expert }) => adapted.has(expert)).flatMap(({ rows }) => rows));
  const count = calls.flatMap(({ rows }) => rows).reduce((a, b) => Math.max(a, b)) + 1;
  const values = samples.length / count;
  let largestChange = 0;
  let sum = 0;
  for (const row of touched) {
    for (let i = row * values; i < (row + 1) * values; i += 1) {
      const change = Math.abs(samples[i]! - base[i]!);
      largestChange = Math.max(largestChange, change);
      sum += change;
    }
  }
  return { largestChange, meanChange: touched.size === 0 ? 0 : sum / (touched.size * values) };
}

/** Images: a row without adapters above a row with. Clips: each sample's frames in a row, without above with. */
async function drawSamples(
  places: EnsemblePlaces,
  ensemble: Ensemble,
  base: Float32Array,
  adapted: Float32Array,
): Promise<string[]> {
  const { sampleShape } = ensemble.description;
  const [frames, height, width] = sampleShape;
  const [without, withAdapters] = [framesOf(base, sampleShape), framesOf(adapted, sampleShape)];
  const rows =
    frames === 1
      ? [without.flat(), withAdapters.flat()]
      : without.flatMap((strip, sample) => [strip, withAdapters[sample]!]);
  const path = join(places.pictures, 'samples.png');
  await writeFileAtomic(path, pictureOf({ rows, height, width }));
  return [path];
}
