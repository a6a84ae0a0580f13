/**
 * Products of many pairs of polynomials on H and on the coset 5H, four polynomials at a time.
 *
 * Each polynomial takes one inverse and one forward transform: values on H to coefficients (evaluation at the
 * inverse roots, natural to bit-reversed order), a bit reversal, coefficients to values on 5H or another coset (again natural to
 * bit-reversed). Factors N stay in until the end.
 */
import { callStep as call, type TaskStep } from './curve.js';
import { COSET_SHIFT, rootOfUnity, vanishingOnCoset } from './domain.js';
import type { Engine } from './engine.js';
import { MULTIPLIER_BYTES, QUAD_BYTES } from './quadField.js';
import { QUAD_FORM } from './quadKernels.js';
import { Fr } from './scalar.js';
import {
  type FieldVector,
  powersVector,
  scaleVector,
  subVector,
  vectorFromScalars,
  vectorLength,
  zeroVector,
} from './vector.js';

/**
 * Products of one task. Values of the two transforms end below (4 log2 N + 2) q, 82 q at N = 2^20, so a product ends
 * below 81 q; three of them (six products: two share a quad) stay below the 336 q that the limbs hold.
 */
export const MAX_TASK_PRODUCTS = 6;

/** A product of two polynomials: (values of a) times (values of b, plus blinder Z_H). */
export interface Factors {
  readonly a: FieldVector;
  readonly b: FieldVector;
  readonly blinder: bigint;
}

/** A polynomial known by its values on H and on a coset. */
export interface ProductValues {
  readonly onDomain: FieldVector;
  readonly onCoset: FieldVector;
}

interface Tables {
  readonly inverse: Uint8Array;
  readonly coset: Uint8Array;
  /** 2^260 / 2^256 and the same over N^2, as multipliers. */
  readonly finish: Uint8Array;
}

/** By engine, then by size and coset. */
const tables = new WeakMap<Engine, Map<string, Tables>>();

function tablesOf(engine: Engine, size: number, root: bigint, shift = COSET_SHIFT): Tables {
  let known = tables.get(engine);
  if (!known) {
    known = new Map();
    tables.set(engine, known);
  }
  const key = `${size}:${shift}`;
  let found = known.get(key);
  if (!found) {
    const n = BigInt(size);
    const finish = vectorFromScalars(engine, [QUAD_FORM, Fr.div(QUAD_FORM, n * n)]);
    found = {
      inverse: treeTable(engine, size, Fr.inv(root), 1n),
      coset: treeTable(engine, size, root, shift),
      finish: expand(engine, finish),
    };
    known.set(key, found);
  }
  return found;
}

/** Makes the tables of {@link sumOfProducts} for a size and 5H, ahead of their first use. */
export function prepareTransforms(engine: Engine, size: number): void {
  tablesOf(engine, size, rootOfUnity(engine, size));
}

/**
 * Inverse transforms of four polynomials at once, in a worker and without the way back from quads: the unit of work of
 * {@link sumOfProducts}, for measurements.
 *
 * @param values four vectors of one length, a power of two
 */
export async function transformFour(engine: Engine, values: readonly FieldVector[]): Promise<void> {
  const size = vectorLength(values[0]!);
  const { inverse } = tablesOf(engine, size, rootOfUnity(engine, size));
  await engine.curve.tm.queueAction([
    { cmd: 'ALLOCSET', var: INVERSE, buff: inverse },
    { cmd: 'ALLOC', var: QUADS, len: size * QUAD_BYTES },
    ...values.map((buff, lane): TaskStep => ({ cmd: 'ALLOCSET', var: FACTORS + lane, buff })),
    call('zq_load', ...[0, 1, 2, 3].map((lane) => ({ var: FACTORS + lane })), { val: size }, { var: QUADS }),
    call('zq_fft', { var: QUADS }, { val: size / 2 }, { val: 1 }, { var: INVERSE }),
  ]);
}

/**
 * Table of zq_fft: at node 2^d + i, shift^(N / 2^(d+1)) root^(N / 2^(d+1) * reversed i), i of d bits; node 0 is not
 * used.
 */
function treeTable(engine: Engine, size: number, root: bigint, shift: bigint): Uint8Array {
  const powers = powersVector(engine, root, size / 2);
  const nodes = zeroVector(size);
  const reversed = new Uint32Array(size / 2);
  for (let width = 1; width < size; width *= 2) {
    const step = size / (2 * width);
    for (let i = 0; i < width; i++) {
      // one bit more: the last bit of i becomes the first
      if (i > 0) reversed[i] = (reversed[i >> 1]! >> 1) + (i & 1) * (width / 2);
      const exponent = step * reversed[i]!;
      nodes.set(powers.subarray(exponent * 32, exponent * 32 + 32), (width + i) * 32);
    }
    if (shift !== 1n) {
      const level = subVector(nodes, width, width);
      nodes.set(scaleVector(engine, level, Fr.pow(shift, BigInt(step))), width * 32);
    }
  }
  return expand(engine, nodes);
}

/** Multipliers from a field vector. */
function expand(engine: Engine, values: FieldVector): Uint8Array {
  const inForm = scaleVector(engine, values, QUAD_FORM);
  const count = vectorLength(values);
  return engine.sync(({ call, put, alloc, get }) => {
    const out = alloc(count * MULTIPLIER_BYTES);
    call.zq_expand!(put(inForm), count, out);
    return get(out, count * MULTIPLIER_BYTES);
  });
}

/** Variables of a task. */
const INVERSE = 0;
const COSET = 1;
const FINISH = 2;
const QUADS = 3;
const ON_DOMAIN = 4;
const ON_COSET = 5;
const BLINDERS = 6;
const BLINDER_QUAD = 7;
const FACTORS = 8;

/**
 * Sum of products on H and on a coset of it, computed in one worker task.
 *
 * @param products at most {@link MAX_TASK_PRODUCTS} of them, each factor `[size]`
 * @param shift the coset is shift times H; 5H by default
 */
export async function sumOfProducts(
  engine: Engine,
  size: number,
  products: readonly Factors[],
  shift = COSET_SHIFT,
): Promise<ProductValues> {
  const { inverse, coset, finish } = tablesOf(engine, size, rootOfUnity(engine, size), shift);
  const bytes = size * 32;
  // a blinder times Z_H is a constant on the coset: it joins the lowest coefficient, which still holds a factor N
  const onCoset = Fr.mul(vanishingOnCoset(size, shift), BigInt(size));
  const constants: bigint[] = [];
  for (let i = 0; i < products.length; i += 2) {
    for (const product of [products[i], products[i + 1]]) {
      constants.push(product ? Fr.mul(product.blinder, onCoset) : 0n);
    }
    constants.push(0n, 0n);
  }
  const steps: TaskStep[] = [
    { cmd: 'ALLOCSET', var: INVERSE, buff: inverse },
    { cmd: 'ALLOCSET', var: COSET, buff: coset },
    { cmd: 'ALLOCSET', var: FINISH, buff: finish },
    { cmd: 'ALLOC', var: QUADS, len: size * QUAD_BYTES },
    { cmd: 'ALLOC', var: ON_DOMAIN, len: size * QUAD_BYTES },
    { cmd: 'ALLOC', var: ON_COSET, len: size * QUAD_BYTES },
    { cmd: 'ALLOCSET', var: BLINDERS, buff: vectorFromScalars(engine, constants) },
    { cmd: 'ALLOC', var: BLINDER_QUAD, len: QUAD_BYTES },
    ...[0, 1, 2, 3].map((lane): TaskStep => ({ cmd: 'ALLOC', var: FACTORS + lane, len: bytes })),
    call('zq_clear', { var: ON_DOMAIN }, { val: size }),
    call('zq_clear', { var: ON_COSET }, { val: size }),
  ];
  const zeros = zeroVector(size);
  const transform = (table: number) =>
    call('zq_fft', { var: QUADS }, { val: size / 2 }, { val: 1 }, { var: table });
  for (let i = 0; i < products.length; i += 2) {
    const [first, second] = [products[i]!, products[i + 1]];
    [first.b, second?.b ?? zeros, first.a, second?.a ?? zeros].forEach((buff, lane) => {
      steps.push({ cmd: 'SET', var: FACTORS + lane, buff });
    });
    const lanes = (offset: number) =>
      [0, 1, 2, 3].map((lane) => ({ var: BLINDERS, offset: 64 * i + lane * offset }));
    steps.push(
      call(
        'zq_load',
        ...[0, 1, 2, 3].map((lane) => ({ var: FACTORS + lane })),
        { val: size },
        { var: QUADS },
      ),
      call('zq_products', { var: QUADS }, { val: size }, { var: ON_DOMAIN }),
      transform(INVERSE),
      call('zq_permute', { var: QUADS }, { val: size }),
      call('zq_load', ...lanes(32), { val: 1 }, { var: BLINDER_QUAD }),
      call('zq_add', { var: QUADS }, { var: BLINDER_QUAD }),
      transform(COSET),
      call('zq_products', { var: QUADS }, { val: size }, { var: ON_COSET }),
    );
  }
  steps.push(
    call('zq_permute', { var: ON_COSET }, { val: size }),
    call('zq_storeSums', { var: ON_DOMAIN }, { val: size }, { var: FINISH }, { var: FACTORS }),
    call(
      'zq_storeSums',
      { var: ON_COSET },
      { val: size },
      { var: FINISH, offset: MULTIPLIER_BYTES },
      { var: FACTORS + 1 },
    ),
    { cmd: 'GET', out: 0, var: FACTORS, len: bytes },
    { cmd: 'GET', out: 1, var: FACTORS + 1, len: bytes },
  );
  const [onDomain, onCosetValues] = await engine.curve.tm.queueAction(steps);
  return { onDomain: onDomain!, onCoset: onCosetValues! };
}
