import { x25519 } from '@noble/curves/ed25519.js';
import { randomBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { bytesToHex, hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { readFileWithMode, writeFileAtomic } from '../files.js';
import { parseJsonBytes } from '../jsonText.js';
import { MASTER_KEY_BYTES } from './keystream.js';

// Two kinds of files with one secret of 32 bytes each (docs/settlement.md, "Keys"): the buyer's delivery key (X25519)
// and the contributor's master key of one offer.

/** A secret as read from disk. */
export interface SecretFile {
  /** 32 bytes. Never in a log or error. */
  readonly secret: Uint8Array;
  /** Whether the file's group or others have any permission on it: worth a warning. */
  readonly exposed: boolean;
}

type Format = 'zklora/delivery-key/v1' | 'zklora/master-key/v1';

/** The files have two short fields. */
const MAX_KEY_FILE_BYTES = 1024;
/** Read and write for the owner, nothing for others. */
const KEY_MODE = 0o600;
const NOT_OWNER = 0o077;

const hex32 = z.string().regex(/^[0-9a-f]{64}$/);

/**
 * Makes a buyer's key pair and writes its file with mode 0600; never replaces a file.
 *
 * @returns the public key (X25519, RFC 7748), 32 bytes, hex: what the contributor is given
 * @throws ZkLoraError `FILE_EXISTS`, `FILE_UNWRITABLE`
 */
export async function makeDeliveryKey(path: string): Promise<string> {
  const secret = x25519.utils.randomSecretKey();
  await writeKeyFile(path, 'zklora/delivery-key/v1', secret);
  return deliveryPublicKey(secret);
}

/** Public half of a buyer's key, 32 bytes, hex. */
export function deliveryPublicKey(secret: Uint8Array): string {
  return bytesToHex(x25519.getPublicKey(secret));
}

/** @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `SECRET_MALFORMED` */
export function readDeliveryKey(path: string): Promise<SecretFile> {
  return readKeyFile(path, 'zklora/delivery-key/v1', 'delivery key');
}

/**
 * Makes the master key of one delivery and writes its file with mode 0600; never replaces a file.
 *
 * @throws ZkLoraError `FILE_EXISTS`, `FILE_UNWRITABLE`
 */
export async function makeMasterKey(path: string): Promise<Uint8Array> {
  const secret = randomBytes(MASTER_KEY_BYTES);
  await writeKeyFile(path, 'zklora/master-key/v1', secret);
  return secret;
}

/** @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `SECRET_MALFORMED` */
export function readMasterKey(path: string): Promise<SecretFile> {
  return readKeyFile(path, 'zklora/master-key/v1', 'master key');
}

async function writeKeyFile(path: string, format: Format, secret: Uint8Array): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify({ format, secret: bytesToHex(secret) })}\n`, {
    mode: KEY_MODE,
  });
}

async function readKeyFile(path: string, format: Format, what: string): Promise<SecretFile> {
  const { bytes, mode } = await readFileWithMode(path, MAX_KEY_FILE_BYTES, what);
  const schema = z.strictObject({ format: z.literal(format), secret: hex32 });
  const parsed = schema.safeParse(parseJsonBytes(bytes, 'SECRET_MALFORMED', `the ${what} file`));
  if (!parsed.success) {
    throw new ZkLoraError(
      'SECRET_MALFORMED',
      `the ${what} file does not have the form of one; restore it from your backup`,
    );
  }
  return { secret: hexToBytes(parsed.data.secret), exposed: (mode & NOT_OWNER) !== 0 };
}
