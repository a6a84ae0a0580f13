import type { Command } from 'commander';
import type { LocalAccount } from 'viem';
import { ZkLoraError } from '../src/errors.js';
import { EscrowChain, MAX_CONFIRMATIONS } from '../src/settlement/chain.js';
import type { EscrowAddress } from '../src/settlement/index.js';
import { positiveInteger } from './command.js';

/** An RPC address often holds an API key, so it may come from the environment too. */
const RPC_VARIABLE = 'ZKLORA_RPC_URL';

/** How deep a block has to be where the user says nothing: enough for a chain that rarely reorganises. */
const DEFAULT_CONFIRMATIONS = 3;

export interface ChainOptions {
  rpc?: string;
  confirmations: number;
}

/**
 * For a step that cannot be taken back, where the user says nothing: two epochs of Ethereum, after which a block is final.
 */
export const FINAL_CONFIRMATIONS = 64;

/** Adds the options that name the chain node. */
export function withChain(command: Command, confirmations = DEFAULT_CONFIRMATIONS): Command {
  return command
    .option('--rpc <url>', `JSON-RPC endpoint of your chain node; or in ${RPC_VARIABLE}`)
    .option(
      '--confirmations <n>',
      'blocks after which something counts',
      positiveInteger(MAX_CONFIRMATIONS),
      confirmations,
    );
}

/** Connects to the contract of an offer. @throws ZkLoraError `USAGE`, `CHAIN_UNREACHABLE`, `CHAIN_MISMATCH` */
export function connectChain(
  { rpc, confirmations }: ChainOptions,
  escrow: EscrowAddress,
  account?: LocalAccount,
): Promise<EscrowChain> {
  const node = rpc ?? process.env[RPC_VARIABLE];
  if (node === undefined) {
    throw new ZkLoraError('USAGE', `no chain node: give --rpc, or its address in ${RPC_VARIABLE}`);
  }
  return EscrowChain.connect({ node, escrow, confirmations, ...(account ? { account } : {}) });
}
