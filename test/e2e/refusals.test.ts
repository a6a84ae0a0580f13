import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAdapterCommitment, serializeSafetensors, type Tensor } from '../../src/adapter/index.js';
import type { ErrorCode } from '../../src/errors.js';
import {
  GPT2_ADAPTER,
  LLAMA_ADAPTER,
  LLAMA_BASE,
  PARAMETERS,
  refused,
  temporaryFolder,
  zklora,
} from './cli.js';

const MODULE = 'base_model.model.model.layers.0.self_attn.q_proj';

let root: string;
let remove: () => Promise<void>;

beforeAll(async () => {
  ({ dir: root, remove } = await temporaryFolder());
});
afterAll(() => remove());

const registerArgs = (adapter: string) => [
  'register',
  ...['--adapter', adapter, '--base', LLAMA_BASE, '--parameters', PARAMETERS, '--out', join(root, 'out')],
];

/** Refuses to register, and leaves nothing behind. */
async function refusedRegistration(
  code: ErrorCode,
  exitCode: number,
  args: readonly string[],
): Promise<string> {
  const before = await readdir(root);
  const message = await refused(code, exitCode, args);
  expect(await readdir(root)).toEqual(before);
  return message;
}

/** An adapter of one module that fits the base model, apart from what is changed. */
async function adapterWith(change: {
  config?: object;
  tensors?: Record<string, Tensor>;
  bytes?: (bytes: Uint8Array) => Uint8Array;
}): Promise<string> {
  const dir = join(root, 'adapter');
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir);
  const config = { peft_type: 'LORA', r: 4, lora_alpha: 8, bias: 'none', ...change.config };
  await writeFile(join(dir, 'adapter_config.json'), JSON.stringify(config));
  const tensors = { [`${MODULE}.lora_A.weight`]: matrix(4, 32), [`${MODULE}.lora_B.weight`]: matrix(32, 4) };
  const bytes = serializeSafetensors(new Map(Object.entries({ ...tensors, ...change.tensors })));
  await writeFile(join(dir, 'adapter_model.safetensors'), change.bytes?.(bytes) ?? bytes);
  return dir;
}

function matrix(rows: number, columns: number, put: Record<number, number> = {}): Tensor {
  const values = Float32Array.from({ length: rows * columns }, (_, i) => put[i] ?? Math.sin(i + 1));
  return { dtype: 'F32', shape: [rows, columns], data: new Uint8Array(values.buffer) };
}

/** Rewrites the JSON header, padded to its old length where it is shorter. */
function editHeader(bytes: Uint8Array, edit: (json: string) => string): Uint8Array {
  const view = Buffer.from(bytes);
  const length = Number(view.readBigUInt64LE(0));
  const header = Buffer.from(
    edit(
      view
        .subarray(8, 8 + length)
        .toString()
        .trimEnd(),
    ).padEnd(length),
  );
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([size, header, view.subarray(8 + length)]);
}

describe('an adapter that does not fit the base model', () => {
  it('names modules that the base lacks', async () => {
    const message = await refusedRegistration('MODULE_NOT_FOUND', 2, registerArgs(GPT2_ADAPTER));
    expect(message).toContain('"transformer.h.0.attn.c_attn"');
  });

  it('has other shapes', async () => {
    const dir = await adapterWith({ tensors: { [`${MODULE}.lora_A.weight`]: matrix(4, 16) } });
    const message = await refusedRegistration('SHAPE_MISMATCH', 2, registerArgs(dir));
    expect(message).toContain('maps 32 to 32 features in the base model but 16 to 32 in the adapter');
  });
});

describe('an adapter that is malformed', () => {
  it.each<[string, ErrorCode, RegExp, Parameters<typeof adapterWith>[0]]>([
    [
      'rank 0',
      'ADAPTER_MALFORMED',
      /has rank 0/,
      { tensors: { [`${MODULE}.lora_A.weight`]: matrix(0, 32), [`${MODULE}.lora_B.weight`]: matrix(32, 0) } },
    ],
    ['rank 0 in the configuration', 'ADAPTER_MALFORMED', /r must be a rank/, { config: { r: 0 } }],
    [
      'NaN',
      'ADAPTER_MALFORMED',
      /NaN or infinite values in lora_A/,
      { tensors: { [`${MODULE}.lora_A.weight`]: matrix(4, 32, { 7: Number.NaN }) } },
    ],
    [
      'infinity',
      'ADAPTER_MALFORMED',
      /NaN or infinite values in lora_B/,
      { tensors: { [`${MODULE}.lora_B.weight`]: matrix(32, 4, { 127: -Infinity }) } },
    ],
    [
      'a truncated file',
      'SAFETENSORS_MALFORMED',
      /ends inside its tensor data/,
      { bytes: (b) => b.subarray(0, -1) },
    ],
    ['an empty file', 'SAFETENSORS_MALFORMED', /shorter than the 8 bytes/, { bytes: () => new Uint8Array() }],
    [
      'a header longer than the file',
      'SAFETENSORS_MALFORMED',
      /header/,
      { bytes: (b) => Buffer.concat([Buffer.from('ffffff7f00000000', 'hex'), b.subarray(8)]) },
    ],
    [
      'a shape that lies',
      'SAFETENSORS_MALFORMED',
      /byte range that does not match its shape/,
      { bytes: (b) => editHeader(b, (json) => json.replace('[4,32]', '[4,31]')) },
    ],
    [
      'tensors that overlap',
      'SAFETENSORS_MALFORMED',
      /overlaps/,
      { bytes: (b) => editHeader(b, (json) => json.replace('[512,1024]', '[0,512]')) },
    ],
    [
      'an unknown dtype',
      'SAFETENSORS_MALFORMED',
      /unknown dtype "Q8"/,
      { bytes: (b) => editHeader(b, (json) => json.replace('"F32"', '"Q8"')) },
    ],
    [
      'integer weights',
      'ADAPTER_UNSUPPORTED',
      /dtype I32/,
      { bytes: (b) => editHeader(b, (json) => json.replaceAll('"F32"', '"I32"')) },
    ],
  ])('%s', async (_, code, message, change) => {
    const dir = await adapterWith(change);
    expect(await refusedRegistration(code, 2, registerArgs(dir))).toMatch(message);
  });
});

it('an adapter of a rank that no circuit of the parameter set holds is registered: its proofs need none', async () => {
  const tensors = {
    [`${MODULE}.lora_A.weight`]: matrix(256, 32),
    [`${MODULE}.lora_B.weight`]: matrix(32, 256),
  };
  const dir = await adapterWith({ config: { r: 256 }, tensors });
  const out = join(root, 'wide');
  const { code, stderr } = await zklora(...registerArgs(dir), '--out', out, '--no-registration-proof');
  expect(code, stderr).toBe(0);
  const commitment = await readFile(join(out, 'adapter.zkl.json'), 'utf8');
  expect(parseAdapterCommitment(commitment).modules).toMatchObject([{ rank: 256 }]);
  await rm(out, { recursive: true });
});

describe('an adapter with a feature that is not supported, named as such', () => {
  it.each<[string, RegExp, Parameters<typeof adapterWith>[0]]>([
    ['DoRA', /use_dora, DoRA/, { config: { use_dora: true } }],
    ['DoRA by its tensors', /DoRA/, { tensors: { [`${MODULE}.lora_magnitude_vector`]: matrix(32, 1) } }],
    ['modules_to_save', /modules_to_save/, { config: { modules_to_save: ['lm_head'] } }],
    ['bias other than none', /bias other than "none"/, { config: { bias: 'all' } }],
    ['lora_bias', /lora_bias/, { config: { lora_bias: true } }],
  ])('%s', async (_, message, change) => {
    const dir = await adapterWith(change);
    expect(await refusedRegistration('ADAPTER_UNSUPPORTED', 2, registerArgs(dir))).toMatch(message);
  });

  it('a pickle file', async () => {
    const dir = await adapterWith({});
    await cp(join(dir, 'adapter_model.safetensors'), join(dir, 'adapter_model.bin'));
    await rm(join(dir, 'adapter_model.safetensors'));
    const message = await refusedRegistration('ADAPTER_UNSUPPORTED', 2, registerArgs(dir));
    expect(message).toContain('pickle');
  });
});

describe('surroundings', () => {
  it.each([
    ['--adapter', 'FILE_NOT_FOUND'],
    ['--base', 'FILE_NOT_FOUND'],
    ['--parameters', 'FILE_NOT_FOUND'],
  ] as const)('a missing %s', async (option, code) => {
    const args = [...registerArgs(LLAMA_ADAPTER), option, join(root, 'nowhere')];
    await refusedRegistration(code, 3, args);
  });

  it('a base model that is no ONNX file', async () => {
    const base = join(LLAMA_ADAPTER, 'adapter_model.safetensors');
    await refusedRegistration('ONNX_MALFORMED', 2, [...registerArgs(LLAMA_ADAPTER), '--base', base]);
  });

  it.each([
    [[], ''],
    [['bogus'], 'unknown command'],
    [['verify'], 'required option'],
    [['inspect', 'package.json'], 'is no file of zklora'],
    [['evaluate', '--batch', '0'], 'expected a whole number'],
  ])('wrong usage: zklora %s', async (args, message) => {
    const { code, stdout, stderr } = await zklora(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
  });

  it('--version is the one of package.json', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(await zklora('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('each command has help with an example', async () => {
    const commands = 'demo register serve evaluate prove verify deliver open inspect'.split(' ');
    const shown = await Promise.all(commands.map((command) => zklora(command, '--help')));
    for (const [i, { code, stdout }] of shown.entries()) {
      expect(code).toBe(0);
      expect(stdout).toMatch(new RegExp(`Examples?:\\n {2}zklora ${commands[i]}`));
      expect(stdout).toContain('--json');
    }
  });
});
