import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeProofFile, encodeProofFile } from '../../src/protocol/index.js';
import { accepts } from '../adapter/refusal.js';
import { fixture, lastObject, PARAMETERS, type Ran, Running, temporaryFolder, zklora } from './cli.js';

const EXAMPLE = fixture('example');

let root: string;
let remove: () => Promise<void>;

beforeAll(async () => {
  ({ dir: root, remove } = await temporaryFolder());
});
afterAll(() => remove());

describe('the bundled proof', () => {
  it('verifies under its pins, as its README says', async () => {
    const { adapterId, parametersId } = JSON.parse(
      await readFile(join(EXAMPLE, 'pins.json'), 'utf8'),
    ) as Record<string, string>;
    const ran = await zklora(
      'verify',
      ...['--proof', join(EXAMPLE, 'proof.zkl'), '--commitment', join(EXAMPLE, 'adapter.zkl.json')],
      ...['--session', join(EXAMPLE, 'session'), '--parameters', PARAMETERS, '--allow-development-params'],
      ...['--adapter-id', adapterId!, '--parameters-id', parametersId!, '--json'],
    );
    expect(ran.code, ran.stderr).toBe(0);
    expect(lastObject(ran)).toMatchObject({ valid: true, adapterId, parametersId, tokens: 8, proofs: 1 });
  });

  it('speaks about field elements only where the registration proof is missing', async () => {
    const delivery = await tampered('adapter.zkl.json', (bytes) =>
      Buffer.from(JSON.stringify({ ...JSON.parse(bytes.toString()), registrationProof: null })),
    );
    const verify = (dir: string, ...args: string[]) =>
      zklora(
        'verify',
        ...['--proof', join(dir, 'proof.zkl'), '--commitment', join(dir, 'adapter.zkl.json')],
        ...['--session', join(dir, 'session'), '--parameters', PARAMETERS, '--allow-development-params'],
        ...args,
      );
    const bare = await verify(delivery);
    expect(bare.code, bare.stderr).toBe(0);
    expect(bare.stdout).toContain('this speaks about field elements only');
    const required = await verify(delivery, '--require-registration-proof', '--json');
    expect(required.code).toBe(1);
    expect(lastObject(required)).toMatchObject({ valid: false, reason: 'REGISTRATION_MISSING' });
    const whole = await verify(EXAMPLE, '--require-registration-proof');
    expect(whole.code, whole.stderr).toBe(0);
    expect(whole.stdout).toContain('registration proof verified: integer weights');
  });

  it('has one encoding: decode and encode give the same bytes', async () => {
    const bytes = new Uint8Array(await readFile(join(EXAMPLE, 'proof.zkl')));
    expect(encodeProofFile(decodeProofFile(bytes))).toEqual(bytes);
  });

  it('cannot be cut or prolonged', async () => {
    const bytes = new Uint8Array(await readFile(join(EXAMPLE, 'proof.zkl')));
    for (let length = bytes.length - 1; length >= 0; length -= 16) {
      expect(accepts('PROOF_MALFORMED', () => decodeProofFile(bytes.subarray(0, length)))).toBe(false);
    }
    expect(accepts('PROOF_MALFORMED', () => decodeProofFile(Uint8Array.of(...bytes, 0)))).toBe(false);
  });

  it('decodes to something else, or not at all, with one bit changed', async () => {
    const bytes = new Uint8Array(await readFile(join(EXAMPLE, 'proof.zkl')));
    for (let at = 0; at < bytes.length; at += at < 14 ? 1 : 11) {
      const changed = bytes.slice();
      changed[at]! ^= 1 << (at % 8);
      const read = accepts('PROOF_MALFORMED', () => {
        expect(encodeProofFile(decodeProofFile(changed))).toEqual(changed);
      });
      // magic and counts admit no other value here
      if (at < 14) expect(read).toBe(false);
    }
  });
});

describe('examples/pipeline.ts', () => {
  it('accepts the bundled proof under its pins', async () => {
    const ran = await pipeline('--allow-development-params');
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    expect(lastObject(ran)).toEqual({ action: 'accept', modules: 16, tokens: 8 });
  });

  it('decides on the reason of an invalid proof', async () => {
    expect(await decision()).toMatchObject({ action: 'reject', reason: 'PARAMETERS_DEVELOPMENT' });
    const delivery = await tampered('session/calls/000000.safetensors', (bytes) => {
      bytes[bytes.length - 1]! ^= 1;
      return bytes;
    });
    expect(await decision('--allow-development-params', '--delivery', delivery)).toMatchObject({
      action: 'ask again',
      reason: 'WRONG_SESSION',
    });
  });

  it('goes by its own pins, not by what is delivered', async () => {
    const pins = JSON.parse(await readFile(join(EXAMPLE, 'pins.json'), 'utf8')) as Record<string, string>;
    for (const [field, reason] of [
      ['adapterId', 'WRONG_ADAPTER'],
      ['parametersId', 'WRONG_PARAMETERS'],
    ] as const) {
      const path = join(root, `${field}.json`);
      await writeFile(path, JSON.stringify({ ...pins, [field]: 'ab'.repeat(32) }));
      expect(await decision('--allow-development-params', '--pins', path)).toMatchObject({ reason });
    }
  });

  it('asks for the registration proof where there is none', async () => {
    const delivery = await tampered('adapter.zkl.json', (bytes) =>
      Buffer.from(JSON.stringify({ ...JSON.parse(bytes.toString()), registrationProof: null })),
    );
    expect(await decision('--allow-development-params', '--delivery', delivery)).toMatchObject({
      action: 'ask again',
      reason: 'REGISTRATION_MISSING',
    });
  });

  it('does not judge what is malformed or missing', async () => {
    const delivery = await tampered('proof.zkl', (bytes) => bytes.subarray(1));
    const ran = await pipeline('--allow-development-params', '--delivery', delivery);
    expect(ran).toMatchObject({ code: 2, stdout: '' });
    expect(ran.stderr).toContain('[PROOF_MALFORMED]');
    const nothing = await pipeline('--parameters', join(root, 'nowhere'));
    expect(nothing).toMatchObject({ code: 2, stdout: '' });
    expect(nothing.stderr).toContain('[FILE_NOT_FOUND]');
    expect(await pipeline('--pins', join(EXAMPLE, 'proof.zkl'))).toMatchObject({ code: 2, stdout: '' });
  });
});

/** Runs the compiled example from the repository's root, as `npm run example` does. */
function pipeline(...args: readonly string[]): Promise<Ran> {
  return new Running(args, 'dist/examples/pipeline.js').ended;
}

/** What it decides when it does not accept. */
async function decision(...args: readonly string[]): Promise<object> {
  const ran = await pipeline(...args);
  expect(ran).toMatchObject({ code: 1, stderr: '' });
  return lastObject(ran);
}

/** A copy of the bundled delivery with one file changed. */
async function tampered(file: string, change: (bytes: Buffer) => Buffer): Promise<string> {
  const copy = join(root, `delivery-${file.replaceAll('/', '-')}`);
  await cp(EXAMPLE, copy, { recursive: true });
  await writeFile(join(copy, file), change(await readFile(join(copy, file))));
  return copy;
}
