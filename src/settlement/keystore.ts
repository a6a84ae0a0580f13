import {
  createCipheriv,
  createDecipheriv,
  pbkdf2,
  randomUUID,
  type ScryptOptions,
  scrypt,
  timingSafeEqual,
} from 'node:crypto';
import { promisify } from 'node:util';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { randomBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonBytes } from '../jsonText.js';

// Web3 secret storage, version 3 (ethereum.org, "Web3 Secret Storage Definition"): what Ethereum clients write.

/** A keystore file has some 500 bytes. */
export const MAX_KEYSTORE_BYTES = 4096;
/** Memory of scrypt is 128 n r bytes: the usual n = 2^18, r = 8 needs 256 MiB. */
const MAX_SCRYPT_MEMORY = 256 * 2 ** 20;
/** Work of scrypt is n r p: eight times the usual. */
const MAX_SCRYPT_WORK = 2 ** 24;
/** Clients write 262,144. */
const MAX_PBKDF2_ROUNDS = 4_000_000;
const KEY_BYTES = 32;

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-fA-F]{${2 * bytes}}$`));
const salt = z.string().regex(/^(?:[0-9a-fA-F]{2}){1,64}$/);
const count = z.number().int().min(1);
const crypto = {
  cipher: z.literal('aes-128-ctr'),
  cipherparams: z.strictObject({ iv: hex(16) }),
  ciphertext: hex(KEY_BYTES),
  mac: hex(32),
};
const schema = z.strictObject({
  version: z.literal(3),
  id: z.string().max(64),
  /** Some clients write it with 0x; it is no secret, and is not used. */
  address: z.string().max(42).optional(),
  crypto: z.discriminatedUnion('kdf', [
    z.strictObject({
      ...crypto,
      kdf: z.literal('scrypt'),
      kdfparams: z.strictObject({ dklen: z.literal(32), n: count, r: count, p: count, salt }),
    }),
    z.strictObject({
      ...crypto,
      kdf: z.literal('pbkdf2'),
      kdfparams: z.strictObject({
        dklen: z.literal(32),
        c: count.max(MAX_PBKDF2_ROUNDS),
        prf: z.literal('hmac-sha256'),
        salt,
      }),
    }),
  ]),
});
type Crypto = z.infer<typeof schema>['crypto'];

/**
 * Decrypts a keystore file: a secp256k1 secret key, 32 bytes. Messages repeat neither file nor password.
 *
 * @throws ZkLoraError `KEYSTORE_MALFORMED`, also for a wrong password
 */
export async function openKeystore(file: Uint8Array, password: string): Promise<Uint8Array> {
  if (file.length > MAX_KEYSTORE_BYTES) throw malformed('it is too large');
  const parsed = schema.safeParse(parseJsonBytes(file, 'KEYSTORE_MALFORMED', 'the keystore file'));
  if (!parsed.success) throw malformed('it is no Web3 secret storage of version 3');
  const stored = parsed.data.crypto;
  const key = await derivedKey(stored, utf8ToBytes(password.normalize('NFKC')));
  const ciphertext = hexToBytes(stored.ciphertext.toLowerCase());
  if (!timingSafeEqual(macOf(key, ciphertext), hexToBytes(stored.mac.toLowerCase()))) {
    throw malformed('the password is wrong, or the file was changed');
  }
  const iv = hexToBytes(stored.cipherparams.iv.toLowerCase());
  const decipher = createDecipheriv('aes-128-ctr', key.subarray(0, 16), iv);
  const secretKey = concatBytes(decipher.update(ciphertext), decipher.final());
  if (!secp256k1.utils.isValidSecretKey(secretKey)) throw malformed('what it holds is no secp256k1 key');
  return secretKey;
}

/** Cost of a new keystore: 2^18 is what Ethereum clients use, 2^12 what their light setting does. */
export interface KeystoreCost {
  /** scrypt's n, a power of two. */
  readonly n: number;
}

/** Encrypts a key as keystore JSON: scrypt with r = 8, p = 1, and fresh salt and IV. */
export async function makeKeystore(
  secretKey: Uint8Array,
  password: string,
  { n }: KeystoreCost = { n: 2 ** 18 },
): Promise<string> {
  const kdfparams = { dklen: 32 as const, n, r: 8, p: 1, salt: bytesToHex(randomBytes(32)) };
  const iv = randomBytes(16);
  const key = await derivedKey({ kdf: 'scrypt', kdfparams }, utf8ToBytes(password.normalize('NFKC')));
  const cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), iv);
  const ciphertext = concatBytes(cipher.update(secretKey), cipher.final());
  const keystore = {
    version: 3,
    id: randomUUID(),
    crypto: {
      cipher: 'aes-128-ctr',
      cipherparams: { iv: bytesToHex(iv) },
      ciphertext: bytesToHex(ciphertext),
      kdf: 'scrypt',
      kdfparams,
      mac: bytesToHex(macOf(key, ciphertext)),
    },
  };
  return `${JSON.stringify(keystore)}\n`;
}

type Derivation = Pick<Crypto, 'kdf' | 'kdfparams'>;

async function derivedKey(derivation: Derivation, password: Uint8Array): Promise<Uint8Array> {
  const { kdfparams } = derivation;
  const saltBytes = hexToBytes(kdfparams.salt.toLowerCase());
  if ('c' in kdfparams) {
    return promisify(pbkdf2)(password, saltBytes, kdfparams.c, KEY_BYTES, 'sha256');
  }
  const { n, r, p } = kdfparams;
  // RFC 7914: n is a power of two below 2^(128 r / 8)
  const valid = n >= 2 && Number.isInteger(Math.log2(n)) && Math.log2(n) < 16 * r;
  if (!valid || 128 * n * r > MAX_SCRYPT_MEMORY || n * r * p > MAX_SCRYPT_WORK) {
    throw malformed('its scrypt parameters are out of range');
  }
  // the state, and a little for the blocks beside it
  const options: ScryptOptions = { N: n, r, p, maxmem: MAX_SCRYPT_MEMORY + 128 * r * (p + 2) };
  return promisify<Uint8Array, Uint8Array, number, ScryptOptions, Uint8Array>(scrypt)(
    password,
    saltBytes,
    KEY_BYTES,
    options,
  );
}

/** keccak256(second half of the derived key's 32 bytes | ciphertext) */
function macOf(key: Uint8Array, ciphertext: Uint8Array): Uint8Array {
  return keccak_256(concatBytes(key.subarray(16, 32), ciphertext));
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError(
    'KEYSTORE_MALFORMED',
    `the keystore file cannot be used: ${problem}; check file and password, or export the key again`,
  );
}
