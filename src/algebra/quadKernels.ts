/**
 * WebAssembly kernels on quads (four field elements in vector lanes, see quadField.ts): transforms and products of
 * four polynomials at once. Added to ffjavascript's module, so that its workers have them.
 */
import {
  elementAt,
  LIMB_BITS,
  LIMB_MASK,
  MULTIPLIER_BYTES,
  PAIRS,
  QUAD_BYTES,
  QuadField,
} from './quadField.js';
import { bits, collect, cutSigned, ELEMENT_BYTES, reduceOnce, storeMultiplier, WORDS } from './quadWords.js';
import { Fr, R } from './scalar.js';
import {
  type Code,
  call,
  i32,
  i64,
  type ModuleBuilder,
  v128,
  WasmFunction,
  when,
  whileLoop,
} from './wasmCode.js';

const LANES = [0, 1, 2, 3] as const;

/** Adds the kernels; every pointer is a byte address, every count a number of elements or quads. */
export function addQuadKernels(module: ModuleBuilder): void {
  const field = new QuadField(R);
  loadQuads().addTo(module, 'zq_load');
  expandMultipliers().addTo(module, 'zq_expand');
  butterflies(field).addTo(module, 'zq_butterflies');
  transform(module);
  permute().addTo(module, 'zq_permute');
  clear().addTo(module, 'zq_clear');
  addQuad(field).addTo(module, 'zq_add');
  products(field).addTo(module, 'zq_products');
  storeSums(module, field).addTo(module, 'zq_storeSums');
}

/** Quads from four arrays of elements below 2^256, 32 bytes each, little-endian. */
function loadQuads(): WasmFunction {
  const pointers = LANES.map((lane) => `p${lane}`);
  const f = new WasmFunction([...pointers, 'n', 'out']);
  f.locals('i64', ...WORDS.map((i) => `w${i}`));
  f.locals('v128', 'chunk');
  const body: Code[] = [];
  for (const lane of LANES) {
    body.push(...WORDS.map((i) => f.set(`w${i}`, i64.load(f.get(`p${lane}`), 8 * i))));
    for (let i = 0; i < PAIRS; i++) {
      body.push(i64.store32(f.get('out'), 16 * i + 4 * lane, bits(f, 2 * LIMB_BITS * i, 2 * LIMB_BITS)));
    }
  }
  // 26 bits to two 16-bit halves, four elements at a time
  for (let i = 0; i < PAIRS; i++) {
    const low = v128.and(f.get('chunk'), v128.const32(LIMB_MASK));
    const high = v128.and(v128.i32x4.shl(f.get('chunk'), 16 - LIMB_BITS), v128.const32(LIMB_MASK * 2 ** 16));
    body.push(
      f.set('chunk', v128.load(f.get('out'), 16 * i)),
      v128.store(f.get('out'), 16 * i, v128.or(low, high)),
    );
  }
  f.emit(
    whileLoop(
      f.get('n'),
      ...body,
      ...pointers.map((pointer) => f.bump(pointer, ELEMENT_BYTES)),
      f.bump('out', QUAD_BYTES),
      f.bump('n', -1),
    ),
  );
  return f;
}

/** Multiplier words (quadField.ts) of canonical elements, 32 bytes each, little-endian. */
function expandMultipliers(): WasmFunction {
  const f = new WasmFunction(['a', 'n', 'out']);
  const body: Code[] = [...cutSigned(f, f.get('a'))];
  body.push(...storeMultiplier(f, f.get('out')));
  f.emit(
    whileLoop(
      f.get('n'),
      ...body,
      f.bump('a', ELEMENT_BYTES),
      f.bump('out', MULTIPLIER_BYTES),
      f.bump('n', -1),
    ),
  );
  return f;
}

/** (x, y) = (x + w y, x - w y + 2q) for `n` quads at `low` and at `high`; values grow by 2q. */
function butterflies(field: QuadField): WasmFunction {
  const f = new WasmFunction(['low', 'high', 'n', 'w']);
  f.emit(
    whileLoop(
      f.get('n'),
      field.load(f, 'v', f.get('high')),
      field.columnsByConstant(f, 'v', f.get('w')),
      field.reduce(f, 'v'),
      field.load(f, 'u', f.get('low')),
      field.add(f, 's', 'u', 'v'),
      field.carry(f, 's'),
      field.store(f, 's', f.get('low')),
      field.subtract(f, 's', 'u', 'v', 2),
      field.carry(f, 's'),
      field.store(f, 's', f.get('high')),
      f.bump('low', QUAD_BYTES),
      f.bump('high', QUAD_BYTES),
      f.bump('n', -1),
    ),
  );
  return f;
}

/**
 * zq_fft(p, half, node, table): remainders of a polynomial modulo the leaves below a node of the tree of moduli, in
 * place; natural order in, bit-reversed order out. Node 1 is X^N - c, the children of X^2h - w^2 are X^h - w and
 * X^h + w; table[node] is w. Depth first, so that small subtrees stay in the cache.
 */
function transform(module: ModuleBuilder): void {
  const f = new WasmFunction(['p', 'half', 'node', 'table']);
  f.locals('i32', 'middle');
  const get = (name: string) => f.get(name);
  const w = elementAt(get('table'), get('node'), MULTIPLIER_BYTES);
  f.addTo(module, 'zq_fft');
  const child = (at: Code, side: number) =>
    call(
      module,
      'zq_fft',
      at,
      i32.shrU(get('half'), i32.const(1)),
      i32.add(i32.shl(get('node'), i32.const(1)), i32.const(side)),
      get('table'),
    );
  f.emit(
    f.set('middle', elementAt(get('p'), get('half'), QUAD_BYTES)),
    call(module, 'zq_butterflies', get('p'), get('middle'), get('half'), w),
    when(i32.gtU(get('half'), i32.const(1)), child(get('p'), 0), child(get('middle'), 1)),
  );
}

/** Bit reversal of n quads, in place; n is a power of two. */
function permute(): WasmFunction {
  const f = new WasmFunction(['p', 'n']);
  f.locals('i32', 'i', 'j', 'bit', 'x', 'y');
  f.locals('v128', 'swap');
  const get = (name: string) => f.get(name);
  const exchange = Array.from({ length: PAIRS }, (_, i) => [
    ...f.set('swap', v128.load(get('x'), 16 * i)),
    ...v128.store(get('x'), 16 * i, v128.load(get('y'), 16 * i)),
    ...v128.store(get('y'), 16 * i, get('swap')),
  ]);
  const flip = f.set('j', i32.xor(get('j'), get('bit')));
  f.emit(
    whileLoop(
      i32.ltU(get('i'), i32.sub(get('n'), i32.const(1))),
      // j is i reversed: add one at the top end
      f.bump('i', 1),
      f.set('bit', i32.shrU(get('n'), i32.const(1))),
      whileLoop(i32.and(get('j'), get('bit')), flip, f.set('bit', i32.shrU(get('bit'), i32.const(1)))),
      flip,
      when(
        i32.ltU(get('i'), get('j')),
        f.set('x', elementAt(get('p'), get('i'), QUAD_BYTES)),
        f.set('y', elementAt(get('p'), get('j'), QUAD_BYTES)),
        ...exchange,
      ),
    ),
  );
  return f;
}

/** Zeros in n quads. */
function clear(): WasmFunction {
  const f = new WasmFunction(['a', 'n']);
  const zeros = Array.from({ length: PAIRS }, (_, i) => v128.store(f.get('a'), 16 * i, v128.const32(0)));
  f.emit(whileLoop(f.get('n'), ...zeros, f.bump('a', QUAD_BYTES), f.bump('n', -1)));
  return f;
}

/** a += b, one quad. */
function addQuad(field: QuadField): WasmFunction {
  const f = new WasmFunction(['a', 'b']);
  f.emit(
    field.load(f, 'u', f.get('a')),
    field.load(f, 'v', f.get('b')),
    field.add(f, 's', 'u', 'v'),
    field.carry(f, 's'),
    field.store(f, 's', f.get('a')),
  );
  return f;
}

/** sum[i] += a[i] * (a[i] with its lanes 2, 3, 0, 1) / 2^260, n quads: lanes 0 and 1 times lanes 2 and 3. */
function products(field: QuadField): WasmFunction {
  const f = new WasmFunction(['a', 'n', 'sum']);
  const rotated = [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7];
  f.locals('v128', ...Array.from({ length: PAIRS }, (_, i) => `b${i}`));
  f.emit(
    whileLoop(
      f.get('n'),
      field.load(f, 'a', f.get('a')),
      ...Array.from({ length: PAIRS }, (_, i) =>
        f.set(`b${i}`, v128.shuffle(f.get(`a${i}`), f.get(`a${i}`), rotated)),
      ),
      field.columnsByQuad(f, 'a', 'b'),
      field.reduce(f, 'a'),
      field.load(f, 'b', f.get('sum')),
      field.add(f, 'b', 'a', 'b'),
      field.carry(f, 'b'),
      field.store(f, 'b', f.get('sum')),
      f.bump('a', QUAD_BYTES),
      f.bump('sum', QUAD_BYTES),
      f.bump('n', -1),
    ),
  );
  return f;
}

/** out[i] = (lane 0 + lane 1 of a[i]) * w / 2^260, canonical, 32 bytes, n of them. */
function storeSums(module: ModuleBuilder, field: QuadField): WasmFunction {
  const f = new WasmFunction(['a', 'n', 'w', 'out']);
  const scratch = module.alloc(QUAD_BYTES + ELEMENT_BYTES);
  const other = scratch + QUAD_BYTES;
  f.locals('i64', ...WORDS.map((i) => `w${i}`));
  const body: Code[] = [
    field.load(f, 'a', f.get('a')),
    field.columnsByConstant(f, 'a', f.get('w')),
    field.reduce(f, 'a'),
    field.store(f, 'a', i32.const(scratch)),
  ];
  for (const [lane, target] of [
    [0, f.get('out')],
    [1, i32.const(other)],
  ] as const) {
    // a sum of up to 243 q times a multiplier leaves less than 4 q
    body.push(collect(f, i32.const(scratch + 4 * lane)), ...[1, 2, 3].map(() => reduceOnce(f, R)));
    body.push(...WORDS.map((i) => i64.store(target, 8 * i, f.get(`w${i}`))));
  }
  body.push(call(module, 'frm_add', f.get('out'), i32.const(other), f.get('out')));
  f.emit(
    whileLoop(f.get('n'), ...body, f.bump('a', QUAD_BYTES), f.bump('out', ELEMENT_BYTES), f.bump('n', -1)),
  );
  return f;
}

/** Factor that turns x into x 2^260 where ffjavascript's form has x 2^256. */
export const QUAD_FORM = Fr.create(2n ** 4n);
