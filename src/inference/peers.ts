import { isIP } from 'node:net';
import { isLoopback } from './address.js';

/** Whom limits for one peer count together: an IPv4 address, an IPv6 /64 (one customer's line), this machine. */
export type Peer = string;

/** All connections from this machine. */
export const LOCAL_PEER: Peer = 'local';

/** Of a socket that is closed already. */
const UNKNOWN_PEER: Peer = 'unknown';

/** The peer behind an address as sockets report it. */
export function peerOf(remoteAddress: string | undefined): Peer {
  const address = (remoteAddress ?? '').replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '');
  if (isLoopback(address)) return LOCAL_PEER;
  if (isIP(address) === 4) return address;
  return isIP(address) === 6 ? prefixOf(address) : UNKNOWN_PEER;
}

/** The peer of a call, which names its address and port. */
export function peerOfCall(call: { getPeer(): string }): Peer {
  return peerOf(call.getPeer().replace(/:\d+$/, ''));
}

/** First 64 bits of an IPv6 address. */
function prefixOf(address: string): Peer {
  const [left = '', right] = address.split('::');
  const parts = (text: string) => text.split(':').filter((part) => part !== '');
  const head = parts(left);
  const tail = right === undefined ? [] : parts(right);
  // a dotted IPv4 tail stands for two groups, behind the first 64 bits
  const missing = 8 - head.length - tail.length - (address.includes('.') ? 1 : 0);
  const groups = [...head, ...Array<string>(right === undefined ? 0 : missing).fill('0'), ...tail];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
