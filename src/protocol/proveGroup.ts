import type { QuantizedModule } from '../adapter/types.js';
import {
  type Engine,
  type FieldVector,
  Fr,
  type G1Point,
  multiplyRows,
  multiScalarMultiply,
  randomScalar,
  scaleVector,
  toLimbs,
  vectorFromScalars,
  vectorToScalars,
} from '../algebra/index.js';
import { concatBytes } from '../bytes.js';
import type { ParameterStore } from '../circuit/parameterFiles.js';
import { proveRankCheck } from '../circuit/rankCheck.js';
import { ZkLoraError } from '../errors.js';
import { commitPolynomial } from '../kzg/commit.js';
import type { ProverSrs } from '../kzg/srs.js';
import { formBases } from './linearForm.js';
import { commitFormMask, type FormMask } from './linearFormProve.js';
import type { GroupProof } from './proof.js';
import { groupPairs, partition, type Statement, type StatementGroup } from './statement.js';

/** What the prover works with besides the challenges. */
export interface ProverContext {
  readonly engine: Engine;
  readonly parameters: ParameterStore;
  readonly srs: ProverSrs;
  readonly statement: Statement;
  /** The committed weights, by adapter index. */
  readonly modules: readonly QuantizedModule[];
}

/** Secrets of one group while its proof is made; never stored, fresh for every attempt. */
export interface GroupSecrets {
  /** mu, b, p[P], q[P] */
  readonly witness: FieldVector;
  /** Coefficients m0, m1 of R. */
  readonly maskCoefficients: readonly [bigint, bigint];
  readonly bases: Uint8Array;
}

/** The part of a group's proof that precedes the form's challenge. */
export interface CommittedGroup {
  readonly points: Pick<GroupProof, 'committed' | 'mask' | 'groth16'>;
  readonly secrets: GroupSecrets;
}

/** p and q of the pairs of one module, `[rank]` each; secret. */
export interface RankSpace {
  readonly p: readonly bigint[];
  readonly q: readonly bigint[];
}

/** What the products of some pairs come to. */
export function innerProduct({ p, q }: RankSpace): bigint {
  return p.reduce((sum, value, l) => Fr.add(sum, Fr.mul(value, q[l]!)), 0n);
}

/**
 * Compares a session's deltas with the weights: the claim of each module is what its pairs come to.
 *
 * @param outputs folded deltas, by position
 * @throws ZkLoraError `SESSION_MISMATCH`
 */
export function assertDeltas(space: readonly RankSpace[], outputs: readonly bigint[], t: bigint): void {
  let power = 1n;
  for (const [position, pairs] of space.entries()) {
    if (innerProduct(pairs) !== Fr.mul(power, outputs[position]!)) {
      throw new ZkLoraError(
        'SESSION_MISMATCH',
        "the session's deltas were not computed with these weights: check that adapter and session belong together",
      );
    }
    power = Fr.mul(power, t);
  }
}

/** p and q of every pair, by position: p = t^position <a, A_j>, q = <v, B_j>. */
export function rankSpace(
  context: ProverContext,
  inputs: readonly (FieldVector | undefined)[],
  vPowers: FieldVector,
  t: bigint,
): RankSpace[] {
  const { engine, statement } = context;
  const inputLimbs = inputs.map((input) => (input ? toLimbs(engine, input) : undefined));
  const vLimbs = toLimbs(engine, vPowers);
  return statement.modules.map(({ index, input, rank, inFeatures, outFeatures }, position) => {
    const { a, bT } = context.modules[index]!;
    const p = multiplyRows(engine, a, rank, inFeatures, inputLimbs[input]!);
    const q = multiplyRows(engine, bT, rank, outFeatures, vLimbs);
    return {
      p: vectorToScalars(engine, scaleVector(engine, p, Fr.pow(t, BigInt(position)))),
      q: vectorToScalars(engine, q),
    };
  });
}

/** Points IC of mu, b, and p and q of a group's pairs: what D and the linear form commit with. */
async function basesOf(parameters: ParameterStore, { circuit, pairs }: StatementGroup): Promise<Uint8Array> {
  return concatBytes(...formBases(await parameters.vkey(circuit), pairs));
}

/**
 * Masks of the linear forms of all groups, which nothing but the modules' ranks has to be known for.
 *
 * @throws ZkLoraError `STATEMENT_INVALID` when one module alone exceeds the largest circuit.
 */
export async function commitFormMasks(
  engine: Engine,
  parameters: ParameterStore,
  ranks: readonly number[],
): Promise<FormMask[]> {
  const groups = partition(ranks, circuitSizes(parameters));
  return Promise.all(groups.map(async (group) => commitFormMask(engine, await basesOf(parameters, group))));
}

/** Sizes of the parameter set's circuits, ascending. */
export function circuitSizes({ set }: ParameterStore): number[] {
  return set.circuits.map(({ pairs }) => pairs);
}

/** Step 3 and 4: Groth16 proof, D and [R] of one group. */
export async function commitGroup(
  context: ProverContext,
  group: StatementGroup,
  space: readonly RankSpace[],
): Promise<CommittedGroup> {
  const { engine, statement, srs, parameters } = context;
  const pairs = groupPairs(statement, group);
  const p = pairs.map(({ position, row }) => space[position]!.p[row]!);
  const q = pairs.map(({ position, row }) => space[position]!.q[row]!);
  const padding = new Array<bigint>(group.circuit - pairs.length).fill(0n);
  const padded = (values: readonly bigint[]) => [...values, ...padding];
  const claim = innerProduct({ p, q });
  const maskCoefficients = [randomScalar(), randomScalar()] as const;
  const mu = Fr.mul(BigInt(statement.domainSize), maskCoefficients[0]);
  const b = randomScalar();
  const zkey = await parameters.zkey(group.circuit);
  const bases = await basesOf(parameters, group);
  const witness = vectorFromScalars(engine, [mu, b, ...p, ...q]);
  const [groth16, committed, mask] = await Promise.all([
    proveRankCheck(engine, zkey, { y: claim, mu, b, p: padded(p), q: padded(q) }),
    multiScalarMultiply(engine, bases, witness) as Promise<G1Point>,
    commitPolynomial(engine, srs, vectorFromScalars(engine, maskCoefficients)),
  ]);
  return {
    points: { committed, mask, groth16 },
    secrets: { witness, maskCoefficients, bases },
  };
}
