import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { exitCodeOf } from '../cli/exitCodes.js';
import { deriveBlinder } from '../src/adapter/blinders.js';
import { parseAdapterCommitment } from '../src/adapter/index.js';
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

describe('docs/formats-example.md', () => {
  it('is what scripts/formats-example.mjs reads in the bundled files', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      'scripts/formats-example.mjs',
      '--print',
    ]);
    expect(stdout).toBe(await readFile('docs/formats-example.md', 'utf8'));
  });

  it('has the blinder that the library derives', async () => {
    const page = await readFile('docs/formats-example.md', 'utf8');
    const adapter = parseAdapterCommitment(await readFile('fixtures/example/adapter.zkl.json', 'utf8'));
    const secret = Uint8Array.from({ length: 32 }, (_, i) => i);
    const salt = new Uint8Array(Buffer.from(adapter.salt, 'hex'));
    const blinder = deriveBlinder(secret, salt, adapter.modules[0]!.name, 'A', 0);
    const printed = /^ {4}mod R +([0-9a-f ]+)$/m.exec(page)![1]!.replaceAll(' ', '');
    expect(BigInt(`0x${printed}`)).toBe(blinder);
  });
});
