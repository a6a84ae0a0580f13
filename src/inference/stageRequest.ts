import type { ActivationRows, SessionHeader } from '../protocol/session.js';
import { MAX_CALL_TOKENS, MAX_EXPONENT } from '../protocol/sessionDigest.js';
import { MAX_MESSAGE_BYTES, MESSAGE_OVERHEAD_BYTES } from './limits.js';
import { int16FromBytes } from './littleEndian.js';
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
  nextStage: number;
  /** One place for each input of the session. */
  readonly inputs: (ActivationRows | undefined)[];
  /** By module. */
  readonly outputs: Map<number, BigInt64Array>;
}

interface ModuleShape {
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/**
 * Checks the order of a stage and the sizes it asks for, before anything is decoded.
 *
 * @param pending the call under way, if any
 * @returns the call that the stage belongs to: a fresh one for stage 0
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
  const call: PendingCall | undefined =
    stage === 0
      ? { tokens, nextStage: 0, inputs: header.inputs.map(() => undefined), outputs: new Map() }
      : pending;
  if (call === undefined || stage !== call.nextStage || tokens !== call.tokens) {
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
  let answerBytes = MESSAGE_OVERHEAD_BYTES;
  for (const { input } of request.inputs) {
    const users = header.inputs[input];
    if (users === undefined || input <= previous || call.inputs[input] !== undefined) {
      throw refusal(
        'INVALID_ARGUMENT',
        'SESSION_MALFORMED',
        'inputs come once in a call, ascending in a stage',
      );
    }
    previous = input;
    for (const module of users) {
      answerBytes += MESSAGE_OVERHEAD_BYTES + 8 * tokens * modules[module]!.outFeatures;
    }
  }
  if (answerBytes > MAX_MESSAGE_BYTES) {
    throw refusal(
      'RESOURCE_EXHAUSTED',
      'SESSION_MALFORMED',
      'the deltas of a stage pass the message limit; send fewer tokens in a call',
    );
  }
  return call;
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
