import { expect, it } from 'vitest';
import { applyExact } from '../../src/adapter/forward.js';
import { ModuleProducts } from '../../src/inference/moduleProducts.js';
import { randomModule, seeded } from '../support/scenario.js';

const random = seeded(3);
const MODULES = [1, 9, 17].map((rank) =>
  randomModule(`m${rank}`, { rank, inFeatures: 11, outFeatures: 6 }, random),
);
const X = Int16Array.from({ length: 22 }, () => random() * 2 ** 16);

it('keeps products as long as there is room, and gives the same without', () => {
  const ample = new ModuleProducts(MODULES);
  const bytes = ample.of(0).bytes;
  // one of two groups of ranks does not fit
  const scarce = new ModuleProducts(MODULES, bytes);
  for (const [index, module] of MODULES.entries()) {
    const expected = applyExact(module, X, 2);
    for (const products of [ample, scarce, scarce]) expect(products.of(index).apply(X, 2)).toEqual(expected);
    const [kept, made] = [ample.of(index), scarce.of(index)];
    expect(ample.of(index)).toBe(kept);
    expect(Object.is(scarce.of(index), made)).toBe(index === 0);
  }
});
