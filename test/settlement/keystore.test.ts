import { createCipheriv } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { scrypt } from '@noble/hashes/scrypt.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '../../src/bytes.js';
import {
  deliveryPublicKey,
  makeDeliveryKey,
  makeMasterKey,
  readDeliveryKey,
  readMasterKey,
} from '../../src/settlement/keyFiles.js';
import { makeKeystore, openKeystore } from '../../src/settlement/keystore.js';
import { refusalOf } from '../adapter/refusal.js';

/** Test vector of the Web3 Secret Storage Definition (ethereum.org), password `testpassword`. */
const SECRET = '7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d';
const PBKDF2 = {
  crypto: {
    cipher: 'aes-128-ctr',
    cipherparams: { iv: '6087dab2f9fdbbfaddc31a909735c1e6' },
    ciphertext: '5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46',
    kdf: 'pbkdf2',
    kdfparams: {
      c: 262144,
      dklen: 32,
      prf: 'hmac-sha256',
      salt: 'ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd',
    },
    mac: '517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2',
  },
  id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
  version: 3,
};

/** The same key under scrypt, made with other implementations of its parts than the library uses. */
function scryptKeystore() {
  const salt = 'ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19';
  const iv = '83dbcc02d8ccb40e466191a123791e0e';
  const key = scrypt('testpassword', hexToBytes(salt), { N: 4096, r: 8, p: 6, dkLen: 32 });
  const cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), hexToBytes(iv));
  const ciphertext = cipher.update(hexToBytes(SECRET));
  return {
    crypto: {
      cipher: 'aes-128-ctr',
      cipherparams: { iv },
      ciphertext: ciphertext.toString('hex'),
      kdf: 'scrypt',
      kdfparams: { dklen: 32, n: 4096, r: 8, p: 6, salt },
      mac: bytesToHex(keccak_256(concatBytes(key.subarray(16), ciphertext))),
    },
    id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
    version: 3,
  };
}
const SCRYPT = scryptKeystore();
const bytes = (value: unknown) => utf8ToBytes(JSON.stringify(value));

describe('a keystore', () => {
  it.each([
    ['PBKDF2', PBKDF2],
    ['scrypt', SCRYPT],
  ])('opens with %s', async (_, vector) => {
    expect(bytesToHex(await openKeystore(bytes(vector), 'testpassword'))).toBe(SECRET);
  });

  it('opens again after it was made', async () => {
    const file = await makeKeystore(hexToBytes(SECRET), 'päss word', { n: 4096 });
    expect(file).not.toContain(SECRET);
    expect(bytesToHex(await openKeystore(utf8ToBytes(file), 'päss word'))).toBe(SECRET);
    const wrong = await refusalOf(openKeystore(utf8ToBytes(file), 'pass word'));
    expect(wrong.code).toBe('KEYSTORE_MALFORMED');
    expect(wrong.message).not.toContain('pass word');
  });

  it('is refused when it asks for too much work, is changed, or is something else', async () => {
    const change = (params: object) => ({
      ...SCRYPT,
      crypto: { ...SCRYPT.crypto, kdfparams: { ...SCRYPT.crypto.kdfparams, ...params } },
    });
    for (const file of [
      // 2^(128 r / 8) and above are no scrypt parameters (RFC 7914)
      change({ n: 262_144, r: 1 }),
      change({ n: 2 ** 30 }),
      change({ n: 262_145 }),
      change({ r: 2 ** 20 }),
      change({ p: 2 ** 20 }),
      change({ n: 1 }),
      change({ dklen: 64 }),
      change({ salt: '' }),
      { ...SCRYPT, version: 4 },
      { ...SCRYPT, crypto: { ...SCRYPT.crypto, cipher: 'aes-128-cbc' } },
      { ...PBKDF2, crypto: { ...PBKDF2.crypto, mac: `00${PBKDF2.crypto.mac.slice(2)}` } },
      { ...PBKDF2, crypto: { ...PBKDF2.crypto, kdfparams: { ...PBKDF2.crypto.kdfparams, c: 1e9 } } },
      [],
    ]) {
      const { code } = await refusalOf(openKeystore(bytes(file), 'testpassword'));
      expect(code, JSON.stringify(file)).toBe('KEYSTORE_MALFORMED');
    }
    expect((await refusalOf(openKeystore(new Uint8Array(5000), ''))).code).toBe('KEYSTORE_MALFORMED');
  });
});

describe('key files', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'zklora-keys-'));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it('are for their owner alone, of one kind each, and never replaced', async () => {
    const [delivery, master] = [join(dir, 'delivery'), join(dir, 'master')];
    const publicKey = await makeDeliveryKey(delivery);
    const masterKey = await makeMasterKey(master);
    for (const path of [delivery, master]) expect((await stat(path)).mode & 0o777).toBe(0o600);
    const read = await readDeliveryKey(delivery);
    expect(deliveryPublicKey(read.secret)).toBe(publicKey);
    expect(await readMasterKey(master)).toEqual({ secret: masterKey, exposed: false });
    expect((await refusalOf(readMasterKey(delivery))).code).toBe('SECRET_MALFORMED');
    expect((await refusalOf(makeMasterKey(master))).code).toBe('FILE_EXISTS');
    await chmod(master, 0o644);
    expect((await readMasterKey(master)).exposed).toBe(true);
    const text = (await readFile(master, 'utf8')).replace('"secret":"', '"secret":"0');
    await writeFile(join(dir, 'long'), text);
    const refused = await refusalOf(readMasterKey(join(dir, 'long')));
    expect(refused.code).toBe('SECRET_MALFORMED');
    expect(refused.message).not.toContain(bytesToHex(masterKey).slice(0, 8));
  });
});
