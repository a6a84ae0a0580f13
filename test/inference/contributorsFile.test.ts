import { describe, expect, it } from 'vitest';
import { parseContributors } from '../../src/inference/contributorsFile.js';

const entry = { name: 'alice', commitment: 'alice.zkl.json', address: '127.0.0.1:7321' };
const file = (...contributors: object[]) => ({ format: 'zklora/contributors/v1', contributors });

describe('contributors.json', () => {
  it('takes one contributor to 64, with a weight of 1', () => {
    expect(parseContributors(JSON.stringify(file(entry)))).toEqual([{ ...entry, weight: 1 }]);
    const many = Array.from({ length: 64 }, (_, i) => ({ ...entry, name: `c${i}`, weight: -i / 3 }));
    expect(parseContributors(JSON.stringify(file(...many)))).toHaveLength(64);
  });

  const many = Array.from({ length: 65 }, (_, i) => ({ ...entry, name: `c${i}` }));
  it.each<[string, unknown]>([
    ['another format', { ...file(entry), format: 'zklora/contributors/v2' }],
    ['no contributors', file()],
    ['too many', file(...many)],
    ['an unknown member', file({ ...entry, secret: 'x' })],
    ['a name that leaves the folder', file({ ...entry, name: '../alice' })],
    ['a hidden name', file({ ...entry, name: '.alice' })],
    ['an empty name', file({ ...entry, name: '' })],
    ['one name in two cases', file(entry, { ...entry, name: 'Alice' })],
    ['no commitment', file({ name: 'alice', address: entry.address })],
    ['a weight that is no number', file({ ...entry, weight: '1' })],
    ['a weight beyond reason', file({ ...entry, weight: 1e300 })],
    ['a fingerprint in another form', file({ ...entry, fingerprint: 'AB:CD' })],
  ])('refuses %s', (_, value) => {
    expect(() => parseContributors(JSON.stringify(value))).toThrow(
      expect.objectContaining({ code: 'CONTRIBUTORS_MALFORMED' }),
    );
  });

  it('refuses a weight that is infinite or not JSON, and a repeated key', () => {
    for (const weight of ['1e999', 'NaN', '1, "weight": 2']) {
      const json = JSON.stringify(file({ ...entry, weight: 0 })).replace('"weight":0', `"weight":${weight}`);
      expect(() => parseContributors(json)).toThrow(
        expect.objectContaining({ code: 'CONTRIBUTORS_MALFORMED' }),
      );
    }
  });
});
