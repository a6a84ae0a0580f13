import { int16FromBytes } from '../littleEndian.js';
import type { ActivationRows, SessionHeader } from '../protocol/session.js';
import { MAX_CALL_TOKENS, MAX_EXPONENT, MAX_SESSION_CALLS } from '../protocol/sessionDigest.js';
import { callBytes, stageBytes } from './callSizes.js';
import { MAX_CALL_FILE_BYTES, MAX_MESSAGE_BYTES } from './limits.js';
import type { SessionRecord } from './record.js';
import { refusal } from './refusal.js';

/** One stage of a call as it comes over the wire. */
export interface StageRequest {
  readonly call: number;
  readonly stage: number;
  readonly tokens: number;
  /** int16 rows and exponents, little-endian. */
  readonly inputs: readonly InputBytes[];
}

export interface InputBytes {
  readonly input: number;
  readonly rows: Uint8Array;
  readonly exponents: Uint8Array;
}

/** A call of which some stages have been answered. */
export interface PendingCall {
  readonly tokens: number;
  /** Upper bound of the whole call, see {@link callBytes}. */
  readonly bytes: number;
  /** Digests of the requests that were answered, by stage. */
  readonly requests: string[];
  /** Inputs of the session that came in. */
  readonly inputs: Set<number>;
}

interface ModuleShape {
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/**
 * Checks the order of a stage and the sizes it asks for, before anything is decoded. Stage 0 fixes the size of
 * the whole call.
 *
 * @param pending the call under way, if any
 * @returns the call that the stage belongs to: a fresh one without `pending`
 * @throws ZkLoraError `SESSION_MISMATCH`, `SESSION_MALFORMED`
 */
export function checkStage(
  { header, callCount }: SessionRecord,
  pending: PendingCall | undefined,
  modules: readonly ModuleShape[],
  request: StageRequest,
): PendingCall {
  const { tokens, stage } = request;
  if (request.call !== callCount) {
    throw refusal('FAILED_PRECONDITION', 'SESSION_MISMATCH', `the next call is number ${callCount}`);
  }
  if (tokens < 1 || tokens > MAX_CALL_TOKENS) {
    throw refusal('INVALID_ARGUMENT', 'SESSION_MALFORMED', `a call has 1 to ${MAX_CALL_TOKENS} tokens`);
  }
  if (callCount >= MAX_SESSION_CALLS) {
    throw refusal('RESOURCE_EXHAUSTED', 'SESSION_MALFORMED', 'the session is full; close it, open another');
  }
  const call = pending ?? newCall(header, modules, tokens);
  if (stage !== call.requests.length || tokens !== call.tokens) {
    throw refusal(
      'FAILED_PRECONDITION',
      'SESSION_MISMATCH',
      'the stages of a call come in order, equally long',
    );
  }
  if (request.inputs.length === 0) {
    throw refusal('INVALID_ARGUMENT', 'SESSION_MALFORMED', 'a stage has at least one input');
  }
  let previous = -1;
  for (const { input } of request.inputs) {
    const users = header.inputs[input];
    if (users === undefined || input <= previous || call.inputs.has(input)) {
      throw refusal(
        'INVALID_ARGUMENT',
        'SESSION_MALFORMED',
        'inputs come once in a call, ascending in a stage',
      );
    }
    previous = input;
  }
  const asked = request.inputs.map(({ input }) => input);
  if (stageBytes(header, modules, tokens, asked).response > MAX_MESSAGE_BYTES) {
    throw refusal(
      'RESOURCE_EXHAUSTED',
      'SESSION_MALFORMED',
      'the deltas of a stage pass the message limit; send fewer tokens in a call',
    );
  }
  return call;
}

function newCall(header: SessionHeader, modules: readonly ModuleShape[], tokens: number): PendingCall {
  const bytes = callBytes(header, modules, tokens);
  if (bytes > MAX_CALL_FILE_BYTES) {
    throw refusal(
      'RESOURCE_EXHAUSTED',
      'SESSION_MALFORMED',
      `a call of ${tokens} tokens is larger than ${MAX_CALL_FILE_BYTES} bytes; send fewer tokens in a call`,
    );
  }
  return { tokens, bytes, requests: [], inputs: new Set() };
}

/**
 * Activations of one input.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function decodeRows(
  header: SessionHeader,
  modules: readonly ModuleShape[],
  tokens: number,
  { input, rows, exponents }: InputBytes,
): ActivationRows {
  const { inFeatures } = modules[header.inputs[input]![0]!]!;
  const decoded = {
    x: int16FromBytes(rows, tokens * inFeatures, `rows of input ${input}`),
    exponents: int16FromBytes(exponents, tokens, `exponents of input ${input}`),
  };
  if (decoded.exponents.some((exponent) => Math.abs(exponent) > MAX_EXPONENT)) {
    throw refusal('INVALID_ARGUMENT', 'SESSION_MALFORMED', `an exponent of input ${input} is out of range`);
  }
  return decoded;
}
