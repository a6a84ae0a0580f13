/** Models of real size with seeded weights, made once and kept in bench/.cache. */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writePeftAdapter } from '../../src/adapter/peftWrite.js';
import { fillNewFolder } from '../../src/files.js';
import type { PaperShape } from '../paper.js';
import { benchParameters } from '../parameters.js';
import { CACHE } from '../results.js';
import { syntheticModule } from '../synthetic.js';
import type { ServiceFixture } from './contributor.js';
import { type Gpt2Shape, writeGpt2Base } from './gpt2Base.js';

/** distilgpt2's, with its whole vocabulary: a smaller one would leave work out of the uncut pass that the model has. */
const DISTILGPT2: Gpt2Shape = {
  layers: 6,
  width: 768,
  heads: 12,
  inner: 3072,
  vocabulary: 50257,
  positions: 1024,
};

/** Which modules of each layer are adapted: `[in, rank, out]` by name. */
export type LayerModules = Readonly<Record<string, PaperShape>>;

const C_ATTN: LayerModules = { 'attn.c_attn': [768, 4, 2304] };

/** As bench/paper-adapters.json has the paper's adapter: 24 modules. */
const ALL: LayerModules = {
  'attn.c_attn': [768, 8, 2304],
  'attn.c_proj': [768, 8, 768],
  'mlp.c_fc': [768, 8, 3072],
  'mlp.c_proj': [3072, 8, 768],
};

/** Raise it when other files come out of the same seeds: it is part of the folder's name. */
const VERSION = 1;

/** distilgpt2 shapes: rank 4 on c_attn alone, and the paper's modules. */
export async function realSizeFixtures(): Promise<ServiceFixture[]> {
  const parameters = await benchParameters(join(CACHE, 'params'));
  const root = join(CACHE, `distilgpt2-shape-${VERSION}`);
  await mkdir(root, { recursive: true });
  const folder = join(root, 'base');
  const base = join(folder, 'model.onnx');
  if (!(await exists(base))) {
    process.stderr.write(`making ${folder}\n`);
    await fillNewFolder(folder, async (dir) => {
      await writeGpt2Base(dir, DISTILGPT2, 1);
    });
  }
  const fixtures: ServiceFixture[] = [];
  for (const [name, perLayer] of [
    ['c_attn rank 4', C_ATTN],
    ['all modules rank 8', ALL],
  ] as const) {
    const adapter = join(root, name.replaceAll(' ', '-'));
    if (!(await exists(join(adapter, 'adapter_config.json'))))
      await writeSeededAdapter(adapter, DISTILGPT2.layers, perLayer);
    fixtures.push({ name: `distilgpt2 shape, ${name}`, base, adapter, parameters });
  }
  return fixtures;
}

/** Writes a PEFT adapter for a GPT-2. @param dir new folder */
export function writeSeededAdapter(dir: string, layers: number, perLayer: LayerModules): Promise<void> {
  const modules = Array.from({ length: layers }, (_, layer) =>
    Object.entries(perLayer).map(([name, shape], i) =>
      syntheticModule(`transformer.h.${layer}.${name}`, shape, 100 * layer + i),
    ),
  ).flat();
  return writePeftAdapter(dir, modules, null);
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
