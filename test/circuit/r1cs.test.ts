import fc from 'fast-check';
import { r1cs as r1csTools } from 'snarkjs';
import { beforeAll, describe, expect, test } from 'vitest';
import { R } from '../../src/algebra/index.js';
import { concatBytes } from '../../src/bytes.js';
import { parseBinFile, serializeBinFile } from '../../src/circuit/binfile.js';
import { circuitR1cs } from '../../src/circuit/circuitFiles.js';
import { parseR1cs, type SparseRow } from '../../src/circuit/r1cs.js';
import { codeOf } from './helpers.js';

let bytes: Uint8Array;

beforeAll(async () => {
  bytes = await circuitR1cs(15);
});

function withSection(id: number, change: (data: Uint8Array) => Uint8Array | null): Uint8Array {
  const sections = [...parseBinFile(bytes, 'r1cs', 1, 'INTERNAL')].flatMap(([sectionId, data]) => {
    const next = sectionId === id ? change(data.slice()) : data;
    return next === null ? [] : [{ id: sectionId, data: next }];
  });
  return serializeBinFile('r1cs', 1, sections);
}

const patched = (id: number, at: number, part: readonly number[]) =>
  withSection(id, (data) => {
    data.set(part, at);
    return data;
  });

describe('parseR1cs', () => {
  test.each([15, 63, 4095])('reads RankCheck(%i) as snarkjs does', async (pairs) => {
    const file = await circuitR1cs(pairs);
    const expected = await r1csTools.exportJson(file);
    const { wires, publicSignals, rows } = parseR1cs(file);
    expect([wires, publicSignals]).toEqual([expected.nVars, expected.nPubInputs + expected.nOutputs]);
    const object = (row: SparseRow) => Object.fromEntries(row.map(([wire, value]) => [wire, String(value)]));
    expect(rows.map(({ a, b, c }) => [object(a), object(b), object(c)])).toEqual(expected.constraints);
  });

  test.each([
    ['no header', () => withSection(1, () => null)],
    ['no constraints', () => withSection(2, () => null)],
    ['a short header', () => withSection(1, (data) => data.slice(1))],
    ['another field', () => patched(1, 4, [0])],
    ['fields of 31 bytes', () => patched(1, 0, [31])],
    ['a constraint more', () => patched(1, 60, [18])],
    ['a constraint less', () => patched(1, 60, [16])],
    ['2^32 - 1 constraints', () => patched(1, 60, [255, 255, 255, 255])],
    ['2^32 - 1 entries', () => patched(2, 0, [255, 255, 255, 255])],
    ['a wire that does not exist', () => patched(2, 4, [255])],
    ['a coefficient that is not below R', () => patched(2, 8, new Array(32).fill(255))],
    ['a trailing byte', () => withSection(2, (data) => concatBytes(data, new Uint8Array(1)))],
    ['truncated', () => bytes.slice(0, -1)],
  ] as [string, () => Uint8Array][])('refuses: %s', async (_, make) => {
    expect(await codeOf(() => parseR1cs(make()))).toBe('PARAMETERS_MALFORMED');
  });

  test('takes rows with every wire and counts in little-endian, and nothing at its bounds', async () => {
    // outputs 3, public inputs 5; one row: (c w0 + w1) * w1 = 0
    const number = (value: number, length = 4) =>
      Uint8Array.from({ length }, (_, i) => (value / 256 ** i) & 255);
    const field = (value: bigint) =>
      Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
    const system = (wire: number, coefficient: bigint) =>
      serializeBinFile('r1cs', 1, [
        {
          id: 1,
          data: concatBytes(
            ...[number(32), field(R), number(2), number(3), number(5), number(0), number(0, 8), number(1)],
          ),
        },
        {
          id: 2,
          data: concatBytes(
            ...[number(2), number(0), field(coefficient), number(wire), field(1n)],
            ...[number(1), number(1), field(1n), number(0)],
          ),
        },
      ]);
    expect(parseR1cs(system(1, R - 1n))).toEqual({
      wires: 2,
      publicSignals: 8,
      rows: [
        {
          a: [
            [0, R - 1n],
            [1, 1n],
          ],
          b: [[1, 1n]],
          c: [],
        },
      ],
    });
    expect(await codeOf(() => parseR1cs(system(2, 1n)))).toBe('PARAMETERS_MALFORMED');
    expect(await codeOf(() => parseR1cs(system(1, R)))).toBe('PARAMETERS_MALFORMED');
  });

  test('any changed byte gives a system or a refusal', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
        const wrong = bytes.slice();
        wrong[at]! ^= mask;
        expect(['PARAMETERS_MALFORMED', 'no error']).toContain(await codeOf(() => parseR1cs(wrong)));
      }),
      { numRuns: 300 },
    );
  });
});
