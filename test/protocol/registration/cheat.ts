/** A prover of registrations that can deviate, for rows of any field elements. Slow and plain: big integers. */
import type { AdapterCommitment } from '../../../src/adapter/index.js';
import { adapterId } from '../../../src/adapter/index.js';
import {
  addVectors,
  dotVectors,
  type Engine,
  type FieldVector,
  Fr,
  padVector,
  powersVector,
  R,
  randomScalar,
  subVector,
  vectorFromIntegers,
  vectorFromScalars,
} from '../../../src/algebra/index.js';
import { bytesToHex } from '../../../src/bytes.js';
import type { ParameterStore } from '../../../src/circuit/index.js';
import { commitValues } from '../../../src/kzg/index.js';
import { expandBits } from '../../../src/protocol/registration/bits.js';
import { drawSeed, drawSum } from '../../../src/protocol/registration/challenges.js';
import { encodeRegistrationProof } from '../../../src/protocol/registration/proof.js';
import {
  COMBINATIONS,
  SKETCH_BOUND,
  SKETCHES,
  SKETCHES_EACH,
} from '../../../src/protocol/registration/sizes.js';
import { registrationStatement } from '../../../src/protocol/registration/statement.js';
import { sketchTotal } from '../../../src/protocol/registration/total.js';
import {
  pointWeights,
  sketchWeights,
  supportWeights,
} from '../../../src/protocol/registration/weightsAtPoint.js';
import { type Lane, proveSum } from '../../../src/protocol/sumProve.js';
import { combineFieldRows, type FieldRow } from '../../support/fieldAdapter.js';

/** The representative of smallest size. */
export function centred(value: bigint): bigint {
  return value > R / 2n ? value - R : value;
}

/** How to deviate from the protocol. */
export interface Deviation {
  /** Sketches to publish, from the exact ones (centred, masks included). */
  readonly sketches?: (exact: readonly bigint[]) => readonly bigint[];
  /** Masks to publish a commitment to once the exact sketches without masks are known. */
  readonly lateMasks?: (unmasked: readonly bigint[]) => readonly bigint[];
  /** Entries added at place 0 so that the running sum closes although the claim is false. */
  readonly repairSum?: boolean;
}

/** What a dishonest prover holds and publishes. */
export interface Attempt {
  readonly proof: Uint8Array;
  /** The sketches as the protocol defines them, centred. */
  readonly exact: readonly bigint[];
}

/** Makes a registration proof for a commitment from the given rows, which may be others than the committed ones. */
export async function attemptRegistration(
  engine: Engine,
  parameters: ParameterStore,
  commitment: AdapterCommitment,
  rows: readonly FieldRow[],
  deviation: Deviation = {},
): Promise<Attempt> {
  const statement = registrationStatement(commitment);
  const { domainSize } = statement;
  const srs = await parameters.srs(domainSize);
  let masks = Array.from({ length: SKETCHES }, () => BigInt.asUintN(100, randomScalar()));
  let maskRow = { values: vectorFromScalars(engine, masks), blinder: randomScalar() };
  const first = await commitValues(engine, srs, maskRow.values, [maskRow.blinder]);
  const { transcript, seed } = drawSeed(statement, first);
  const bits = expandBits(seed, statement);

  const combined = Array.from({ length: COMBINATIONS }, (_, k) =>
    combineFieldRows(
      engine,
      rows,
      rows.map((_row, i) => BigInt(bits.rows[k * rows.length + i]!)),
    ),
  );
  // 0/1 vector of one sketch
  const places = (i: number): FieldVector => {
    const patterns = bits.places(Math.floor(i / SKETCHES_EACH));
    return vectorFromIntegers(
      engine,
      Float64Array.from(patterns, (pattern) => (pattern >> (i % SKETCHES_EACH)) & 1),
    );
  };
  const unmasked = masks.map((_, i) =>
    centred(dotVectors(engine, places(i), combined[Math.floor(i / SKETCHES_EACH)]!.values)),
  );
  let published = first;
  if (deviation.lateMasks) {
    masks = deviation.lateMasks(unmasked).map((mask) => Fr.create(mask));
    maskRow = { values: vectorFromScalars(engine, masks), blinder: maskRow.blinder };
    published = await commitValues(engine, srs, maskRow.values, [maskRow.blinder]);
  }
  const exact = unmasked.map((value, i) => centred(Fr.add(Fr.create(value), masks[i]!)));
  const sketches = deviation.sketches?.(exact) ?? exact;
  const challenges = drawSum(transcript, sketches);

  const lambdas = sketchWeights(engine, challenges.lambda);
  const lanes = combined.map(({ values, blinder }, k): Lane => {
    let known = padVector(new Uint8Array(0), 0, domainSize);
    for (let q = 0; q < SKETCHES_EACH; q++) {
      const i = SKETCHES_EACH * k + q;
      const weight = Fr.pow(challenges.lambda, BigInt(i));
      known = addVectors(engine, known, scale(engine, places(i), weight));
    }
    return { known, rows: values, blinder };
  });
  const paddedMasks = padVector(maskRow.values, 0, domainSize);
  lanes.push({ known: padVector(lambdas, 0, domainSize), rows: paddedMasks, blinder: maskRow.blinder });
  const support = supportWeights(engine, challenges, rows.length);
  let row = 0;
  for (const { rank, offset, length } of statement.matrices) {
    for (let j = 0; j < rank; j++, row++) {
      const known = powersVector(engine, challenges.sigma, domainSize, dotFirst(engine, support, row));
      subVector(known, offset, length).fill(0);
      lanes.push({ known, rows: rows[row]!.values, blinder: rows[row]!.blinder });
    }
  }
  const total = sketchTotal(engine, sketches, challenges.lambda);
  if (deviation.repairSum) {
    const actual = lanes.reduce((sum, lane) => Fr.add(sum, dotVectors(engine, lane.known, lane.rows)), 0n);
    const at = (value: bigint) => padVector(vectorFromScalars(engine, [value]), 0, domainSize);
    lanes.push({ known: at(1n), rows: at(Fr.sub(total, actual)), blinder: 0n });
  }
  const repair = deviation.repairSum ? lanes.at(-1) : undefined;
  const { sum } = await proveSum(
    engine,
    srs,
    transcript,
    {
      lanes: () => lanes,
      combineAt: (basis) => {
        const atPoint = pointWeights(engine, statement, bits, challenges, basis);
        const parts: FieldRow[] = [...rows, { values: paddedMasks, blinder: maskRow.blinder }];
        const weights = [...rows.map((_, i) => dotFirst(engine, atPoint.rows, i)), atPoint.masks];
        if (repair) {
          parts.push({ values: repair.rows, blinder: 0n });
          weights.push(dotFirst(engine, basis, 0));
        }
        return combineFieldRows(engine, parts, weights);
      },
    },
    [0n, 0n],
    total,
  );
  const proof = encodeRegistrationProof({
    parametersId: commitment.parametersId,
    adapterId: adapterId(commitment),
    masks: published,
    sketches,
    sum,
  });
  return { proof, exact };
}

/** Numbers in range in place of others. */
export function clamp(sketches: readonly bigint[]): bigint[] {
  return sketches.map((sketch) => sketch % SKETCH_BOUND);
}

/** The commitment with a proof. */
export function withProof(commitment: AdapterCommitment, proof: Uint8Array): AdapterCommitment {
  return { ...commitment, registrationProof: bytesToHex(proof) };
}

function scale(engine: Engine, vector: FieldVector, scalar: bigint): FieldVector {
  return combineFieldRows(engine, [{ values: vector, blinder: 0n }], [scalar]).values;
}

/** Element `index` of a vector as a scalar. */
function dotFirst(engine: Engine, vector: FieldVector, index: number): bigint {
  return dotVectors(engine, subVector(vector, index, 1), vectorFromScalars(engine, [1n]));
}
