/** The paper's table: its rows, their Markdown and chart. */
import { cpus, totalmem } from 'node:os';
import { logLogChart } from './chart.js';
import type { PublishedSeconds } from './paper.js';
import type { PlainResult } from './plain.js';
import type { Startup } from './startup.js';
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
    /** One proof of version 1. */
    readonly circuits: { readonly prove: StepResult; readonly verify: StepResult } | null;
    readonly plain: PlainResult | null;
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

/** bench/results/paper-table.json */
export interface PaperTable {
  readonly machine: Machine;
  /** Worker threads of prover and primitives. */
  readonly threads: number;
  /** Where the published figures are from. */
  readonly source: string;
  readonly startup: Startup;
  readonly rows: readonly TableRow[];
}

/** A time with three digits or so. */
export function seconds(value: number): string {
  if (value >= 100) return `${Math.round(value)} s`;
  if (value >= 10) return `${value.toFixed(1)} s`;
  return `${value.toFixed(value >= 1 ? 2 : 3)} s`;
}

/** Megabytes. */
export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}

/** A Markdown table; the first column is text, the others numbers. */
export function markdown(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

/** One line about a machine. */
export function machineText({ processor, cores, memoryBytes, node }: Machine): string {
  return `${processor}, ${cores} cores, ${Math.round(memoryBytes / 2 ** 30)} GiB, Node ${node}`;
}

/** Our time, the published one and their ratio. */
function beside(ours: number, published: number | undefined): string {
  if (published === undefined) return seconds(ours);
  return `${seconds(ours)} / ${seconds(published)} (${Math.round(published / ours)} x)`;
}

/** The table, with the published figure and the ratio beside each of ours. */
export function paperMarkdown({ machine: where, threads, rows, source }: PaperTable): string {
  const table = markdown(
    [
      'adapter',
      'modules',
      'weights',
      'register / published set-up',
      'prove / published witness + prove',
      'verify / published',
      'proof',
      'peak memory',
      'floor',
      'efficiency',
    ],
    rows.map((row) => {
      const p = row.publishedSeconds;
      return [
        row.name,
        row.modules,
        `${(row.parameters / 1e6).toFixed(2)} M`,
        beside(row.registerSeconds, p?.setup),
        beside(row.proveSeconds, p ? p.witness + p.prove : undefined),
        beside(row.verifySeconds, p?.verify),
        `${row.proofBytes} B`,
        megabytes(row.peakRssBytes),
        seconds(row.floorSeconds),
        row.efficiency.toFixed(2),
      ];
    }),
  );
  return [
    table,
    '',
    `Measured on ${machineText(where)}, ${threads} threads; ${rows[0]?.tokens ?? 0} token rows, synthetic weights in the adapters' shapes, one proof for the whole adapter. Each figure is the first run of a fresh process with curve, parameters and data loaded (the median of three such processes); peak memory is that of the proving process, weights and session included. The floor is what the primitives alone take with the same threads, measured before each proving process (the median of three, each the shortest of several warm runs); efficiency = floor / prove. Published: ${source}`,
  ].join('\n');
}

/** What the first table leaves out: processor time, later proofs of a process, one proof for each module, no proof at all. */
export function detailsMarkdown({ rows }: PaperTable): string {
  return markdown(
    [
      'adapter',
      'prove: wall / CPU',
      'second proof',
      'efficiency of it',
      'verify: wall / CPU',
      'second',
      'register: wall / CPU',
      'per module: prove all / verify all',
      'per module: file',
      'version 1 (Groth16): prove / second / verify / file',
      'peak memory: register / prove / verify',
      'deltas in float32, no proof',
    ],
    rows.map(({ name, details: { register, prove, verify, perModule, circuits, plain, warmEfficiency } }) => [
      name,
      `${seconds(prove.seconds)} / ${seconds(prove.cpuSeconds)}`,
      prove.warmSeconds === null ? '' : seconds(prove.warmSeconds),
      warmEfficiency.toFixed(2),
      `${seconds(verify.seconds)} / ${seconds(verify.cpuSeconds)}`,
      verify.warmSeconds === null ? '' : seconds(verify.warmSeconds),
      `${seconds(register.seconds)} / ${seconds(register.cpuSeconds)}`,
      perModule ? `${seconds(perModule.prove.seconds)} / ${seconds(perModule.verify.seconds)}` : '',
      perModule ? `${((perModule.prove.bytes ?? 0) / 1e3).toFixed(1)} kB` : '',
      circuits
        ? `${seconds(circuits.prove.seconds)} / ${seconds(circuits.prove.warmSeconds ?? 0)} / ${seconds(circuits.verify.seconds)} / ${circuits.prove.bytes} B`
        : '',
      [register, prove, verify].map(({ peakRssBytes }) => megabytes(peakRssBytes)).join(' / '),
      plain ? seconds(plain.warmSeconds) : '',
    ]),
  );
}

/** Parts of each floor. */
export function floorMarkdown({ rows }: PaperTable): string {
  return markdown(
    [
      'adapter',
      '4 MSM(N)',
      '4 FFT(N) a lane',
      'Groth16(K)',
      'MSM(4K)',
      'weights pass',
      'floor',
      'prove',
      'floor without Groth16 and MSM(4K), over prove',
    ],
    rows.map(({ name, proveSeconds, floorSeconds, details: { floor } }) => [
      name,
      ...['msm', 'fft', 'groth16', 'linearForm', 'weightPass'].map((part) => seconds(floor[part]!)),
      seconds(floorSeconds),
      seconds(proveSeconds),
      ((floorSeconds - floor.groth16! - floor.linearForm!) / proveSeconds).toFixed(2),
    ]),
  );
}

/** What a process pays before its first proof. */
export function startupMarkdown({ startup }: PaperTable): string {
  const rows: [string, number][] = [
    ['Node and the library of the curve', startup.process],
    ['modules of zklora', startup.modules],
    ['curve with generated kernels, worker threads', startup.engine],
    ["(the library's curve alone, one thread, for comparison)", startup.libraryCurve],
    ['params.json and circuit builds', startup.openParameters],
    ...Object.entries(startup.srs).map(([size, value]): [string, number] => [
      `points of the domain of ${size}`,
      value,
    ]),
    ...Object.entries(startup.keys).map(([pairs, value]): [string, number] => [
      `keys for ${pairs} pairs`,
      value,
    ]),
  ];
  return markdown(
    ['step', 'time'],
    rows.map(([step, value]) => [step, seconds(value)]),
  );
}

/** Seconds by weights, ours and the published ones. */
export function paperChart({ rows }: PaperTable): string {
  const points = (of: (row: TableRow) => number | undefined) =>
    rows.flatMap((row) => {
      const y = of(row);
      return y === undefined ? [] : [{ x: row.parameters, y, label: row.name }];
    });
  const series = (name: string, of: (row: TableRow) => number | undefined) => ({
    name,
    points: points(of),
    scattered: true,
  });
  return logLogChart({
    title: `Seconds for ${rows[0]?.tokens ?? 0} token rows, by weights of the adapter`,
    xLabel: 'weights',
    yLabel: 'seconds',
    series: [
      series('register', (row) => row.registerSeconds),
      series('prove', (row) => row.proveSeconds),
      series('verify', (row) => row.verifySeconds),
      series('published set-up', (row) => row.publishedSeconds?.setup),
      series('published prove', (row) =>
        row.publishedSeconds ? row.publishedSeconds.witness + row.publishedSeconds.prove : undefined,
      ),
      series('published verify', (row) => row.publishedSeconds?.verify),
    ],
  });
}
