/**
 * WebAssembly kernels for G1, four points at a time in vector lanes (see quadField.ts): digits of scalars, additions,
 * doublings. Bucket sums are in affineKernels.ts, sums of a few points with common scalars in foldKernels.ts.
 *
 * Jacobian coordinates; a point is three quads X, Y, Z, 480 bytes, values x 2^260. The formulas do not cover the
 * identity, equal and opposite points: there H = 0, so Z3 = 0, and a zero Z stays zero through every later addition
 * and doubling. Callers start from random points, take them off at the end, and fall back to the library when a
 * final Z is zero. Every result is thus right for every input.
 *
 * Bounds in multiples of q: X < 15, Y < 13, Z < 2 before and after each operation; a product of values below A q and
 * B q is below (A B / 84 + 1) q.
 */
import { addAffineKernels } from './affineKernels.js';
import { at, type Coordinates, Machine } from './curveMachine.js';
import { addFoldKernels } from './foldKernels.js';
import { LANES, quadBytes } from './laneWords.js';
import { addPlaceKernels } from './placeKernels.js';
import { QUAD_BYTES, QuadField } from './quadField.js';
import { QuadraticCoordinates } from './quadraticCoordinates.js';
import { ELEMENT_BYTES } from './quadWords.js';
import { Q } from './scalar.js';
import { addSlotKernels } from './slotKernels.js';
import { type Code, i32, i64, type ModuleBuilder, WasmFunction, whileLoop } from './wasmCode.js';

/** Bytes of a recoded scalar. */
export const RECODED_BYTES = 40;

const X = 0;
const Y = QUAD_BYTES;
const Z = 2 * QUAD_BYTES;

/** Adds the kernels. */
export function addCurveKernels(module: ModuleBuilder): void {
  const field = new QuadField(Q);
  const machine = new Machine(module, field);
  doublePoint(module, machine).addTo(module, 'zg_double');
  for (const coordinates of [machine, new QuadraticCoordinates(machine)]) {
    const { prefix } = coordinates;
    addMixed(coordinates).addTo(module, `${prefix}_addQuads`);
    addPoints(coordinates).addTo(module, `${prefix}_add`);
    storePoints(coordinates).addTo(module, `${prefix}_storePoints`);
    addAffineKernels(coordinates);
  }
  recode().addTo(module, 'zg_recode');
  windowDigits().addTo(module, 'zg_windowDigits');
  rowDigits().addTo(module, 'zg_rowDigits');
  addSlotKernels(machine);
  addFoldKernels(machine);
  addPlaceKernels(machine);
}

/** out[i] = scalars[i] + offset, 40 bytes each; scalars of 32 bytes below 2^256, offset of 40 bytes. */
function recode(): WasmFunction {
  const f = new WasmFunction(['scalars', 'n', 'offset', 'out']);
  f.locals('i64', 'carry', 'sum', 'word');
  const get = (name: string) => f.get(name);
  const body: Code[] = [f.set('carry', i64.const(0))];
  for (const i of [0, 1, 2, 3, 4]) {
    body.push(
      f.set('word', i < 4 ? i64.load(get('scalars'), 8 * i) : i64.const(0)),
      f.set('sum', i64.add(get('word'), get('carry'))),
      f.set('carry', i64.extendU(i64.ltU(get('sum'), get('carry')))),
      f.set('word', i64.load(get('offset'), 8 * i)),
      f.set('sum', i64.add(get('sum'), get('word'))),
      f.set('carry', i64.add(get('carry'), i64.extendU(i64.ltU(get('sum'), get('word'))))),
      i64.store(get('out'), 8 * i, get('sum')),
    );
  }
  f.emit(
    whileLoop(
      get('n'),
      ...body,
      f.bump('scalars', ELEMENT_BYTES),
      f.bump('out', RECODED_BYTES),
      f.bump('n', -1),
    ),
  );
  return f;
}

/**
 * Four digits of each recoded scalar, int16: lane l has bits [first + l width, + width) less 2^(width - 1).
 *
 * Reads eight bytes from the byte of the first bit on: the buffer needs eight bytes of slack.
 */
function windowDigits(): WasmFunction {
  const f = new WasmFunction(['scalars', 'n', 'first', 'width', 'out']);
  f.locals('i32', 'bit', 'mask', 'half');
  const get = (name: string) => f.get(name);
  const body: Code[] = [f.set('bit', get('first'))];
  for (const lane of LANES) {
    const address = i32.add(get('scalars'), i32.shrU(get('bit'), i32.const(3)));
    const shift = i64.extendU(i32.and(get('bit'), i32.const(7)));
    const digit = i32.and(i64.wrap(i64.shrU(i64.load(address), shift)), get('mask'));
    body.push(
      i32.store16(get('out'), 2 * lane, i32.sub(digit, get('half'))),
      f.set('bit', i32.add(get('bit'), get('width'))),
    );
  }
  f.emit(
    f.set('half', i32.shl(i32.const(1), i32.sub(get('width'), i32.const(1)))),
    f.set('mask', i32.sub(i32.shl(get('half'), i32.const(1)), i32.const(1))),
    whileLoop(get('n'), ...body, f.bump('scalars', RECODED_BYTES), f.bump('out', 8), f.bump('n', -1)),
  );
  return f;
}

/** Digits of two int16 rows: w = d0 + 256 d1 with d0 in [-128, 127] and d1 in [-128, 128]; lanes a0, a1, b0, b1. */
function rowDigits(): WasmFunction {
  const f = new WasmFunction(['a', 'b', 'n', 'out']);
  f.locals('i32', 'value');
  const body: Code[] = [];
  (['a', 'b'] as const).forEach((row, i) => {
    // 128 + 128 * 256, so that both digits come out 128 too large
    body.push(
      f.set('value', i32.add(i32.load16S(f.get(row)), i32.const(32896))),
      i32.store16(f.get('out'), 4 * i, i32.sub(i32.and(f.get('value'), i32.const(255)), i32.const(128))),
      i32.store16(f.get('out'), 4 * i + 2, i32.sub(i32.shrU(f.get('value'), i32.const(8)), i32.const(128))),
    );
  });
  f.emit(whileLoop(f.get('n'), ...body, f.bump('a', 2), f.bump('b', 2), f.bump('out', 8), f.bump('n', -1)));
  return f;
}

/**
 * The common end of both additions: from U2 - U1 (H), S2 - S1 (r), U1 and S1 to X3, Y3; Z3 = `z` H.
 *
 * X3 = r^2 - H^3 - 2 U1 H^2, Y3 = r (U1 H^2 - X3) - S1 H^3.
 */
function finishAddition(c: Coordinates, p: Code, u1: Code, s1: Code, z: Code): Code[] {
  const [h, r, hh, hhh, v, t] = ['h', 'r', 'hh', 'hhh', 'v', 't'].map((name) => c.slot(name)) as [
    Code,
    Code,
    Code,
    Code,
    Code,
    Code,
  ];
  return [
    c.mul(h, h, hh),
    c.mul(h, hh, hhh),
    c.mul(u1, hh, v),
    c.mul(s1, hhh, c.slot('sh')),
    c.mul(z, h, at(p, 2 * c.bytes)),
    c.sum(v, v, t),
    c.sum(t, hhh, t),
    c.mul(r, r, hh),
    c.sub8(hh, t, p),
    c.sub16(v, p, t),
    c.mul(r, t, hh),
    c.sub8(hh, c.slot('sh'), at(p, c.bytes)),
  ];
}

/** p += (x, +-y), quads of affine points; signs by the machine's vector. */
function addMixed(c: Coordinates): WasmFunction {
  const f = new WasmFunction(['p', 'x', 'y']);
  const p = f.get('p');
  const [zz, u2, s2] = [c.slot('zz'), c.slot('u2'), c.slot('s2')];
  f.emit(
    c.mul(at(p, 2 * c.bytes), at(p, 2 * c.bytes), zz),
    c.mul(zz, f.get('x'), u2),
    c.mul(zz, at(p, 2 * c.bytes), zz),
    c.mul(zz, f.get('y'), s2),
    c.applySigns(s2),
    c.sub16(u2, p, c.slot('h')),
    c.sub16(s2, at(p, c.bytes), c.slot('r')),
    ...finishAddition(c, p, p, at(p, c.bytes), at(p, 2 * c.bytes)),
  );
  return f;
}

/** p += q */
function addPoints(c: Coordinates): WasmFunction {
  const f = new WasmFunction(['p', 'q']);
  const p = f.get('p');
  const q = f.get('q');
  const [z1, z2, u1, s1, u2, s2, zz] = ['z1', 'z2', 'u1', 's1', 'u2', 's2', 'zz'].map((name) =>
    c.slot(name),
  ) as [Code, Code, Code, Code, Code, Code, Code];
  f.emit(
    c.mul(at(p, 2 * c.bytes), at(p, 2 * c.bytes), z1),
    c.mul(at(q, 2 * c.bytes), at(q, 2 * c.bytes), z2),
    c.mul(p, z2, u1),
    c.mul(q, z1, u2),
    c.mul(at(q, 2 * c.bytes), z2, z2),
    c.mul(at(p, 2 * c.bytes), z1, z1),
    c.mul(at(p, c.bytes), z2, s1),
    c.mul(at(q, c.bytes), z1, s2),
    c.sub8(u2, u1, c.slot('h')),
    c.sub8(s2, s1, c.slot('r')),
    c.mul(at(p, 2 * c.bytes), at(q, 2 * c.bytes), zz),
    ...finishAddition(c, p, u1, s1, zz),
  );
  return f;
}

/** p = 2p: M = 3 X^2, S = 4 X Y^2, X3 = M^2 - 2S, Y3 = M (S - X3) - 8 Y^4, Z3 = 2 Y Z. */
function doublePoint(_module: ModuleBuilder, m: Machine): WasmFunction {
  const f = new WasmFunction(['p']);
  const p = f.get('p');
  const [a, b, b2, b4, s, t] = ['u1', 's1', 'z1', 'z2', 'u2', 't'].map((name) => m.slot(name)) as [
    Code,
    Code,
    Code,
    Code,
    Code,
    Code,
  ];
  f.emit(
    m.mul(at(p, X), at(p, X), a),
    m.mul(at(p, Y), at(p, Y), b),
    m.sum(b, b, b2),
    m.sum(b2, b2, b4),
    m.mul(at(p, X), b4, s),
    m.mul(b2, b4, b4),
    m.sum(at(p, Y), at(p, Y), t),
    m.mul(t, at(p, Z), at(p, Z)),
    m.sum(a, a, t),
    m.sum(t, a, a),
    m.mul(a, a, b),
    m.sum(s, s, t),
    m.sub8(b, t, at(p, X)),
    m.sub16(s, at(p, X), t),
    m.mul(a, t, b),
    m.sub8(b, b4, at(p, Y)),
  );
  return f;
}

/** Four Jacobian points in ffjavascript's form from points in lanes. */
function storePoints({ machine, quads }: Coordinates): WasmFunction {
  const f = new WasmFunction(['p', 'out']);
  const elements = 3 * quads;
  f.emit(
    ...Array.from({ length: elements }, (_, i) =>
      machine.store(
        at(f.get('p'), i * QUAD_BYTES),
        at(f.get('out'), i * ELEMENT_BYTES),
        elements * ELEMENT_BYTES,
      ),
    ),
  );
  return f;
}

/**
 * The same point in all lanes.
 *
 * @param coordinates Jacobian, six elements for G2
 */
export function pointQuad(coordinates: readonly bigint[]): Uint8Array {
  return Uint8Array.from(coordinates.flatMap(quadBytes));
}
