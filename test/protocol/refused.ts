import { expect } from 'vitest';
import { type ErrorCode, ZkLoraError } from '../../src/errors.js';

/** What must be refused: with this code, and a message of one line that says this. */
export async function expectRefused(work: () => unknown, code: ErrorCode, says: RegExp): Promise<void> {
  let failure: unknown;
  try {
    await work();
  } catch (error) {
    failure = error;
  }
  expect(failure).toBeInstanceOf(ZkLoraError);
  const { code: actual, message } = failure as ZkLoraError;
  expect([actual, message]).toEqual([code, expect.stringMatching(says)]);
  expect(message).not.toContain('\n');
}
