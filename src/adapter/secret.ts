import { z } from 'zod';
import { bytesToHex, hexToBytes } from '../bytes.js';
import { ed25519PublicKey } from '../ed25519PublicKey.js';
import { ZkLoraError } from '../errors.js';
import { readFileWithMode, writeFileAtomic } from '../files.js';
import { parseJsonText } from '../jsonText.js';
import { adapterId } from './commitment.js';
import type { AdapterCommitment } from './types.js';

export { deriveBlinder, type ModuleBlinders, moduleBlinders } from './blinders.js';

/** adapter.secret: what opens the commitment and speaks for the contributor. Never in a proof, log or error. */
export interface AdapterSecret {
  readonly format: 'zklora/secret/v1';
  /** Id of the adapter it belongs to, 32 bytes, hex. */
  readonly adapterId: string;
  /** Key of all row blinders, 32 random bytes, hex. */
  readonly blindingSecret: string;
  /** Ed25519 seed of the contributor, 32 bytes, hex. */
  readonly contributorSecretKey: string;
}

/** A secret as read from disk. */
export interface ReadSecret {
  readonly secret: AdapterSecret;
  /** Whether the file's group or others have any permission on it: worth a warning. */
  readonly exposed: boolean;
}

/** The file has four short fields. */
const MAX_SECRET_BYTES = 4096;
/** Read and write for the owner, nothing for others. */
const SECRET_MODE = 0o600;
const NOT_OWNER = 0o077;

const hex32 = z.string().regex(/^[0-9a-f]{64}$/);
const schema = z.strictObject({
  format: z.literal('zklora/secret/v1'),
  adapterId: hex32,
  blindingSecret: hex32,
  contributorSecretKey: hex32,
});

/**
 * Parses adapter.secret (docs/formats.md, "Secret"). Messages never repeat any of it.
 *
 * @throws ZkLoraError `SECRET_MALFORMED`
 */
export function parseAdapterSecret(json: string): AdapterSecret {
  if (json.length > MAX_SECRET_BYTES) throw malformed();
  const parsed = schema.safeParse(parseJsonText(json, 'SECRET_MALFORMED', 'the secret file'));
  if (!parsed.success) throw malformed();
  return parsed.data;
}

/**
 * Reads adapter.secret.
 *
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `SECRET_MALFORMED`
 */
export async function readAdapterSecret(path: string): Promise<ReadSecret> {
  const { bytes, mode } = await readFileWithMode(path, MAX_SECRET_BYTES, 'secret file');
  return { secret: parseAdapterSecret(new TextDecoder().decode(bytes)), exposed: (mode & NOT_OWNER) !== 0 };
}

/**
 * Writes adapter.secret with mode 0600, whole or not at all; never replaces a file, since a lost secret cannot be
 * made again.
 *
 * @throws ZkLoraError `FILE_EXISTS`, `FILE_UNWRITABLE`
 */
export async function writeAdapterSecret(path: string, secret: AdapterSecret): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(secret, null, 2)}\n`, { mode: SECRET_MODE });
}

/**
 * Checks that a secret belongs to a commitment: same adapter id, and its key is the contributor's.
 *
 * @param id of the commitment, where the caller has it: computing it takes milliseconds for a large adapter
 * @throws ZkLoraError `SECRET_MISMATCH`
 */
export function assertSecretMatches(
  secret: AdapterSecret,
  commitment: AdapterCommitment,
  id = adapterId(commitment),
): void {
  const key = bytesToHex(ed25519PublicKey(hexToBytes(secret.contributorSecretKey)));
  if (secret.adapterId === id && key === commitment.contributorKey) return;
  throw new ZkLoraError(
    'SECRET_MISMATCH',
    'the secret file belongs to another adapter commitment; use the two files of one registration',
  );
}

function malformed(): ZkLoraError {
  return new ZkLoraError(
    'SECRET_MALFORMED',
    'the secret file does not have the form of adapter.secret; restore it from your backup or register again',
  );
}
