/**
 * Coordinates in the quadratic extension of the base field, of G2: a + b i with i^2 = -1, a quad for each of a and b.
 *
 * Products and differences of products are reduced, so that coordinates stay below 5 q in size in all formulas; they
 * may be negative.
 */
import { at, type Coordinates, type Machine, Slots } from './curveMachine.js';
import { QUAD_BYTES } from './quadField.js';
import { type Code, call, i32, type ModuleBuilder, WasmFunction, when } from './wasmCode.js';

export class QuadraticCoordinates implements Coordinates {
  readonly module: ModuleBuilder;
  readonly prefix = 'zh';
  readonly quads = 2;
  readonly bytes = 2 * QUAD_BYTES;
  readonly #slots: Slots;

  constructor(readonly machine: Machine) {
    this.module = machine.module;
    this.#slots = new Slots(this.module, this.bytes);
    product(machine).addTo(this.module, 'zh_mul');
    inverse(machine).addTo(this.module, 'zh_invert');
  }

  slot(name: string): Code {
    return this.#slots.at(name);
  }

  mul(a: Code, b: Code, out: Code): Code {
    return call(this.module, 'zh_mul', a, b, out);
  }

  sum(a: Code, b: Code, out: Code): Code {
    return both((offset) => this.machine.sum(at(a, offset), at(b, offset), at(out, offset)));
  }

  difference(a: Code, b: Code, out: Code): Code {
    return both((offset) => this.machine.difference(at(a, offset), at(b, offset), at(out, offset)));
  }

  sub8(a: Code, b: Code, out: Code): Code {
    return this.difference(a, b, out);
  }

  sub16(a: Code, b: Code, out: Code): Code {
    return this.difference(a, b, out);
  }

  reduce(a: Code): Code {
    return both((offset) => this.machine.reduce(at(a, offset)));
  }

  applySigns(a: Code): Code {
    return both((offset) => this.machine.applySigns(at(a, offset)));
  }

  invert(a: Code): Code {
    return call(this.module, 'zh_invert', a);
  }
}

function both(operation: (offset: number) => Code): Code {
  return [...operation(0), ...operation(QUAD_BYTES)];
}

/** (a + b i)(c + d i) with three products: a c - b d, and (a + b)(c + d) - a c - b d. */
function product(m: Machine): WasmFunction {
  const f = new WasmFunction(['x', 'y', 'out']);
  const [low, high, left, right] = ['low', 'high', 'left', 'right'].map((name) =>
    m.slot(`product ${name}`),
  ) as [Code, Code, Code, Code];
  const [x, y, out] = [f.get('x'), f.get('y'), f.get('out')];
  f.emit(
    m.sum(x, at(x, QUAD_BYTES), left),
    m.sum(y, at(y, QUAD_BYTES), right),
    m.mul(left, right, left),
    m.mul(x, y, low),
    m.mul(at(x, QUAD_BYTES), at(y, QUAD_BYTES), high),
    m.difference(low, high, out),
    m.reduce(out),
    m.sum(low, high, high),
    m.difference(left, high, at(out, QUAD_BYTES)),
    m.reduce(at(out, QUAD_BYTES)),
  );
  return f;
}

/** 1 / (a + b i) = (a - b i) / (a^2 + b^2); the norm is zero for zero alone, since -1 is no square. */
function inverse(m: Machine): WasmFunction {
  const f = new WasmFunction(['x']);
  const [norm, square] = [m.slot('norm'), m.slot('square')];
  const [a, b] = [f.get('x'), at(f.get('x'), QUAD_BYTES)];
  f.emit(
    m.mul(a, a, norm),
    m.mul(b, b, square),
    m.sum(norm, square, norm),
    m.invert(norm),
    when(
      i32.eqz(i32.load(i32.const(m.failed))),
      m.mul(a, norm, a),
      m.mul(b, norm, b),
      m.difference(i32.const(m.zero), b, b),
    ),
  );
  return f;
}
