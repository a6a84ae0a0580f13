import { readFile } from 'node:fs/promises';
import { z } from 'zod';

/** Shape of one module: `[inFeatures, rank, outFeatures]`. */
export type PaperShape = readonly [number, number, number];

/** One adapter of the table, with the published totals in seconds where there are any. */
export interface PaperAdapter {
  readonly name: string;
  readonly modules: number;
  readonly parameters: number;
  readonly layers: number;
  /** Modules of one layer; consecutive ones of equal width share their input if `sharedInput` says so. */
  readonly perLayer: readonly PaperShape[];
  /** For each module of a layer, the index of its input in the layer. */
  readonly inputs: readonly number[];
  readonly published: PublishedSeconds | null;
}

/** Totals over the adapter, as published. */
export interface PublishedSeconds {
  readonly setup: number;
  readonly witness: number;
  readonly prove: number;
  readonly verify: number;
}

const shape = z.tuple([z.int(), z.int(), z.int()]);
const file = z.object({
  source: z.string(),
  adapters: z.array(
    z.object({
      name: z.string(),
      modules: z.int(),
      parameters: z.int(),
      layers: z.int(),
      perLayer: z.array(shape),
      published: z.object({
        setup: z.number(),
        witness: z.number(),
        prove: z.number(),
        verify: z.number(),
      }),
    }),
  ),
});

/** Query and value projection read the same hidden state; the targets of GPT-2 all read different ones. */
const SHARED: Readonly<Record<string, readonly number[]>> = { 'Llama-3.2-1B': [0, 0] };

/** Every linear layer of a Llama block of 8B size: q, k, v share an input, and so do gate and up. */
const ALL_LINEAR: PaperAdapter = describe({
  name: 'Llama-3.1-8B all-linear (ours)',
  layers: 32,
  perLayer: [
    [4096, 8, 4096],
    [4096, 8, 1024],
    [4096, 8, 1024],
    [4096, 8, 4096],
    [4096, 8, 14336],
    [4096, 8, 14336],
    [14336, 8, 4096],
  ],
  inputs: [0, 0, 0, 1, 2, 2, 3],
  published: null,
});

function describe(adapter: Omit<PaperAdapter, 'modules' | 'parameters'>): PaperAdapter {
  const { layers, perLayer } = adapter;
  return {
    ...adapter,
    modules: layers * perLayer.length,
    parameters: layers * perLayer.reduce((sum, [n, r, k]) => sum + r * (n + k), 0),
  };
}

async function readPaper(): Promise<z.infer<typeof file>> {
  const path = new URL('../../bench/paper-adapters.json', import.meta.url);
  return file.parse(JSON.parse(await readFile(path, 'utf8')));
}

/** Where the published figures are from. */
export async function paperSource(): Promise<string> {
  return (await readPaper()).source;
}

/** The adapters of the table: the six of the paper and one that adapts every linear layer. */
export async function paperAdapters(): Promise<PaperAdapter[]> {
  const published = (await readPaper()).adapters.map((adapter): PaperAdapter => {
    const inputs = SHARED[adapter.name] ?? adapter.perLayer.map((_, i) => i);
    const described = describe({ ...adapter, inputs });
    if (described.modules !== adapter.modules || described.parameters !== adapter.parameters) {
      throw new Error(`${adapter.name}: the shapes do not give the published counts`);
    }
    return described;
  });
  return [...published, ALL_LINEAR];
}
