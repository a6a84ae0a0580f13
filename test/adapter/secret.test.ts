import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ed25519 } from '@noble/curves/ed25519.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { adapterId } from '../../src/adapter/commitment.js';
import {
  type AdapterSecret,
  assertSecretMatches,
  parseAdapterSecret,
  readAdapterSecret,
  writeAdapterSecret,
} from '../../src/adapter/secret.js';
import { bytesToHex, hexToBytes } from '../../src/bytes.js';
import { refusal, refusalOf } from './refusal.js';
import { sampleCommitment } from './sample.js';

const SECRET: AdapterSecret = {
  format: 'zklora/secret/v1',
  adapterId: 'a1'.repeat(32),
  blindingSecret: 'b2'.repeat(32),
  contributorSecretKey: 'c3'.repeat(32),
};

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'zklora-secret-'));
});
afterEach(() => rm(dir, { recursive: true }));

describe('secret file', () => {
  it('is written for its owner alone and read back', async () => {
    const path = join(dir, 'adapter.secret');
    await writeAdapterSecret(path, SECRET);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readAdapterSecret(path)).toEqual({ secret: SECRET, exposed: false });
    expect(await readdir(dir)).toEqual(['adapter.secret']);
  });

  it.each([[0o640], [0o604], [0o620], [0o601]])('is reported as exposed with mode %i', async (mode) => {
    const path = join(dir, 'adapter.secret');
    await writeAdapterSecret(path, SECRET);
    await chmod(path, mode);
    expect((await readAdapterSecret(path)).exposed).toBe(true);
  });

  it('is never replaced', async () => {
    const path = join(dir, 'adapter.secret');
    await writeFile(path, 'precious');
    expect((await refusalOf(writeAdapterSecret(path, SECRET))).code).toBe('FILE_EXISTS');
    expect(await readFile(path, 'utf8')).toBe('precious');
    expect(await readdir(dir)).toEqual(['adapter.secret']);
  });

  it('has its absence and its size reported', async () => {
    const path = join(dir, 'adapter.secret');
    expect((await refusalOf(readAdapterSecret(path))).code).toBe('FILE_NOT_FOUND');
    await writeFile(path, ' '.repeat(5000));
    expect((await refusalOf(readAdapterSecret(path))).code).toBe('FILE_UNREADABLE');
  });
});

describe('parseAdapterSecret', () => {
  const hex = 'deadbeef'.repeat(8);
  it.each<[string, string]>([
    ['no JSON', `${hex} "`],
    ['a truncated file', JSON.stringify({ ...SECRET, blindingSecret: hex }).slice(0, -1)],
    ['a repeated field', `{"blindingSecret":"${hex}","blindingSecret":"${hex}"}`],
    ['a field named like a secret', JSON.stringify({ ...SECRET, [hex]: 1 })],
    ['another format', JSON.stringify({ ...SECRET, format: hex })],
    ['a long secret', JSON.stringify({ ...SECRET, blindingSecret: `${hex}00` })],
    ['a short key', JSON.stringify({ ...SECRET, contributorSecretKey: hex.slice(1) })],
    ['upper case', JSON.stringify({ ...SECRET, contributorSecretKey: hex.toUpperCase() })],
    ['a missing field', JSON.stringify({ ...SECRET, blindingSecret: undefined, contributorSecretKey: hex })],
    ['a list', JSON.stringify([hex])],
    ['too much text', JSON.stringify(SECRET) + hex.repeat(100)],
  ])('refuses %s without repeating any of it', (_, text) => {
    const error = refusal(() => parseAdapterSecret(text));
    expect(error.code).toBe('SECRET_MALFORMED');
    const everything = [error.message, error.stack, JSON.stringify(error.details)].join(' ').toLowerCase();
    expect(everything).not.toContain('deadbeef');
    expect(everything).not.toContain('c3c3');
    expect(error.cause).toBeUndefined();
  });
});

describe('assertSecretMatches', () => {
  const contributorKey = bytesToHex(ed25519.getPublicKey(hexToBytes(SECRET.contributorSecretKey)));
  const commitment = sampleCommitment({ contributorKey });
  const secret = { ...SECRET, adapterId: adapterId(commitment) };

  it('accepts the files of one registration and no others', () => {
    expect(() => assertSecretMatches(secret, commitment)).not.toThrow();
    const otherKey = { ...secret, contributorSecretKey: 'c4'.repeat(32) };
    const otherSalt = sampleCommitment({ contributorKey, salt: '45'.repeat(32) });
    expect(refusal(() => assertSecretMatches(SECRET, commitment)).code).toBe('SECRET_MISMATCH');
    expect(refusal(() => assertSecretMatches(otherKey, commitment)).code).toBe('SECRET_MISMATCH');
    expect(refusal(() => assertSecretMatches(secret, otherSalt)).code).toBe('SECRET_MISMATCH');
  });
});
