import { BaseError, ContractFunctionRevertedError } from 'viem';
import { expect } from 'vitest';

/** Expects a call to revert with a custom error of the contract. */
export async function expectRevert(
  call: Promise<unknown>,
  name: string,
  what?: string,
): Promise<readonly unknown[]> {
  try {
    await call;
  } catch (error) {
    const revert =
      error instanceof BaseError
        ? error.walk((one) => one instanceof ContractFunctionRevertedError)
        : undefined;
    if (!(revert instanceof ContractFunctionRevertedError)) throw error;
    expect(revert.data?.errorName ?? revert.reason ?? revert.signature, what).toBe(name);
    return revert.data?.args ?? [];
  }
  return expect.fail(`no revert ${name}${what ? `: ${what}` : ''}`);
}
