import { describe, expect, it } from 'vitest';
import { MAX_OPENING_BYTES, parseRowOpening, serializeRowOpening } from '../../src/inference/rowOpening.js';
import { openRow, type RowOpening } from '../../src/protocol/sessionOpening.js';
import { MemorySession } from '../support/scenario.js';
import { header, MODULES, randomCall } from './parties.js';

const HEAD = header();
const opened = (): Promise<RowOpening> =>
  openRow(new MemorySession(HEAD, [randomCall(HEAD, 3)]), MODULES, { row: 2, module: 1 });

describe('an opening file', () => {
  it('comes back as it was written', async () => {
    const opening = await opened();
    expect(parseRowOpening(serializeRowOpening(opening))).toEqual(opening);
  });

  it('is refused with anything missing, unknown or out of range', async () => {
    const file = JSON.parse(serializeRowOpening(await opened())) as Record<string, unknown>;
    const mutants: [string, unknown][] = [
      ...Object.keys(file).map((name): [string, unknown] => [name, undefined]),
      ['format', 'zklora/row-opening/v2'],
      ['more', 1],
      ['row', -1],
      ['row', 2 ** 31],
      ['row', 1.5],
      ['tokens', 2 ** 31 + 1],
      ['calls', 2 ** 20 + 1],
      ['call', 2 ** 20],
      ['module', 4096],
      ['exponent', 513],
      ['x', ''],
      ['x', '00'],
      ['x', '0000ff0G'],
      ['x', 'ABCD'],
      ['y', '00'.repeat(12)],
      ['salt', '00'.repeat(31)],
      ['path', ['00'.repeat(31)]],
      ['path', Array.from({ length: 44 }, () => '00'.repeat(32))],
      ['header', { ...(file.header as object), inputs: [[1], [0]] }],
      ['header', { ...(file.header as object), nonce: 'x' }],
    ];
    for (const [name, value] of mutants) {
      const text = JSON.stringify({ ...file, [name]: value });
      expect(() => parseRowOpening(text), name).toThrow(
        expect.objectContaining({ code: 'SESSION_MALFORMED' }),
      );
    }
  });

  it('is refused when it is no JSON, names a member twice, or is too large', async () => {
    const text = serializeRowOpening(await opened());
    for (const bad of [
      '',
      '[]',
      text.slice(1),
      text.replace('{', '{"row": 0,'),
      ' '.repeat(MAX_OPENING_BYTES + 1),
    ]) {
      expect(() => parseRowOpening(bad)).toThrow(expect.objectContaining({ code: 'SESSION_MALFORMED' }));
    }
  });
});
