/** Measures one adapter: register, prove, verify, each in fresh processes. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { median, runChild } from './child.js';
import type { PaperAdapter } from './paper.js';
import type { PlainResult } from './plain.js';
import type { Primitives } from './primitives.js';
import type { StepOptions, StepResult } from './work.js';

/** What a row is measured with. */
export interface RowSettings {
  /** Folder of the parameter set. */
  readonly parameters: string;
  /** Folder for weights, sessions and proofs. */
  readonly scratch: string;
  /** Tokens of each call. */
  readonly calls: readonly number[];
  /** Times that the calls are repeated in the session, with the same rows; 1 by default. */
  readonly repeatCalls?: number;
  /** Fresh processes for each step; an odd number. The one with the median time counts. */
  readonly processes: number;
  /** Times that each process proves and verifies; the first is the cold one. 3 by default. */
  readonly repeat?: number;
  /** Also one proof for each module. */
  readonly perModule: boolean;
  /** Also a proof of version 1, whose pairs a circuit checks. */
  readonly circuits: boolean;
  /** Also the deltas alone in float32. */
  readonly plain: boolean;
  /** Done before each process that proves: what is compared with it belongs beside it, for a machine's speed drifts. */
  readonly beforeProve?: () => Promise<void>;
}

/** Measurements of one row. */
export interface RowResult {
  readonly register: StepResult;
  readonly prove: StepResult;
  readonly verify: StepResult;
  readonly perModule: { readonly prove: StepResult; readonly verify: StepResult } | null;
  readonly circuits: { readonly prove: StepResult; readonly verify: StepResult } | null;
  readonly plain: PlainResult | null;
}

/** Circuit sizes of the bench's parameter set. */
export const CIRCUITS = [15, 31, 63, 127, 255, 511, 1023, 2047, 4095];

/** Shape of an adapter: the published counts are the paper table's business. */
export type RowAdapter = Pick<PaperAdapter, 'name' | 'layers' | 'perLayer' | 'inputs'>;

/** What the floor of a row is made of. */
export interface RowSizes {
  readonly domainSize: number;
  /** Widths of the distinct inputs over the domain size. */
  readonly lanes: number;
  readonly pairs: number;
  /** Circuit sizes of the groups. */
  readonly circuits: readonly number[];
  readonly parameters: number;
}

/** Sizes from the shapes. */
export function sizesOf({ layers, perLayer, inputs }: RowAdapter): RowSizes {
  const widest = Math.max(512, ...perLayer.flatMap(([n, , k]) => [n, k]));
  const domainSize = 2 ** Math.ceil(Math.log2(widest));
  const widths = new Map(perLayer.map(([n], i) => [inputs[i]!, n]));
  const lanes = (layers * [...widths.values()].reduce((sum, n) => sum + n, 0)) / domainSize;
  const largest = CIRCUITS.at(-1)!;
  const circuits: number[] = [];
  let pairs = 0;
  let open = 0;
  const close = () => {
    if (open > 0) circuits.push(CIRCUITS.find((size) => size >= open)!);
  };
  for (let layer = 0; layer < layers; layer++) {
    for (const [, rank] of perLayer) {
      pairs += rank;
      if (open + rank > largest) {
        close();
        open = 0;
      }
      open += rank;
    }
  }
  close();
  const parameters = layers * perLayer.reduce((sum, [n, r, k]) => sum + r * (n + k), 0);
  return { domainSize, lanes, pairs, circuits, parameters };
}

/** Medians of several measurements, primitive by primitive. */
export function middlePrimitives(runs: readonly Primitives[]): Primitives {
  const bySize = (kind: 'msm' | 'fft' | 'groth16') =>
    Object.fromEntries(
      Object.keys(runs[0]![kind]).map((size) => [
        size,
        median(
          runs.map((run) => run[kind][Number(size)]!),
          (seconds) => seconds,
        ),
      ]),
    );
  return {
    threads: runs[0]!.threads,
    msm: bySize('msm'),
    fft: bySize('fft'),
    groth16: bySize('groth16'),
    weightPass: median(runs, ({ weightPass }) => weightPass).weightPass,
    startSeconds: median(runs, ({ startSeconds }) => startSeconds).startSeconds,
  };
}

/** Sizes at which the primitives of a row are measured. */
export function primitiveSizes(sizes: RowSizes): { msm: number[]; fft: number[]; groth16: number[] } {
  return {
    msm: [sizes.domainSize, 4 * sizes.pairs],
    fft: [sizes.domainSize],
    groth16: [...sizes.circuits],
  };
}

/**
 * What the primitives of a proof take: 4 MSM(N), 4 FFT(N) for each lane, Groth16, one MSM of 4K points for the linear
 * form, one pass over the weights.
 */
export function floorOf(sizes: RowSizes, primitives: Primitives): Record<string, number> {
  const { domainSize, lanes, pairs, circuits, parameters } = sizes;
  const parts = {
    msm: 4 * primitives.msm[domainSize]!,
    fft: 4 * lanes * primitives.fft[domainSize]!,
    groth16: circuits.reduce((sum, size) => sum + primitives.groth16[size]!, 0),
    linearForm: primitives.msm[4 * pairs]!,
    weightPass: parameters * primitives.weightPass,
  };
  return { ...parts, total: Object.values(parts).reduce((sum, seconds) => sum + seconds, 0) };
}

/** Measures one adapter. */
export async function measureRow(adapter: RowAdapter, settings: RowSettings): Promise<RowResult> {
  const { layers, perLayer, inputs, name } = adapter;
  const dir = join(settings.scratch, name.replace(/[^\w.-]+/g, '-'));
  await rm(dir, { recursive: true, force: true });
  const base: StepOptions = {
    parameters: settings.parameters,
    layers,
    perLayer,
    inputs,
    calls: settings.calls,
    repeatCalls: settings.repeatCalls ?? 1,
    mode: 'aggregated',
    repeat: 1,
  };
  const step = (which: string, options: Partial<StepOptions> = {}) =>
    runChild<StepResult>('work.js', [which, dir, JSON.stringify({ ...base, ...options })]);
  const middle = async (which: string, options: Partial<StepOptions> = {}) => {
    const runs: StepResult[] = [];
    for (let i = 0; i < settings.processes; i++) {
      if (which === 'prove') await settings.beforeProve?.();
      runs.push(await step(which, options));
    }
    return median(runs, ({ seconds }) => seconds);
  };
  await step('weights');
  // registering twice gives another commitment: the session is held with the last one
  const register = await middle('register');
  await step('session');
  const { repeat = 3 } = settings;
  const prove = await middle('prove', { repeat });
  const verify = await middle('verify', { repeat });
  const perModule = settings.perModule
    ? {
        prove: await step('prove', { mode: 'per-module' }),
        verify: await step('verify', { mode: 'per-module' }),
      }
    : null;
  const circuits = settings.circuits
    ? {
        prove: await step('prove', { mode: 'circuits', repeat }),
        verify: await step('verify', { mode: 'circuits', repeat }),
      }
    : null;
  const tokens = settings.calls.reduce((sum, count) => sum + count, 0);
  const plain = settings.plain ? await runChild<PlainResult>('plain.js', [dir, String(tokens)]) : null;
  await rm(dir, { recursive: true, force: true });
  return { register, prove, verify, perModule, circuits, plain };
}
