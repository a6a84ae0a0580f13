import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it, vi } from 'vitest';
import { checkpointCommand } from '../../cli/checkpoint.js';
import { lineageCommand } from '../../cli/lineage.js';
import { canonicalJson } from '../../src/bytes.js';
import { writeEnsemble } from './ensembleFolder.js';
import { ADAPTER, manifestOf, policyOf } from './lineageBuilder.js';
import { temporaryFolder } from './tensorFiles.js';

interface Ran {
  readonly code: unknown;
  readonly text: string;
}

async function run(command: Command, ...args: string[]): Promise<Ran> {
  let text = '';
  const out = vi.spyOn(process.stdout, 'write').mockImplementation((part) => {
    text += String(part);
    return true;
  });
  const err = vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
  try {
    await command.parseAsync(args, { from: 'user' });
    return { code: process.exitCode, text };
  } finally {
    process.exitCode = undefined;
    out.mockRestore();
    err.mockRestore();
  }
}

const checkpoint = (...args: string[]) => run(checkpointCommand(), ...args);
const lineage = (...args: string[]) => run(lineageCommand(), ...args);
const json = ({ text }: Ran) => JSON.parse(text) as Record<string, unknown>;

describe('zklora checkpoint and zklora lineage', () => {
  it('prove one tensor of a checkpoint', async () => {
    const folder = await temporaryFolder();
    await writeEnsemble(folder, 2);
    const [expert, proof] = [join(folder, 'ensemble/expert_0'), join(folder, 'proof.json')];
    const { digest } = json(await checkpoint('digest', expert, '--json')) as { digest: string };
    expect((await checkpoint('show', join(folder, 'ensemble/expert_0'))).text).toContain(
      'blocks.0.attn.in_proj_weight',
    );
    const tensor = 'blocks.0.feed_forward.0.weight';
    expect((await checkpoint('prove-tensor', expert, '--tensor', tensor, '--out', proof)).code).toBe(0);
    const check = (pinned: string, ...rest: string[]) =>
      checkpoint('verify-tensor', proof, '--digest', pinned, ...rest);
    expect((await check(digest, '--data', expert)).code).toBe(0);
    expect((await check(digest, '--data', join(folder, 'ensemble/expert_1'))).code).toBe(1);
    expect((await check('ab'.repeat(32))).code).toBe(1);
    const compared = await checkpoint('compare', join(folder, 'ddpm/expert_0.safetensors'), expert);
    expect(compared.code).toBe(0);
    expect(compared.text).toContain('copied 3, relabelled 2, changed 0');
    expect((await checkpoint('compare', expert, join(folder, 'ensemble/expert_1'))).code).toBe(1);
  });

  it('carry an adapter from an imported ensemble to a verdict', async () => {
    const folder = await temporaryFolder();
    await writeEnsemble(folder, 2);
    const at = (name: string) => join(folder, name);
    const { publicKey } = json(await lineage('key', '--out', at('maker.key'), '--json')) as {
      publicKey: string;
    };
    const imported = json(
      await checkpoint(
        'import-ensemble',
        at('ensemble'),
        '--describe',
        at('describe.json'),
        '--key',
        at('maker.key'),
        '--store',
        at('store'),
        '--json',
      ),
    ) as { ensemble: string };
    const original = json(await checkpoint('digest', at('ddpm/expert_0.safetensors'), '--json')) as {
      digest: string;
    };
    const subject = `adapter:${ADAPTER.digest}`;
    const sign = ['--key', at('maker.key'), '--store', at('other')];
    expect(
      (
        await lineage(
          'attest',
          ...sign,
          '--subject',
          subject,
          '--relation',
          'adapter-of',
          '--parent',
          at('ensemble/expert_0'),
        )
      ).code,
    ).toBe(0);
    await writeFile(at('manifest.json'), canonicalJson(manifestOf(ADAPTER)));
    expect((await lineage('attest', ...sign, '--manifest', at('manifest.json'))).code).toBe(0);
    expect(json(await lineage('add', at('other'), '--store', at('store'), '--json'))).toEqual({
      added: 2,
      known: 0,
      refused: 0,
    });
    const maker = { ...policyOf().keys[0]!, key: publicKey };
    const root = { kind: 'checkpoint' as const, digest: original.digest };
    const write = (name: string, changes: object) =>
      writeFile(at(name), JSON.stringify({ ...policyOf(), keys: [maker], allowedRoots: [root], ...changes }));
    await write('policy.json', { requiredRelations: ['expert-of', 'converted-from'] });
    await write('strict.json', { maximumDepth: 1 });
    const walk = (policy: string) => ['--store', at('store'), '--policy', at(policy), '--subject', subject];
    const both = ['--checkpoint', at('ensemble/expert_0'), '--checkpoint', at('ddpm/expert_0.safetensors')];
    const good = await lineage('verify', ...walk('policy.json'), ...both);
    expect(good.text).toContain('VALID: the lineage meets the policy');
    expect(good.text).toContain('converted-from: tensors compared, the same');
    expect(good.code).toBe(0);
    const bad = await lineage('verify', ...walk('strict.json'), '--json');
    expect(bad.code).toBe(1);
    expect(json(bad)).toMatchObject({ valid: false, failures: [{ code: 'too-deep' }] });
    for (const format of ['tree', 'mermaid', 'svg', 'html']) {
      const file = at(`graph.${format}`);
      expect((await lineage('graph', ...walk('policy.json'), '--format', format, '--out', file)).code).toBe(
        0,
      );
      expect(await readFile(file, 'utf8')).toContain(imported.ensemble.slice(0, 16));
    }
    expect((await lineage('show', '--store', at('store'))).text).toContain('adapter-of');
    // one changed byte in every envelope
    for (const name of await readdir(at('store'))) {
      const text = await readFile(at(`store/${name}`), 'utf8');
      await writeFile(at(`store/${name}`), text.replace('"payload":"e', '"payload":"f'));
    }
    expect((await lineage('verify', ...walk('policy.json'))).code).toBe(1);
  });

  it('refuse misuse with exit code 2, and missing files with 3', async () => {
    const folder = await temporaryFolder();
    const key = join(folder, 'k');
    await lineage('key', '--out', key);
    expect((await lineage('key', '--out', key)).code).toBe(3);
    expect((await lineage('attest', '--key', key, '--store', folder)).code).toBe(2);
    const step = [
      '--subject',
      `adapter:${ADAPTER.digest}`,
      '--relation',
      'adapter-of',
      '--parent',
      `checkpoint:${ADAPTER.digest}`,
    ];
    expect(
      (await lineage('attest', '--key', key, '--store', folder, ...step, '--tensors-unchanged')).code,
    ).toBe(2);
    expect((await lineage('show', '--store', join(folder, 'gone'))).code).toBe(3);
    expect((await checkpoint('digest', join(folder, 'gone'))).code).toBe(3);
  });
});
