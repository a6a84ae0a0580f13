import { isIP } from 'node:net';
import { ZkLoraError } from '../errors.js';

/** A host and port; the host has no brackets. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `host:port` or `[ipv6]:port`.
 *
 * @throws ZkLoraError `USAGE`
 */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9.-]{1,253})):([0-9]{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= 65535) || (match?.[1] !== undefined && isIP(host) !== 6)) {
    throw new ZkLoraError('USAGE', 'an address reads host:port, for example 127.0.0.1:7321');
  }
  return { host, port };
}

export function formatAddress({ host, port }: Address): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether a host name or address stays on this machine. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost' || host === '::1') return true;
  return isIP(host) === 4 && host.startsWith('127.');
}

/** How a connection is protected. */
export interface Protection {
  readonly tls: boolean;
  /** Plain text on an address beyond this machine is wanted. */
  readonly allowInsecure: boolean;
  /** The connection carries access tokens. */
  readonly tokens: boolean;
}

/**
 * Plain text only inside one machine, unless asked for, and never with tokens: whoever reads along could use them.
 *
 * @throws ZkLoraError `USAGE`
 */
export function requireProtected({ host }: Address, { tls, allowInsecure, tokens }: Protection): void {
  if (tls || isLoopback(host)) return;
  if (!allowInsecure) {
    throw new ZkLoraError(
      'USAGE',
      'connections to other machines are encrypted: give the fingerprint that the contributor prints, or the ' +
        'authority of its certificate; or say explicitly that an insecure connection is wanted',
    );
  }
  if (tokens) {
    throw new ZkLoraError('USAGE', 'tokens do not go over an insecure connection to other machines; use TLS');
  }
}
