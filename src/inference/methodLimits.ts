import { contributorMethods, reflectionMethods } from './grpcMethods.js';
import {
  MAX_MESSAGE_BYTES,
  MAX_REFLECTION_BYTES,
  MAX_SMALL_REQUEST_BYTES,
  MAX_UNANSWERED_LOOKUPS,
} from './limits.js';

/** What a stream of a method may send. */
export interface MethodLimits {
  /** Of one message. */
  readonly bytes: number;
  /**
   * Requests that have come in and are not answered. The library reads up to 16 messages ahead of the one that is
   * worked on, so that this bounds what a stream holds.
   */
  readonly unanswered: number;
}

/** @param path of the method, as in HTTP/2 */
export function limitsOf(path: string): MethodLimits {
  if (path === contributorMethods.apply.path) return { bytes: MAX_MESSAGE_BYTES, unanswered: 1 };
  if (path === reflectionMethods.serverReflectionInfo.path) {
    return { bytes: MAX_REFLECTION_BYTES, unanswered: MAX_UNANSWERED_LOOKUPS };
  }
  // All others take one request; what comes after it the library refuses by itself.
  return { bytes: MAX_SMALL_REQUEST_BYTES, unanswered: Number.POSITIVE_INFINITY };
}
