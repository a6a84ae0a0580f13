/** What an honest user can do to learn less of the weights, and what its evaluation loses by it. */
import { type ApplyStage, type AskedRows, adapterLeakage } from '../../src/inference/index.js';
import { firstRows, type LeakageFixture, metered, rowsOf, SEQUENCE, suffixLosses } from './fixture.js';

/** One way to ask less. */
export interface LeverRow {
  readonly lever: 'tokens' | 'calls' | 'positions' | 'modules';
  readonly setting: string;
  /** Token rows that are sent for each module that is asked. */
  readonly tokens: number;
  readonly predictions: number;
  /** Of the whole adapter. */
  readonly measured: number;
  readonly counted: number;
  /** Gain in nats per prediction that this evaluation is expected to show. */
  readonly gain: number;
  /** Root mean square of the difference to the gain over all windows, in nats. */
  readonly error: number;
}

export interface Levers {
  /** Loss of the base model less that with the adapter over all windows, nats per prediction. */
  readonly gain: number;
  readonly windows: number;
  readonly rows: readonly LeverRow[];
}

/** Windows over which the leakage of one setting is averaged. */
const SAMPLES = 3;

/** @param honest answers of the whole adapter @param count windows */
export async function measureLevers(
  fixture: LeakageFixture,
  honest: ApplyStage,
  count: number,
): Promise<Levers> {
  const { modules } = fixture;
  const gains: Float64Array[] = [];
  for (let window = 0; window < count; window++) {
    gains.push(await gainsOf(fixture, window, honest));
  }
  const all = SEQUENCE - 1;
  const whole = gains.map((suffix) => suffix[all]! / all);
  const gain = mean(whole);
  const calls: AskedRows[][] = [];
  for (let window = 0; window < 8; window++) calls.push(await rowsOf(fixture, window));
  const spread = (values: readonly number[], around = gain) =>
    Math.sqrt(mean(values.map((v) => (v - around) ** 2)));
  const leakageOf = async (sets: readonly (readonly (readonly AskedRows[])[])[]) => {
    const found: { measured: number; counted: number }[] = [];
    for (const set of sets) found.push(adapterLeakage(await metered(fixture, set)));
    return { measured: mean(found.map((f) => f.measured)), counted: mean(found.map((f) => f.counted)) };
  };
  const rows: LeverRow[] = [];

  for (const tokens of [8, 16, 32, 64, 96]) {
    const values = gains.map((suffix) => (suffix[all]! - suffix[SEQUENCE - tokens]!) / (tokens - 1));
    const leakage = await leakageOf(calls.slice(0, SAMPLES).map((call) => [firstRows(call, tokens)]));
    const predictions = tokens - 1;
    rows.push({
      lever: 'tokens',
      setting: `first ${tokens} tokens of one window`,
      tokens,
      predictions,
      ...leakage,
      gain: mean(values),
      error: spread(values),
    });
  }
  for (const number of [1, 2, 4, 8]) {
    const groups = Array.from({ length: Math.floor(count / number) }, (_, g) =>
      mean(whole.slice(g * number, (g + 1) * number)),
    );
    const leakage = await leakageOf([calls.slice(0, number)]);
    const tokens = number * SEQUENCE;
    const predictions = number * all;
    rows.push({
      lever: 'calls',
      setting: `first ${number} calls of ${SEQUENCE} tokens`,
      tokens,
      predictions,
      ...leakage,
      gain: mean(groups),
      error: spread(groups),
    });
  }
  for (const last of [95, 48, 16, 4]) {
    const values = gains.map((suffix) => suffix[last]! / last);
    const leakage = await leakageOf(calls.slice(0, SAMPLES).map((call) => [call]));
    rows.push({
      lever: 'positions',
      setting: `loss of the last ${last} of ${SEQUENCE} tokens`,
      tokens: SEQUENCE,
      predictions: last,
      ...leakage,
      gain: mean(values),
      error: spread(values),
    });
  }
  const subsets: [string, (name: string) => boolean][] = [
    ['attention only', (name) => name.includes('.attn.')],
    ['MLP only', (name) => name.includes('.mlp.')],
    ['layers 0 and 1', (name) => /\.h\.[01]\./.test(name)],
    ['layers 2 and 3', (name) => /\.h\.[23]\./.test(name)],
    ['one module, h.3.mlp.c_fc', (name) => name.endsWith('h.3.mlp.c_fc')],
  ];
  for (const [setting, chosen] of subsets) {
    const part: ApplyStage = async (stage, inputs) => {
      const deltas = await honest(stage, inputs);
      return new Map([...deltas].map(([i, d]) => [i, chosen(modules[i]!.name) ? d : d.fill(0)]));
    };
    const values: number[] = [];
    const limited = Math.min(count, 16);
    for (let window = 0; window < limited; window++) {
      values.push((await gainsOf(fixture, window, part))[all]! / all);
    }
    const asked = calls.slice(0, SAMPLES).map((call) => [
      call
        .map((rowsAsked) => ({
          ...rowsAsked,
          modules: rowsAsked.modules.filter((i) => chosen(modules[i]!.name)),
        }))
        .filter(({ modules: left }) => left.length > 0),
    ]);
    const leakage = await leakageOf(asked);
    rows.push({
      lever: 'modules',
      setting,
      tokens: SEQUENCE,
      predictions: all,
      ...leakage,
      gain: mean(values),
      error: spread(values),
    });
  }
  return { gain, windows: count, rows };
}

/** Loss of the base less loss with an adapter, over the last 0, 1, 2, ... predictions of a window, summed. */
async function gainsOf(fixture: LeakageFixture, window: number, answer: ApplyStage): Promise<Float64Array> {
  const base = await suffixLosses(fixture, window, undefined);
  const adapted = await suffixLosses(fixture, window, answer);
  return base.map((value, i) => value - adapted[i]!);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
