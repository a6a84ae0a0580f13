import type { Challenges } from './challenges.js';
import type { ReferenceCommitment } from './commitment.js';
import { groth16Holds, linearFormHolds, openingsHold, type SumStatement } from './equations.js';
import { inner, lagrangeAt, mod, power, powers } from './field.js';
import { foldInput, foldOutput } from './fold.js';
import type { Group, ProvenModule } from './groups.js';
import { type BlockTerms, blockTerms, blockWeights } from './pairBlocks.js';
import type { G1Point, G2Point } from './points.js';
import type { ProofVersion, ReferenceProof } from './proof.js';
import type { ReferenceSession } from './session.js';
import type { ReferenceKey } from './verificationKey.js';

/** What the equations of one proof are about. */
export interface ProofContext {
  readonly version: ProofVersion;
  readonly tauG2: G2Point;
  readonly key: (pairs: number) => ReferenceKey;
  readonly commitment: ReferenceCommitment;
  readonly session: ReferenceSession;
  readonly modules: readonly ProvenModule[];
  /** One with all modules in version 2. */
  readonly groups: readonly Group[];
}

/** Equations of docs/protocol.md section 6 that do not hold, in its order, found one at a time. */
export function* falseEquations(
  context: ProofContext,
  proof: ReferenceProof,
  challenges: Challenges,
): Generator<string> {
  const { version, groups } = context;
  if (!openingsHold(sumStatement(context, proof, challenges), proof)) {
    yield version === 1 ? 'equation (5) or (6)' : "equation (5') or (6)";
  }
  if (version === 2) return;
  for (const [g, group] of groups.entries()) {
    const key = context.key(group.circuit);
    const groupProof = proof.groups[g]!;
    if (!linearFormHolds(key, group.pairs, groupProof, challenges.rho, challenges.forms[g]!)) {
      yield 'equation (4)';
    }
    if (!groth16Holds(key, claimOf(context, group, challenges), groupProof)) yield 'equation (2)';
  }
}

/** What is opened at z, and to what: [R_g] and S_g in version 1, [p_g], [q_g] and the claim in version 2. */
export function sumStatement(
  context: ProofContext,
  proof: ReferenceProof,
  challenges: Challenges,
): SumStatement {
  const { version, groups } = context;
  const { rho, kappa, nu, z } = challenges;
  const { domainSize } = context.commitment;
  if (version === 1) {
    const kappas = powers(kappa, groups.length);
    const masks = { points: proof.groups.map(({ r }) => r.value), scalars: kappas, opened: 0n };
    const values = proof.groups.map(({ s }) => s.value);
    return withRows(context, challenges, masks, inner(kappas, values));
  }
  const [all] = groups;
  const weights = blockWeights(domainSize, all!.pairs, rho);
  const terms = blockTerms(proof.blocks, weights, lagrangeAt(z, domainSize), nu);
  return withRows(context, challenges, terms, claimOf(context, all!, challenges));
}

/** Adds the registered rows to the other points that are opened at z. */
export function withRows(
  context: ProofContext,
  challenges: Challenges,
  { points, scalars, opened }: BlockTerms,
  total: bigint,
): SumStatement {
  const { tauG2, commitment } = context;
  const { rows, rowScalars } = weightedRows(context, challenges);
  return {
    domainSize: commitment.domainSize,
    tauG2,
    points: [...rows, ...points],
    scalars: [...rowScalars, ...scalars],
    total,
    opened,
    z: challenges.z,
  };
}

/** claim_g = sum over the group's modules of t^position y_m; S in version 2. */
export function claimOf({ session, modules }: ProofContext, group: Group, challenges: Challenges): bigint {
  return group.positions.reduce((sum, position) => {
    const module = modules[position]!;
    const y = foldOutput(session.calls, session.modules.indexOf(module.index), module, challenges);
    return mod(sum + power(challenges.t, BigInt(position)) * y);
  }, 0n);
}

/** c_lane(z) for each module, by position (docs/protocol.md, "Lanes"). */
export function laneValues(
  modules: readonly ProvenModule[],
  valueAt: (module: ProvenModule) => bigint,
): bigint[] {
  const isFirstOfPlace = (module: ProvenModule, position: number) =>
    modules.findIndex((other) => samePlace(other, module)) === position;
  const places = modules
    .filter(isFirstOfPlace)
    .sort((a, b) =>
      a.columnOffset === b.columnOffset ? a.input - b.input : a.columnOffset - b.columnOffset,
    );
  const lanes: { end: number; sum: bigint; members: ProvenModule[] }[] = [];
  for (const place of places) {
    const { columnOffset, inFeatures } = place;
    let lane = lanes.find(({ end }) => end <= columnOffset);
    if (!lane) {
      lane = { end: 0, sum: 0n, members: [] };
      lanes.push(lane);
    }
    lane.end = columnOffset + inFeatures;
    lane.sum = mod(lane.sum + valueAt(place));
    lane.members.push(place);
  }
  return modules.map(
    (module) => lanes.find(({ members }) => members.some((place) => samePlace(place, module)))!.sum,
  );
}

function samePlace(a: ProvenModule, b: ProvenModule): boolean {
  return a.input === b.input && a.columnOffset === b.columnOffset;
}

/** Registered points with (c_lane(z) or v(z)) * weight (docs/protocol.md, "The identity on H"). */
function weightedRows(
  { commitment, session, modules, groups }: ProofContext,
  { u, v, t, rho, kappa, z }: Challenges,
): { rows: G1Point[]; rowScalars: bigint[] } {
  const lagrange = lagrangeAt(z, commitment.domainSize);
  const widest = Math.max(...modules.map(({ outFeatures }) => outFeatures));
  const vAtZ = inner(powers(v, widest), lagrange);
  const cAtZ = laneValues(modules, ({ input, inFeatures, columnOffset }) =>
    inner(foldInput(session.calls, input, inFeatures, u), lagrange.slice(columnOffset)),
  );
  const rows: G1Point[] = [];
  const rowScalars: bigint[] = [];
  groups.forEach(({ pairs, positions }, g) => {
    let l = 0;
    const groupWeight = power(kappa, BigInt(g));
    for (const position of positions) {
      const module = modules[position]!;
      const { aRows, bColumns } = commitment.modules[module.index]!;
      const aFactor = mod(cAtZ[position]! * mod(power(t, BigInt(position)) * groupWeight));
      for (let j = 0; j < module.rank; j++, l++) {
        rows.push(aRows[j]!, bColumns[j]!);
        rowScalars.push(mod(aFactor * power(rho, BigInt(l + 1))));
        rowScalars.push(mod(vAtZ * mod(groupWeight * power(rho, BigInt(pairs + l + 1)))));
      }
    }
  });
  return { rows, rowScalars };
}
