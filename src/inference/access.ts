import { type Metadata, ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { refusal, toWireError } from './refusal.js';
import type { AccessTokens } from './tokens.js';

/** Metadata key of the token, as in HTTP (RFC 6750). */
export const TOKEN_METADATA = 'authorization';

/** Methods for monitoring, which say nothing about adapter or sessions. */
const OPEN_PREFIX = '/grpc.health.v1.Health/';

/** Lets a call pass whose metadata carry a known token; the others end before a message is read. */
export function requireToken(tokens: AccessTokens): ServerInterceptor {
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, pass) => {
            if (method.path.startsWith(OPEN_PREFIX) || isKnown(tokens, metadata)) return pass(metadata);
            call.sendStatus(
              toWireError(
                refusal('UNAUTHENTICATED', 'ACCESS_REFUSED', 'the call carries no token that is known here'),
              ),
            );
          },
        }),
    });
}

function isKnown(tokens: AccessTokens, metadata: Metadata): boolean {
  const [authorization, ...more] = metadata.get(TOKEN_METADATA);
  return typeof authorization === 'string' && more.length === 0 && tokens.nameOf(authorization) !== undefined;
}
