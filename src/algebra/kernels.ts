/**
 * Loops over field-element arrays, added to ffjavascript's WebAssembly module through its plugin hook.
 *
 * ffjavascript has entry points for one element or for whole transforms, but none for element-wise products,
 * sums or inner products; calling it once per element costs more than the arithmetic. Each kernel below is a
 * loop around the library's own frm_mul / frm_add. Elements are 32 bytes, Montgomery form.
 */

import { addCurveKernels } from './curveKernels.js';
import { addLimbKernels } from './limbKernels.js';
import { addQuadKernels } from './quadKernels.js';
import type { ModuleBuilder as RawModuleBuilder } from './wasmCode.js';

type Code = readonly unknown[];

interface CodeBuilder {
  getLocal(name: string): Code;
  setLocal(name: string, value: Code): Code;
  i32_const(value: number): Code;
  i32_add(a: Code, b: Code): Code;
  i32_sub(a: Code, b: Code): Code;
  i32_mul(a: Code, b: Code): Code;
  i32_eqz(a: Code): Code;
  block(code: Code): Code;
  loop(...code: readonly Code[]): Code;
  br(depth: number): Code;
  br_if(depth: number, condition: Code): Code;
  call(name: string, ...args: readonly Code[]): Code;
}

interface FunctionBuilder {
  addParam(name: string, type: string): void;
  addLocal(name: string, type: string): void;
  addCode(...code: readonly Code[]): void;
  getCodeBuilder(): CodeBuilder;
}

interface ModuleBuilder {
  addFunction(name: string): FunctionBuilder;
  exportFunction(name: string): void;
  alloc(bytes: number): number;
}

const SIZE = 32;

interface KernelShape {
  /** Parameters in order; `n`, the element count, is one of them. */
  readonly params: readonly string[];
  /** Pointers that move by one element per turn. */
  readonly moving: readonly string[];
  /** Walk from the last element to the first. */
  readonly reverse?: boolean;
  readonly before?: (c: CodeBuilder) => readonly Code[];
  readonly body: (c: CodeBuilder) => readonly Code[];
}

function addKernel(module: ModuleBuilder, name: string, shape: KernelShape): void {
  const f = module.addFunction(name);
  for (const param of shape.params) f.addParam(param, 'i32');
  const c = f.getCodeBuilder();
  const get = (local: string) => c.getLocal(local);
  const code: Code[] = [...(shape.before?.(c) ?? [])];
  if (shape.reverse) {
    const last = c.i32_mul(c.i32_sub(get('n'), c.i32_const(1)), c.i32_const(SIZE));
    for (const pointer of shape.moving) code.push(c.setLocal(pointer, c.i32_add(get(pointer), last)));
  }
  const step = shape.reverse ? -SIZE : SIZE;
  code.push(
    c.block(
      c.loop(
        c.br_if(1, c.i32_eqz(get('n'))),
        ...shape.body(c),
        ...shape.moving.map((pointer) => c.setLocal(pointer, c.i32_add(get(pointer), c.i32_const(step)))),
        c.setLocal('n', c.i32_sub(get('n'), c.i32_const(1))),
        c.br(0),
      ),
    ),
  );
  f.addCode(...code);
  module.exportFunction(name);
}

/** Adds the kernels; passed to ffjavascript's buildBn128. */
export function addFieldKernels(builder: unknown): void {
  const module = builder as ModuleBuilder;
  addQuadKernels(builder as RawModuleBuilder);
  addCurveKernels(builder as RawModuleBuilder);
  const scratch = module.alloc(SIZE);
  const elementwise = (name: string, op: string) =>
    addKernel(module, name, {
      params: ['a', 'b', 'n', 'out'],
      moving: ['a', 'b', 'out'],
      body: (c) => [c.call(op, c.getLocal('a'), c.getLocal('b'), c.getLocal('out'))],
    });
  elementwise('zk_mul', 'frm_mul');
  elementwise('zk_add', 'frm_add');
  elementwise('zk_sub', 'frm_sub');

  // out[i] = a[i] * s
  addKernel(module, 'zk_scale', {
    params: ['a', 's', 'n', 'out'],
    moving: ['a', 'out'],
    body: (c) => [c.call('frm_mul', c.getLocal('a'), c.getLocal('s'), c.getLocal('out'))],
  });

  // out[i] += a[i] * s
  addKernel(module, 'zk_addScaled', {
    params: ['a', 's', 'n', 'out'],
    moving: ['a', 'out'],
    body: (c) => [
      c.call('frm_mul', c.getLocal('a'), c.getLocal('s'), c.i32_const(scratch)),
      c.call('frm_add', c.getLocal('out'), c.i32_const(scratch), c.getLocal('out')),
    ],
  });

  // out = sum a[i] * b[i]
  addKernel(module, 'zk_dot', {
    params: ['a', 'b', 'n', 'out'],
    moving: ['a', 'b'],
    before: (c) => [c.call('frm_zero', c.getLocal('out'))],
    body: (c) => [
      c.call('frm_mul', c.getLocal('a'), c.getLocal('b'), c.i32_const(scratch)),
      c.call('frm_add', c.getLocal('out'), c.i32_const(scratch), c.getLocal('out')),
    ],
  });

  // out[i] = first * base^i; `first` is overwritten
  addKernel(module, 'zk_powers', {
    params: ['first', 'base', 'n', 'out'],
    moving: ['out'],
    body: (c) => [
      c.call('frm_copy', c.getLocal('first'), c.getLocal('out')),
      c.call('frm_mul', c.getLocal('first'), c.getLocal('base'), c.getLocal('first')),
    ],
  });

  // out[i] = sum of a[0..i-1]; `sum` starts at zero and ends with the total
  addKernel(module, 'zk_prefixSum', {
    params: ['a', 'sum', 'n', 'out'],
    moving: ['a', 'out'],
    before: (c) => [c.call('frm_zero', c.getLocal('sum'))],
    body: (c) => [
      c.call('frm_copy', c.getLocal('sum'), c.getLocal('out')),
      c.call('frm_add', c.getLocal('sum'), c.getLocal('a'), c.getLocal('sum')),
    ],
  });

  // Horner from the top: out = quotient of a by (X - z) in coefficients (out[n-1] = 0), carry = remainder a(z)
  addKernel(module, 'zk_divideLinear', {
    params: ['a', 'carry', 'z', 'n', 'out'],
    moving: ['a', 'out'],
    reverse: true,
    before: (c) => [c.call('frm_zero', c.getLocal('carry'))],
    body: (c) => [
      c.call('frm_copy', c.getLocal('carry'), c.getLocal('out')),
      c.call('frm_mul', c.getLocal('carry'), c.getLocal('z'), c.getLocal('carry')),
      c.call('frm_add', c.getLocal('carry'), c.getLocal('a'), c.getLocal('carry')),
    ],
  });

  // calls zk_addScaled
  addLimbKernels(builder as RawModuleBuilder);
}
