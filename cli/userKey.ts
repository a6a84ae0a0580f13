import type { Command } from 'commander';
import { hexToBytes } from '../src/bytes.js';
import { makeSigningKey, readSigningKey, type SigningKey } from '../src/checkpoint/index.js';
import { ZkLoraError } from '../src/errors.js';
import type { KeyPair } from '../src/inference/index.js';
import { warnExposed } from './inputs.js';
import type { Terminal } from './terminal.js';

/** Adds `--user-key` to a command that opens sessions. */
export function withUserKey(command: Command): Command {
  return command.option(
    '--user-key <file>',
    'your key towards contributors, made on first use; without it, a fresh one for each session',
  );
}

/**
 * The key of `--user-key`; undefined without the flag.
 *
 * @throws ZkLoraError `SECRET_MALFORMED`, `FILE_UNREADABLE`, `FILE_UNWRITABLE`
 */
export async function userKeyOf(
  { userKey }: { userKey?: string },
  terminal: Terminal,
): Promise<KeyPair | undefined> {
  if (userKey === undefined) return undefined;
  const { secretKey, publicKey, exposed } = await readOrMake(userKey, terminal);
  warnExposed(exposed, userKey, terminal);
  return { secretKey, publicKey: hexToBytes(publicKey) };
}

async function readOrMake(path: string, terminal: Terminal): Promise<SigningKey> {
  try {
    return await readSigningKey(path, 'user');
  } catch (error) {
    if (!(error instanceof ZkLoraError) || error.code !== 'FILE_NOT_FOUND') throw error;
    terminal.note(`made a user key in ${path}; its public half is ${await makeSigningKey(path, 'user')}`);
    return readSigningKey(path, 'user');
  }
}
