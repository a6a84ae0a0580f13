import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  applyExact,
  domainSizeFor,
  type FloatAdapter,
  type FloatModule,
  fitsInt64,
  quantizeActivations,
  quantizeModule,
  readPeftAdapter,
  scaleDelta,
} from '../../src/adapter/index.js';

const folder = fileURLToPath(new URL('../../fixtures/gpt2-tiny/adapter', import.meta.url));

let adapter: FloatAdapter;
beforeAll(async () => {
  adapter = await readPeftAdapter(folder);
});

/** scaling * B A x in float64, `[outFeatures]`. */
function floatDelta(m: FloatModule, x: Float32Array): Float64Array {
  const z = new Float64Array(m.rank);
  for (let j = 0; j < m.rank; j++) {
    for (let i = 0; i < m.inFeatures; i++) z[j]! += m.a[j * m.inFeatures + i]! * x[i]!;
  }
  return Float64Array.from({ length: m.outFeatures }, (_, k) => {
    let sum = 0;
    for (let j = 0; j < m.rank; j++) sum += m.b[k * m.rank + j]! * z[j]!;
    return m.scaling * sum;
  });
}

/** Pseudo-random values of mean 0, about as large as normalised activations. */
function activations(length: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 4;
  });
}

describe('the trained GPT-2 adapter', () => {
  it('has 4 modules in each of 4 layers, of rank 8 and scaling 2', () => {
    expect(adapter.modules.map(({ name }) => name)).toEqual(
      [0, 1, 2, 3].flatMap((layer) =>
        ['attn.c_attn', 'attn.c_proj', 'mlp.c_fc', 'mlp.c_proj'].map(
          (part) => `transformer.h.${layer}.${part}`,
        ),
      ),
    );
    for (const { rank, scaling } of adapter.modules) expect([rank, scaling]).toEqual([8, 2]);
    expect(domainSizeFor(adapter.modules)).toBe(512);
  });

  it('keeps its deltas to four digits in fixed point', () => {
    for (const m of adapter.modules) {
      const q = quantizeModule(m);
      expect(fitsInt64(q)).toBe(true);
      const x = activations(m.inFeatures);
      const rows = quantizeActivations(x, 1, m.inFeatures);
      const delta = scaleDelta(applyExact(q, rows.x, 1), rows.exponents, q);
      const expected = floatDelta(m, x);
      const size = Math.hypot(...expected);
      const error = Math.hypot(...expected.map((value, i) => value - delta[i]!));
      expect(size).toBeGreaterThan(0);
      expect(error / size).toBeLessThan(2e-4);
    }
  });
});
