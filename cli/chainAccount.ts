import type { Command } from 'commander';
import type { LocalAccount } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { bytesToHex, hexToBytes } from '../src/bytes.js';
import { ZkLoraError } from '../src/errors.js';
import { readFileWithMode } from '../src/files.js';
import { MAX_KEYSTORE_BYTES, openKeystore } from '../src/settlement/keystore.js';
import type { Terminal } from './terminal.js';

/** Names of the environment variables that keys come from; the command line shows up in process lists. */
const KEY_VARIABLE = 'ZKLORA_CHAIN_KEY';
export const PASSWORD_VARIABLE = 'ZKLORA_KEYSTORE_PASSWORD';

export interface AccountOptions {
  keystore?: string;
}

/** Adds the option that names the account. */
export function withAccount(command: Command): Command {
  return command.option(
    '--keystore <file>',
    `your chain account: Web3 secret storage v3, its password in ${PASSWORD_VARIABLE}; without it the key itself in ${KEY_VARIABLE}`,
  );
}

/**
 * The account that signs, from a keystore file or the environment. Never repeats any of it.
 *
 * @throws ZkLoraError `USAGE` when there is none, `KEYSTORE_MALFORMED`
 */
export async function loadAccount({ keystore }: AccountOptions, terminal: Terminal): Promise<LocalAccount> {
  const { [KEY_VARIABLE]: key, [PASSWORD_VARIABLE]: password } = process.env;
  if (keystore === undefined) {
    if (key === undefined) {
      throw new ZkLoraError('USAGE', `no chain account: give --keystore, or the key in ${KEY_VARIABLE}`);
    }
    return accountOf(key.startsWith('0x') ? key.slice(2) : key);
  }
  if (password === undefined) {
    throw new ZkLoraError('USAGE', `the keystore needs its password in ${PASSWORD_VARIABLE}`);
  }
  const { bytes, mode } = await readFileWithMode(keystore, MAX_KEYSTORE_BYTES, 'keystore');
  if ((mode & 0o077) !== 0) terminal.note(`warning: ${keystore} is readable by others: run chmod 600 on it`);
  terminal.progress('decrypting the keystore');
  return accountOf(bytesToHex(await openKeystore(bytes, password)));
}

function accountOf(hex: string): LocalAccount {
  try {
    return privateKeyToAccount(`0x${bytesToHex(hexToBytes(hex))}`);
  } catch {
    // the library's own error repeats the key
    throw new ZkLoraError('USAGE', `${KEY_VARIABLE} is no secp256k1 key: 64 hex digits`);
  }
}
