/** Tables and charts of bench/results/leakage.json. */
import { linearChart } from '../chart.js';
import { type Machine, machineText, markdown } from '../report.js';
import type { CostRow } from './cost.js';
import type { LeverRow, Levers } from './levers.js';
import type { Recovery } from './recovery.js';

/** bench/results/leakage.json */
export interface LeakageFile {
  readonly machine: Machine;
  readonly date: string;
  readonly recovery: Recovery;
  readonly levers: Levers;
  readonly cost: readonly CostRow[];
}

/** Tables by name. */
export function leakageTables(file: LeakageFile): Record<string, string> {
  return {
    'leakage-recovery': recoveryTable(file),
    'leakage-levers': leversTable(file.levers),
    'leakage-cost': costTable(file),
  };
}

function share(value: number): string {
  return `${(100 * value).toFixed(1)} %`;
}

function recoveryTable({ recovery: { baseLoss, adapterLoss, points }, date }: LeakageFile): string {
  const table = markdown(
    [
      'token rows',
      'counted, largest module',
      'measured, whole adapter',
      'recovered by the attack',
      'largest gap, any module',
      'loss of the stolen adapter',
      'share of the gain',
    ],
    points.map((p) => [
      p.tokens,
      share(p.counted),
      share(p.measured),
      share(p.recovered),
      p.largestGap.toExponential(0),
      p.stolenLoss.toFixed(4),
      share((baseLoss - p.stolenLoss) / (baseLoss - adapterLoss)),
    ]),
  );
  return `${table}\n\nLosses in nats per byte on windows that were not asked: base ${baseLoss.toFixed(4)}, adapter ${adapterLoss.toFixed(4)}. Measured ${date}.`;
}

function leversTable({ gain, windows, rows }: Levers): string {
  const row = (r: LeverRow) => [
    r.setting,
    r.tokens,
    r.predictions,
    share(r.measured),
    share(r.counted),
    r.gain.toFixed(3),
    r.error.toFixed(3),
  ];
  const table = markdown(
    ['setting', 'rows sent', 'predictions', 'measured', 'counted', 'gain seen', 'error'],
    rows.map(row),
  );
  return `${table}\n\nGain over all ${windows} windows: ${gain.toFixed(3)} nats per prediction. Error: root mean square of the difference to it.`;
}

function costTable({ cost, machine }: LeakageFile): string {
  const table = markdown(
    ['input features', 'rank', 'rows', 'ms of processor a row', 'memory'],
    cost.map((r) => [
      r.inFeatures,
      r.rank,
      r.rows,
      r.millisecondsPerRow.toFixed(2),
      `${(r.bytes / 1e6).toFixed(1)} MB`,
    ]),
  );
  return `${table}\n\nFor one input and one user, kept for that user and for all together. ${machineText(machine)}.`;
}

/** Charts by file name. */
export function leakageCharts({
  recovery: { baseLoss, adapterLoss, points },
}: LeakageFile): Record<string, string> {
  const level = (name: string, y: number) => ({ name, points: [0, 1].map((x) => ({ x, y })) });
  return {
    'leakage-loss.svg': linearChart({
      title: 'Held-out loss of the stolen adapter',
      xLabel: 'revealed fraction of the whole adapter, as measured',
      yLabel: 'nats per byte',
      series: [
        {
          name: 'stolen',
          points: [
            { x: 0, y: baseLoss },
            ...points.map((p) => ({ x: p.measured, y: p.stolenLoss, label: `${p.tokens} rows` })),
          ],
        },
        level('base model', baseLoss),
        level('adapter', adapterLoss),
      ],
    }),
    'leakage-recovery.svg': linearChart({
      title: 'Attack and meter',
      xLabel: 'token rows asked',
      yLabel: 'share of the whole adapter',
      series: [
        { name: 'recovered', points: points.map((p) => ({ x: p.tokens, y: p.recovered })), scattered: true },
        { name: 'measured', points: points.map((p) => ({ x: p.tokens, y: p.measured })) },
        { name: 'counted', points: points.map((p) => ({ x: p.tokens, y: p.counted })) },
      ],
    }),
  };
}
