import { concatBytes } from '../bytes.js';
import { type Curve, callStep as call, type TaskStep } from './curve.js';
import type { Engine } from './engine.js';
import { type G1Sum, joinPoints, multiScalarMultiply } from './group.js';
import { MIN_BUCKET_TERMS } from './multiExp.js';
import { G1_BYTES, G1_JACOBIAN_BYTES, type G2Point } from './points.js';
import { Fr, SCALAR_BYTES } from './scalar.js';
import { type FieldVector, vectorFromScalars, vectorLength, vectorToBytes } from './vector.js';

/** The pairing with one point of G2. */
interface PairingTerm {
  readonly g2: G2Point;
  bases: G1Sum[];
  scalars: bigint[];
  lists: { readonly bases: Uint8Array; readonly scalars: FieldVector }[];
  /** Multiplications that have been started and are in no pairing yet. */
  sums: Promise<G1Sum>[];
}

/** What a term is the sum of, in two buffers. */
interface JoinedTerms {
  readonly bases: Uint8Array;
  readonly scalars: FieldVector;
}

/** Terms of the sum that are not started yet. */
function termLength({ bases, lists }: PairingTerm): number {
  return lists.reduce((sum, { scalars }) => sum + vectorLength(scalars), bases.length);
}

/**
 * A product of pairings e(P, Q) where each P is a linear combination of G1 points; terms with the same Q share
 * one pairing, and each P is one multi-scalar multiplication.
 */
export class PairingProduct {
  readonly #terms = new Map<string, PairingTerm>();
  /** Keys of {@link #terms} by object: most callers pass the same few again and again. */
  readonly #keys = new Map<G2Point, string>();
  /** Pairings that have been started, before the final exponentiation; undefined for the one of the identity. */
  readonly #loops: Promise<Uint8Array | undefined>[] = [];
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Multiplies the product by e(scalar * point, g2). */
  add(g2: G2Point, scalar: bigint, point: G1Sum): void {
    const term = this.#termOf(g2);
    term.bases.push(point);
    term.scalars.push(Fr.create(scalar));
  }

  /** Multiplies the product by e(sum_i scalars[i] * bases[i], g2); `bases` holds 64 bytes a point. */
  addMany(g2: G2Point, scalars: FieldVector, bases: Uint8Array): void {
    this.#termOf(g2).lists.push({ bases: bases.subarray(0, vectorLength(scalars) * G1_BYTES), scalars });
  }

  /** Starts the long multi-scalar multiplications among the terms so far in the worker threads. */
  start(): void {
    for (const term of this.#terms.values()) {
      // fewer are multiplied by the thread that pairs their sum
      if (termLength(term) < MIN_BUCKET_TERMS) continue;
      const { bases, scalars } = this.#takeTerms(term);
      const sum = multiScalarMultiply(this.#engine, bases, scalars);
      // reported to whoever asks for the product; nobody may, when a check before it fails
      sum.catch(() => undefined);
      term.sums.push(sum);
    }
  }

  /**
   * Starts the pairings of all terms so far but those with points of `open`, to which more is to be added: what is
   * added to the others later costs them another pairing.
   */
  startPairings(open: readonly G2Point[] = []): void {
    this.start();
    const left = new Set(open.map((g2) => this.#keyOf(g2)));
    for (const [key, term] of this.#terms) {
      if (left.has(key) || (term.sums.length === 0 && termLength(term) === 0)) continue;
      const loop = this.#pair(term.g2, term.sums, this.#takeTerms(term));
      loop.catch(() => undefined);
      this.#loops.push(loop);
      term.sums = [];
    }
  }

  /** Whether the whole product is one. */
  async isOne(): Promise<boolean> {
    this.startPairings();
    const { curve, sync } = this.#engine;
    const loops = (await Promise.all(this.#loops)).filter((loop) => loop !== undefined);
    return sync(({ call: run, put }) => {
      const product = put(curve.Gt.one);
      for (const loop of loops) run.ftm_mul!(product, put(loop), product);
      run.bn128_finalExponentiation!(product, product);
      return run.ftm_eq!(product, put(curve.Gt.one)) === 1;
    });
  }

  /** e(sums + terms, g2) before the final exponentiation; undefined where the sum is the identity: e(0, Q) = 1. */
  async #pair(
    g2: G2Point,
    sums: readonly Promise<G1Sum>[],
    { bases, scalars }: JoinedTerms,
  ): Promise<Uint8Array | undefined> {
    const { curve } = this.#engine;
    const integers = vectorToBytes(this.#engine, scalars);
    // the library's mixed addition of two identities is a point with Z = 1
    const points = (await Promise.all(sums)).filter((point) => !curve.G1.isZero(point));
    const [sum, loop] = await curve.tm.queueAction(pairSum(curve, points, bases, integers, g2));
    return curve.G1.isZero(sum!) ? undefined : loop!;
  }

  #takeTerms(term: PairingTerm): JoinedTerms {
    const { bases, scalars, lists } = term;
    term.bases = [];
    term.scalars = [];
    term.lists = [];
    return {
      bases: concatBytes(joinPoints(bases), ...lists.map((list) => list.bases)),
      scalars: concatBytes(vectorFromScalars(this.#engine, scalars), ...lists.map((list) => list.scalars)),
    };
  }

  #termOf(g2: G2Point): PairingTerm {
    const key = this.#keyOf(g2);
    let term = this.#terms.get(key);
    if (!term) {
      term = { g2, bases: [], scalars: [], lists: [], sums: [] };
      this.#terms.set(key, term);
    }
    return term;
  }

  #keyOf(g2: G2Point): string {
    let key = this.#keys.get(g2);
    if (key === undefined) {
      key = g2.join();
      this.#keys.set(g2, key);
    }
    return key;
  }
}

/** Variables of a task. */
const SUM = 0;
const POINT = 1;
const SCALAR = 2;
const MULTIPLE = 3;
const G2_POINT = 4;
const PREPARED_1 = 5;
const PREPARED_2 = 6;
const LOOP = 7;

/**
 * Task with the Miller loop of one pair; outputs are the point of G1, Jacobian, and the loop, which says nothing where
 * that point is the identity.
 *
 * @param points affine summands
 * @param bases further summands, 64 bytes each, each times one of `integers`, 32 bytes each, little-endian
 */
function pairSum(
  { G1, G2, Gt, prePSize, preQSize }: Curve,
  points: readonly G1Sum[],
  bases: Uint8Array,
  integers: Uint8Array,
  g2: G2Point,
): TaskStep[] {
  const steps: TaskStep[] = [
    { cmd: 'ALLOCSET', var: SUM, buff: G1.zero },
    { cmd: 'ALLOC', var: MULTIPLE, len: G1_JACOBIAN_BYTES },
  ];
  for (const point of points) {
    steps.push(
      { cmd: 'ALLOCSET', var: POINT, buff: point },
      call('g1m_addMixed', { var: SUM }, { var: POINT }, { var: SUM }),
    );
  }
  for (let i = 0; i < integers.byteLength / SCALAR_BYTES; i++) {
    steps.push(
      { cmd: 'ALLOCSET', var: POINT, buff: bases.slice(i * G1_BYTES, (i + 1) * G1_BYTES) },
      { cmd: 'ALLOCSET', var: SCALAR, buff: integers.slice(i * SCALAR_BYTES, (i + 1) * SCALAR_BYTES) },
      call(
        'g1m_timesScalarAffine',
        { var: POINT },
        { var: SCALAR },
        { val: SCALAR_BYTES },
        { var: MULTIPLE },
      ),
      call('g1m_add', { var: SUM }, { var: MULTIPLE }, { var: SUM }),
    );
  }
  return [
    ...steps,
    { cmd: 'ALLOC', var: PREPARED_1, len: prePSize },
    { cmd: 'ALLOCSET', var: G2_POINT, buff: G2.toJacobian(g2) },
    { cmd: 'ALLOC', var: PREPARED_2, len: preQSize },
    { cmd: 'ALLOC', var: LOOP, len: Gt.n8 },
    call('bn128_prepareG1', { var: SUM }, { var: PREPARED_1 }),
    call('bn128_prepareG2', { var: G2_POINT }, { var: PREPARED_2 }),
    call('bn128_millerLoop', { var: PREPARED_1 }, { var: PREPARED_2 }, { var: LOOP }),
    { cmd: 'GET', out: 0, var: SUM, len: G1_JACOBIAN_BYTES },
    { cmd: 'GET', out: 1, var: LOOP, len: Gt.n8 },
  ];
}
