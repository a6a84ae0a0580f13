import { type Engine, type G1Point, randomScalar } from '../../../src/algebra/index.js';
import type { LinearFormProof } from '../../../src/protocol/index.js';
import { formPoint } from '../../../src/protocol/linearForm.js';
import { inner, mod } from '../../reference/field.js';
import { combine, pointsOf, type Term } from './points.js';
import type { Schedule } from './schedule.js';

/** `count` uniform scalars. */
export function randomVector(count: number): bigint[] {
  return Array.from({ length: count }, () => randomScalar());
}

/** A linear form's argument with a given mask vector r: docs/protocol.md, "Linear form". */
export async function proveForm(
  engine: Engine,
  schedule: Schedule,
  bases: Uint8Array,
  ell: readonly bigint[],
  witness: readonly bigint[],
  r: readonly bigint[] = randomVector(witness.length),
): Promise<LinearFormProof> {
  const points = pointsOf(bases);
  const mask = await combine(
    engine,
    r.map((scalar, i): Term => [scalar, points[i]!]),
  );
  const maskValue = inner(r, ell);
  const { x, c } = schedule.response({ mask, maskValue });
  const response = r.map((scalar, i) => mod(scalar + x * witness[i]!));
  return { mask, maskValue, ...(await foldResponse(engine, schedule, unfolded(bases, ell, c, response))) };
}

/** A folded base as a combination of the original ones. */
export type FoldedBase = readonly Term[];

/** What one round leaves: bases, form and response, half as long each. */
export interface Folded {
  readonly bases: readonly FoldedBase[];
  readonly form: readonly bigint[];
  readonly response: readonly bigint[];
}

/** One round's folding. */
export function foldOnce({ bases, form, response }: Folded, fold: bigint): Folded {
  const half = form.length / 2;
  const scaled = (base: FoldedBase) => base.map(([s, point]): Term => [mod(s * fold), point]);
  return {
    bases: bases.slice(0, half).map((low, i) => [...scaled(low), ...bases[half + i]!]),
    form: form.slice(0, half).map((low, i) => mod(fold * low + form[half + i]!)),
    response: response.slice(0, half).map((low, i) => mod(low + fold * response[half + i]!)),
  };
}

/** <values, bases> + <values, form> U */
export function commitFolded(
  engine: Engine,
  values: readonly bigint[],
  bases: readonly FoldedBase[],
  form: readonly bigint[],
): Promise<G1Point> {
  const terms = values.flatMap((value, i) => bases[i]!.map(([s, point]): Term => [value * s, point]));
  return combine(engine, [...terms, [inner(values, form), formPoint()]]);
}

/** Bases and scaled form before the first round; places up to the next power of two have no base and a form of zero. */
export function unfolded(
  bases: Uint8Array,
  ell: readonly bigint[],
  c: bigint,
  response: readonly bigint[],
): Folded {
  const padding = 2 ** Math.ceil(Math.log2(ell.length)) - ell.length;
  const zeros = new Array<bigint>(padding).fill(0n);
  return {
    bases: [
      ...pointsOf(bases).map((point): FoldedBase => [[1n, point]]),
      ...Array.from({ length: padding }, (): FoldedBase => []),
    ],
    form: [...ell.map((value) => mod(c * value)), ...zeros],
    response: [...response, ...zeros],
  };
}

/** The rounds from a state on. */
export async function foldResponse(
  engine: Engine,
  schedule: Schedule,
  start: Folded,
): Promise<Pick<LinearFormProof, 'rounds' | 'final'>> {
  let state = start;
  const rounds: { left: G1Point; right: G1Point }[] = [];
  while (state.response.length > 1) {
    const { bases, form, response } = state;
    const half = response.length / 2;
    const high = [bases.slice(half), form.slice(half)] as const;
    const left = await commitFolded(engine, response.slice(0, half), ...high);
    const right = await commitFolded(engine, response.slice(half), bases.slice(0, half), form.slice(0, half));
    rounds.push({ left, right });
    state = foldOnce(state, schedule.fold(left, right));
  }
  const final = state.response[0]!;
  schedule.final(final);
  return { rounds, final };
}
