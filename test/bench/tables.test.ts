import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RESULTS, ROOT } from '../../bench/results.js';
import { insertTables, PAGES, renderResults } from '../../bench/tables.js';
import { exportedFunctions } from '../../bench/wasmNames.js';

/** Node's; the type library has no declaration of it. */
const { WebAssembly } = globalThis as unknown as {
  WebAssembly: { validate(code: Uint8Array): boolean };
};

describe('tables of measured figures', () => {
  it('replace what stands between their markers, and nothing else', () => {
    const page =
      'a\n<!-- table:x -->\nold\n<!-- /table:x -->\nb\n<!-- table:y -->\nkept\n<!-- /table:y -->\n';
    expect(insertTables(page, { x: '| 1 $& |\n| 2 |', z: 'unused' })).toBe(
      'a\n<!-- table:x -->\n| 1 $& |\n| 2 |\n<!-- /table:x -->\nb\n<!-- table:y -->\nkept\n<!-- /table:y -->\n',
    );
  });

  it.each(PAGES)('of %s are those of the committed results', async (name) => {
    const page = await readFile(join(ROOT, name), 'utf8');
    const { tables } = await renderResults();
    expect(page).toContain('<!-- table:');
    expect(insertTables(page, tables)).toBe(page);
  });

  it('have charts that are those of the committed results', async () => {
    const { charts } = await renderResults();
    for (const [name, svg] of Object.entries(charts)) {
      expect(await readFile(join(RESULTS, name), 'utf8'), name).toBe(svg);
    }
  });
});

describe('names of WebAssembly functions', () => {
  it('are those of the export section, imports counted', () => {
    // one imported function of type () -> (), two own, exported as "a" and "b", and a memory "m"
    const code = Uint8Array.from([
      ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      ...[1, 4, 1, 0x60, 0, 0],
      ...[2, 7, 1, 1, 0x65, 1, 0x66, 0, 0],
      ...[3, 3, 2, 0, 0],
      ...[5, 3, 1, 0, 1],
      ...[7, 13, 3, 1, 0x61, 0, 1, 1, 0x6d, 2, 0, 1, 0x62, 0, 2],
      ...[10, 7, 2, 2, 0, 0x0b, 2, 0, 0x0b],
    ]);
    expect(WebAssembly.validate(code)).toBe(true);
    expect([...exportedFunctions(code)]).toEqual([
      [1, 'a'],
      [2, 'b'],
    ]);
  });
});
