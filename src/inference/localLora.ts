import type { FloatModule } from '../adapter/peft.js';
import { ZkLoraError } from '../errors.js';
import type { BaseModel } from './baseModel.js';
import type { ApplyStage } from './graphModel.js';
import type { Forward } from './loss.js';

/**
 * Base model with an adapter in floating point, as PEFT computes it: y + scaling * (x A^T) B^T. The yardstick
 * for the fixed-point protocol.
 *
 * @param modules the modules that the model was opened for, in that order
 */
export function localLora(model: BaseModel, modules: readonly FloatModule[]): Forward {
  if (
    modules.length !== model.modules.length ||
    modules.some(({ name }, i) => name !== model.modules[i]!.name)
  ) {
    throw new ZkLoraError('INTERNAL', 'the model was opened for other modules');
  }
  const applyStage: ApplyStage = async (_stage, inputs) => {
    const deltas = new Map<number, Float32Array>();
    for (const { input, tokens, values } of inputs) {
      for (const module of model.inputs[input]!)
        deltas.set(module, floatDelta(modules[module]!, values, tokens));
    }
    return deltas;
  };
  return (ids, batch, sequence) => model.forward(ids, batch, sequence, applyStage);
}

/** scaling * (x A^T) B^T, sums in float64; x `[tokens, inFeatures]`, result `[tokens, outFeatures]`. */
export function floatDelta(module: FloatModule, x: Float32Array, tokens: number): Float32Array {
  const { rank, inFeatures, outFeatures, a, b, scaling } = module;
  const delta = new Float32Array(tokens * outFeatures);
  const z = new Float64Array(rank);
  for (let token = 0; token < tokens; token += 1) {
    const row = x.subarray(token * inFeatures, (token + 1) * inFeatures);
    for (let j = 0; j < rank; j += 1) {
      let sum = 0;
      for (let i = 0; i < inFeatures; i += 1) sum += row[i]! * a[j * inFeatures + i]!;
      z[j] = sum * scaling;
    }
    for (let i = 0; i < outFeatures; i += 1) {
      let sum = 0;
      for (let j = 0; j < rank; j += 1) sum += z[j]! * b[i * rank + j]!;
      delta[token * outFeatures + i] = sum;
    }
  }
  return delta;
}
