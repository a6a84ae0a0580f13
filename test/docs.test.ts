import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { exitCodeOf } from '../cli/exitCodes.js';
import type { ErrorCode } from '../src/errors.js';

describe('docs/formats.md', () => {
  it('lists every error code with its exit code, and no other', async () => {
    const source = await readFile('src/errors.ts', 'utf8');
    const union = source.slice(source.indexOf('export type ErrorCode'), source.indexOf("'INTERNAL'") + 10);
    const codes = [...union.matchAll(/'([A-Z_0-9]+)'/g)].map(([, code]) => code as ErrorCode);
    const page = await readFile('docs/formats.md', 'utf8');
    const table = page.slice(page.indexOf('| code | exit | when |'));
    const rows = [...table.matchAll(/^\| `([A-Z_0-9]+)` \| (\d+) \|/gm)].map(([, code, exit]) => [
      code,
      Number(exit),
    ]);
    expect(Object.fromEntries(rows)).toEqual(
      Object.fromEntries(codes.map((code) => [code, exitCodeOf(code)])),
    );
  });
});
