import { lanesOf } from '../../../src/protocol/lanes.js';
import { groupPairs, type StatementGroup } from '../../../src/protocol/statement.js';
import { inner, mod, power, powers } from '../../reference/field.js';
import { type FoldingChallenges, foldInput, foldOutput } from '../../reference/fold.js';
import { interpolate, plus, timesVanishing } from './polynomial.js';
import type { Setting } from './setting.js';
import type { RunLane } from './sum.js';

/** p, q and the claim of one group, from the prover's weights and the session. */
export interface FoldedPairs {
  p: bigint[];
  q: bigint[];
  readonly claim: bigint;
}

/** Row j of an int16 matrix. */
function rowOf(matrix: Int16Array, row: number, width: number): bigint[] {
  return Array.from(matrix.subarray(row * width, (row + 1) * width), BigInt);
}

/** docs/protocol.md, "Folding the session", for the modules of one group. */
export function foldPairs(
  { statement, session, modules }: Setting,
  group: StatementGroup,
  challenges: FoldingChallenges,
): FoldedPairs {
  const { u, v, t } = challenges;
  const members = session.header.inputs.flat().sort((a, b) => a - b);
  const { pairs } = group;
  const p = new Array<bigint>(pairs).fill(0n);
  const q = new Array<bigint>(pairs).fill(0n);
  groupPairs(statement, group).forEach(({ position, row }, l) => {
    const { index, input, inFeatures, outFeatures } = statement.modules[position]!;
    const folded = foldInput(session.calls, input, inFeatures, u);
    const weight = power(t, BigInt(position));
    p[l] = mod(weight * inner(folded, rowOf(modules[index]!.a, row, inFeatures)));
    q[l] = inner(powers(v, outFeatures), rowOf(modules[index]!.bT, row, outFeatures));
  });
  const claim = group.members.reduce((sum, position) => {
    const module = statement.modules[position]!;
    const y = foldOutput(session.calls, members.indexOf(module.index), module, { u, v, t });
    return mod(sum + power(t, BigInt(position)) * y);
  }, 0n);
  return { p, q, claim };
}

/** The lanes of the inputs, and one for v; group g is weighted by kappa^g. */
export function rowLanes(
  { statement, session, modules, blinders }: Setting,
  { u, v, t, rho, kappa }: FoldingChallenges & { readonly rho: bigint; readonly kappa: bigint },
): RunLane[] {
  const size = statement.domainSize;
  const zeros = () => new Array<bigint>(size).fill(0n);
  const add = (target: bigint[], values: readonly bigint[], offset: number, weight = 1n) => {
    values.forEach((value, i) => {
      target[offset + i] = mod(target[offset + i]! + weight * value);
    });
  };
  const inputLanes = lanesOf(statement.modules).map((places) => {
    const known = zeros();
    for (const { input, offset, positions } of places) {
      const { inFeatures } = statement.modules[positions[0]!]!;
      add(known, foldInput(session.calls, input, inFeatures, u), offset);
    }
    return { positions: places.flatMap(({ positions }) => positions), known, values: zeros(), blinder: 0n };
  });
  const widest = Math.max(...statement.modules.map(({ outFeatures }) => outFeatures));
  const outputLane = { known: zeros(), values: zeros(), blinder: 0n };
  add(outputLane.known, powers(v, widest), 0);
  statement.groups.forEach((group, g) => {
    const groupWeight = power(kappa, BigInt(g));
    groupPairs(statement, group).forEach(({ position, row }, l) => {
      const { index, inFeatures, outFeatures, columnOffset } = statement.modules[position]!;
      const { a, bT } = modules[index]!;
      const aWeight = mod(power(t, BigInt(position)) * mod(groupWeight * power(rho, BigInt(l + 1))));
      const bWeight = mod(groupWeight * power(rho, BigInt(group.pairs + l + 1)));
      const lane = inputLanes.find(({ positions }) => positions.includes(position))!;
      add(lane.values, rowOf(a, row, inFeatures), columnOffset, aWeight);
      lane.blinder = mod(lane.blinder + aWeight * blinders[index]!.a[row]!);
      add(outputLane.values, rowOf(bT, row, outFeatures), 0, bWeight);
      outputLane.blinder = mod(outputLane.blinder + bWeight * blinders[index]!.b[row]!);
    });
  });
  return [...inputLanes, outputLane].map(({ known, values, blinder }) => ({
    known: interpolate(known),
    rows: plus(interpolate(values), timesVanishing([blinder], size)),
  }));
}
