/** Results as files: JSON, a Markdown table, charts. */
import { cpus, totalmem } from 'node:os';
import type { PublishedSeconds } from './paper.js';
import type { StepResult } from './work.js';

/** One row of the table. */
export interface TableRow {
  readonly name: string;
  readonly modules: number;
  readonly parameters: number;
  readonly tokens: number;
  /** Commitment to all rows; a published set-up is what it stands beside. */
  readonly registerSeconds: number;
  /** First proof of a fresh process, one aggregated proof for the whole adapter. */
  readonly proveSeconds: number;
  readonly verifySeconds: number;
  readonly proofBytes: number;
  /** Of the proving process. */
  readonly peakRssBytes: number;
  readonly floorSeconds: number;
  /** floorSeconds / proveSeconds */
  readonly efficiency: number;
  readonly publishedSeconds: PublishedSeconds | null;
  readonly details: {
    readonly register: StepResult;
    readonly prove: StepResult;
    readonly verify: StepResult;
    readonly perModule: { readonly prove: StepResult; readonly verify: StepResult } | null;
    readonly floor: Readonly<Record<string, number>>;
    /** Efficiency of later proofs in the same process. */
    readonly warmEfficiency: number;
  };
}

/** Where results were measured. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly node: string;
  readonly platform: string;
}

/** The machine of this process. */
export function machine(): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
  };
}

function seconds(value: number): string {
  if (value >= 100) return `${Math.round(value)} s`;
  if (value >= 10) return `${value.toFixed(1)} s`;
  return `${value.toFixed(value >= 1 ? 2 : 3)} s`;
}

function ratio(published: number | undefined, ours: number): string {
  return published === undefined ? '' : ` (${Math.round(published / ours)} x)`;
}

/** The table, with the published figure and the ratio beside each of ours. */
export function markdownTable(rows: readonly TableRow[], where: Machine, source: string): string {
  const lines = [
    '| adapter | modules | weights | register (published set-up) | prove (published witness + prove) | verify (published) | proof | peak RSS | floor | efficiency |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
  ];
  for (const row of rows) {
    const p = row.publishedSeconds;
    const beside = (ours: number, published: number | undefined) =>
      published === undefined
        ? seconds(ours)
        : `${seconds(ours)} / ${seconds(published)}${ratio(published, ours)}`;
    lines.push(
      `| ${[
        row.name,
        row.modules,
        `${(row.parameters / 1e6).toFixed(2)} M`,
        beside(row.registerSeconds, p?.setup),
        beside(row.proveSeconds, p ? p.witness + p.prove : undefined),
        beside(row.verifySeconds, p?.verify),
        `${row.proofBytes} B`,
        `${Math.round(row.peakRssBytes / 1e6)} MB`,
        seconds(row.floorSeconds),
        row.efficiency.toFixed(2),
      ].join(' | ')} |`,
    );
  }
  const tokens = rows[0]?.tokens ?? 0;
  return [
    '# The table of the paper, side by side',
    '',
    `Measured on ${where.processor}, ${where.cores} cores, ${Math.round(where.memoryBytes / 2 ** 30)} GiB, Node ${where.node}; ${tokens} token rows; synthetic weights in the adapters' shapes. Each figure is the first run of a fresh process with curve, parameters and data loaded. Published: ${source}`,
    '',
    'The floor is what the primitives alone take on the same machine with the same number of threads: 4 MSM(N) + 4 FFT(N) for each lane + Groth16(K) + one MSM of 4K points + one pass over the weights; efficiency = floor / prove.',
    '',
    ...lines,
    '',
  ].join('\n');
}
