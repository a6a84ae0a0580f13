/**
 * The equations that a proof must satisfy, each as terms of a pairing product. Pure: no file system, no prover.
 */
import {
  dotVectors,
  type Engine,
  type FieldVector,
  Fr,
  type G2Point,
  g2Generator,
  joinPoints,
  powersVector,
  scaleVector,
  subVector,
  vectorFromScalars,
} from '../algebra/index.js';
import type { VerificationKey } from '../circuit/verificationKey.js';
import {
  drawBatch,
  drawForm,
  drawGroupWeight,
  drawOpening,
  drawPairs,
  drawPoint,
  type SessionChallenges,
  startTranscript,
} from './challenges.js';
import { lanesOf } from './lanes.js';
import { addLinearFormEquation, type LinearFormChallenges, replayLinearForm } from './linearFormVerify.js';
import { blockWeights } from './pairBlocks.js';
import { weightPowers } from './pairWeights.js';
import type { GroupProof, Proof } from './proof.js';
import type { ModuleRows } from './rows.js';
import type { Statement } from './statement.js';
import { type Equation, sumEquations, type WeightedPoints } from './sumVerify.js';
import type { Transcript } from './transcript.js';

interface GroupChallenges extends LinearFormChallenges {
  readonly rho: bigint;
}

/** All challenges of one proof. */
export interface ProofChallenges extends SessionChallenges {
  readonly rho: bigint;
  /** One in version 2, which has no groups to tell apart. */
  readonly kappa: bigint;
  readonly groups: readonly GroupChallenges[];
  readonly z: bigint;
  /** Weights of what is opened at z beside Lambda. */
  readonly nu: bigint;
  readonly batch: bigint;
}

/** Replays a proof's transcript. */
export function replayChallenges(statement: Statement, proof: Proof): ProofChallenges {
  const { transcript, challenges } = startTranscript(statement);
  const pairs =
    statement.rankCheck === 'kzg'
      ? { rho: drawPairs(transcript, proof.blocks), kappa: 1n, groups: [] }
      : replayGroups(transcript, proof.groups);
  const z = drawPoint(transcript, statement.domainSize, proof.sum);
  const opened = proof.blocks.map(({ qAtPoint }) => qAtPoint);
  const nu = drawOpening(transcript, proof.sum.shifted, opened);
  const batch = drawBatch(transcript, proof.sum);
  return { ...challenges, ...pairs, z, nu, batch };
}

function replayGroups(
  transcript: Transcript,
  proofs: readonly GroupProof[],
): Pick<ProofChallenges, 'rho' | 'kappa' | 'groups'> {
  const rho = drawForm(transcript, proofs);
  const kappa = drawGroupWeight(
    transcript,
    proofs.map(({ formValue }) => formValue),
  );
  return { rho, kappa, groups: proofs.map((group) => ({ rho, ...replayLinearForm(transcript, group) })) };
}

/**
 * The sum argument of an inference proof: the verifier builds its part of [Lambda] from the registered rows.
 * docs/protocol.md, "The identity on H".
 *
 * @param basis Lagrange basis of the domain at z
 * @param inputsAtPoint a(z) of each module's input at its place, as `foldSessionAtPoint` gives it
 * @param claim what the session says that all pairs' products sum to; asked for by `addClaim` only, and only where no
 * circuit checks it
 */
export function openingEquations(
  engine: Engine,
  statement: Statement,
  proof: Proof,
  challenges: ProofChallenges,
  basis: FieldVector,
  inputsAtPoint: readonly bigint[],
  rows: readonly ModuleRows[],
  tauG2: G2Point,
  claim: () => bigint,
): Equation[] {
  const { t, v, rho, kappa, z } = challenges;
  const { domainSize } = statement;
  const widest = Math.max(...statement.modules.map(({ outFeatures }) => outFeatures));
  const vAtZ = dotVectors(engine, powersVector(engine, v, widest), subVector(basis, 0, widest));
  const lanes = lanesAtPoint(statement, inputsAtPoint);
  const known: WeightedPoints[] = [];
  const groupWeights = statement.groups.map((_, g) => Fr.pow(kappa, BigInt(g)));
  for (const [g, { pairs, members }] of statement.groups.entries()) {
    const powers = weightPowers(engine, rho, pairs, groupWeights[g]!);
    let pair = 0;
    for (const position of members) {
      const { rank } = statement.modules[position]!;
      const { a, b } = rows[position]!;
      const onA = Fr.mul(lanes[position]!, Fr.pow(t, BigInt(position)));
      known.push(
        { scalars: scaleVector(engine, subVector(powers, pair, rank), onA), bases: a },
        { scalars: scaleVector(engine, subVector(powers, pairs + pair, rank), vAtZ), bases: b },
      );
      pair += rank;
    }
  }
  const falseSum = 'the deltas were not computed with the committed weights';
  const sum = (total: bigint | (() => bigint), more: WeightedPoints, opened?: bigint): Equation[] =>
    sumEquations(engine, domainSize, [...known, more], total, proof.sum, z, tauG2, falseSum, opened);
  if (statement.rankCheck === 'kzg') {
    const { points, opened } = blocksAtPoint(engine, statement, proof, challenges, basis);
    return sum(claim, points, opened);
  }
  const total = proof.groups.reduce(
    (formValues, { formValue }, g) => Fr.add(formValues, Fr.mul(groupWeights[g]!, formValue)),
    0n,
  );
  const masks = joinPoints(proof.groups.map(({ mask }) => mask));
  return sum(total, { scalars: vectorFromScalars(engine, groupWeights), bases: masks });
}

/** (q(z) - r(z)) [p] - s(z) [q] of all blocks, and every q opened at z. docs/protocol.md, "The KZG rank check". */
function blocksAtPoint(
  engine: Engine,
  { groups, domainSize }: Statement,
  { blocks }: Proof,
  { rho, nu }: ProofChallenges,
  basis: FieldVector,
): { points: WeightedPoints; opened: bigint } {
  const weights = blockWeights(engine, domainSize, groups[0]!.pairs, rho);
  let value = 0n;
  const scalars = blocks.flatMap(({ qAtPoint }, g) => {
    const { r, s } = weights[g]!;
    const beside = Fr.pow(nu, BigInt(g + 1));
    value = Fr.add(value, Fr.mul(beside, qAtPoint));
    return [Fr.sub(qAtPoint, dotVectors(engine, r, basis)), Fr.sub(beside, dotVectors(engine, s, basis))];
  });
  const bases = joinPoints(blocks.flatMap(({ p, q }) => [p, q]));
  return { points: { scalars: vectorFromScalars(engine, scalars), bases }, opened: value };
}

/** c(z) of each module's lane: the sum over all inputs in it, each counted once. */
function lanesAtPoint({ modules }: Statement, inputsAtPoint: readonly bigint[]): bigint[] {
  const values = new Array<bigint>(modules.length);
  for (const places of lanesOf(modules)) {
    const sum = places.reduce((total, { positions }) => Fr.add(total, inputsAtPoint[positions[0]!]!), 0n);
    for (const { positions } of places) for (const position of positions) values[position] = sum;
  }
  return values;
}

/**
 * Groth16 with D in place of the hidden public inputs, and the linear form that makes it sound.
 *
 * The first equation alone proves nothing: D could hold multiples of IC_0 or IC_y. Only the second, a proof of
 * knowledge of an opening of D in exactly the bases IC_mu, IC_b, IC_p, IC_q, excludes that. Neither may be
 * checked without the other.
 *
 * @param pairs of the group
 * @param claim what the session says that the group's products sum to; asked for by `addClaim` of the second equation
 * only
 */
export function groupEquations(
  engine: Engine,
  key: VerificationKey,
  pairs: number,
  claim: () => bigint,
  proof: GroupProof,
  challenges: GroupChallenges,
): [linearForm: Equation, groth16: Equation] {
  const { ic } = key;
  const icPoint = (index: number) => ic.subarray(index * 64, (index + 1) * 64);
  const { groth16 } = proof;
  return [
    {
      reason: 'LINEAR_FORM_INVALID',
      message: 'the committed values do not open to the claimed form value',
      add: (product, weight) =>
        addLinearFormEquation(engine, product, g2Generator(engine), weight, proof, challenges, pairs, key),
    },
    {
      reason: 'GROTH16_INVALID',
      message: 'the rank-space products do not add up to the session',
      add: (product, weight) => {
        const minus = Fr.neg(weight);
        product.add(groth16.b, weight, groth16.a);
        product.add(key.beta, minus, key.alpha);
        product.add(key.gamma, minus, icPoint(0));
        product.add(key.gamma, minus, proof.committed);
        product.add(key.delta, minus, groth16.c);
      },
      addClaim: (product, weight) => product.add(key.gamma, Fr.neg(Fr.mul(weight, claim())), icPoint(1)),
    },
  ];
}
