import { canonicalJson, labelledSha256 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { holdsInt64Min } from '../littleEndian.js';
import { type SessionCall, type SessionHeader, sessionModules } from './session.js';

/** Shape of an adapter module as far as a session depends on it. */
export interface ModuleShape {
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/** Tokens of one call: 2^15 rows keep every intermediate buffer far below 2 GiB. */
export const MAX_CALL_TOKENS = 2 ** 15;

/** Entries of one array of a call: its bytes then fit 32 bits. */
const MAX_CALL_ENTRIES = 2 ** 28;

/** Calls of one session: their fingerprints are held in memory. */
export const MAX_SESSION_CALLS = 2 ** 20;

/** Power-of-two exponents of activations: wide enough for every float32, narrow enough for float64 products. */
export const MAX_EXPONENT = 512;

function malformed(message: string): ZkLoraError {
  return new ZkLoraError('SESSION_MALFORMED', message);
}

/**
 * Checks that a call fits the session and the adapter: counts, sizes, ranges.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function checkCall(header: SessionHeader, modules: readonly ModuleShape[], call: SessionCall): void {
  const { tokens } = call;
  if (!Number.isInteger(tokens) || tokens < 1 || tokens > MAX_CALL_TOKENS) {
    throw malformed(`a call takes 1 to ${MAX_CALL_TOKENS} tokens, not ${tokens}`);
  }
  const members = sessionModules(header);
  if (call.inputs.length !== header.inputs.length || call.outputs.length !== members.length) {
    throw malformed('a call does not have the inputs and outputs that its session names');
  }
  header.inputs.forEach((users, i) => {
    const { x, exponents } = call.inputs[i]!;
    if (x.length > MAX_CALL_ENTRIES) throw malformed('a call is too large: use fewer tokens a call');
    if (x.length !== tokens * modules[users[0]!]!.inFeatures || exponents.length !== tokens) {
      throw malformed(`activations of input ${i} do not have the size of their module`);
    }
    if (exponents.some((e) => e < -MAX_EXPONENT || e > MAX_EXPONENT)) {
      throw malformed(`an exponent of input ${i} is outside [-${MAX_EXPONENT}, ${MAX_EXPONENT}]`);
    }
  });
  members.forEach((module, i) => {
    const y = call.outputs[i]!;
    if (y.length > MAX_CALL_ENTRIES) throw malformed('a call is too large: use fewer tokens a call');
    if (y.length !== tokens * modules[module]!.outFeatures) {
      throw malformed(`deltas of module ${module} do not have the size of their module`);
    }
    if (holdsInt64Min(y)) throw malformed(`a delta of module ${module} is -2^63`);
  });
}

/**
 * Checks a header against the adapter: inputs non-empty and ordered, every module known and named once, modules
 * of one input equally wide.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function checkHeader(header: SessionHeader, modules: readonly ModuleShape[]): void {
  if (header.inputs.length === 0) throw malformed('session names no module');
  const seen = new Set<number>();
  let previousFirst = -1;
  for (const users of header.inputs) {
    let previous = -1;
    for (const module of users) {
      const shape = modules[module];
      if (!shape) throw malformed(`session names module ${module}, which the adapter does not have`);
      if (module <= previous || seen.has(module)) throw malformed('session names its modules out of order');
      if (shape.inFeatures !== modules[users[0]!]!.inFeatures) {
        throw malformed('modules of one input differ in width');
      }
      seen.add(module);
      previous = module;
    }
    if (users.length === 0 || users[0]! <= previousFirst) throw malformed('session inputs are out of order');
    previousFirst = users[0]!;
  }
}

/** SHA-256 of the canonical JSON of a header. */
export function headerDigest(header: SessionHeader): Uint8Array {
  return labelledSha256('zklora/session/header/v1', canonicalJson(header));
}
