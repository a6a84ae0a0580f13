/**
 * Adapters whose committed entries are any field elements, at any place of the domain, and a prover of sessions for
 * them, built from the library's own pieces: what a dishonest contributor can do.
 */
import { type AdapterCommitment, adapterId } from '../../src/adapter/index.js';
import {
  addScaled,
  dotVectors,
  type Engine,
  encodeG1,
  type FieldVector,
  Fr,
  padVector,
  powersVector,
  randomScalar,
  subVector,
  vectorFromScalars,
  zeroVector,
} from '../../src/algebra/index.js';
import { bytesToHex } from '../../src/bytes.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import { commitValues } from '../../src/kzg/index.js';
import { drawForm, drawGroupWeight, startTranscript } from '../../src/protocol/challenges.js';
import { foldSession } from '../../src/protocol/foldSession.js';
import { commitFormMask, proveLinearForm } from '../../src/protocol/linearFormProve.js';
import { pairWeights } from '../../src/protocol/pairWeights.js';
import { encodeProofFile } from '../../src/protocol/proof.js';
import { commitGroup } from '../../src/protocol/proveGroup.js';
import { type Session, sessionModules } from '../../src/protocol/session.js';
import { readSession } from '../../src/protocol/sessionPass.js';
import { buildStatement } from '../../src/protocol/statement.js';
import { type Lane, proveSum } from '../../src/protocol/sumProve.js';
import { formCoefficients } from './formCoefficients.js';

/** A module with field-valued rows. */
export interface FieldModule {
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly columnOffset?: number;
  /** Values of each row of A on the domain from the column offset; may be longer than `inFeatures`. */
  readonly a: readonly (readonly bigint[])[];
  /** Values of each column of B on the domain; may be longer than `outFeatures`. */
  readonly b: readonly (readonly bigint[])[];
}

/** A row on the whole domain. */
export interface FieldRow {
  /** `[N]` */
  readonly values: FieldVector;
  readonly blinder: bigint;
}

/** An adapter with its rows, in the order of the registration proof: A then B of each module. */
export interface FieldAdapter {
  readonly commitment: AdapterCommitment;
  readonly rows: readonly FieldRow[];
}

/** Commits to field-valued rows. */
export async function registerFieldAdapter(
  engine: Engine,
  parameters: ParameterStore,
  modules: readonly FieldModule[],
  domainSize = 512,
): Promise<FieldAdapter> {
  const srs = await parameters.srs(domainSize);
  const rows: FieldRow[] = [];
  const commit = async (values: readonly bigint[], offset: number) => {
    const vector = vectorFromScalars(
      engine,
      values.map((value) => Fr.create(value)),
    );
    const row = { values: padVector(vector, offset, domainSize), blinder: randomScalar() };
    rows.push(row);
    return bytesToHex(encodeG1(await commitValues(engine, srs, row.values, [row.blinder])));
  };
  const committed = [];
  for (const [i, { rank, inFeatures, outFeatures, columnOffset = 0, a, b }] of modules.entries()) {
    const aRows: string[] = [];
    const bColumns: string[] = [];
    for (const row of a) aRows.push(await commit(row, columnOffset));
    for (const column of b) bColumns.push(await commit(column, 0));
    const shape = { rank, inFeatures, outFeatures, columnOffset };
    committed.push({
      ...{ name: `layer.${i}`, aExponent: -14, bExponent: -15, scaling: 2 },
      ...shape,
      aRows,
      bColumns,
    });
  }
  const commitment: AdapterCommitment = {
    format: 'zklora/adapter/v1',
    parametersId: parameters.id,
    contributorKey: '44'.repeat(32),
    baseDigest: '11'.repeat(32),
    lineageDigest: '00'.repeat(32),
    salt: '33'.repeat(32),
    domainSize,
    modules: committed,
    registrationProof: null,
  };
  return { commitment, rows };
}

/** sum of weights[i] * rows[i]. */
export function combineFieldRows(
  engine: Engine,
  rows: readonly FieldRow[],
  weights: readonly bigint[],
): FieldRow {
  let values = zeroVector(rows[0]!.values.byteLength / 32);
  let blinder = 0n;
  rows.forEach((row, i) => {
    values = addScaled(engine, values, row.values, weights[i]!);
    blinder = Fr.add(blinder, Fr.mul(weights[i]!, row.blinder));
  });
  return { values, blinder };
}

/** The inference proof of a session with field-valued weights, following docs/protocol.md, section 6. */
export async function proveFieldSession(
  engine: Engine,
  parameters: ParameterStore,
  { commitment, rows }: FieldAdapter,
  session: Session,
): Promise<Uint8Array> {
  const { digest, tokens } = await readSession(session, commitment.modules);
  const srs = await parameters.srs(commitment.domainSize);
  const statement = buildStatement({
    rankCheck: 'groth16',
    parametersId: parameters.id,
    circuits: parameters.set.circuits.map(({ pairs }) => pairs),
    adapterId: adapterId(commitment),
    adapter: commitment,
    header: session.header,
    sessionDigest: digest,
    tokens,
    moduleIndices: sessionModules(session.header),
  });
  const { transcript, challenges } = startTranscript(statement);
  const { u, v, t } = challenges;
  const folded = await foldSession(engine, session, { statement, u, v }, true);
  const { domainSize } = statement;
  const widest = Math.max(...statement.modules.map(({ outFeatures }) => outFeatures));
  const vPowers = padVector(powersVector(engine, v, widest), 0, domainSize);

  // rows of each proven module, and its input on the domain
  const parts = statement.modules.map(({ index, rank, input, columnOffset }) => {
    const first = commitment.modules.slice(0, index).reduce((sum, module) => sum + 2 * module.rank, 0);
    return {
      a: rows.slice(first, first + rank),
      b: rows.slice(first + rank, first + 2 * rank),
      input: padVector(folded.inputs[input]!, columnOffset, domainSize),
    };
  });
  const space = parts.map(({ a, b, input }, position) => ({
    p: a.map(({ values }) => Fr.mul(Fr.pow(t, BigInt(position)), dotVectors(engine, input, values))),
    q: b.map(({ values }) => dotVectors(engine, vPowers, values)),
  }));
  const context = { engine, parameters, srs, statement, modules: [] };
  const committed = [];
  for (const group of statement.groups) committed.push(await commitGroup(context, group, space));
  const rho = drawForm(
    transcript,
    committed.map(({ points }) => points),
  );
  const forms = statement.groups.map(({ pairs }) => vectorFromScalars(engine, formCoefficients(rho, pairs)));
  const formValues = committed.map(({ secrets }, g) => dotVectors(engine, forms[g]!, secrets.witness));
  const kappa = drawGroupWeight(transcript, formValues);
  const groups = [];
  let total = 0n;
  const mask: [bigint, bigint] = [0n, 0n];
  for (const [g, { points, secrets }] of committed.entries()) {
    const weight = Fr.pow(kappa, BigInt(g));
    const { bases, witness } = secrets;
    const formMask = await commitFormMask(engine, bases);
    const linearForm = await proveLinearForm(engine, transcript, bases, forms[g]!, witness, formMask);
    groups.push({ ...points, formValue: formValues[g]!, linearForm });
    total = Fr.add(total, Fr.mul(weight, formValues[g]!));
    for (const i of [0, 1] as const) {
      mask[i] = Fr.add(mask[i], Fr.mul(weight, secrets.maskCoefficients[i]));
    }
  }
  const weights = pairWeights(engine, statement, t, rho, kappa);
  const lanes = parts.flatMap(({ a, b, input }, position): Lane[] => {
    const left = combineFieldRows(engine, a, weights[position]!.a);
    const right = combineFieldRows(engine, b, weights[position]!.b);
    return [
      { known: input, rows: left.values, blinder: left.blinder },
      { known: vPowers, rows: right.values, blinder: right.blinder },
    ];
  });
  const source = {
    lanes: () => lanes,
    combineAt: (basis: FieldVector) =>
      combineFieldRows(
        engine,
        lanes.map((lane) => ({ values: lane.rows, blinder: lane.blinder })),
        lanes.map(({ known }) => dotVectors(engine, known, subVector(basis, 0, domainSize))),
      ),
  };
  const { sum } = await proveSum(engine, srs, transcript, source, mask, total);
  return encodeProofFile({
    rankCheck: 'groth16',
    parametersId: parameters.id,
    adapterId: adapterId(commitment),
    sessionDigest: bytesToHex(digest),
    proofs: [{ modules: statement.modules.map(({ index }) => index), groups, blocks: [], sum }],
  });
}
