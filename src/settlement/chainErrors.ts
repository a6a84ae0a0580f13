import { BaseError, ContractFunctionRevertedError, InsufficientFundsError } from 'viem';
import { ZkLoraError } from '../errors.js';

/** What each custom error of AdapterEscrow.sol means for the caller; the others are explained by their names. */
const REVERTS: Readonly<Record<string, string>> = {
  WrongState:
    'the escrow of this offer is in another state than the call needs; zklora settle status shows it',
  NotContributor: "only the offer's contributor can do this; use the account that signed the offer",
  NotBuyer: "only the offer's buyer can do this; use the account that the offer names",
  SignatureInvalid: 'the offer is not signed by its contributor; ask for the offer again',
  WindowInvalid: "the offer's windows are outside the contract's limits; ask for another offer",
  TooLate: 'the last second for this has passed',
  TooEarly: 'it is too early for this; zklora settle status shows the deadline',
  KeyInvalid: "the key is not the offer's key; use the master.key of this delivery",
  BalanceTooSmall:
    "the account's balance in the escrow contract is too small; the contributor has to deposit its stake first",
  ValueInvalid: "another amount of the chain's coin than the call needs",
  TokenFailed: 'the token refused the transfer; check its balance and allowance',
  AmountReceivedInvalid: 'the token moved another amount than asked for; such tokens are not supported',
  PaymentRefused: 'the receiver refused the payment; choose another receiver',
  RowIsRegistered: 'the delivered row is the registered one: there is no fraud to prove',
};

/**
 * An error of viem as one of ours. URL, request and account are left out of the message: the URL may hold an API key.
 */
export function chainError(error: unknown): ZkLoraError {
  if (error instanceof ZkLoraError) return error;
  if (error instanceof BaseError) {
    const reverted = error.walk((each) => each instanceof ContractFunctionRevertedError);
    if (reverted instanceof ContractFunctionRevertedError) return refusal(reverted);
    if (error.walk((each) => each instanceof InsufficientFundsError)) {
      return new ZkLoraError('CHAIN_REFUSED', 'the account cannot pay for the transaction; send it funds', {
        details: { revert: 'InsufficientFunds' },
      });
    }
    const coded = error.walk((each) => typeof (each as { code?: unknown }).code === 'number');
    const rpcCode = (coded as { code?: number } | null)?.code;
    return new ZkLoraError(
      'CHAIN_UNREACHABLE',
      'the chain node does not answer, or not as it should; check its address, and the state before you repeat the call',
      { details: rpcCode === undefined ? {} : { rpcCode } },
    );
  }
  throw error;
}

function refusal(reverted: ContractFunctionRevertedError): ZkLoraError {
  const name = reverted.data?.errorName ?? 'unknown';
  const args = (reverted.data?.args ?? []).map(String).join(', ');
  const meaning = REVERTS[name] ?? 'the contract refused the call';
  return new ZkLoraError('CHAIN_REFUSED', `${meaning} (${name}${args && ` ${args}`})`, {
    details: { revert: name, ...(args === '' ? {} : { args }) },
  });
}
