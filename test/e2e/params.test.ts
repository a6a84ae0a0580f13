import { cp, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadEngine } from '../../src/algebra/index.js';
import type { Check } from '../../src/ceremony/index.js';
import { knownPtau, knownSecrets } from '../ceremony/support.js';
import { lastObject, PARAMETERS, refused, temporaryFolder, zklora, zkloraJson } from './cli.js';

const BEACON = '0123456789abcdef'.repeat(4);
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const at = (name: string) => join(folder.dir, name);

beforeAll(async () => {
  folder = await temporaryFolder();
  const engine = await loadEngine();
  await writeFile(at('known.ptau'), await knownPtau(engine, knownSecrets('e2e'), 9));
  await writeFile(at('other.ptau'), await knownPtau(engine, knownSecrets('others'), 9));
  await engine.terminate();
});
afterAll(() => folder.remove());

describe('zklora params', () => {
  test('from a powers-of-tau file to a parameter set', { timeout: 180_000 }, async () => {
    const dir = at('ceremony');
    const file = ['--ptau', at('known.ptau')];
    const ran = await zklora('params', 'import', ...file, '--out', dir, '--pairs', '15', '--source', 'e2e');
    expect(ran).toMatchObject({ code: 0 });
    expect(ran.stdout).toContain('unfinished ceremony');
    expect(ran.stdout).toContain('zklora params phase2 start');

    const inspected = await zklora('inspect', join(dir, 'ceremony.json'));
    expect(inspected.stdout).toBe((await zklora('params', 'show', dir)).stdout);
    expect(await zkloraJson('inspect', dir)).toMatchObject({ format: 'zklora/ceremony/v1', circuits: [] });

    const step = (name: string, ...args: string[]) =>
      zkloraJson('params', 'phase2', name, '--dir', dir, ...args);
    expect(await step('start', ...file, '--pairs', '15')).toMatchObject({ circuits: [{ pairs: 15 }] });
    await refused('CEREMONY_INCOMPLETE', 1, [
      ...['params', 'phase2', 'finish', '--dir', dir, ...file],
      ...['--out', at('never')],
    ]);
    await cp(dir, at('sent'), { recursive: true });
    const { contributions } = await step('contribute', '--name', 'Erin');
    expect(contributions).toMatchObject([{ name: 'Erin', kind: 'participant', pairs: 15 }]);
    await step('beacon', '--beacon', BEACON, '--name', 'lottery');
    const verified = await zklora('params', 'phase2', 'verify', '--dir', dir, '--previous', at('sent'));
    expect(verified).toMatchObject({ code: 0 });
    expect(verified.stdout).toMatch(/^ok .*\n(.*\n)*VALID\n$/);
    const lost = await zklora('params', 'phase2', 'verify', '--dir', at('sent'), '--previous', dir);
    expect(lost.code).toBe(1);
    expect(lost.stdout).toContain('INVALID');
    expect(lost.stdout).toContain('[PARAMETERS_MISMATCH]');

    const { id } = await step('finish', ...file, '--out', at('params'));
    const shown = await zklora('params', 'show', at('params'));
    expect(shown.stdout).toContain(id as string);
    expect(shown.stdout).toMatch(/kind +ceremony/);
    expect(shown.stdout).toMatch(/phase 1 +participant .*known/);
    expect(shown.stdout).toMatch(/phase 2, 15 +participant .*Erin/);
    expect(shown.stdout).toMatch(/beacon .*lottery/);

    const pinned = ['params', 'verify', at('params'), '--parameters-id'];
    expect(await zkloraJson(...pinned, id as string, ...file)).toMatchObject({ valid: true, id });
    const other = await zklora(...pinned, '0'.repeat(64), '--json');
    expect(other.code).toBe(1);
    expect(lastObject(other)).toMatchObject({ valid: false, pinned: false });
    const wrongFile = await zklora('params', 'verify', at('params'), '--ptau', at('other.ptau'), '--json');
    expect(wrongFile.code).toBe(1);
    const failed = (lastObject(wrongFile).checks as Check[]).filter(({ outcome }) => outcome === 'failed');
    expect(failed.map(({ name, code }) => [name, code])).toEqual([['.ptau file', 'PARAMETERS_MISMATCH']]);
  });

  test('a development set passes only where it is allowed', async () => {
    const refusedSet = await zklora('params', 'verify', PARAMETERS);
    expect(refusedSet.code).toBe(1);
    expect(refusedSet.stdout).toMatch(/^FAILED +kind: .*\[PARAMETERS_DEVELOPMENT\]$/m);
    const allowed = await zklora('params', 'verify', PARAMETERS, '--allow-development-params');
    expect(allowed).toMatchObject({ code: 0 });
  });

  test('refusals name what is wrong', async () => {
    const out = ['--out', at('refused')];
    await writeFile(at('text.ptau'), 'no powers of tau');
    await refused('PARAMETERS_MALFORMED', 2, ['params', 'import', '--ptau', at('text.ptau'), ...out]);
    await refused('FILE_NOT_FOUND', 3, ['params', 'import', '--ptau', at('nowhere.ptau'), ...out]);
    await refused('USAGE', 2, ['params', 'import', '--ptau', at('known.ptau'), ...out, '--domains', '1024']);
    await refused('USAGE', 2, ['params', 'import', '--ptau', at('known.ptau'), ...out, '--pairs', '15;31']);
    await refused('FILE_NOT_FOUND', 3, ['params', 'show', folder.dir]);
    await refused('FILE_NOT_FOUND', 3, [
      'params',
      'phase2',
      'contribute',
      '--dir',
      folder.dir,
      '--name',
      'x',
    ]);
    await refused('USAGE', 2, ['params', 'phase2', 'contribute', '--dir', folder.dir]);
    await refused('USAGE', 2, ['params', 'phase2', 'start', '--bogus']);
    expect(await readdir(folder.dir)).not.toContain('refused');
  });
});
