/**
 * Both bundled ensembles: `npm run bench:ensemble [-- --quick]`.
 *
 * Runs the demo, then every routing variant with more samples and steps. Writes bench/results/ensemble.json, and the sample
 * grids and lineage drawings of the demo into docs/images/. `--quick` prints the JSON alone, from a few samples.
 */
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensemblePlaces } from '../cli/demo/ensembleParts.js';
import { measureQuality } from '../cli/demo/ensembleQuality.js';
import { runEnsembleDemo } from '../cli/demo/ensembleStory.js';
import { Terminal } from '../cli/terminal.js';
import { openEnsemble } from '../src/ensemble/index.js';

const SEED = 20240501;
const STEPS = 50;
const SAMPLES = { image: 200, video: 48 } as const;

const isQuick = process.argv.includes('--quick');
const folder = await mkdtemp(join(tmpdir(), 'zklora-bench-ensemble-'));
try {
  const out = join(folder, 'demo');
  const demo = await runEnsembleDemo({ out, terminal: new Terminal(true) });
  const quality: Record<string, unknown> = {};
  for (const name of ['image', 'video'] as const) {
    const places = ensemblePlaces(out, name);
    const ensemble = await openEnsemble(places.model);
    try {
      const samples = isQuick ? 10 : SAMPLES[name];
      const steps = isQuick ? 5 : STEPS;
      const options = { ensemble, judge: places.judge, samples, steps, seed: SEED };
      quality[name] = { samples, steps, guidance: 1, variants: await measureQuality(options) };
    } finally {
      await ensemble.close();
    }
    if (isQuick) continue;
    await mkdir('docs/images', { recursive: true });
    await copyFile(join(places.pictures, 'samples.png'), `docs/images/ensemble-${name}.png`);
    await copyFile(join(places.pictures, 'lineage.svg'), `docs/images/ensemble-${name}-lineage.svg`);
  }
  const { pictures: _image, ...image } = demo.ensembles.image;
  const { pictures: _video, ...video } = demo.ensembles.video;
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.version };
  const results = { machine, demo: { ...demo, ensembles: { image, video } }, quality };
  const text = `${JSON.stringify(results, null, 2)}\n`;
  if (!isQuick) {
    await mkdir('bench/results', { recursive: true });
    await writeFile('bench/results/ensemble.json', text);
  }
  process.stdout.write(text);
} finally {
  await rm(folder, { recursive: true, force: true });
}
