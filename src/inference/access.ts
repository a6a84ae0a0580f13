import type { Metadata } from '@grpc/grpc-js';
import { refusal } from './refusal.js';
import type { AccessTokens } from './tokens.js';

/** Metadata key of the token, as in HTTP (RFC 6750). */
export const TOKEN_METADATA = 'authorization';

/** Methods for monitoring, which say nothing about adapter or sessions. */
const OPEN_PREFIX = '/grpc.health.v1.Health/';

/** Whether anybody may call a method, without a token. */
export function isOpen(path: string): boolean {
  return path.startsWith(OPEN_PREFIX);
}

/**
 * Lets a call pass whose metadata carry one known token.
 *
 * @throws ZkLoraError `ACCESS_REFUSED`
 */
export function requireAccess(tokens: AccessTokens, path: string, metadata: Metadata): void {
  if (isOpen(path)) return;
  const [authorization, ...more] = metadata.get(TOKEN_METADATA);
  const isKnown =
    typeof authorization === 'string' && more.length === 0 && tokens.nameOf(authorization) !== undefined;
  if (isKnown) return;
  throw refusal('UNAUTHENTICATED', 'ACCESS_REFUSED', 'the call carries no token that is known here');
}
