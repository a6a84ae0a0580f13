import { type Address, bytesToHex, type Hex, toHex } from 'viem';
import {
  BASE_FEE,
  type DevCall,
  type DevChain,
  type DevLog,
  type DevSnapshot,
  type MinedTransaction,
  TRANSACTION_GAS,
} from './devChain.js';

/** A JSON-RPC error with its code and, for a revert, the data. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  constructor(
    readonly code: number,
    message: string,
    readonly data?: Hex,
  ) {
    super(message);
  }
}

/** Codes of JSON-RPC and, for a revert, of geth. */
const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;
const TRANSACTION_REFUSED = -32000;
const REVERTED = 3;

type Params = readonly unknown[];
type Method = (params: Params) => unknown;

/**
 * JSON-RPC methods of a {@link DevChain}: what viem's public, wallet and test clients call. One request at a time; only
 * the newest state can be asked for.
 */
export class DevRpc {
  readonly #chain: DevChain;
  readonly #methods: Readonly<Record<string, Method>>;
  readonly #snapshots: DevSnapshot[] = [];
  #last: Promise<unknown> = Promise.resolve();

  constructor(chain: DevChain) {
    this.#chain = chain;
    this.#methods = this.#all();
  }

  /**
   * Answers one request.
   *
   * @throws RpcError
   */
  request({ method, params }: { readonly method: string; readonly params?: unknown }): Promise<unknown> {
    const answer = this.#last.then(() => this.#answer(method, params));
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  async #answer(method: string, params: unknown): Promise<unknown> {
    const body = Object.hasOwn(this.#methods, method) ? this.#methods[method] : undefined;
    if (!body) throw new RpcError(METHOD_NOT_FOUND, `the method ${method} does not exist`);
    try {
      return await body(Array.isArray(params) ? params : []);
    } catch (error) {
      if (error instanceof RpcError) throw error;
      const refused = method === 'eth_sendRawTransaction' ? TRANSACTION_REFUSED : INVALID_PARAMS;
      throw new RpcError(refused, error instanceof Error ? error.message : String(error));
    }
  }

  #all(): Record<string, Method> {
    const chain = this.#chain;
    return {
      web3_clientVersion: () => 'zklora-devchain',
      net_version: () => String(chain.chainId),
      eth_chainId: () => toHex(chain.chainId),
      eth_blockNumber: () => toHex(chain.blockNumber),
      eth_gasPrice: () => toHex(2n * BASE_FEE),
      eth_maxPriorityFeePerGas: () => toHex(BASE_FEE),
      eth_getBalance: async ([account]) => toHex(await chain.balance(account as Address)),
      eth_getTransactionCount: async ([account]) => toHex(await chain.nonce(account as Address)),
      eth_getCode: ([account]) => chain.code(account as Address),
      eth_getStorageAt: ([account, slot]) => chain.storage(account as Address, slot as Hex),
      eth_getBlockByNumber: ([tag, full]) => this.#block(chain.block(this.#number(tag)), full === true),
      eth_getBlockByHash: ([hash, full]) => this.#block(chain.blockByHash(hash as Hex), full === true),
      eth_getTransactionByHash: ([hash]) => this.#transaction(chain.transaction(hash as Hex)),
      eth_getTransactionReceipt: ([hash]) => this.#receipt(chain.transaction(hash as Hex)),
      eth_getLogs: ([filter]) => this.#logs(filter as LogFilter),
      eth_feeHistory: ([count]) => this.#feeHistory(Number(count)),
      eth_sendRawTransaction: async ([raw]) => (await chain.send(raw as Hex)).hash,
      eth_call: async ([message]) => (await this.#call(message as RpcMessage)).data,
      eth_estimateGas: ([message]) => this.#estimate(message as RpcMessage),
      evm_increaseTime: ([seconds]) => {
        chain.increaseTime(Number(seconds));
        return toHex(Number(seconds));
      },
      evm_setNextBlockTimestamp: ([timestamp]) => chain.setNextTimestamp(Number(timestamp)),
      evm_mine: () => chain.mine(1),
      evm_snapshot: async () => toHex(this.#snapshots.push(await chain.snapshot()) - 1),
      evm_revert: async ([id]) => {
        const snapshot = this.#snapshots[Number(id)];
        if (!snapshot) throw new RpcError(INVALID_PARAMS, 'no such snapshot');
        await chain.revert(snapshot);
        return true;
      },
    };
  }

  #number(tag: unknown): number {
    if (tag === 'earliest') return 0;
    return typeof tag === 'string' && tag.startsWith('0x') ? Number(tag) : this.#chain.blockNumber;
  }

  async #call(message: RpcMessage) {
    const call: DevCall = {
      from: message.from,
      to: message.to ?? undefined,
      data: message.data ?? message.input,
      value: message.value === undefined ? undefined : BigInt(message.value),
    };
    const result = await this.#chain.call(call);
    if (result.reverted) {
      throw new RpcError(
        REVERTED,
        result.failure === 'revert' ? 'execution reverted' : result.failure!,
        result.data,
      );
    }
    return result;
  }

  /** Generous: calldata at its dearest, and what calls keep back (EIP-150). */
  async #estimate(message: RpcMessage): Promise<Hex> {
    const { gas } = await this.#call(message);
    const data = message.data ?? message.input ?? '0x';
    const bytes = BigInt(data.length / 2 - 1);
    const creation = message.to ? 0n : 32_000n + bytes;
    const estimate = 21_000n + 40n * bytes + creation + (gas * 65n) / 63n + 2300n;
    return toHex(estimate < TRANSACTION_GAS ? estimate : TRANSACTION_GAS);
  }

  #block(block: ReturnType<DevChain['block']>, full: boolean) {
    if (!block) return null;
    const { header } = block;
    const number = Number(header.number);
    const mined = this.#chain.transactions(number, number);
    return {
      number: toHex(number),
      hash: bytesToHex(block.hash()),
      parentHash: bytesToHex(header.parentHash),
      nonce: bytesToHex(header.nonce),
      sha3Uncles: bytesToHex(header.uncleHash),
      logsBloom: bytesToHex(header.logsBloom),
      transactionsRoot: bytesToHex(header.transactionsTrie),
      stateRoot: bytesToHex(header.stateRoot),
      receiptsRoot: bytesToHex(header.receiptTrie),
      miner: header.coinbase.toString(),
      difficulty: toHex(header.difficulty),
      extraData: bytesToHex(header.extraData),
      mixHash: bytesToHex(header.mixHash),
      size: toHex(0),
      gasLimit: toHex(header.gasLimit),
      gasUsed: toHex(mined.reduce((sum, { gasUsed }) => sum + gasUsed, 0n)),
      timestamp: toHex(header.timestamp),
      baseFeePerGas: toHex(BASE_FEE),
      uncles: [],
      transactions: full ? mined.map((one) => this.#transaction(one)) : mined.map(({ hash }) => hash),
    };
  }

  #place({ blockNumber }: MinedTransaction) {
    return {
      blockHash: bytesToHex(this.#chain.block(blockNumber)!.hash()),
      blockNumber: toHex(blockNumber),
      transactionIndex: '0x0',
    };
  }

  #transaction(mined: MinedTransaction | undefined) {
    return mined ? { ...mined.tx.toJSON(), ...this.#place(mined), hash: mined.hash, from: mined.from } : null;
  }

  #receipt(mined: MinedTransaction | undefined) {
    if (!mined) return null;
    return {
      ...this.#place(mined),
      transactionHash: mined.hash,
      from: mined.from,
      to: mined.tx.to?.toString() ?? null,
      contractAddress: mined.createdAddress,
      status: mined.succeeded ? '0x1' : '0x0',
      type: toHex(mined.tx.type),
      gasUsed: toHex(mined.gasUsed),
      cumulativeGasUsed: toHex(mined.gasUsed),
      effectiveGasPrice: toHex(effectiveGasPrice(mined)),
      logsBloom: `0x${'00'.repeat(256)}`,
      logs: this.#logsOf(mined),
    };
  }

  #logsOf(mined: MinedTransaction) {
    return mined.logs.map((log, index) => ({
      ...log,
      ...this.#place(mined),
      transactionHash: mined.hash,
      logIndex: toHex(index),
      removed: false,
    }));
  }

  #logs({ fromBlock, toBlock, address, topics }: LogFilter) {
    const addresses = address === undefined ? undefined : [address].flat().map((one) => one.toLowerCase());
    const mined = this.#chain.transactions(this.#number(fromBlock), this.#number(toBlock));
    return mined
      .flatMap((one) => this.#logsOf(one))
      .filter((log) => !addresses || addresses.includes(log.address))
      .filter((log) => matchesTopics(log, topics ?? []));
  }

  #feeHistory(count: number) {
    return {
      oldestBlock: toHex(Math.max(0, this.#chain.blockNumber - count + 1)),
      baseFeePerGas: Array.from({ length: count + 1 }, () => toHex(BASE_FEE)),
      gasUsedRatio: Array.from({ length: count }, () => 0.5),
      reward: Array.from({ length: count }, () => [toHex(BASE_FEE)]),
    };
  }
}

interface RpcMessage {
  readonly from?: Address;
  readonly to?: Address | null;
  readonly data?: Hex;
  readonly input?: Hex;
  readonly value?: Hex;
}

interface LogFilter {
  readonly fromBlock?: string;
  readonly toBlock?: string;
  readonly address?: Address | readonly Address[];
  readonly topics?: readonly (Hex | readonly Hex[] | null)[];
}

function matchesTopics({ topics }: DevLog, wanted: NonNullable<LogFilter['topics']>): boolean {
  return wanted.every((topic, i) => topic === null || [topic].flat().includes(topics[i]!));
}

function effectiveGasPrice({ tx }: MinedTransaction): bigint {
  if ('gasPrice' in tx) return tx.gasPrice;
  const { maxFeePerGas, maxPriorityFeePerGas } = tx;
  const tip = maxFeePerGas - BASE_FEE;
  return BASE_FEE + (tip < maxPriorityFeePerGas ? tip : maxPriorityFeePerGas);
}
