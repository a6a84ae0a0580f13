import { expect } from 'vitest';
import { type ErrorCode, ZkLoraError } from '../../src/errors.js';

/** The ZkLoraError that a call throws; any other error, or none, fails the test. */
export function refusal(call: () => unknown): ZkLoraError {
  try {
    call();
  } catch (error) {
    return checked(error);
  }
  throw new Error('nothing was refused');
}

/** The same for a promise. */
export async function refusalOf(promise: Promise<unknown>): Promise<ZkLoraError> {
  try {
    await promise;
  } catch (error) {
    return checked(error);
  }
  throw new Error('nothing was refused');
}

/** Runs a parser on hostile input: true when it accepts, false when it refuses with exactly this code. */
export function accepts(code: ErrorCode, call: () => unknown): boolean {
  try {
    call();
    return true;
  } catch (error) {
    expect(checked(error).code).toBe(code);
    return false;
  }
}

function checked(error: unknown): ZkLoraError {
  if (!(error instanceof ZkLoraError)) throw error;
  expect(error.message).not.toMatch(/[\r\n]/);
  return error;
}
