import { expect, test } from 'vitest';
import { found, type Needle } from './secrets.js';

const needle = (text: string): Needle => ({ what: text, bytes: Buffer.from(text) });

test('finds each needle wherever it lies, in the order of the needles', () => {
  const sought = ['tail', 'aaab', 'headline', 'head', 'tails', 'aline', 'aaaaab'].map(needle);
  expect(found(Buffer.from('headline aaaaab tail'), sought)).toEqual([
    'tail',
    'aaab',
    'headline',
    'head',
    'aaaaab',
  ]);
  expect(found(Buffer.from('ail'), sought)).toEqual([]);
  expect(found(Buffer.from([0, 0, 0]), [{ what: 'zeros', bytes: Buffer.alloc(4) }])).toEqual([]);
  expect(found(Buffer.from([255, 0, 0, 0, 0]), [{ what: 'zeros', bytes: Buffer.alloc(4) }])).toEqual([
    'zeros',
  ]);
});
