import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FloatModule, readPeftAdapter } from '../../src/adapter/peft.js';
import { writePeftAdapter } from '../../src/adapter/peftWrite.js';
import { quantizeModule } from '../../src/adapter/quantize.js';
import {
  fixture,
  GPT2_TEXT,
  type JsonObject,
  LLAMA_ADAPTER,
  LLAMA_BASE,
  lastObject,
  PARAMETERS,
  Running,
  refused,
  serving,
  temporaryFolder,
  zklora,
  zkloraJson,
} from './cli.js';

/** Two contributors with adapters on different layers, a user who evaluates both at once, and verifies both. */

let root: string;
let remove: () => Promise<void>;
const running: Running[] = [];
let evaluated: JsonObject;
const at = (...parts: string[]) => join(root, ...parts);
const set = () => ['--set', at('contributors.json')];
const verifyArgs = (...more: string[]) => [
  ...['verify', ...set(), '--session', at('evaluation'), '--parameters', PARAMETERS],
  ...['--allow-development-params', ...more],
];

const evaluateArgs = (session: string) => [
  ...['evaluate', '--base', LLAMA_BASE, ...set(), '--session', at(session), '--sequence-length', '16'],
  ...['--text', GPT2_TEXT, fixture('gpt2-tiny/text/LEGEND.txt'), '--stride', '8', '--max-tokens', '96'],
  ...['--batch', '2'],
];

async function contributor(name: string, modules: readonly FloatModule[], weight?: number) {
  await writePeftAdapter(at(name), modules.map(quantizeModule), null);
  await zkloraJson(
    ...['register', '--adapter', at(name), '--base', LLAMA_BASE, '--parameters', PARAMETERS],
    ...['--out', at(`${name}.registered`)],
  );
  const service = await serving([
    ...['--adapter', at(name), '--parameters', PARAMETERS, '--sessions', at(`${name}.sessions`)],
    ...['--commitment', at(`${name}.registered`, 'adapter.zkl.json')],
    ...['--secret', at(`${name}.registered`, 'adapter.secret')],
  ]);
  running.push(service);
  const commitment = `${name}.registered/adapter.zkl.json`;
  return { name, commitment, address: service.address, ...(weight !== undefined && { weight }) };
}

beforeAll(async () => {
  ({ dir: root, remove } = await temporaryFolder());
  const { modules } = await readPeftAdapter(LLAMA_ADAPTER);
  const contributors = await Promise.all([
    contributor('early', modules.slice(0, 2)),
    contributor('late', modules.slice(2), 0.5),
  ]);
  await writeFile(
    at('contributors.json'),
    JSON.stringify({ format: 'zklora/contributors/v1', contributors }),
  );
  evaluated = await zkloraJson(...evaluateArgs('evaluation'), '--prove');
}, 300_000);
afterAll(async () => {
  for (const service of running) service.process.kill('SIGTERM');
  await Promise.all(running.map(({ ended }) => ended));
  await remove();
});

describe('a set of contributors', () => {
  it('is evaluated: losses in all and of each file, with intervals, and what each contributor did', () => {
    expect(evaluated).toMatchObject({ tokens: 96, tokenizer: null, session: at('evaluation') });
    // 15 tokens of the first sequence, 8 of each later one
    expect(evaluated.predictions).toBe(15 + 5 * 8);
    const { all, files } = evaluated.losses as {
      all: Record<string, { loss: number; lossInterval: [number, number]; perplexity: number }>;
      files: { name: string; losses: object | null }[];
    };
    for (const { loss, lossInterval } of [all.base!, all.adapter!, all.difference!]) {
      expect(lossInterval[0]).toBeLessThan(loss);
      expect(loss).toBeLessThan(lossInterval[1]);
    }
    expect(all.base!.loss).toBeCloseTo(evaluated.baseLoss as number, 9);
    expect(all.adapter!.perplexity).toBeCloseTo(Math.exp(evaluated.adapterLoss as number), 9);
    expect(all.difference!.loss).toBeCloseTo(
      (evaluated.adapterLoss as number) - (evaluated.baseLoss as number),
      9,
    );
    // the tokens that were allowed end in the first file
    expect(files.map(({ name, losses }) => [name, losses === null])).toEqual([
      [GPT2_TEXT, false],
      [fixture('gpt2-tiny/text/LEGEND.txt'), true],
    ]);
    expect(evaluated.contributors).toEqual(
      ['early', 'late'].map((name) =>
        expect.objectContaining({
          name,
          weight: name === 'early' ? 1 : 0.5,
          measured: true,
          failure: null,
          calls: 3,
          session: at('evaluation', name),
          proof: at('evaluation', name, 'proof.zkl'),
        }),
      ),
    );
  });

  it('is verified with one verdict each and one in all', async () => {
    const verdict = await zkloraJson(...verifyArgs());
    expect(verdict).toMatchObject({
      valid: true,
      leftOut: [],
      lossesOf: [
        { name: 'early', weight: 1 },
        { name: 'late', weight: 0.5 },
      ],
      evaluation: 'same',
      contributors: [
        { name: 'early', valid: true, tokens: 96, signed: true, registration: 'verified' },
        { name: 'late', valid: true, tokens: 96, signed: true, registration: 'verified' },
      ],
    });
  });

  it('is refused for one contributor, who is named, whatever is wrong; the other stays valid', async () => {
    const [early, late] = [at('evaluation', 'early', 'proof.zkl'), at('evaluation', 'late', 'proof.zkl')];
    const proof = await readFile(late);
    // somebody else's proof
    await writeFile(late, await readFile(early));
    const ran = await zklora(...verifyArgs('--json'));
    expect(ran.code).toBe(1);
    expect(lastObject(ran)).toMatchObject({
      valid: false,
      contributors: [
        { name: 'early', valid: true },
        { name: 'late', valid: false, reason: 'WRONG_ADAPTER' },
      ],
    });
    await writeFile(late, proof.subarray(0, 100));
    const cut = await zklora(...verifyArgs());
    expect(cut.code).toBe(1);
    expect(cut.stdout).toMatch(/^early {2}VALID[^\n]*\nlate {2}INVALID[^\n]*\[PROOF_MALFORMED\]\nINVALID/);
    const without = await zkloraJson(...verifyArgs('--without', 'late'));
    expect(without).toMatchObject({ valid: true, leftOut: ['late'], contributors: [{ name: 'early' }] });
    // the losses that were measured are of both
    expect(without).toMatchObject({
      lossesOf: [{ name: 'early' }],
      evaluation: 'different',
      warning: expect.stringContaining('early (weight 1), late (weight 0.5)'),
    });
    await writeFile(late, proof);

    // a signature that does not fit what is proven
    const close = at('evaluation', 'late', 'close.json');
    const closing = await readFile(close, 'utf8');
    await writeFile(close, closing.replace(/("userSignature": ")../, '$100'));
    expect(lastObject(await zklora(...verifyArgs('--json')))).toMatchObject({
      valid: false,
      contributors: [
        { name: 'early', valid: true },
        { name: 'late', valid: false, reason: 'SESSION_MISMATCH' },
      ],
    });
    await writeFile(close, closing);
  });

  it('goes on after kill -9 of the user: the same losses, every call once', async () => {
    const killed = new Running(evaluateArgs('killed'));
    await killed.line('stderr', 'base model with adapter');
    killed.process.kill('SIGKILL');
    await killed.ended;
    const resumed = await zkloraJson(...evaluateArgs('killed'), '--resume');
    expect(resumed.losses).toEqual(evaluated.losses);
    expect(resumed.contributors).toMatchObject([{ calls: 3 }, { calls: 3 }]);
  });

  it('refuses flags that contradict each other', async () => {
    await refused('USAGE', 2, verifyArgs('--proof', 'proof.zkl'));
    await refused('USAGE', 2, verifyArgs('--without', 'early', 'late'));
    expect(await refused('USAGE', 2, verifyArgs('--without', 'late', 'late'))).toContain('twice');
    expect(await refused('USAGE', 2, verifyArgs('--without', 'nobody'))).toContain('no contributor nobody');
    const evaluate = ['evaluate', '--base', LLAMA_BASE, '--text', GPT2_TEXT, '--session', at('other')];
    await refused('USAGE', 2, [...evaluate, ...set(), '--contributor', '127.0.0.1:1']);
  });
});

describe('texts', () => {
  const evaluate = (session: string) => [
    ...['evaluate', '--base', LLAMA_BASE, ...set(), '--session', at(session), '--sequence-length', '16'],
    ...['--sequences', '2'],
  ];

  it('come from standard input, and tokens from a tokenizer.json; both give the losses of the bytes', async () => {
    const text = (await readFile(GPT2_TEXT)).subarray(0, 64);
    await writeFile(at('start.txt'), text);
    const [bytes, piped] = await Promise.all([
      zkloraJson(
        ...evaluate('bytes'),
        '--text',
        at('start.txt'),
        '--user-key',
        at('user.key'),
        '--timeout',
        '30',
      ),
      fromStdin(text, [...evaluate('piped'), '--text', '-', '--tokenizer', await byteTokenizer(), '--json']),
    ]);
    expect(piped.adapterLoss).toBe(bytes.adapterLoss);
    expect(piped.tokenizer).toMatch(/^[0-9a-f]{64}$/);
    const userKey = async (session: string, name: string) =>
      JSON.parse(await readFile(at(session, name, 'session.json'), 'utf8')).userKey as string;
    // one key towards both, or a fresh one towards each
    expect(await userKey('bytes', 'late')).toBe(await userKey('bytes', 'early'));
    expect(await userKey('piped', 'late')).not.toBe(await userKey('piped', 'early'));
  });

  it('refuse a tokenizer with more tokens than the model, before anybody is asked', async () => {
    const tokenizer = ['--tokenizer', fixture('tokenizer/tokenizer.json')];
    const message = await refused('BASE_MODEL_MISMATCH', 2, [
      ...evaluate('none'),
      '--text',
      GPT2_TEXT,
      ...tokenizer,
    ]);
    expect(message).toContain('the tokenizer has 457 tokens, the base model 256');
  });
});

/** The fixture's tokenizer without its merges: a token is a byte. */
async function byteTokenizer(): Promise<string> {
  const file = JSON.parse(await readFile(fixture('tokenizer/tokenizer.json'), 'utf8')) as {
    added_tokens: unknown[];
    model: { vocab: Record<string, number>; merges: string[] };
  };
  file.added_tokens = [];
  file.model.merges = [];
  file.model.vocab = Object.fromEntries(Object.entries(file.model.vocab).filter(([, id]) => id < 256));
  const path = at('tokenizer.json');
  await writeFile(path, JSON.stringify(file));
  return path;
}

function fromStdin(text: Uint8Array, args: readonly string[]): Promise<JsonObject> {
  const main = fixture('../dist/cli/main.js');
  const child = spawn(process.execPath, [main, ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
  child.stdin.end(text);
  let stdout = '';
  child.stdout.on('data', (part: Buffer) => {
    stdout += part.toString();
  });
  return new Promise((resolve, reject) => {
    child.once('close', (code) => {
      if (code === 0) resolve(lastObject({ code, stdout, stderr: '' }));
      else reject(new Error(`evaluate ended with code ${code}: ${stdout}`));
    });
  });
}
