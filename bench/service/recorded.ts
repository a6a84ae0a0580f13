/** Activations of forward passes, so that a load needs no model. */
import {
  applyExact,
  type QuantizedModule,
  quantizeActivations,
  scaleDelta,
} from '../../src/adapter/index.js';
import type { ApplyStage, BaseModel, StageInput, StageRows } from '../../src/inference/index.js';

/** One forward pass as a contributor sees it. */
export interface RecordedCall {
  readonly tokens: number;
  /** By stage. */
  readonly stages: readonly (readonly StageRows[])[];
}

/** Activations of each input of a stage as integers. */
export function quantizeStage(
  model: BaseModel,
  modules: readonly QuantizedModule[],
  inputs: readonly StageInput[],
): StageRows[] {
  return inputs.map(({ input, tokens, values }) => {
    const { inFeatures } = modules[model.inputs[input]![0]!]!;
    return { input, rows: quantizeActivations(values, tokens, inFeatures) };
  });
}

/** The adapter in this process, with the protocol's integers: no network, no record. */
export function localIntegers(model: BaseModel, modules: readonly QuantizedModule[]): ApplyStage {
  return async (_stage, inputs) => {
    const deltas = new Map<number, Float32Array>();
    for (const { input, rows } of quantizeStage(model, modules, inputs)) {
      for (const index of model.inputs[input]!) {
        const module = modules[index]!;
        const y = applyExact(module, rows.x, rows.exponents.length);
        deltas.set(index, scaleDelta(y, rows.exponents, module));
      }
    }
    return deltas;
  };
}

/** Deltas of zero: what the cut alone costs. */
export function zeroDeltas(model: BaseModel, modules: readonly QuantizedModule[]): ApplyStage {
  return async (_stage, inputs) =>
    new Map(
      inputs.flatMap(({ input, tokens }) =>
        model.inputs[input]!.map((index) => [index, new Float32Array(tokens * modules[index]!.outFeatures)]),
      ),
    );
}

/** Runs the model with its adapter and keeps what a contributor would be asked. @param passes token ids of each */
export async function recordCalls(
  model: BaseModel,
  modules: readonly QuantizedModule[],
  passes: readonly BigInt64Array[],
): Promise<RecordedCall[]> {
  const answer = localIntegers(model, modules);
  const calls: RecordedCall[] = [];
  for (const ids of passes) {
    const stages: StageRows[][] = [];
    // the model's thread takes the ids
    await model.forward(ids.slice(), 1, ids.length, async (stage, inputs) => {
      stages.push(quantizeStage(model, modules, inputs));
      return answer(stage, inputs);
    });
    calls.push({ tokens: ids.length, stages });
  }
  return calls;
}
