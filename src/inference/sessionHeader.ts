import { z } from 'zod';
import { MAX_MODULES } from '../adapter/limits.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonText } from '../jsonText.js';
import type { SessionHeader } from '../protocol/session.js';
import { MAX_SESSION_CALLS } from '../protocol/sessionDigest.js';

/** The end of a session, close.json: both sides signed the same digest. */
export interface SessionClosing {
  readonly format: 'zklora/close/v1';
  readonly calls: number;
  /** Session digest, 32 bytes, hex. */
  readonly digest: string;
  /** Ed25519 over SHA-256("zklora/close/v1" 00 digest), 64 bytes, hex. */
  readonly userSignature: string;
  readonly contributorSignature: string;
}

export const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`));
export const moduleIndex = z
  .number()
  .int()
  .min(0)
  .max(MAX_MODULES - 1);

export const headerSchema = z.strictObject({
  format: z.literal('zklora/session/v1'),
  adapterId: hex(32),
  contributorKey: hex(32),
  userKey: hex(32),
  nonce: hex(32),
  inputs: z.array(z.array(moduleIndex).min(1).max(MAX_MODULES)).min(1).max(MAX_MODULES),
});

/** session.secret: what turns the rows of a session into salted leaves. */
export interface SessionSecret {
  readonly format: 'zklora/session-secret/v1';
  /** See {@link Session.seed}, 32 bytes, hex. */
  readonly seed: string;
}

const secretSchema = z.strictObject({
  format: z.literal('zklora/session-secret/v1'),
  seed: hex(32),
});

/** session.access: how the user comes back to a session. For the user alone. */
export interface SessionAccess {
  readonly format: 'zklora/session-access/v1';
  /** See `RemoteSession.id`, 16 bytes, hex. */
  readonly sessionId: string;
  /** Ed25519 seed of a key that was made for this session, 32 bytes, hex; null for a key that is kept elsewhere. */
  readonly userSecretKey: string | null;
}

const accessSchema = z.strictObject({
  format: z.literal('zklora/session-access/v1'),
  sessionId: hex(16),
  userSecretKey: hex(32).nullable(),
});

const closingSchema = z.strictObject({
  format: z.literal('zklora/close/v1'),
  calls: z.number().int().min(0).max(MAX_SESSION_CALLS),
  digest: hex(32),
  userSignature: hex(64),
  contributorSignature: hex(64),
});

/**
 * Reads session.json. Whether the modules fit an adapter is for `checkHeader` to say.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function parseSessionHeader(json: string): SessionHeader {
  return requireOrdered(parse(headerSchema, json, 'session.json'));
}

/** @throws ZkLoraError `SESSION_MALFORMED` for modules that are named twice or out of order */
export function requireOrdered(header: SessionHeader): SessionHeader {
  const modules = header.inputs.flat();
  const ordered = header.inputs.every((users) =>
    users.every((module, i) => i === 0 || module > users[i - 1]!),
  );
  const firsts = header.inputs.map((users) => users[0]!);
  const firstsOrdered = firsts.every((module, i) => i === 0 || module > firsts[i - 1]!);
  if (!ordered || !firstsOrdered || new Set(modules).size !== modules.length) {
    throw new ZkLoraError('SESSION_MALFORMED', 'session.json names its modules twice or out of order');
  }
  return header;
}

/**
 * Reads session.secret.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function parseSessionSecret(json: string): SessionSecret {
  return parse(secretSchema, json, 'session.secret');
}

/**
 * Reads session.access.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function parseSessionAccess(json: string): SessionAccess {
  return parse(accessSchema, json, 'session.access');
}

/**
 * Reads close.json.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function parseSessionClosing(json: string): SessionClosing {
  return parse(closingSchema, json, 'close.json');
}

function parse<T>(schema: z.ZodType<T>, json: string, what: string): T {
  const result = schema.safeParse(parseJsonText(json, 'SESSION_MALFORMED', what));
  if (result.success) return result.data;
  const path = result.error.issues[0]?.path.join('.') || 'top level';
  throw new ZkLoraError(
    'SESSION_MALFORMED',
    `${what} is not a session file of this version (at ${path.slice(0, 80)})`,
  );
}
