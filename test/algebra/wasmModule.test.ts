import { expect, it } from 'vitest';
import { i32, v128, WasmFunction } from '../../src/algebra/wasmCode.js';
import { instantiate, PAGE_BYTES } from '../../src/algebra/wasmModule.js';

it('compiles functions with different numbers of parameters, and a memory that grows', () => {
  const put = new WasmFunction(['at', 'value']);
  put.emit(i32.store(put.get('at'), 0, put.get('value')));
  const wide = new WasmFunction(['from', 'to', 'unused']);
  const low = v128.i64x2.extendLow(v128.load(wide.get('from')));
  wide.emit(v128.store(wide.get('to'), 0, v128.i64x2.shl(low, 3)));
  const { functions, memory } = instantiate({ put, wide });
  expect(memory.buffer.byteLength).toBe(PAGE_BYTES);
  functions.put(0, -5);
  functions.put(4, 7);
  functions.wide(0, 16, 0);
  expect([...new BigInt64Array(memory.buffer, 16, 2)]).toEqual([-40n, 56n]);
  memory.grow(1);
  expect(memory.buffer.byteLength).toBe(2 * PAGE_BYTES);
  expect(() => functions.put(2 * PAGE_BYTES, 1)).toThrow(/out of bounds/);
});
