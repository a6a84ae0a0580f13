/** Processor time of the meter. */
import { quantizeModule } from '../../src/adapter/index.js';
import { DEFAULT_BUDGET, LeakageMeter, PACKED_WEIGHTS } from '../../src/inference/index.js';

export interface CostRow {
  readonly inFeatures: number;
  readonly rank: number;
  /** Rows that the default budget of a key allows. */
  readonly rows: number;
  /** For one row of one input, on average over these rows, for its user and all users together. */
  readonly millisecondsPerRow: number;
  /** Held in memory afterwards. */
  readonly bytes: number;
}

const RANK = 16;

/** Random rows against a random module of each width. */
export async function measureCost(widths: readonly number[]): Promise<CostRow[]> {
  const rows: CostRow[] = [];
  for (const inFeatures of widths) {
    const floats = (length: number) => Float32Array.from({ length }, () => Math.random() - 0.5);
    const module = quantizeModule({
      ...{ name: 'm', rank: RANK, inFeatures, outFeatures: inFeatures, scaling: 1 },
      a: floats(RANK * inFeatures),
      b: floats(inFeatures * RANK),
    });
    const count = Math.floor((DEFAULT_BUDGET.maxRevealed * inFeatures) / PACKED_WEIGHTS);
    const x = Int16Array.from({ length: count * inFeatures }, () =>
      Math.round((Math.random() - 0.5) * 65_534),
    );
    const meter = new LeakageMeter([module]);
    const begun = process.cpuUsage();
    await meter.add('user', [{ modules: [0], tokens: count, x }]);
    const { user, system } = process.cpuUsage(begun);
    rows.push({
      ...{ inFeatures, rank: RANK, rows: count },
      millisecondsPerRow: (user + system) / 1000 / count,
      bytes: meter.bytes,
    });
  }
  return rows;
}
