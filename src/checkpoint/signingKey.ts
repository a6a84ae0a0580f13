import { ed25519 } from '@noble/curves/ed25519.js';
import { z } from 'zod';
import { bytesToHex, hexToBytes } from '../bytes.js';
import { ed25519PublicKey } from '../ed25519PublicKey.js';
import { ZkLoraError } from '../errors.js';
import { readFileWithMode, writeFileAtomic } from '../files.js';
import { parseJsonBytes } from '../jsonText.js';
import { digestSchema } from './vocabulary.js';

const FORMATS = { lineage: 'zklora/lineage-key/v1', user: 'zklora/user-key/v1' } as const;
/** What a key signs: lineage statements, or sessions. */
export type KeyPurpose = keyof typeof FORMATS;
const HOW_TO_MAKE: Record<KeyPurpose, string> = {
  lineage: 'make one with `zklora lineage key`',
  user: 'name a new file for --user-key',
};
const MAX_KEY_BYTES = 4096;
const OWNER_ONLY = 0o600;
const OTHERS = 0o077;

const schemaOf = (purpose: KeyPurpose) =>
  z.strictObject({ format: z.literal(FORMATS[purpose]), secretKey: digestSchema });

/** A signing key, read from its file. */
export interface SigningKey {
  /** Ed25519 seed, 32 bytes. */
  readonly secretKey: Uint8Array;
  /** Hex, as policies name it. */
  readonly publicKey: string;
  /** Whether others than the owner may read the file. */
  readonly exposed: boolean;
}

/** Makes a key from OS randomness and writes it with mode 0600. @returns the public key, hex */
export async function makeSigningKey(path: string, purpose: KeyPurpose = 'lineage'): Promise<string> {
  const secretKey = ed25519.utils.randomSecretKey();
  const text = `${JSON.stringify({ format: FORMATS[purpose], secretKey: bytesToHex(secretKey) }, null, 2)}\n`;
  await writeFileAtomic(path, text, { mode: OWNER_ONLY });
  return bytesToHex(ed25519PublicKey(secretKey));
}

/** Reads a key file. @throws ZkLoraError `SECRET_MALFORMED`, `FILE_NOT_FOUND`, `FILE_UNREADABLE` */
export async function readSigningKey(path: string, purpose: KeyPurpose = 'lineage'): Promise<SigningKey> {
  const { bytes, mode } = await readFileWithMode(path, MAX_KEY_BYTES, 'signing key');
  const parsed = schemaOf(purpose).safeParse(parseJsonBytes(bytes, 'SECRET_MALFORMED', 'the signing key'));
  if (!parsed.success) {
    throw new ZkLoraError('SECRET_MALFORMED', `not a ${purpose} key; ${HOW_TO_MAKE[purpose]}`);
  }
  const secretKey = hexToBytes(parsed.data.secretKey);
  return {
    secretKey,
    publicKey: bytesToHex(ed25519PublicKey(secretKey)),
    exposed: (mode & OTHERS) !== 0,
  };
}
