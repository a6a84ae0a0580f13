import { mod, powers } from './field.js';
import type { ProvenModule } from './groups.js';
import type { ReferenceCall } from './session.js';

/** Challenges for tokens, outputs and modules. */
export interface FoldingChallenges {
  readonly u: bigint;
  readonly v: bigint;
  readonly t: bigint;
}

/** a_i = sum_row u^row X_i[row] for one input, a vector of length n (docs/protocol.md, "Folding the session"). */
export function foldInput(
  calls: readonly ReferenceCall[],
  input: number,
  width: number,
  u: bigint,
): bigint[] {
  const folded = new Array<bigint>(width).fill(0n);
  let weight = 1n;
  for (const { tokens, inputs } of calls) {
    const { x } = inputs[input]!;
    for (let row = 0; row < tokens; row++) {
      for (let i = 0; i < width; i++) folded[i]! += weight * BigInt(x[row * width + i]!);
      weight = mod(weight * u);
    }
  }
  return folded.map(mod);
}

/** y_m = sum_row u^row sum_o v^o Y_m[row, o]; `slot` is the module's place among the session's modules. */
export function foldOutput(
  calls: readonly ReferenceCall[],
  slot: number,
  module: ProvenModule,
  { u, v }: FoldingChallenges,
): bigint {
  const width = module.outFeatures;
  const vPowers = powers(v, width);
  let sum = 0n;
  let weight = 1n;
  for (const { tokens, outputs } of calls) {
    const y = outputs[slot]!;
    for (let row = 0; row < tokens; row++) {
      let value = 0n;
      for (let o = 0; o < width; o++) value += vPowers[o]! * y[row * width + o]!;
      sum = mod(sum + weight * mod(value));
      weight = mod(weight * u);
    }
  }
  return sum;
}
