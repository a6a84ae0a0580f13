import type { Command } from 'commander';
import { ZkLoraError } from '../src/errors.js';
import { readFileWithMode } from '../src/files.js';
import {
  AccessTokens,
  type Address,
  isLoopback,
  MAX_TOKEN_FILE_BYTES,
  ownTls,
  readCertificates,
  type ServeOptions,
  type ServerTls,
  tlsFromFiles,
} from '../src/inference/index.js';
import { NOT_OWNER, warnExposed } from './inputs.js';
import type { Terminal } from './terminal.js';

/** Flags that say how a service is secured, and who may call it. */
export interface AccessFlags {
  tlsDir?: string;
  tlsCert?: string;
  tlsKey?: string;
  tlsClientCa?: string;
  tokens?: string;
  allowInsecure?: boolean;
}

/** Where the key and certificate lie that serve makes for itself. */
const DEFAULT_TLS_DIR = 'zklora-tls';

/** Adds the flags of {@link AccessFlags} to a command. */
export function withAccess(command: Command): Command {
  return command
    .option(
      '--tls-dir <dir>',
      `folder of the key and certificate that are made on first use (beyond loopback: ${DEFAULT_TLS_DIR})`,
    )
    .option('--tls-cert <file>', 'PEM of your own certificate, intermediate ones behind it')
    .option('--tls-key <file>', 'PEM of its key')
    .option('--tls-client-ca <file>', 'only users whose certificate this authority issued (PEM)')
    .option('--tokens <file>', 'only users with one of these tokens: a name and a token on each line')
    .option('--allow-insecure', 'serve plain text on an address that other machines can reach');
}

/**
 * How a service on an address is secured: TLS beyond loopback, and wherever a flag asks for it.
 *
 * @throws ZkLoraError `USAGE`, `CERTIFICATE_INVALID`, `TOKENS_MALFORMED`, `FILE_NOT_FOUND`, `FILE_UNREADABLE`,
 * `FILE_UNWRITABLE`
 */
export async function accessOf(
  address: Address,
  flags: AccessFlags,
  terminal: Terminal,
): Promise<Pick<ServeOptions, 'tls' | 'tokens' | 'allowInsecure'>> {
  const tls = await tlsOf(address, flags);
  if (tls) warnExposed(tls.exposed, flags.tlsKey ?? flags.tlsDir ?? DEFAULT_TLS_DIR, terminal);
  const tokens = flags.tokens === undefined ? undefined : await readTokens(flags.tokens, terminal);
  return {
    ...(tls && { tls }),
    ...(tokens && { tokens }),
    allowInsecure: flags.allowInsecure === true,
  };
}

async function tlsOf(address: Address, flags: AccessFlags): Promise<ServerTls | undefined> {
  const { tlsDir, tlsCert, tlsKey, tlsClientCa, allowInsecure } = flags;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new ZkLoraError('USAGE', '--tls-cert and --tls-key go together');
  }
  if (tlsCert !== undefined && tlsDir !== undefined) {
    throw new ZkLoraError('USAGE', 'give --tls-dir, or --tls-cert and --tls-key, not both');
  }
  const asked = tlsDir !== undefined || tlsCert !== undefined || tlsClientCa !== undefined;
  if (asked && allowInsecure) {
    throw new ZkLoraError('USAGE', '--allow-insecure contradicts the flags for TLS; leave one out');
  }
  if (!asked && (allowInsecure || isLoopback(address.host))) return undefined;
  const own =
    tlsCert !== undefined && tlsKey !== undefined
      ? await tlsFromFiles({ certificate: tlsCert, key: tlsKey })
      : await ownTls(tlsDir ?? DEFAULT_TLS_DIR);
  if (tlsClientCa === undefined) return own;
  return { ...own, clientCa: await readCertificates(tlsClientCa, 'authority of client certificates') };
}

async function readTokens(path: string, terminal: Terminal): Promise<AccessTokens> {
  const { bytes, mode } = await readFileWithMode(path, MAX_TOKEN_FILE_BYTES, 'list of tokens');
  warnExposed((mode & NOT_OWNER) !== 0, path, terminal);
  return AccessTokens.parse(new TextDecoder().decode(bytes));
}
