import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { claimsOfCard, claimsOfModelIndex, claimsOfPeft, readClaims } from '../../src/checkpoint/index.js';
import { accepts, refusal } from '../adapter/refusal.js';
import { temporaryFolder } from './tensorFiles.js';

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const card = (front: string) => `---\n${front}\n---\n# Model\nbase_model: not/this\n`;
const values = (front: string) =>
  claimsOfCard(card(front)).map(({ kind, relation, value }) => [kind, relation, value]);

describe('model cards', () => {
  it('give base models, relation and licence', () => {
    expect(values('license: mit\nbase_model: org/base\nbase_model_relation: quantized')).toEqual([
      ['base-model', 'quantized-from', 'org/base'],
      ['licence', null, 'mit'],
    ]);
    const list =
      'language:\n- en\nwidget:\n  - text: "a: b"\n    base_model: inner\nbase_model: # two\n  - org/a\n\n  - "org/b"  # note\nbase_model_relation: merge';
    expect(values(list)).toEqual([
      ['base-model', 'merged-from', 'org/a'],
      ['base-model', 'merged-from', 'org/b'],
    ]);
    expect(values('base_model: [\'org/a\', org/b, "c"]')).toEqual([
      ['base-model', null, 'org/a'],
      ['base-model', null, 'org/b'],
      ['base-model', null, 'c'],
    ]);
    expect(values('base_model: []\nbase_model_relation: finetune')).toEqual([]);
    expect(values('license: other\nlicense_name: my-licence')).toEqual([['licence', null, 'my-licence']]);
    expect(claimsOfCard('no front matter')).toEqual([]);
    expect(claimsOfCard('---\r\nbase_model: org/x\r\n---\r\n')[0]!.value).toBe('org/x');
  });

  it('are refused where the small part of YAML that is read ends', () => {
    for (const front of [
      'base_model: a\nbase_model: b',
      'base_model: &x org/a',
      'base_model: *x',
      'base_model: !!str a',
      'base_model: |\n  a',
      'base_model: >-\n  a',
      'base_model: {a: b}',
      'base_model: [a,\n  b]',
      'base_model: [a, [b]]',
      'base_model: [a,, b]',
      'base_model:\n  key: value',
      'base_model:\n  - key: value',
      'base_model: a\n  b',
      'base_model: "a\\n"',
      'base_model: "a',
      'base_model: \u0007x',
      'base_model_relation: child\nbase_model: a',
      'base_model_relation: constructor\nbase_model: a',
      'base_model_relation: [merge, adapter]\nbase_model: a',
    ]) {
      expect(refusal(() => claimsOfCard(card(front))).code).toBe('CHECKPOINT_MALFORMED');
    }
    expect(refusal(() => claimsOfCard('---\nbase_model: a\n')).code).toBe('CHECKPOINT_MALFORMED');
  });

  it('never fail in another way', () => {
    const pieces = fc.constantFrom(
      'base_model',
      ':',
      ' ',
      '\n',
      '- ',
      '[',
      ']',
      ',',
      '"',
      "'",
      '#',
      'a',
      '---',
      '|',
      '&x',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string({ maxLength: 3 })), { maxLength: 20 }), (parts) => {
        accepts('CHECKPOINT_MALFORMED', () => claimsOfCard(card(parts.join(''))));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('configurations', () => {
  it('PEFT names base model and revision', () => {
    const config = { base_model_name_or_path: 'org/base', revision: 'abc', r: 8 };
    expect(claimsOfPeft(bytesOf(config))).toEqual([
      {
        source: 'adapter_config.json',
        kind: 'base-model',
        relation: 'adapter-of',
        value: 'org/base',
        revision: 'abc',
      },
    ]);
    expect(claimsOfPeft(bytesOf({ base_model_name_or_path: null }))).toEqual([]);
    expect(claimsOfPeft(bytesOf({ base_model_name_or_path: 'a\u202eb\n' }))[0]!.value).toBe('a?b?');
    for (const wrong of [{ base_model_name_or_path: 1 }, [], 'x', null]) {
      expect(refusal(() => claimsOfPeft(bytesOf(wrong))).code).toBe('CHECKPOINT_MALFORMED');
    }
  });

  it('Diffusers names pipeline and components', () => {
    const index = {
      _class_name: 'DiTPipeline',
      _diffusers_version: '0.30',
      _name_or_path: 'org/dit',
      vae: ['diffusers', 'AutoencoderKL'],
      safety_checker: [null, null],
      flag: true,
    };
    expect(claimsOfModelIndex(bytesOf(index)).map(({ kind, value }) => [kind, value])).toEqual([
      ['pipeline', 'DiTPipeline'],
      ['base-model', 'org/dit'],
      ['component', 'vae: diffusers.AutoencoderKL'],
    ]);
    expect(refusal(() => claimsOfModelIndex(bytesOf([]))).code).toBe('CHECKPOINT_MALFORMED');
  });

  it('are read together from a folder', async () => {
    const folder = await temporaryFolder();
    expect(await readClaims(folder)).toEqual([]);
    await writeFile(join(folder, 'README.md'), card('base_model: org/base'));
    await writeFile(join(folder, 'adapter_config.json'), bytesOf({ base_model_name_or_path: 'org/base' }));
    await writeFile(join(folder, 'model_index.json'), bytesOf({ _class_name: 'P' }));
    expect((await readClaims(folder)).map(({ source }) => source)).toEqual([
      'model card',
      'adapter_config.json',
      'model_index.json',
    ]);
  });
});
