import { type Block, createBlock } from '@ethereumjs/block';
import { type Common, createCustomCommon, Hardfork, Mainnet } from '@ethereumjs/common';
import { createTxFromRLP, type TypedTransaction } from '@ethereumjs/tx';
import { createAccount, createAddressFromString, hexToBytes } from '@ethereumjs/util';
import { createVM, runTx, type VM } from '@ethereumjs/vm';
import { type Address, bytesToHex, type Hex, toHex } from 'viem';

/** Options of {@link DevChain.create}. */
export interface DevChainOptions {
  readonly chainId: number;
  /** Timestamp of block 0, seconds. */
  readonly timestamp: number;
  /** Accounts of block 0, in wei. */
  readonly balances: Readonly<Record<Address, bigint>>;
}

/** An event as a receipt has it. */
export interface DevLog {
  readonly address: Address;
  readonly topics: readonly Hex[];
  readonly data: Hex;
}

/** A transaction in its block, and what it did. */
export interface MinedTransaction {
  readonly hash: Hex;
  readonly tx: TypedTransaction;
  readonly from: Address;
  readonly blockNumber: number;
  readonly succeeded: boolean;
  readonly gasUsed: bigint;
  readonly createdAddress: Address | null;
  readonly logs: readonly DevLog[];
}

/** A message to run without mining it. */
export interface DevCall {
  readonly from?: Address | undefined;
  readonly to?: Address | undefined;
  readonly data?: Hex | undefined;
  readonly value?: bigint | undefined;
}

/** What a message returned, or the data it reverted with. */
export interface DevCallResult {
  readonly reverted: boolean;
  /** Null for a failure without data: out of gas, a bad opcode. */
  readonly failure: string | null;
  readonly data: Hex;
  /** Gas of the execution, before refunds, without the transaction's own. */
  readonly gas: bigint;
}

/** Seconds from block to block, as on Ethereum. */
const SLOT_SECONDS = 12;
/** Gas of a block, Ethereum's order of magnitude. */
const BLOCK_GAS = 36_000_000n;
/** Most gas of one transaction (EIP-7825). */
export const TRANSACTION_GAS = 2n ** 24n;
/** Base fee, constant: 1 gwei. */
export const BASE_FEE = 10n ** 9n;

/**
 * A chain of one process for demo, tests and gas measurements: every transaction is a block of its own.
 *
 * Executes with the rules of Ethereum's Osaka fork (@ethereumjs/vm). There is no consensus, no network and no state root in
 * the headers; time moves 12 seconds a block and as far ahead as it is told.
 */
export class DevChain {
  readonly chainId: number;
  readonly #vm: VM;
  readonly #blocks: Block[];
  readonly #mined: MinedTransaction[] = [];
  #nextTimestamp: number | undefined;

  private constructor(vm: VM, genesis: Block, chainId: number) {
    this.#vm = vm;
    this.#blocks = [genesis];
    this.chainId = chainId;
  }

  static async create({ chainId, timestamp, balances }: DevChainOptions): Promise<DevChain> {
    const common = createCustomCommon({ chainId }, Mainnet, { hardfork: Hardfork.Osaka });
    const vm = await createVM({ common });
    for (const [account, balance] of Object.entries(balances)) {
      const address = createAddressFromString(account);
      await vm.stateManager.putAccount(address, createAccount({ balance }));
    }
    return new DevChain(vm, makeBlock(common, undefined, timestamp), chainId);
  }

  get head(): Block {
    return this.#blocks.at(-1)!;
  }

  get blockNumber(): number {
    return this.#blocks.length - 1;
  }

  block(number: number): Block | undefined {
    return this.#blocks[number];
  }

  blockByHash(hash: Hex): Block | undefined {
    return this.#blocks.find((block) => bytesToHex(block.hash()) === hash);
  }

  transaction(hash: Hex): MinedTransaction | undefined {
    return this.#mined.find((mined) => mined.hash === hash);
  }

  /** Transactions of the blocks from..to, both included. */
  transactions(from: number, to: number): readonly MinedTransaction[] {
    return this.#mined.filter(({ blockNumber }) => blockNumber >= from && blockNumber <= to);
  }

  async balance(account: Address): Promise<bigint> {
    return (await this.#vm.stateManager.getAccount(createAddressFromString(account)))?.balance ?? 0n;
  }

  async nonce(account: Address): Promise<bigint> {
    return (await this.#vm.stateManager.getAccount(createAddressFromString(account)))?.nonce ?? 0n;
  }

  async code(account: Address): Promise<Hex> {
    return bytesToHex(await this.#vm.stateManager.getCode(createAddressFromString(account)));
  }

  async storage(account: Address, slot: Hex): Promise<Hex> {
    const key = hexToBytes(toHex(BigInt(slot), { size: 32 }));
    const value = await this.#vm.stateManager.getStorage(createAddressFromString(account), key);
    return toHex(BigInt(bytesToHex(value) === '0x' ? '0x0' : bytesToHex(value)), { size: 32 });
  }

  /**
   * Executes a signed transaction in a block of its own; one that reverts is mined all the same.
   *
   * @throws Error for a transaction that no block may hold: wrong nonce, chain, signature, too little money
   */
  async send(raw: Hex): Promise<MinedTransaction> {
    const tx = createTxFromRLP(hexToBytes(raw), { common: this.#vm.common });
    const block = this.#nextBlock();
    const result = await runTx(this.#vm, { tx, block });
    this.#append(block);
    const mined: MinedTransaction = {
      hash: bytesToHex(tx.hash()),
      tx,
      from: tx.getSenderAddress().toString(),
      blockNumber: this.blockNumber,
      succeeded: result.execResult.exceptionError === undefined,
      gasUsed: result.totalGasSpent,
      createdAddress: result.createdAddress?.toString() ?? null,
      logs: result.receipt.logs.map(([address, topics, data]) => ({
        address: bytesToHex(address),
        topics: topics.map((topic) => bytesToHex(topic)),
        data: bytesToHex(data),
      })),
    };
    this.#mined.push(mined);
    return mined;
  }

  /** Runs a message as the next block would, and forgets what it did. */
  async call({ from, to, data, value }: DevCall): Promise<DevCallResult> {
    const { evm } = this.#vm;
    const caller = createAddressFromString(from ?? `0x${'00'.repeat(20)}`);
    await evm.journal.checkpoint();
    try {
      const { execResult } = await evm.runCall({
        caller,
        origin: caller,
        ...(to === undefined ? {} : { to: createAddressFromString(to) }),
        data: hexToBytes(data ?? '0x'),
        value: value ?? 0n,
        gasLimit: TRANSACTION_GAS,
        gasPrice: BASE_FEE,
        block: this.#nextBlock(),
      });
      const failure = execResult.exceptionError?.error ?? null;
      return {
        reverted: failure !== null,
        failure,
        data: bytesToHex(execResult.returnValue),
        gas: execResult.executionGasUsed + (execResult.gasRefund ?? 0n),
      };
    } finally {
      await evm.journal.revert();
      await evm.journal.cleanup();
    }
  }

  /** Adds empty blocks. */
  mine(blocks: number): void {
    for (let i = 0; i < blocks; i++) this.#append(this.#nextBlock());
  }

  /** Moves the next block's time ahead of what it would be. */
  increaseTime(seconds: number): void {
    this.setNextTimestamp(this.#timestampOfNext() + seconds);
  }

  /**
   * Sets the next block's timestamp, seconds.
   *
   * @throws RangeError when it is before the last block's; the same is allowed, as on chains with several blocks a second
   */
  setNextTimestamp(timestamp: number): void {
    if (!(timestamp >= Number(this.head.header.timestamp))) throw new RangeError('time does not go back');
    this.#nextTimestamp = timestamp;
  }

  /** Remembers the state; returns what {@link revert} takes. */
  async snapshot(): Promise<DevSnapshot> {
    const root = await this.#vm.stateManager.getStateRoot();
    return { root, blocks: this.#blocks.length, nextTimestamp: this.#nextTimestamp };
  }

  /** Goes back to a remembered state, as a reorganisation does. */
  async revert({ root, blocks, nextTimestamp }: DevSnapshot): Promise<void> {
    await this.#vm.stateManager.setStateRoot(root);
    this.#blocks.length = blocks;
    while ((this.#mined.at(-1)?.blockNumber ?? -1) >= blocks) this.#mined.pop();
    this.#nextTimestamp = nextTimestamp;
  }

  #timestampOfNext(): number {
    return this.#nextTimestamp ?? Number(this.head.header.timestamp) + SLOT_SECONDS;
  }

  #nextBlock(): Block {
    return makeBlock(this.#vm.common, this.head, this.#timestampOfNext());
  }

  #append(block: Block): void {
    this.#blocks.push(block);
    this.#nextTimestamp = undefined;
  }
}

/** State of a chain at one moment. */
export interface DevSnapshot {
  readonly root: Uint8Array;
  readonly blocks: number;
  readonly nextTimestamp: number | undefined;
}

function makeBlock(common: Common, parent: Block | undefined, timestamp: number): Block {
  const header = {
    number: parent === undefined ? 0n : parent.header.number + 1n,
    ...(parent === undefined ? {} : { parentHash: parent.hash() }),
    timestamp,
    gasLimit: BLOCK_GAS,
    baseFeePerGas: BASE_FEE,
  };
  return createBlock({ header }, { common });
}
