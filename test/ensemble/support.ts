import { readFile } from 'node:fs/promises';
import { onTestFinished } from 'vitest';
import { quantizeModule, readPeftAdapter } from '../../src/adapter/index.js';
import type { QuantizedModule } from '../../src/adapter/types.js';
import { type Ensemble, openEnsemble } from '../../src/ensemble/index.js';

export type TaskName = 'image' | 'video';

/** Experts with an adapter in the fixtures. */
export const ADAPTED: Record<TaskName, readonly number[]> = { image: [3, 4], video: [1] };

export const modelFolder = (task: TaskName) => `fixtures/ensemble/${task}/model`;

export async function adapterModules(task: TaskName, expert: number): Promise<QuantizedModule[]> {
  return (await readPeftAdapter(`fixtures/ensemble/${task}/adapters/expert_${expert}`)).modules.map(
    quantizeModule,
  );
}

/** The bundled ensemble, cut for its adapters; closed with the test. */
export async function openBundled(task: TaskName): Promise<Ensemble> {
  const modules = new Map<number, QuantizedModule[]>();
  for (const expert of ADAPTED[task]) modules.set(expert, await adapterModules(task, expert));
  const ensemble = await openEnsemble(modelFolder(task), modules);
  onTestFinished(() => ensemble.close());
  return ensemble;
}

export interface Oracle {
  readonly t: readonly number[];
  readonly y: readonly number[] | null;
  readonly guidance: number | null;
  readonly steps: number;
  readonly trajectories: Record<'base' | 'adapted', { readonly top: number }>;
  readonly tensor: (name: string) => Promise<Float32Array>;
}

/** Torch's answers. */
export async function loadOracle(task: TaskName): Promise<Oracle> {
  const dir = `fixtures/ensemble/${task}/oracle`;
  const oracle = JSON.parse(await readFile(`${dir}/oracle.json`, 'utf8'));
  const tensor = async (name: string) =>
    new Float32Array(Uint8Array.from(await readFile(`${dir}/${oracle.tensors[name].file}`)).buffer);
  return { ...oracle, tensor };
}
