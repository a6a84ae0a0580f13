import {
  addScaled,
  addVectors,
  combineRows,
  constantVector,
  dotVectors,
  divideByLinear,
  type Engine,
  evaluateOnCoset,
  type FieldVector,
  Fr,
  type G1Point,
  interpolate,
  interpolateFromCoset,
  lagrangeAt,
  multiplyOnDomains,
  multiplyRows,
  multiScalarMultiply,
  powersVector,
  prefixSums,
  randomScalar,
  rootOfUnity,
  scaleVector,
  subVector,
  subVectors,
  toLimbs,
  vanishingOnCoset,
  vectorFromScalars,
  vectorToScalars,
  zeroVector,
} from '../algebra/index.js';
import { adapterId } from '../adapter/commitment.js';
import { moduleBlinders } from '../adapter/secret.js';
import type { AdapterSecret } from '../adapter/secret.js';
import type { AdapterCommitment, QuantizedModule } from '../adapter/types.js';
import { bytesToHex, concatBytes, hexToBytes } from '../bytes.js';
import type { ParameterStore } from '../circuit/parameterFiles.js';
import { proveRankCheck, witnessWasm } from '../circuit/rankCheck.js';
import { ZkLoraError } from '../errors.js';
import { commitPolynomial } from '../kzg/commit.js';
import type { ProverSrs } from '../kzg/srs.js';
import {
  drawBatch,
  drawForm,
  drawGroupWeight,
  drawPoint,
  startTranscript,
} from './challenges.js';
import { foldSession } from './foldSession.js';
import { formCoefficients } from './linearForm.js';
import { proveLinearForm } from './linearFormProve.js';
import { pairWeights } from './pairWeights.js';
import { encodeProofFile, type GroupProof, type LinearFormProof, type Proof } from './proof.js';
import { type Session, sessionModules } from './session.js';
import { readSession } from './sessionDigest.js';
import { buildStatement, groupPairs, type Statement, type StatementGroup } from './statement.js';
import type { Transcript } from './transcript.js';

/** Stages of proving, for progress displays. */
export type ProveStage = 'read session' | 'rank space' | 'groth16' | 'linear form' | 'polynomials' | 'openings';

/** Arguments of {@link proveSession}. */
export interface ProveOptions {
  readonly engine: Engine;
  readonly parameters: ParameterStore;
  readonly adapter: AdapterCommitment;
  /** The committed weights, in the adapter's order. */
  readonly modules: readonly QuantizedModule[];
  readonly secret: AdapterSecret;
  readonly session: Session;
  /** One proof for the whole adapter (default), or one for each module. */
  readonly mode?: 'aggregated' | 'per-module';
  readonly onProgress?: (event: { stage: ProveStage; proof: number; proofs: number }) => void;
}

/**
 * Proves that every delta of a session was computed with the committed weights.
 *
 * @returns bytes of a proof file
 * @throws ZkLoraError `SESSION_MISMATCH` when the session's deltas are not those of these weights,
 * `SECRET_MISMATCH` when the secret is another adapter's, `PARAMETERS_MISMATCH`, `SESSION_MALFORMED`,
 * `STATEMENT_INVALID`
 * @example
 * const bytes = await proveSession({ engine, parameters, adapter, modules, secret, session });
 */
export async function proveSession(options: ProveOptions): Promise<Uint8Array> {
  const { adapter, session, parameters, secret } = options;
  const id = adapterId(adapter);
  checkBelongTogether(options, id);
  options.onProgress?.({ stage: 'read session', proof: 0, proofs: 1 });
  const { digest, tokens } = await readSession(session, adapter.modules);
  const all = sessionModules(session.header);
  const subsets = options.mode === 'per-module' ? all.map((module) => [module]) : [all];
  const srs = await parameters.srs(adapter.domainSize);
  const blinders = new Map(
    all.map((index) => [
      index,
      moduleBlinders(hexToBytes(secret.blindingSecret), hexToBytes(adapter.salt), options.modules[index]!),
    ]),
  );
  const proofs: Proof[] = [];
  for (const [proofIndex, moduleIndices] of subsets.entries()) {
    const statement = buildStatement({
      parametersId: parameters.id,
      circuits: parameters.set.circuits.map(({ pairs }) => pairs),
      adapterId: id,
      adapter,
      header: session.header,
      sessionDigest: digest,
      tokens,
      moduleIndices,
    });
    const report = (stage: ProveStage) =>
      options.onProgress?.({ stage, proof: proofIndex, proofs: subsets.length });
    const context: ProverContext = { ...options, statement, srs, blinders, report };
    proofs.push(await proveStatement(context));
  }
  return encodeProofFile({
    parametersId: parameters.id,
    adapterId: id,
    sessionDigest: bytesToHex(digest),
    proofs,
  });
}

function checkBelongTogether(options: ProveOptions, id: string): void {
  const { adapter, parameters, secret, session, modules } = options;
  if (adapter.parametersId !== parameters.id) {
    throw new ZkLoraError('PARAMETERS_MISMATCH', 'the adapter was registered under other parameters: pass those');
  }
  if (secret.adapterId !== id) {
    throw new ZkLoraError('SECRET_MISMATCH', 'the secret belongs to another adapter: pass the one written with it');
  }
  if (session.header.adapterId !== id || session.header.contributorKey !== adapter.contributorKey) {
    throw new ZkLoraError('SESSION_MISMATCH', 'the session was held with another adapter');
  }
  const same =
    modules.length === adapter.modules.length &&
    adapter.modules.every((committed, i) => {
      const own = modules[i]!;
      return (
        own.name === committed.name &&
        own.rank === committed.rank &&
        own.inFeatures === committed.inFeatures &&
        own.outFeatures === committed.outFeatures
      );
    });
  if (!same) throw new ZkLoraError('SESSION_MISMATCH', 'the weights do not have the shapes of the adapter commitment');
}

interface ProverContext extends ProveOptions {
  readonly statement: Statement;
  readonly srs: ProverSrs;
  /** By adapter index. */
  readonly blinders: ReadonlyMap<number, { readonly a: readonly bigint[]; readonly b: readonly bigint[] }>;
  readonly report: (stage: ProveStage) => void;
}

/** One lane of the identity: a public polynomial times a private one. */
interface Lane {
  /** Values on H of the public factor, `[N]`. */
  readonly known: FieldVector;
  /** Values on H of the combination of committed rows, `[N]`. */
  readonly rows: FieldVector;
  /** The same combination of the rows' blinders. */
  readonly blinder: bigint;
}

/** Secrets of one group while its proof is made; never stored, fresh for every attempt. */
interface GroupSecrets {
  readonly claim: bigint;
  /** mu, b, p[K], q[K] */
  readonly witness: FieldVector;
  /** Coefficients m0, m1 of R. */
  readonly maskCoefficients: readonly [bigint, bigint];
  readonly bases: Uint8Array;
}

async function proveStatement(context: ProverContext): Promise<Proof> {
  const { engine, statement, srs, report } = context;
  const { transcript, challenges } = startTranscript(statement);
  const { u, v, t } = challenges;

  report('rank space');
  const folded = await foldSession(engine, context.session, statement, context.adapter.modules, u, v);
  const widest = Math.max(...statement.modules.map(({ outFeatures }) => outFeatures));
  const vPowers = powersVector(engine, v, widest);
  const space = rankSpace(context, folded.inputs, vPowers, t);

  report('groth16');
  const committed: (Pick<GroupProof, 'committed' | 'mask' | 'groth16'> & { secrets: GroupSecrets })[] = [];
  for (const group of statement.groups) committed.push(await commitGroup(context, group, space, folded.outputs, t));
  const rho = drawForm(transcript, committed);
  const formValues = committed.map(({ secrets }, g) => {
    const coefficients = formCoefficients(rho, statement.groups[g]!.circuit);
    return dotVectors(engine, vectorFromScalars(engine, coefficients), secrets.witness);
  });
  const kappa = drawGroupWeight(transcript, formValues);

  report('linear form');
  const groups: GroupProof[] = [];
  for (const [g, { secrets, ...points }] of committed.entries()) {
    const coefficients = vectorFromScalars(engine, formCoefficients(rho, statement.groups[g]!.circuit));
    const linearForm: LinearFormProof = await proveLinearForm(
      engine,
      transcript,
      secrets.bases,
      coefficients,
      secrets.witness,
    );
    groups.push({ ...points, formValue: formValues[g]!, linearForm });
  }

  report('polynomials');
  let formValue = 0n;
  let mask: [bigint, bigint] = [0n, 0n];
  let weight = 1n;
  committed.forEach(({ secrets }, g) => {
    formValue = Fr.add(formValue, Fr.mul(weight, formValues[g]!));
    mask = [0, 1].map((i) => Fr.add(mask[i]!, Fr.mul(weight, secrets.maskCoefficients[i]!))) as [bigint, bigint];
    weight = Fr.mul(weight, kappa);
  });
  const lanes = makeLanes(context, folded.inputs, vPowers, t, rho, kappa);
  const opened = await proveIdentity(engine, srs, transcript, lanes, mask, formValue, report);
  return { modules: statement.modules.map(({ index }) => index), groups, ...opened };
}

/** p and q of every pair, by position: p = t^position <a, A_j>, q = <v, B_j>. */
function rankSpace(
  context: ProverContext,
  inputs: readonly (FieldVector | undefined)[],
  vPowers: FieldVector,
  t: bigint,
): { p: bigint[]; q: bigint[] }[] {
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

/** Step 3 and 4: Groth16 proof, D and [R] of one group. */
async function commitGroup(
  context: ProverContext,
  group: StatementGroup,
  space: readonly { p: bigint[]; q: bigint[] }[],
  outputs: readonly bigint[],
  t: bigint,
): Promise<Pick<GroupProof, 'committed' | 'mask' | 'groth16'> & { secrets: GroupSecrets }> {
  const { engine, statement, srs, parameters } = context;
  const pairs = groupPairs(statement, group);
  const padding = new Array<bigint>(group.circuit - pairs.length).fill(0n);
  const p = [...pairs.map(({ position, row }) => space[position]!.p[row]!), ...padding];
  const q = [...pairs.map(({ position, row }) => space[position]!.q[row]!), ...padding];
  const claim = group.members.reduce(
    (sum, position) => Fr.add(sum, Fr.mul(Fr.pow(t, BigInt(position)), outputs[position]!)),
    0n,
  );
  if (p.reduce((sum, value, l) => Fr.add(sum, Fr.mul(value, q[l]!)), 0n) !== claim) {
    throw new ZkLoraError(
      'SESSION_MISMATCH',
      "the session's deltas were not computed with these weights: check that adapter and session belong together",
    );
  }
  const maskCoefficients = [randomScalar(), randomScalar()] as const;
  const mu = Fr.mul(BigInt(statement.domainSize), maskCoefficients[0]);
  const b = randomScalar();
  const zkey = await parameters.zkey(group.circuit);
  const wasm = await witnessWasm(group.circuit);
  const groth16 = await proveRankCheck(engine, zkey, wasm, { y: claim, mu, b, p, q });
  const key = await parameters.vkey(group.circuit);
  const bases = key.ic.subarray(2 * 64);
  const witness = vectorFromScalars(engine, [mu, b, ...p, ...q]);
  const committed = (await multiScalarMultiply(engine, bases, witness)) as G1Point;
  const mask = await commitPolynomial(engine, srs, vectorFromScalars(engine, maskCoefficients));
  return { committed, mask, groth16, secrets: { claim, witness, maskCoefficients, bases } };
}

/** Products of the identity: one lane for each input, one for v. */
function makeLanes(
  context: ProverContext,
  inputs: readonly (FieldVector | undefined)[],
  vPowers: FieldVector,
  t: bigint,
  rho: bigint,
  kappa: bigint,
): Lane[] {
  const { engine, statement } = context;
  const weights = pairWeights(engine, statement, t, rho, kappa);
  const { domainSize } = statement;
  const combine = (
    known: FieldVector,
    parts: readonly { matrix: Int16Array; offset: number; weights: readonly bigint[]; blinders: readonly bigint[] }[],
    knownOffset: number,
  ): Lane => {
    let rows = zeroVector(domainSize);
    let blinder = 0n;
    for (const part of parts) {
      const coefficients = vectorFromScalars(engine, part.weights);
      const cols = part.matrix.length / part.weights.length;
      const combined = combineRows(engine, coefficients, part.matrix, cols);
      rows = addVectors(engine, rows, padTo(combined, part.offset, domainSize));
      part.weights.forEach((w, j) => {
        blinder = Fr.add(blinder, Fr.mul(w, part.blinders[j]!));
      });
    }
    return { known: padTo(known, knownOffset, domainSize), rows, blinder };
  };
  const lanes: Lane[] = [];
  inputs.forEach((known, input) => {
    const users = statement.modules.flatMap((module, position) =>
      module.input === input ? [{ module, position }] : [],
    );
    if (!known || users.length === 0) return;
    const parts = users.map(({ module, position }) => ({
      matrix: context.modules[module.index]!.a,
      offset: module.columnOffset,
      weights: weights[position]!.a,
      blinders: context.blinders.get(module.index)!.a,
    }));
    lanes.push(combine(known, parts, users[0]!.module.columnOffset));
  });
  const columns = statement.modules.map(({ index }, position) => ({
    matrix: context.modules[index]!.bT,
    offset: 0,
    weights: weights[position]!.b,
    blinders: context.blinders.get(index)!.b,
  }));
  lanes.push(combine(vPowers, columns, 0));
  return lanes;
}

function padTo(vector: FieldVector, offset: number, size: number): FieldVector {
  const out = zeroVector(size);
  out.set(vector, offset * 32);
  return out;
}

/**
 * Step 6: shows that D'(X) = sum of the lanes' products + R(X) sums to S over H, by the running sum phi.
 */
async function proveIdentity(
  engine: Engine,
  srs: ProverSrs,
  transcript: Transcript,
  lanes: readonly Lane[],
  mask: readonly [bigint, bigint],
  formValue: bigint,
  report: (stage: ProveStage) => void,
): Promise<Pick<Proof, 'runningSum' | 'quotient' | 'shifted' | 'opening' | 'shiftedOpening'>> {
  const size = srs.domainSize;
  const root = rootOfUnity(engine, size);
  const share = Fr.div(formValue, BigInt(size));
  const maskPoly = padTo(vectorFromScalars(engine, mask), 0, size);
  const minusShare = constantVector(engine, Fr.neg(share), size);

  // D' - S/N on H and on the coset
  let onDomain = addVectors(engine, minusShare, powersVector(engine, root, size, mask[1]));
  onDomain = addVectors(engine, onDomain, constantVector(engine, mask[0], size));
  let onCoset = addVectors(engine, minusShare, evaluateOnCoset(engine, maskPoly));
  await Promise.all(
    lanes.map(async ({ known, rows, blinder }) => {
      const product = await multiplyOnDomains(engine, known, rows, blinder);
      onDomain = addVectors(engine, onDomain, product.onDomain);
      onCoset = addVectors(engine, onCoset, product.onCoset);
    }),
  );

  const { sums, total } = prefixSums(engine, onDomain);
  if (total !== 0n) throw new ZkLoraError('INTERNAL', 'the identity does not sum to its form value');
  // phi = interpolation of the running sums + (b0 + b1 X + b2 X^2) Z_H
  const blinds = [randomScalar(), randomScalar(), randomScalar()];
  const low = interpolate(engine, sums);
  const runningPoly = concatBytes(
    subVectors(engine, low, padTo(vectorFromScalars(engine, blinds), 0, size)),
    vectorFromScalars(engine, blinds),
  );
  const runningSum = await commitPolynomial(engine, srs, runningPoly);

  // phi on the coset: the blinding is (b0 + b1 X + b2 X^2) times a constant there
  const vanishing = vanishingOnCoset(size);
  const blindsOnCoset = evaluateOnCoset(engine, padTo(vectorFromScalars(engine, blinds), 0, size));
  const running = addScaled(engine, evaluateOnCoset(engine, low), blindsOnCoset, vanishing);
  const next = concatBytes(subVector(running, 1, size - 1), subVector(running, 0, 1));
  const numerator = subVectors(engine, addVectors(engine, onCoset, running), next);
  const quotientPoly = interpolateFromCoset(engine, scaleVector(engine, numerator, Fr.inv(vanishing)));
  const quotient = await commitPolynomial(engine, srs, quotientPoly);
  const z = drawPoint(transcript, size, { runningSum, quotient });

  report('openings');
  const shiftedPoint = Fr.mul(root, z);
  const atShifted = divideByLinear(engine, runningPoly, shiftedPoint);
  const shifted = atShifted.remainder;
  const lambda = lambdaPolynomial(engine, size, lanes, maskPoly, runningPoly, quotientPoly, z);
  const atPoint = divideByLinear(engine, lambda, z);
  if (atPoint.remainder !== Fr.add(share, shifted)) {
    throw new ZkLoraError('INTERNAL', 'the linearised identity does not hold at z');
  }
  const opening = await commitPolynomial(engine, srs, atPoint.quotient);
  const shiftedOpening = await commitPolynomial(engine, srs, atShifted.quotient);
  drawBatch(transcript, { shifted, opening, shiftedOpening });
  return { runningSum, quotient, shifted, opening, shiftedOpening };
}

/** Lambda = sum known(z) (rows + blinder Z_H) + R + phi - Z_H(z) Q, N + 3 coefficients. */
function lambdaPolynomial(
  engine: Engine,
  size: number,
  lanes: readonly Lane[],
  maskPoly: FieldVector,
  runningPoly: FieldVector,
  quotientPoly: FieldVector,
  z: bigint,
): FieldVector {
  const basis = lagrangeAt(engine, size, z);
  let values = zeroVector(size);
  let blinder = 0n;
  for (const lane of lanes) {
    const known = dotVectors(engine, lane.known, basis);
    values = addScaled(engine, values, lane.rows, known);
    blinder = Fr.add(blinder, Fr.mul(known, lane.blinder));
  }
  const vanishing = Fr.sub(Fr.pow(z, BigInt(size)), 1n);
  let low = addVectors(engine, interpolate(engine, values), maskPoly);
  low = addScaled(engine, low, quotientPoly, Fr.neg(vanishing));
  const top = vectorFromScalars(engine, [blinder, 0n, 0n]);
  low = subVectors(engine, low, padTo(subVector(top, 0, 1), 0, size));
  return addVectors(engine, concatBytes(low, top), runningPoly);
}
