import { type Command, InvalidArgumentError } from 'commander';
import { ZkLoraError } from '../src/errors.js';
import { readFileWithMode } from '../src/files.js';
import {
  type ClientTls,
  type ConnectOptions,
  DEFAULT_TIMEOUTS,
  MAX_TOKEN_FILE_BYTES,
  parseAddress,
  parseToken,
  readCertificates,
  tlsFromFiles,
} from '../src/inference/index.js';
import { positiveInteger } from './command.js';
import { NOT_OWNER, warnExposed } from './inputs.js';
import type { Terminal } from './terminal.js';

/** Flags of every command that connects to a contributor. */
export interface ConnectionFlags {
  fingerprint?: string;
  tlsCa?: string;
  tlsClientCert?: string;
  tlsClientKey?: string;
  tokenFile?: string;
  allowInsecure?: boolean;
  /** Seconds. */
  timeout?: number;
}

/** A day: a contributor that needs longer for one stage is not there. */
const MAX_TIMEOUT_S = 86_400;

/** Value of `--tls-ca` for the authorities that Node.js trusts. */
export const SYSTEM_AUTHORITIES = 'system';

/** Adds the flags of {@link ConnectionFlags} to a command. */
export function withConnection(command: Command): Command {
  return command
    .option('--fingerprint <hex>', "SHA-256 of the contributor's TLS certificate, as serve prints it", pin)
    .option('--tls-ca <file>', `PEM of the authority that issued the certificate, or "${SYSTEM_AUTHORITIES}"`)
    .option('--tls-client-cert <file>', 'PEM of your own certificate, for contributors that ask for one')
    .option('--tls-client-key <file>', 'PEM of its key')
    .option('--token-file <file>', 'file with the token that the contributor gave you')
    .option('--allow-insecure', 'speak plain text to another machine')
    .option(
      '--timeout <seconds>',
      `longest wait for one answer, such as for a stage of a forward pass, and again for room (default: ${DEFAULT_TIMEOUTS.answer / 1000})`,
      positiveInteger(MAX_TIMEOUT_S),
    );
}

/**
 * How to connect to a contributor.
 *
 * @param address host:port
 * @throws ZkLoraError `USAGE`, `CERTIFICATE_INVALID`, `TOKENS_MALFORMED`, `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export async function connectionOf(
  address: string,
  flags: ConnectionFlags,
  terminal: Terminal,
): Promise<ConnectOptions> {
  const tls = await tlsOf(flags, terminal);
  const token = flags.tokenFile === undefined ? undefined : await readToken(flags.tokenFile, terminal);
  return {
    address: parseAddress(address),
    ...(tls && { tls }),
    ...(token !== undefined && { token }),
    allowInsecure: flags.allowInsecure === true,
    ...(flags.timeout !== undefined && { timeouts: { answer: 1000 * flags.timeout } }),
    retry: {
      onWait: (ms) =>
        terminal.progress(`${address} has no room; asking again for ${Math.ceil(ms / 1000)} s at most`),
    },
  };
}

async function tlsOf(flags: ConnectionFlags, terminal: Terminal): Promise<ClientTls | undefined> {
  const { fingerprint, tlsCa, tlsClientCert, tlsClientKey } = flags;
  if (fingerprint !== undefined && tlsCa !== undefined) {
    throw new ZkLoraError(
      'USAGE',
      'give --fingerprint or --tls-ca, not both: a pinned certificate needs no authority',
    );
  }
  if ((tlsClientCert === undefined) !== (tlsClientKey === undefined)) {
    throw new ZkLoraError('USAGE', '--tls-client-cert and --tls-client-key go together');
  }
  const trust = await trustOf(fingerprint, tlsCa);
  if (trust === undefined) {
    if (tlsClientCert !== undefined) {
      throw new ZkLoraError('USAGE', 'a client certificate needs --fingerprint or --tls-ca');
    }
    return undefined;
  }
  if (flags.allowInsecure) {
    throw new ZkLoraError('USAGE', '--allow-insecure contradicts --fingerprint and --tls-ca; leave one out');
  }
  if (tlsClientCert === undefined || tlsClientKey === undefined) return { trust };
  const { key, certificate, exposed } = await tlsFromFiles({ certificate: tlsClientCert, key: tlsClientKey });
  warnExposed(exposed, tlsClientKey, terminal);
  return { trust, own: { certificate, key } };
}

async function trustOf(
  fingerprint: string | undefined,
  tlsCa: string | undefined,
): Promise<ClientTls['trust'] | undefined> {
  if (fingerprint !== undefined) return { kind: 'pin', fingerprint };
  if (tlsCa === undefined) return undefined;
  if (tlsCa === SYSTEM_AUTHORITIES) return { kind: 'system' };
  return { kind: 'authorities', pem: await readCertificates(tlsCa, 'TLS authority') };
}

async function readToken(path: string, terminal: Terminal): Promise<string> {
  const { bytes, mode } = await readFileWithMode(path, MAX_TOKEN_FILE_BYTES, 'token file');
  warnExposed((mode & NOT_OWNER) !== 0, path, terminal);
  return parseToken(new TextDecoder().decode(bytes));
}

/** 64 hex digits, also in upper case and with the colons that other tools print. */
function pin(text: string): string {
  const hex = text.replaceAll(':', '').toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(hex)) throw new InvalidArgumentError('expected 64 hex digits');
  return hex;
}
