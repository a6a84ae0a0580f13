import { ZkLoraError } from '../errors.js';
import type { SessionHeader } from '../protocol/session.js';
import { MAX_CALL_TOKENS } from '../protocol/sessionDigest.js';
import {
  CALL_TENSOR_OVERHEAD_BYTES,
  MAX_CALL_FILE_BYTES,
  MAX_MESSAGE_BYTES,
  MESSAGE_OVERHEAD_BYTES,
} from './limits.js';

/** Bytes of one activation, of one exponent, of one delta. */
const ACTIVATION_BYTES = 2;
const EXPONENT_BYTES = 2;
const DELTA_BYTES = 8;

interface ModuleShape {
  readonly inFeatures: number;
  readonly outFeatures: number;
}

type Inputs = Pick<SessionHeader, 'inputs'>;

/**
 * Upper bound of a whole call's size in memory and in its file: fixed by header and tokens, known before the first
 * stage is answered. Off by less than {@link CALL_TENSOR_OVERHEAD_BYTES} for each tensor.
 */
export function callBytes(header: Inputs, modules: readonly ModuleShape[], tokens: number): number {
  let rowBytes = 0;
  for (const users of header.inputs) {
    rowBytes += inputRowBytes(modules, users);
    for (const module of users) rowBytes += DELTA_BYTES * modules[module]!.outFeatures;
  }
  const tensors = 2 * header.inputs.length + header.inputs.flat().length;
  return tokens * rowBytes + (tensors + 1) * CALL_TENSOR_OVERHEAD_BYTES;
}

/** Upper bounds of the two messages of one stage. @param inputs indices into the header's inputs */
export function stageBytes(
  header: Inputs,
  modules: readonly ModuleShape[],
  tokens: number,
  inputs: readonly number[],
): { request: number; response: number } {
  let request = MESSAGE_OVERHEAD_BYTES;
  let response = MESSAGE_OVERHEAD_BYTES;
  for (const input of inputs) {
    const users = header.inputs[input]!;
    request += MESSAGE_OVERHEAD_BYTES + tokens * inputRowBytes(modules, users);
    for (const module of users) {
      response += MESSAGE_OVERHEAD_BYTES + DELTA_BYTES * tokens * modules[module]!.outFeatures;
    }
  }
  return { request, response };
}

/**
 * Refuses a call that the other side would have to refuse at some stage, before anything is sent of it.
 *
 * @param stages inputs of each stage
 * @throws ZkLoraError `USAGE`
 */
export function requireCallFits(
  header: Inputs,
  modules: readonly ModuleShape[],
  tokens: number,
  stages: readonly (readonly number[])[],
): void {
  if (tokens > MAX_CALL_TOKENS) {
    throw new ZkLoraError('USAGE', `a call takes at most ${MAX_CALL_TOKENS} tokens; use a smaller batch`);
  }
  if (callBytes(header, modules, tokens) > MAX_CALL_FILE_BYTES) {
    throw new ZkLoraError(
      'USAGE',
      `a call of ${tokens} tokens is larger than ${MAX_CALL_FILE_BYTES} bytes; use a smaller batch`,
    );
  }
  for (const inputs of stages) {
    const { request, response } = stageBytes(header, modules, tokens, inputs);
    if (Math.max(request, response) <= MAX_MESSAGE_BYTES) continue;
    throw new ZkLoraError(
      'USAGE',
      `${tokens} tokens in one call pass the message limit; use a smaller batch`,
    );
  }
}

function inputRowBytes(modules: readonly ModuleShape[], users: readonly number[]): number {
  return ACTIVATION_BYTES * modules[users[0]!]!.inFeatures + EXPONENT_BYTES;
}
