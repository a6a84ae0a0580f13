import { cp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAdapterCommitment, parseAdapterSecret, readPeftAdapter } from '../../src/adapter/index.js';
import { policyOf } from '../checkpoint/lineageBuilder.js';
import { safetensorsBytes, sourceOf } from '../checkpoint/tensorFiles.js';
import {
  filesBelow,
  GPT2_ADAPTER,
  GPT2_BASE,
  GPT2_TEXT,
  invalid,
  type JsonObject,
  LLAMA_BASE,
  lastObject,
  PARAMETERS,
  type Ran,
  Running,
  refused,
  serving,
  temporaryFolder,
  zklora,
  zkloraJson,
} from './cli.js';
import { found, needles } from './secrets.js';

/** Two calls of one sequence each. */
const TOKENS = 32;

let root: string;
let remove: () => Promise<void>;
const at = (...names: string[]) => join(root, ...names);

/** Everything that any command of the story printed. */
const printed: Ran[] = [];
let registered: JsonObject;
let evaluated: JsonObject;
/** An evaluation with a contributor that has ended; it waits ten seconds for one to answer. */
let unreachable: Promise<string>;
/** An evaluation whose contributor is killed; it asks for half a minute whether one is back. */
let killed: Promise<Ran>;

const serveArgs = (name: string) => [
  ...['--adapter', GPT2_ADAPTER, '--parameters', PARAMETERS],
  ...['--commitment', at(name, 'adapter.zkl.json'), '--secret', at(name, 'adapter.secret')],
  ...['--sessions', at(name, 'sessions')],
];
const proveArgs = (out: string) => [
  'prove',
  ...['--adapter', GPT2_ADAPTER, '--parameters', PARAMETERS, '--session', at('session')],
  ...['--commitment', at('registered', 'adapter.zkl.json'), '--secret', at('registered', 'adapter.secret')],
  ...['--out', at(out)],
];
/** Arguments of a verification that succeeds; later ones override earlier ones. */
const verifyArgs = (...others: string[]) => [
  ...['--proof', at('session', 'proof.zkl'), '--commitment', at('registered', 'adapter.zkl.json')],
  ...['--session', at('session'), '--parameters', PARAMETERS, '--allow-development-params'],
  ...['--registration-cache', at('verified-registrations')],
  ...others,
];
const evaluateArgs = (address: string, session: string) => [
  'evaluate',
  ...['--base', GPT2_BASE, '--text', GPT2_TEXT, '--contributor', address, '--session', at(session)],
  ...['--commitment', at('registered', 'adapter.zkl.json'), '--sequence-length', '16', '--batch', '1'],
];

async function told(...args: string[]): Promise<JsonObject> {
  const ran = await zklora(...args, '--json');
  printed.push(ran);
  expect(ran).toMatchObject({ code: 0 });
  return lastObject(ran);
}

function register(name: string, ...others: string[]): Promise<JsonObject> {
  const files = ['--adapter', GPT2_ADAPTER, '--base', GPT2_BASE, '--parameters', PARAMETERS];
  return told('register', ...files, '--out', at(name), ...others);
}

/** The statement that the base was exported from a checkpoint, checked before it is signed; and a policy for it. */
async function attestExport(): Promise<void> {
  await writeFile(at('source.safetensors'), safetensorsBytes(await sourceOf(GPT2_BASE)));
  const { publicKey } = await zkloraJson('lineage', 'key', '--out', at('maker.key'));
  const check = await zkloraJson(
    ...['checkpoint', 'check-export', '--onnx', GPT2_BASE, '--checkpoint', at('source.safetensors')],
    ...['--key', at('maker.key'), '--store', at('lineage')],
  );
  expect(check).toMatchObject({ valid: true, unmatchedInitializers: [], unmatchedTensors: [] });
  const policy = policyOf({
    roles: { maker: ['adapter-of', 'exported-from'] },
    keys: [{ name: 'maker', key: publicKey as string, roles: ['maker'], expires: null, revoked: false }],
    allowedRoots: [{ kind: 'checkpoint', digest: check.checkpoint as string }],
    requiredRelations: ['adapter-of', 'exported-from'],
  });
  await writeFile(at('policy.json'), JSON.stringify(policy));
}

function attestAdapter(): Promise<JsonObject> {
  const edge = ['--relation', 'adapter-of', '--parent', GPT2_BASE];
  const signed = ['--key', at('maker.key'), '--store', at('lineage')];
  return zkloraJson(
    'lineage',
    'attest',
    ...signed,
    '--subject',
    at('registered', 'adapter.zkl.json'),
    ...edge,
  );
}

/** An evaluation of which at least one call and not all are on disk when its contributor is killed. */
async function evaluatingWithKilled(): Promise<Running> {
  const contributor = await serving([...serveArgs('registered'), '--sessions', at('killed-sessions')]);
  const evaluating = new Running([
    ...evaluateArgs(contributor.address, 'killed'),
    ...['--sequences', '300', '--json'],
  ]);
  // printed when the first call is on disk; 299 are to come
  await evaluating.line('stderr', 'base model with adapter');
  contributor.process.kill('SIGKILL');
  return evaluating;
}

beforeAll(async () => {
  ({ dir: root, remove } = await temporaryFolder());
  await attestExport();
  registered = await register('registered', '--lineage', at('lineage'));
  await attestAdapter();
  const contributor = await serving(serveArgs('registered'));
  evaluated = await told(...evaluateArgs(contributor.address, 'session'), '--sequences', '2', '--prove');
  contributor.process.kill('SIGTERM');
  printed.push(await contributor.ended);
  unreachable = refused('CONTRIBUTOR_UNREACHABLE', 3, evaluateArgs(contributor.address, 'unreachable'));
  unreachable.catch(() => undefined); // awaited below
  killed = (await evaluatingWithKilled()).ended;
  await told(...proveArgs('proof.zkl'), '--rank-check', 'groth16');
  await told(...proveArgs('proof-per-module.zkl'), '--per-module');
}, 300_000);
afterAll(() => remove());

describe('by hand, command by command', () => {
  it('registers: one public file, one secret that only its owner may read', async () => {
    const { adapterId } = registered;
    expect(adapterId).toMatch(/^[0-9a-f]{64}$/);
    expect((await filesBelow(at('registered'))).filter((path) => !path.includes('sessions'))).toEqual([
      at('registered', 'adapter.secret'),
      at('registered', 'adapter.zkl.json'),
    ]);
    expect((await stat(at('registered', 'adapter.secret'))).mode & 0o777).toBe(0o600);
    expect(await zkloraJson('inspect', at('registered', 'adapter.secret'))).toEqual({
      kind: 'secret',
      adapterId,
    });
  });

  it('refuses to register into a folder that holds a secret, and leaves it alone', async () => {
    const before = await readFile(at('registered', 'adapter.secret'), 'utf8');
    const files = ['--adapter', GPT2_ADAPTER, '--base', GPT2_BASE, '--parameters', PARAMETERS];
    await refused('FILE_EXISTS', 3, ['register', ...files, '--out', at('registered')]);
    expect(await readFile(at('registered', 'adapter.secret'), 'utf8')).toBe(before);
  });

  it('leaves no secret behind whose commitment it could not write', async () => {
    await mkdir(at('half'));
    await writeFile(at('half', 'adapter.zkl.json'), 'mine');
    const files = ['--adapter', GPT2_ADAPTER, '--base', GPT2_BASE, '--parameters', PARAMETERS];
    await refused('FILE_EXISTS', 3, ['register', ...files, '--out', at('half')]);
    expect(await readFile(at('half', 'adapter.zkl.json'), 'utf8')).toBe('mine');
    expect(await filesBelow(at('half'))).toEqual([at('half', 'adapter.zkl.json')]);
  });

  it('evaluates: both sides hold the same record of every token', async () => {
    expect(evaluated).toMatchObject({ adapterId: registered.adapterId, tokens: TOKENS, calls: 2 });
    expect(evaluated.adapterLoss).toBeLessThan(evaluated.baseLoss as number);
    const mine = await filesBelow(at('session'));
    const theirs = (await filesBelow(at('registered', 'sessions'))).filter(
      (path) => !path.endsWith('answered.jsonl'),
    );
    expect(theirs).toHaveLength(mine.length - 2); // session.access, evaluation.jsonl
    for (const path of theirs) {
      const relative = path.split('/').slice(at('registered', 'sessions').split('/').length + 1);
      expect(await readFile(path)).toEqual(await readFile(at('session', ...relative)));
    }
  });

  it('ends the service on SIGTERM with code 0', () => {
    const service = printed[2]!;
    expect(service.code).toBe(0);
    expect(lastObject(service)).toMatchObject({ event: 'stopped' });
  });

  it.each([
    ['session/proof.zkl', 'kzg', 1, 500],
    ['proof.zkl', 'groth16', 1, 2500],
    ['proof-per-module.zkl', 'kzg', 16, 16 * 400],
  ])('verifies %s, by %s', async (name, rankCheck, proofs, limit) => {
    const ids = ['--adapter-id', registered.adapterId as string];
    const verdict = await told('verify', ...verifyArgs('--proof', at(name)), ...ids);
    const { adapterId } = registered;
    expect(verdict).toMatchObject({ valid: true, tokens: TOKENS, proofs, adapterId, rankCheck });
    expect(verdict.modules).toHaveLength(16);
    expect((await stat(at(name))).size).toBeLessThan(limit);
  });

  it('says in words what was proven and that development parameters prove nothing', async () => {
    const { stdout } = await zklora('verify', ...verifyArgs());
    expect(stdout).toMatch(/^VALID {4}all 32 token rows of 16 /);
    expect(stdout).toContain('pairs    shown inside the polynomial argument (kzg)\n');
    expect(stdout).toContain('warning  development parameters: anybody can forge such a proof');
  });

  it('shows of what kind a proof is, and refuses one by circuits where that is not wanted', async () => {
    const each = Array.from({ length: 16 }, (_, i) => ({ modules: [i], blocks: 1 }));
    expect(await zkloraJson('inspect', at('proof-per-module.zkl'))).toMatchObject({
      kind: 'proof',
      rankCheck: 'kzg',
      proofs: each,
    });
    const path = at('proof.zkl');
    const whole = { modules: each.flatMap(({ modules }) => modules), groups: expect.any(Number) };
    expect(await zkloraJson('inspect', path)).toMatchObject({ rankCheck: 'groth16', proofs: [whole] });
    expect((await zklora('inspect', path)).stdout).toMatch(
      /^ *rank check +groth16\n *proof 0 +16 modules, 1 circuit$/m,
    );
    const { message } = await invalid(
      'RANK_CHECK_REFUSED',
      verifyArgs('--proof', path, '--rank-check', 'kzg'),
    );
    expect(message).toMatch(/^the proof checks its pairs by groth16, and kzg is demanded/);
    await refused('USAGE', 2, [...proveArgs('none.zkl'), '--rank-check', 'snark']);
  });

  it('does not replace a proof unless told to', async () => {
    const before = await readFile(at('proof.zkl'));
    await refused('FILE_EXISTS', 3, proveArgs('proof.zkl'));
    expect(await readFile(at('proof.zkl'))).toEqual(before);
  });
});

describe('one verdict over proof and lineage', () => {
  const bound = (...others: string[]) =>
    verifyArgs('--policy', at('policy.json'), '--lineage', at('lineage'), ...others);

  it('is valid: the proof, the adapter, the exported model, the checkpoint that the policy allows', async () => {
    const verdict = await told('verify', ...bound('--base', GPT2_BASE));
    expect(verdict).toMatchObject({
      valid: true,
      lineage: { valid: true, failures: [], modelChecked: true },
    });
    const { edges } = verdict.lineage as { edges: JsonObject[] };
    expect(edges.map(({ relation, status }) => [relation, status])).toEqual([
      ['adapter-of', 'verified'],
      ['exported-from', 'verified'],
    ]);
  });

  it('is invalid for a lineage with a tampered edge, however good the proof', async () => {
    await cp(at('lineage'), at('tampered'), { recursive: true });
    const path = (await filesBelow(at('tampered'))).find((name) => name.endsWith('.dsse.json'))!;
    const bytes = await readFile(path);
    bytes[100]! ^= 1;
    await writeFile(path, bytes);
    const { lineage, message } = await invalid('LINEAGE_INVALID', bound('--lineage', at('tampered')));
    expect(message).toMatch(/^the proof holds, the lineage does not: /);
    expect((lineage as { valid: boolean }).valid).toBe(false);
  });

  it('is invalid for another model, and in words, too', async () => {
    const { lineage } = await invalid('LINEAGE_INVALID', bound('--base', LLAMA_BASE));
    expect((lineage as { failures: JsonObject[] }).failures).toMatchObject([{ code: 'model-mismatch' }]);
  });

  it('says when the model was not checked', async () => {
    const { stdout } = await zklora('verify', ...bound());
    expect(stdout).toContain('model    not checked: pass --base');
  });

  it('takes policy and store together', () =>
    refused('USAGE', 2, ['verify', ...verifyArgs('--policy', at('policy.json'))]));
});

describe('one row of the session', () => {
  const commitment = () => ['--commitment', at('registered', 'adapter.zkl.json')];
  const name = 'transformer.h.1.mlp.c_fc';
  const open = (out: string, row: string) => [
    ...['session', 'open', '--session', at('session'), ...commitment()],
    ...['--row', row, '--module', name, '--out', at(out)],
  ];
  const check = (out: string, ...others: string[]) => [
    ...['session', 'verify-row', '--opening', at(out), ...commitment()],
    ...others,
  ];

  it('is shown to an auditor who holds the proof alone', async () => {
    await told(...open('row.json', '20'));
    const proof = ['--proof', at('session', 'proof.zkl')];
    const verdict = await told(...check('row.json', ...proof, '--closing', at('session', 'close.json')));
    expect(verdict).toMatchObject({
      ...{ valid: true, row: 20, call: 1, module: name, signed: true },
      proofVerified: false,
    });
    const { stdout } = await zklora(...check('row.json', ...proof));
    expect(stdout).toContain('proof    not verified');
    expect(stdout).toContain('signed   not checked');
    const named = await told(...check('row.json', '--digest', verdict.sessionDigest as string));
    expect(named).toMatchObject({ valid: true, signed: null });
    expect(named).not.toHaveProperty('proofVerified');
    expect([verdict.x, verdict.y].map((list) => (list as unknown[]).length)).toEqual([128, 512]);
    const file = JSON.parse(await readFile(at('row.json'), 'utf8')) as JsonObject;
    await writeFile(at('moved.json'), JSON.stringify({ ...file, row: 21 }));
    const ran = await zklora(...check('moved.json', ...proof), '--json');
    expect(ran.code).toBe(1);
    expect(lastObject(ran)).toMatchObject({ valid: false, reason: 'WRONG_SESSION' });
    await refused('USAGE', 2, check('row.json'));
  });

  it('is there for rows and modules of the session', async () => {
    await refused('USAGE', 2, open('none.json', '32'));
    await refused('USAGE', 2, [...open('none.json', '1'), '--module', 'lm_head']);
    await refused('FILE_EXISTS', 3, open('row.json', '1'));
  });
});

describe('what verify says no to (exit code 1)', () => {
  it('development parameters without the flag', async () => {
    const args = verifyArgs().filter((arg) => arg !== '--allow-development-params');
    await invalid('PARAMETERS_DEVELOPMENT', args);
  });

  it('another parameter set than the pinned one', () =>
    invalid('WRONG_PARAMETERS', verifyArgs('--parameters-id', 'ab'.repeat(32))));

  it('another adapter than the pinned one', () =>
    invalid('WRONG_ADAPTER', verifyArgs('--adapter-id', 'ab'.repeat(32))));

  it('the proof of another registration of the same weights', async () => {
    await register('again');
    await invalid('WRONG_ADAPTER', verifyArgs('--commitment', at('again', 'adapter.zkl.json')));
    // and its secret proves nothing for the first one, nor serves it
    const files = ['--secret', at('again', 'adapter.secret')];
    await refused('SECRET_MISMATCH', 2, [...proveArgs('never.zkl'), ...files]);
    await refused('SECRET_MISMATCH', 2, ['serve', ...serveArgs('registered'), ...files]);
    expect(await filesBelow(root)).not.toContain(at('never.zkl'));
  });

  it('other parameters', async () => {
    const out = at('other-parameters');
    const small = ['--max-domain', '512', '--pairs', '15', '--seed', 'x'];
    await zkloraJson('params', 'make-development', '--out', out, ...small);
    await invalid('WRONG_PARAMETERS', verifyArgs('--parameters', out));
    await refused('PARAMETERS_MISMATCH', 2, [...proveArgs('never.zkl'), '--parameters', out]);
    expect(await filesBelow(root)).not.toContain(at('never.zkl'));
  });

  it('a session edited by hand: one bit of a delta', async () => {
    const call = await edited('calls/000001.safetensors', (bytes) => {
      // the int64 tensors come first: a bit of the first delta
      const header = Number(bytes.readBigUInt64LE(0));
      bytes[8 + header]! ^= 1;
      return bytes;
    });
    await invalid('WRONG_SESSION', verifyArgs('--session', call));
    await refused('SESSION_MISMATCH', 2, [...proveArgs('never.zkl'), '--session', call]);
    expect(await filesBelow(root)).not.toContain(at('never.zkl'));
    expect(await zkloraJson('inspect', call)).toMatchObject({ kind: 'session', edited: true });
  });

  it("a session edited by hand: the user's nonce", async () => {
    const session = await edited('session.json', (bytes) =>
      Buffer.from(bytes.toString().replace(/("nonce": ")../, '$100')),
    );
    await invalid('WRONG_SESSION', verifyArgs('--session', session));
  });

  it('a whole call taken out of the session', async () => {
    const session = await edited('close.json', (bytes) =>
      Buffer.from(bytes.toString().replace('"calls": 2', '"calls": 1')),
    );
    await rm(join(session, 'calls', '000001.safetensors'));
    await invalid('WRONG_SESSION', verifyArgs('--session', session));
  });
});

describe('what cannot be judged (exit code 2 or 3)', () => {
  it('a truncated proof', async () => {
    await writeFile(at('cut.zkl'), (await readFile(at('proof.zkl'))).subarray(0, -1));
    await refused('PROOF_MALFORMED', 2, ['verify', ...verifyArgs('--proof', at('cut.zkl'))]);
  });

  it('a call file cut short', async () => {
    const session = await edited('calls/000001.safetensors', (bytes) => bytes.subarray(0, -1));
    await refused('SAFETENSORS_MALFORMED', 2, ['verify', ...verifyArgs('--session', session)]);
  });

  it('a session with a call missing', async () => {
    const session = await edited('session.json', (bytes) => bytes);
    await rm(join(session, 'calls', '000000.safetensors'));
    await refused('SESSION_MALFORMED', 2, ['verify', ...verifyArgs('--session', session)]);
  });

  it('a session header with a field that is not ours', async () => {
    const session = await edited('session.json', (bytes) =>
      Buffer.from(bytes.toString().replace('{', '{ "note": "edited",')),
    );
    await refused('SESSION_MALFORMED', 2, ['verify', ...verifyArgs('--session', session)]);
  });

  it('a closing that does not fit the session', async () => {
    const session = await edited('close.json', (bytes) =>
      Buffer.from(bytes.toString().replace(/("userSignature": ")../, '$100')),
    );
    await refused('SESSION_MISMATCH', 2, ['verify', ...verifyArgs('--session', session)]);
    expect(await zkloraJson('inspect', session)).toMatchObject({ edited: true });
  });

  it('a commitment whose points are not on the curve', async () => {
    const commitment = parseAdapterCommitment(await readFile(at('registered', 'adapter.zkl.json'), 'utf8'));
    const rows = commitment.modules[0]!.aRows;
    const text = JSON.stringify(commitment).replace(rows[0]!, '01'.repeat(64));
    await writeFile(at('off-curve.json'), text);
    await invalid('WRONG_ADAPTER', verifyArgs('--commitment', at('off-curve.json')));
  });

  it.each(['proof', 'commitment', 'session', 'parameters'])('a missing %s', async (option) => {
    await refused('FILE_NOT_FOUND', 3, ['verify', ...verifyArgs(`--${option}`, at('nowhere'))]);
  });
});

describe('a contributor that does not answer', () => {
  it('speaks TLS to other machines, to those with a token, and is known by its fingerprint', async () => {
    const token = 'f'.repeat(64);
    await writeFile(at('tokens'), `alice ${token}\n`, { mode: 0o600 });
    await writeFile(at('token'), `${token}\n`, { mode: 0o600 });
    const access = ['--listen', '0.0.0.0:0', '--tls-dir', at('tls'), '--tokens', at('tokens')];
    await refused('USAGE', 2, ['serve', ...serveArgs('registered'), ...access, '--allow-insecure']);
    const contributor = await serving([...serveArgs('registered'), ...access]);
    const address = contributor.address.replace('0.0.0.0', '127.0.0.1');
    const { fingerprint = '' } = contributor;
    const args = (session: string, ...others: string[]) => [
      ...evaluateArgs(address, session),
      ...['--sequences', '1', '--token-file', at('token')],
      ...others,
    ];
    const wrong = fingerprint.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
    await refused('CONTRIBUTOR_UNTRUSTED', 1, args('wrong-pin', '--fingerprint', wrong));
    await refused(
      'USAGE',
      2,
      args('no-pin').map((arg) => arg.replace('127.0.0.1', '192.0.2.1')),
    );
    const colons = fingerprint.toUpperCase().match(/../g)!.join(':');
    expect(await told(...args('pinned', '--fingerprint', colons))).toMatchObject({ calls: 1 });
    contributor.process.kill('SIGTERM');
    const ended = await contributor.ended;
    expect(ended.stdout + ended.stderr).not.toContain(token);
  });

  it('is not there at all: no session folder appears', async () => {
    const message = await unreachable;
    expect(message).toContain('is it running there?');
    await expect(stat(at('unreachable'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('is killed while the user evaluates: the record stops at its last whole call, unsigned', async () => {
    const ran = await killed;
    expect(ran.code).toBe(3);
    expect(lastObject(ran)).toMatchObject({ error: { code: 'CONTRIBUTOR_UNREACHABLE' } });

    const files = await filesBelow(at('killed'));
    expect(
      files.filter(
        (path) =>
          !/\/(session\.(json|secret|access)|evaluation\.jsonl|calls\/\d{6}\.safetensors)$/.test(path),
      ),
    ).toEqual([]);
    const { calls, tokens, closing } = await zkloraJson('inspect', at('killed'));
    expect({ tokens, closing }).toEqual({ tokens: (calls as number) * 16, closing: null });
    expect(calls).toBe(files.length - 4);
    expect(calls).toBeGreaterThan(0);
    expect(calls).toBeLessThan(300);
  });
});

describe('secrets', () => {
  it('never leave: not in anything printed, proven, recorded or shown', async () => {
    const secret = parseAdapterSecret(await readFile(at('registered', 'adapter.secret'), 'utf8'));
    const commitment = parseAdapterCommitment(await readFile(at('registered', 'adapter.zkl.json'), 'utf8'));
    const sought = needles(secret, commitment, (await readPeftAdapter(GPT2_ADAPTER)).modules);
    // the search finds what is there
    const weights = await readFile(join(GPT2_ADAPTER, 'adapter_model.safetensors'));
    expect(found(weights, sought)).toHaveLength(16 * 8 * 2);
    expect(found(await readFile(at('registered', 'adapter.secret')), sought)).toEqual([
      'blindingSecret, hex',
      'contributorSecretKey, hex',
    ]);

    const files = [at('registered', 'adapter.zkl.json'), at('proof.zkl'), at('proof-per-module.zkl')];
    files.push(...(await filesBelow(at('session'))));
    const ours = [...files.slice(0, 3), at('registered', 'adapter.secret'), at('session'), GPT2_ADAPTER];
    for (const path of ours) {
      const shown = await Promise.all([zklora('inspect', path), zklora('inspect', path, '--json')]);
      for (const ran of shown) expect(ran.code).toBe(0);
      printed.push(...shown);
    }
    for (const path of files)
      expect({ path, found: found(await readFile(path), sought) }).toEqual({ path, found: [] });
    const everything = printed.map(({ stdout, stderr }) => stdout + stderr).join('\n');
    expect(found(Buffer.from(everything), sought)).toEqual([]);
  });
});

/** A copy of the session with one file changed. */
async function edited(file: string, change: (bytes: Buffer) => Buffer): Promise<string> {
  const copy = at('edited');
  await rm(copy, { recursive: true, force: true });
  await cp(at('session'), copy, { recursive: true });
  await writeFile(join(copy, file), change(await readFile(join(copy, file))));
  return copy;
}
