import type { ErrorCode } from '../src/errors.js';

/** Proof valid, command done. */
export const EXIT_OK = 0;
/** Proof invalid or policy not met. */
export const EXIT_INVALID = 1;
/** Wrong usage or malformed input. */
export const EXIT_USAGE = 2;
/** Missing file, no connection. */
export const EXIT_ENVIRONMENT = 3;
/** A bug of ours (EX_SOFTWARE of sysexits.h). */
export const EXIT_BUG = 70;

const INVALID: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'CEREMONY_INCOMPLETE',
  'CHAIN_MISMATCH',
  'CHAIN_REFUSED',
  'CONTRIBUTOR_UNTRUSTED',
  'DELIVERY_MISMATCH',
  'LEAKAGE_BUDGET',
  'OFFER_REFUSED',
  'PARAMETERS_DEVELOPMENT',
]);

const ENVIRONMENT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ACCESS_REFUSED',
  'CHAIN_UNREACHABLE',
  'CONTRIBUTOR_REFUSED',
  'CONTRIBUTOR_UNREACHABLE',
  'DELIVERY_INCOMPLETE',
  'FILE_EXISTS',
  'FILE_NOT_FOUND',
  'FILE_UNREADABLE',
  'FILE_UNWRITABLE',
  'FOLDER_IN_USE',
  'LIMIT_REACHED',
  'SHUTTING_DOWN',
]);

/** Exit code for an error code. */
export function exitCodeOf(code: ErrorCode): number {
  if (code === 'INTERNAL') return EXIT_BUG;
  if (INVALID.has(code)) return EXIT_INVALID;
  return ENVIRONMENT.has(code) ? EXIT_ENVIRONMENT : EXIT_USAGE;
}
