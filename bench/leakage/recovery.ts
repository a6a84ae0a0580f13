/** How much of the adapter least squares recover, and how good the stolen adapter is, at growing numbers of rows. */
import { applyExact, type QuantizedModule } from '../../src/adapter/index.js';
import { type ApplyStage, type AskedRows, adapterLeakage } from '../../src/inference/index.js';
import { leastSquares, type Matrix, product, relativeError, truncateRank } from './attack.js';
import { firstRows, type LeakageFixture, metered, rowsOf, SEQUENCE, suffixLosses } from './fixture.js';

/** One number of rows. */
export interface RecoveryPoint {
  readonly tokens: number;
  /** Meter: of the whole adapter, and the largest count over its modules. */
  readonly measured: number;
  readonly counted: number;
  /** Attack: 1 - ||found - Delta W||^2 / ||Delta W||^2 over the whole adapter, modules scaled as the model does. */
  readonly recovered: number;
  /** Largest difference of the two over the modules. */
  readonly largestGap: number;
  /** Nats per byte on windows that were not asked. */
  readonly stolenLoss: number;
}

export interface Recovery {
  readonly baseLoss: number;
  readonly adapterLoss: number;
  readonly points: readonly RecoveryPoint[];
}

/** @param asking windows whose rows are asked @param judging windows that judge the stolen adapter */
export async function measureRecovery(
  fixture: LeakageFixture,
  counts: readonly number[],
  asking: readonly number[],
  judging: readonly number[],
  honest: ApplyStage,
): Promise<Recovery> {
  const calls: AskedRows[][] = [];
  for (const window of asking) calls.push(await rowsOf(fixture, window));
  const lossOf = async (answer?: ApplyStage): Promise<number> => {
    let sum = 0;
    for (const window of judging) sum += (await suffixLosses(fixture, window, answer))[SEQUENCE - 1]!;
    return sum / judging.length / (SEQUENCE - 1);
  };
  const points: RecoveryPoint[] = [];
  for (const tokens of counts) {
    const whole = calls.slice(0, Math.floor(tokens / SEQUENCE));
    const rest = tokens % SEQUENCE;
    const asked = rest === 0 ? whole : [...whole, firstRows(calls[whole.length]!, rest)];
    points.push(await measurePoint(fixture, tokens, asked, lossOf));
  }
  return { baseLoss: await lossOf(), adapterLoss: await lossOf(honest), points };
}

async function measurePoint(
  fixture: LeakageFixture,
  tokens: number,
  asked: readonly (readonly AskedRows[])[],
  lossOf: (answer: ApplyStage) => Promise<number>,
): Promise<RecoveryPoint> {
  const meter = await metered(fixture, asked);
  const { measured, counted } = adapterLeakage(meter);
  let largestGap = 0;
  let [wrong, all] = [0, 0];
  const stolen = fixture.modules.map((module, index) => {
    const x = asked.flatMap((call) => {
      const part = call.find(({ modules }) => modules.includes(index))!;
      return split(part.x, module.inFeatures);
    });
    const found = truncateRank(leastSquares(x, answers(module, x)), module.rank);
    const error = relativeError(found, deltaWeights(module));
    largestGap = Math.max(largestGap, Math.abs(1 - error - meter.revealed(index).measured));
    const { total, scale } = meter.modules[index]!;
    wrong += error * total * scale ** 2;
    all += total * scale ** 2;
    return found.map((row) => row.map((value) => value * scale));
  });
  const stolenLoss = await lossOf(denseAdapter(fixture, stolen));
  return { tokens, measured, counted, recovered: 1 - wrong / all, largestGap, stolenLoss };
}

/** Delta = x Delta W^T with whatever matrices were found. */
function denseAdapter({ model, modules }: LeakageFixture, matrices: readonly Matrix[]): ApplyStage {
  return async (_stage, inputs) => {
    const deltas = new Map<number, Float32Array>();
    for (const { input, tokens, values } of inputs) {
      for (const index of model.inputs[input]!) {
        const { inFeatures, outFeatures } = modules[index]!;
        const delta = new Float32Array(tokens * outFeatures);
        for (let t = 0; t < tokens; t++) {
          const row = Float64Array.from(values.subarray(t * inFeatures, (t + 1) * inFeatures));
          matrices[index]!.forEach((weights, out) => {
            delta[t * outFeatures + out] = product(weights, row);
          });
        }
        deltas.set(index, delta);
      }
    }
    return deltas;
  };
}

/** Deltas as the wire carries them. */
function answers(module: QuantizedModule, x: readonly Float64Array[]): Float64Array[] {
  const rows = Int16Array.from(x.flatMap((row) => [...row]));
  return split(applyExact(module, rows, x.length), module.outFeatures);
}

function split(values: Int16Array | BigInt64Array, width: number): Float64Array[] {
  return Array.from({ length: values.length / width }, (_, t) =>
    Float64Array.from(values.subarray(t * width, (t + 1) * width), Number),
  );
}

function deltaWeights({ a, bT, rank, inFeatures, outFeatures }: QuantizedModule): Float64Array[] {
  return Array.from({ length: outFeatures }, (_, out) => {
    const row = new Float64Array(inFeatures);
    for (let j = 0; j < rank; j++) {
      const b = bT[j * outFeatures + out]!;
      for (let i = 0; i < inFeatures; i++) row[i]! += b * a[j * inFeatures + i]!;
    }
    return row;
  });
}
