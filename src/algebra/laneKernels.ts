/** Kernels on single quads of the curve's base field, whose results depend on the lanes' values. */
import type { Machine } from './curveMachine.js';
import { LANES } from './laneWords.js';
import { LIMB_BITS, PAIRS, packPair, type QuadField, signedLimbs } from './quadField.js';
import { collect, ELEMENT_BYTES, reduceOnce, WORDS } from './quadWords.js';
import { type Code, call, i32, i64, v128, WasmFunction, when, whileLoop } from './wasmCode.js';

const { i16x8, i32x4 } = v128;

/** a = a mod q, up to a fiftieth of q below 0 or above q, for a of less than 6 q in size. */
export function reduceSmall(field: QuadField): WasmFunction {
  const f = new WasmFunction(['a']);
  f.locals('v128', 'factor');
  const loaded = field.load(f, 'a', f.get('a'));
  const limbs = signedLimbs(field.modulus);
  // q in units of the top limb, inverted
  const scale = Number((65536n << BigInt(LIMB_BITS * (2 * PAIRS - 1))) / field.modulus);
  const top = i32x4.shrS(f.get(`a${PAIRS - 1}`), 16);
  const quotient = i32x4.shrS(i32x4.mul(top, v128.const32(scale)), 16);
  f.emit(
    loaded,
    f.set('factor', i32x4.sub(v128.const32(0), quotient)),
    f.set('factor', v128.or(v128.and(f.get('factor'), v128.const32(0xffff)), i32x4.shl(f.get('factor'), 16))),
    ...Array.from({ length: PAIRS }, (_, i) => {
      const q = v128.const32(packPair(limbs[2 * i]!, limbs[2 * i + 1]!));
      return f.set(`a${i}`, i16x8.add(f.get(`a${i}`), i16x8.mul(f.get('factor'), q)));
    }),
    field.carry(f, 'a'),
    field.store(f, 'a', f.get('a')),
  );
  return f;
}

/** Four canonical elements in the library's form, x 2^256, from a quad of at least -8q and below 8q. */
export function storeQuad(m: Machine, field: QuadField): WasmFunction {
  const f = new WasmFunction(['a', 'out', 'stride']);
  f.locals('i32', 'from', 'left');
  f.locals('i64', ...WORDS.map((i) => `w${i}`));
  const positive = m.slot('stored');
  f.emit(
    m.sub8(f.get('a'), i32.const(m.zero), positive),
    m.mulWords(positive, i32.const(m.leave), positive),
    f.set('from', positive),
    f.set('left', i32.const(LANES.length)),
    whileLoop(
      f.get('left'),
      collect(f, f.get('from')),
      reduceOnce(f, field.modulus),
      reduceOnce(f, field.modulus),
      ...WORDS.map((w) => i64.store(f.get('out'), 8 * w, f.get(`w${w}`))),
      f.bump('from', 4),
      f.set('out', i32.add(f.get('out'), f.get('stride'))),
      f.bump('left', -1),
    ),
  );
  return f;
}

/** a = 1 / a in all lanes with one inversion of the library; if one is zero nothing changes but the flag. */
export function invertQuad(m: Machine): WasmFunction {
  const { module } = m;
  const f = new WasmFunction(['a']);
  // the four lanes, then products and inverses
  const elements = module.alloc(10 * ELEMENT_BYTES);
  const element = (i: number): Code => i32.const(elements + i * ELEMENT_BYTES);
  const mul = (a: number, b: number, out: number) =>
    call(module, 'f1m_mul', element(a), element(b), element(out));
  f.emit(
    m.store(f.get('a'), element(0), ELEMENT_BYTES),
    mul(0, 1, 4),
    mul(2, 3, 5),
    mul(4, 5, 6),
    i32.store(i32.const(m.failed), 0, call(module, 'f1m_isZero', element(6))),
    when(
      i32.eqz(i32.load(i32.const(m.failed))),
      call(module, 'f1m_inverse', element(6), element(7)),
      // inverses of the two products, then of the lanes
      mul(7, 5, 8),
      mul(7, 4, 9),
      mul(8, 1, 4),
      mul(8, 0, 5),
      mul(9, 3, 6),
      mul(9, 2, 7),
      m.enterQuad([4, 5, 6, 7].map(element), f.get('a')),
    ),
  );
  return f;
}
