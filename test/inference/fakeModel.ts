import type { QuantizedModule } from '../../src/adapter/types.js';
import type { BaseModel } from '../../src/inference/baseModel.js';
import { INPUTS, MODULES } from './parties.js';

/** A base model without a network: its activations follow from the ids. */
export function fakeModel(
  modules: readonly QuantizedModule[] = MODULES,
  inputs: readonly (readonly number[])[] = INPUTS,
): BaseModel & { passes: number } {
  const stages = inputs.map((_, i) => [i]);
  const model: BaseModel & { passes: number } = {
    digest: '00'.repeat(32),
    feeds: ['input_ids'],
    modules,
    inputs,
    stages,
    passes: 0,
    forward: async (ids, _batch, _sequence, applyStage) => {
      model.passes += 1;
      for (const [stage, [input]] of stages.entries()) {
        const { inFeatures } = modules[inputs[input!]![0]!]!;
        const values = Float32Array.from({ length: ids.length * inFeatures }, (_, i) =>
          Math.sin(i + Number(ids[0])),
        );
        await applyStage(stage, [{ input: input!, tokens: ids.length, values }]);
      }
      return { values: new Float32Array(ids.length * 256), vocabulary: 256 };
    },
    forwardBase: async (ids) => ({ values: new Float32Array(ids.length * 256), vocabulary: 256 }),
    close: async () => undefined,
  };
  return model;
}
