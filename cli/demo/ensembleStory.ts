import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { AdapterCommitment } from '../../src/adapter/index.js';
import { loadEngine } from '../../src/algebra/index.js';
import { openParameters } from '../../src/circuit/index.js';
import {
  type Ensemble,
  type EnsembleRun,
  gaussianNoise,
  openSignedEnsemble,
  sampleEnsemble,
  sampleValues,
} from '../../src/ensemble/index.js';
import { ZkLoraError } from '../../src/errors.js';
import { writeFileAtomic } from '../../src/files.js';
import { runZklora } from '../childProcess.js';
import { loadCommitment } from '../inputs.js';
import type { Terminal } from '../terminal.js';
import { trySwappedExpert, tryTamperedEdge } from './ensembleFrauds.js';
import { drawLineage, signAdapters, signEnsemble, verifiedEdges } from './ensembleLineage.js';
import { ENSEMBLE_TASKS, type EnsemblePlaces, type EnsembleTask, ensemblePlaces } from './ensembleParts.js';
import { measureQuality } from './ensembleQuality.js';
import { type EnsemblePart, type EnsembleSummary, summarise } from './ensembleReport.js';
import { runAndProve, type Tools, verifyOptions, verifyWhole } from './ensembleRun.js';
import { makeDemoFolder } from './folder.js';
import { framesOf, pictureOf } from './picture.js';

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
  tell('the maker imports and signs the ensemble')();
  const signed = await signEnsemble(places);
  tell('contributors register their adapters for its lineage')();
  const commitments = await registerAll(task, places);
  tell('signing and verifying the lineage')();
  const lineage = await signAdapters(places, signed, commitments);
  if (!lineage.whole.valid) {
    throw new ZkLoraError('INTERNAL', `the lineage was refused: ${lineage.whole.failures[0]?.message}`);
  }
  terminal.note(await drawLineage(places, lineage));

  const modules = new Map([...commitments].map(([expert, { modules: each }]) => [expert, each]));
  const ensemble = await openSignedEnsemble(places.model, lineage.imported.manifest, modules);
  try {
    const { labels, guidance, steps, seed, samples } = task;
    const noise = gaussianNoise(seed, samples * sampleValues(ensemble.description));
    tell('samples without adapters')();
    const base = await sampleEnsemble(ensemble, noise, { labels, guidance, steps, top: 1 });
    const proven = await runAndProve(tools, task, places, ensemble, commitments);

    const verified = await verifyWhole(tools, task, places, ensemble, lineage, proven.proofs, commitments);

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
    const session = await verifyOptions(tools, places, proven.proofs, commitments, expert);
    const turned = await tryTamperedEdge(places, lineage, session, expert);
    terminal.note(`tampered edge: ${turned.codes.join(', ')}`);
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
      ...proven.figures,
      ...verified,
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

/** Each contributor registers its adapter for its expert's file and its lineage; the user pins what they publish. */
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
      ...['--lineage', places.lineage],
    ]);
    await copyFile(join(places.contributor(expert), 'adapter.zkl.json'), places.pinned(expert));
    commitments.set(expert, await loadCommitment(places.pinned(expert)));
  }
  return commitments;
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
