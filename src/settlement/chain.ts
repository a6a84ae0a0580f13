import {
  type Account,
  type Address,
  type Chain,
  createPublicClient,
  createWalletClient,
  defineChain,
  erc20Abi,
  type Hex,
  http,
  type PublicClient,
  parseAbi,
  TransactionNotFoundError,
  type TransactionReceipt,
  type Transport,
  type WalletClient,
} from 'viem';
import { bytesToHex, hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { sha256Of } from '../sha256.js';
import { firstBlockSince } from './blockSearch.js';
import { chainError } from './chainErrors.js';
import type { FraudProof } from './fraudProof.js';
import { adapterEscrowAbi, adapterEscrowRuntimeSha256 } from './gen/escrow.js';
import { toHex } from './hex.js';
import { keyHashOf } from './keystream.js';
import { type EscrowAddress, NATIVE_TOKEN, type Offer, offerId, type SignedOffer } from './offer.js';

/** States of an offer's escrow, by their number in AdapterEscrow.sol. */
export const ESCROW_STATES = [
  'none',
  'cancelled',
  'funded',
  'revealed',
  'withdrawn',
  'refunded',
  'convicted',
] as const;
export type EscrowState = (typeof ESCROW_STATES)[number];

/** What the chain says about an offer. */
export interface EscrowStatus {
  readonly state: EscrowState;
  /** Last timestamp for the reveal (funded) or a dispute (revealed), seconds; 0 in the other states, where nothing is due. */
  readonly deadline: bigint;
  /** Timestamp of the block that this was read at, seconds. */
  readonly now: bigint;
}

/** A transaction that is in the chain, as deep as was asked for. */
export interface Settled {
  readonly transaction: Hex;
  readonly gasUsed: bigint;
}

/** How to reach the escrow contract. */
export interface ConnectOptions {
  /** JSON-RPC endpoint, http or https; or another way to the node, as viem has them. */
  readonly node: string | Transport;
  readonly escrow: EscrowAddress;
  /** Signs transactions; not needed for reading. */
  readonly account?: Account;
  /** Blocks, the transaction's own included, after which a transaction counts: choose it by how deep the chain can reorganise. */
  readonly confirmations: number;
  /** Milliseconds between two looks at the chain. */
  readonly pollingInterval?: number;
  /** Milliseconds since 1970; the system's clock without it. */
  readonly clock?: () => number;
}

/** Largest depth asked for: two epochs of Ethereum are 64 blocks. */
export const MAX_CONFIRMATIONS = 1000;

/** Without its answer, which some tokens do not give: an approval that did nothing shows when the money is to move. */
const approveAbi = parseAbi(['function approve(address spender, uint256 amount)']);

const DEFAULT_POLLING_MS = 2000;
const REQUEST_TIMEOUT_MS = 20_000;
/** How long a transaction may take to get as deep as asked for, at 15 seconds a block. */
const BLOCK_MS = 15_000;
const MIN_RECEIPT_TIMEOUT_MS = 10 * 60 * 1000;

/**
 * A reveal that may not make it into a block before its deadline would give the key away for nothing, as pending
 * transactions are public.
 */
export const REVEAL_MARGIN_SECONDS = 300n;

function transportTo(node: string | Transport, retryCount: number): Transport {
  if (typeof node !== 'string') return node;
  if (!/^https?:\/\/\S+$/.test(node)) {
    throw new ZkLoraError('USAGE', 'the chain node is not given as an http or https address');
  }
  return http(node, { timeout: REQUEST_TIMEOUT_MS, retryCount });
}

/** One escrow contract on one chain, seen from one account. */
export class EscrowChain {
  readonly escrow: EscrowAddress;
  readonly confirmations: number;
  readonly #clock: () => number;
  readonly #client: PublicClient<Transport, Chain>;
  readonly #wallet: WalletClient<Transport, Chain, Account> | undefined;

  private constructor(
    options: ConnectOptions,
    client: PublicClient<Transport, Chain>,
    wallet: WalletClient<Transport, Chain, Account> | undefined,
  ) {
    this.escrow = options.escrow;
    this.confirmations = options.confirmations;
    this.#clock = options.clock ?? Date.now;
    this.#client = client;
    this.#wallet = wallet;
  }

  /**
   * Connects, and makes sure that this is the chain and the contract that offers for it speak of.
   *
   * @throws ZkLoraError `USAGE`, `CHAIN_UNREACHABLE`, `CHAIN_MISMATCH` for another chain, or when the contract's code is
   * not the one that this version was built with
   */
  static async connect(options: ConnectOptions): Promise<EscrowChain> {
    const { node, escrow, account, confirmations, pollingInterval = DEFAULT_POLLING_MS } = options;
    if (!Number.isInteger(confirmations) || confirmations < 1 || confirmations > MAX_CONFIRMATIONS) {
      throw new ZkLoraError('USAGE', `confirmations are a whole number from 1 to ${MAX_CONFIRMATIONS}`);
    }
    const chain = defineChain({
      id: escrow.chainId,
      name: `chain ${escrow.chainId}`,
      nativeCurrency: { name: 'coin', symbol: 'coin', decimals: 18 },
      rpcUrls: { default: { http: [] } },
    });
    // reads may be repeated; what is sent is sent once
    const client = createPublicClient({
      chain,
      transport: transportTo(node, 2),
      pollingInterval,
      cacheTime: 0,
    });
    const wallet =
      account && createWalletClient({ chain, transport: transportTo(node, 0), account, pollingInterval });
    const connection = new EscrowChain(options, client, wallet);
    await connection.#checkChain();
    return connection;
  }

  /** State of an offer's escrow in the latest block, or `confirmations` deep. @throws ZkLoraError `CHAIN_UNREACHABLE` */
  async status(offer: Offer, depth: 'latest' | 'confirmed' = 'confirmed'): Promise<EscrowStatus> {
    return this.#asking(async () => {
      const latest = await this.#client.getBlock();
      const below = BigInt(depth === 'latest' ? 0 : this.confirmations - 1);
      const block =
        below === 0n
          ? latest
          : await this.#client.getBlock({ blockNumber: latest.number > below ? latest.number - below : 0n });
      const { state, deadline } = await this.#escrowOf(offer, block.number);
      const isDue = state === 'funded' || state === 'revealed';
      return { state, deadline: isDue ? deadline : 0n, now: block.timestamp };
    });
  }

  /** What an account has in the contract, in the token's smallest unit. @throws ZkLoraError `CHAIN_UNREACHABLE` */
  async balance(account: Address, token: Address): Promise<bigint> {
    return this.#asking(() =>
      this.#client.readContract({ ...this.#contract(), functionName: 'balanceOf', args: [account, token] }),
    );
  }

  /** What an account has outside the contract. @throws ZkLoraError `CHAIN_UNREACHABLE` */
  async funds(account: Address, token: Address): Promise<bigint> {
    return this.#asking(() =>
      token === NATIVE_TOKEN
        ? this.#client.getBalance({ address: account })
        : this.#client.readContract({
            address: token,
            abi: erc20Abi,
            functionName: 'balanceOf',
            args: [account],
          }),
    );
  }

  /**
   * The key that was revealed for an offer, taken from the event in the blocks of the reveal and checked against the offer.
   *
   * @throws ZkLoraError `CHAIN_UNREACHABLE`, `CHAIN_MISMATCH` when there is no such event
   */
  async revealedKey(offer: Offer): Promise<Uint8Array> {
    const blocks = await this.#asking(() => this.#revealBlocks(offer));
    if (blocks !== null) {
      const events = await this.#asking(() =>
        this.#client.getContractEvents({
          ...this.#contract(),
          eventName: 'KeyRevealed',
          args: { offerId: this.#idOf(offer) },
          ...blocks,
          strict: true,
        }),
      );
      for (const { args } of events) {
        const key = hexToBytes(args.masterKey.slice(2));
        if (toHex(keyHashOf(key)) === offer.keyHash) return key;
      }
    }
    throw new ZkLoraError(
      'CHAIN_MISMATCH',
      'the chain node shows no revealed key for this offer; ask another node',
    );
  }

  /** Puts money into the sender's balance in the contract. @throws ZkLoraError `CHAIN_REFUSED`, `CHAIN_UNREACHABLE` */
  async deposit(token: Address, amount: bigint): Promise<Settled> {
    await this.#allow(token, amount);
    return this.#send('deposit', [token, amount], token === NATIVE_TOKEN ? amount : 0n);
  }

  /** Takes money out of the sender's balance. @throws ZkLoraError `CHAIN_REFUSED`, `CHAIN_UNREACHABLE` */
  collect(token: Address, amount: bigint, to: Address): Promise<Settled> {
    return this.#send('collect', [token, amount, to]);
  }

  /**
   * Locks price and stake. Call it only after `checkDelivery`: the contract cannot know what was delivered.
   *
   * @param onSent called with the transaction before it is waited for
   * @throws ZkLoraError `CHAIN_REFUSED`, `CHAIN_UNREACHABLE`
   */
  async fund(
    { offer, signature }: SignedOffer,
    onSent?: (transaction: Hex) => Promise<void>,
  ): Promise<Settled> {
    // before the approval: who cannot fund should not approve
    const { state } = await this.status(offer, 'latest');
    if (state !== 'none') {
      throw new ZkLoraError('CHAIN_REFUSED', `this offer is ${state} already; it can be funded once`, {
        details: { revert: 'WrongState', state },
      });
    }
    await this.#allow(offer.token, offer.price);
    const value = offer.token === NATIVE_TOKEN ? offer.price : 0n;
    return this.#send('fund', [offer, signature], value, onSent);
  }

  /**
   * Publishes the key of a funded offer.
   *
   * @throws ZkLoraError `CHAIN_REFUSED`, also before the funding is `confirmations` deep and in the last
   * {@link REVEAL_MARGIN_SECONDS}: the key would be given away for nothing if the funding, or the reveal, did not last
   */
  async reveal(offer: Offer, masterKey: Uint8Array): Promise<Settled> {
    if (toHex(keyHashOf(masterKey)) !== offer.keyHash) {
      throw new ZkLoraError('SECRET_MISMATCH', 'the master key is of another delivery than the offer');
    }
    const { state, deadline } = await this.status(offer);
    const { now } = await this.status(offer, 'latest');
    const clock = BigInt(Math.floor(this.#clock() / 1000));
    if (state !== 'funded') {
      throw new ZkLoraError(
        'CHAIN_REFUSED',
        `the offer is ${state}, not funded, at a depth of ${this.confirmations} blocks; revealing now would give the key away`,
        { details: { revert: 'WrongState', state } },
      );
    }
    const latest = now > clock ? now : clock;
    if (latest + REVEAL_MARGIN_SECONDS > deadline) {
      throw new ZkLoraError(
        'CHAIN_REFUSED',
        `less than ${REVEAL_MARGIN_SECONDS} seconds are left to reveal: a late reveal gives the key away for nothing`,
        { details: { revert: 'TooLate', args: String(deadline) } },
      );
    }
    return this.#send('reveal', [offer, toHex(masterKey)]);
  }

  /** Pays the contributor after the dispute window. @throws ZkLoraError `CHAIN_REFUSED`, `CHAIN_UNREACHABLE` */
  withdraw(offer: Offer, to: Address): Promise<Settled> {
    return this.#send('withdraw', [offer, to]);
  }

  /** Gives price and stake back when no key came. @throws ZkLoraError `CHAIN_REFUSED`, `CHAIN_UNREACHABLE` */
  refund(offer: Offer): Promise<Settled> {
    return this.#send('refund', [offer]);
  }

  /** Makes an offer void that nobody has funded. @throws ZkLoraError `CHAIN_REFUSED`, `CHAIN_UNREACHABLE` */
  cancel(offer: Offer): Promise<Settled> {
    return this.#send('cancel', [offer]);
  }

  /** Shows that a row is wrong. @throws ZkLoraError `CHAIN_REFUSED`, `CHAIN_UNREACHABLE` */
  dispute(offer: Offer, masterKey: Uint8Array, proof: FraudProof): Promise<Settled> {
    return this.#send('dispute', [offer, toHex(masterKey), proof]);
  }

  /** Whether the node has this transaction, in a block or waiting for one. @throws ZkLoraError `CHAIN_UNREACHABLE` */
  async isKnown(transaction: Hex): Promise<boolean> {
    return this.#asking(() =>
      this.#client.getTransaction({ hash: transaction }).then(
        () => true,
        (error: unknown) => {
          if (error instanceof TransactionNotFoundError) return false;
          throw error;
        },
      ),
    );
  }

  /** Waits for a transaction that was sent before. @throws ZkLoraError `CHAIN_REFUSED`, `CHAIN_UNREACHABLE` */
  async settled(transaction: Hex): Promise<Settled> {
    const receipt: TransactionReceipt = await this.#asking(() =>
      this.#client.waitForTransactionReceipt({
        hash: transaction,
        confirmations: this.confirmations,
        timeout: Math.max(MIN_RECEIPT_TIMEOUT_MS, 2 * BLOCK_MS * this.confirmations),
      }),
    );
    if (receipt.status !== 'success') {
      throw new ZkLoraError(
        'CHAIN_REFUSED',
        'the transaction was reverted; look at the state and try again',
        {
          details: { revert: 'unknown', transaction },
        },
      );
    }
    return { transaction: receipt.transactionHash, gasUsed: receipt.gasUsed };
  }

  /** State and last deadline as the contract stores them; a withdrawn or convicted escrow keeps the dispute's deadline. */
  async #escrowOf(offer: Offer, blockNumber: bigint): Promise<{ state: EscrowState; deadline: bigint }> {
    const [state, deadline] = await this.#client.readContract({
      ...this.#contract(),
      functionName: 'escrowOf',
      args: [this.#idOf(offer)],
      blockNumber,
    });
    const name = ESCROW_STATES[state];
    if (name === undefined) throw new ZkLoraError('CHAIN_MISMATCH', 'the contract has an unknown state');
    return { state: name, deadline };
  }

  /**
   * Blocks that may hold the reveal: those of its timestamp, which the stored deadline gives. Nodes refuse to search the
   * logs of a whole chain.
   */
  async #revealBlocks(offer: Offer): Promise<{ fromBlock: bigint; toBlock: bigint } | null> {
    const head = await this.#client.getBlock();
    const { state, deadline } = await this.#escrowOf(offer, head.number);
    if (state !== 'revealed' && state !== 'withdrawn' && state !== 'convicted') return null;
    const revealedAt = deadline - BigInt(offer.disputeWindow);
    const timestamps = new Map([[head.number, head.timestamp]]);
    const timestampOf = async (blockNumber: bigint) => {
      const known = timestamps.get(blockNumber);
      if (known !== undefined) return known;
      const { timestamp } = await this.#client.getBlock({ blockNumber });
      timestamps.set(blockNumber, timestamp);
      return timestamp;
    };
    const fromBlock = await firstBlockSince(revealedAt, head.number, timestampOf);
    const toBlock = (await firstBlockSince(revealedAt + 1n, head.number, timestampOf)) - 1n;
    return fromBlock <= toBlock ? { fromBlock, toBlock } : null;
  }

  async #checkChain(): Promise<void> {
    const { chainId, contract } = this.escrow;
    const [found, code] = await this.#asking(() =>
      Promise.all([this.#client.getChainId(), this.#client.getCode({ address: contract })]),
    );
    if (found !== chainId) {
      throw new ZkLoraError(
        'CHAIN_MISMATCH',
        `the node is on chain ${found}, the offer on chain ${chainId}`,
        {
          details: { chainId: found },
        },
      );
    }
    if (!code || bytesToHex(sha256Of(hexToBytes(code.slice(2)))) !== adapterEscrowRuntimeSha256) {
      throw new ZkLoraError(
        'CHAIN_MISMATCH',
        'the contract is not the AdapterEscrow of this version; do not send it anything',
        { details: { contract } },
      );
    }
  }

  #contract() {
    return { address: this.escrow.contract, abi: adapterEscrowAbi } as const;
  }

  #idOf(offer: Offer): Hex {
    return offerId(this.escrow, offer);
  }

  /** Lets the contract take tokens, this amount and no more. */
  async #allow(token: Address, amount: bigint): Promise<void> {
    const wallet = this.#sender();
    if (token === NATIVE_TOKEN || amount === 0n) return;
    const owner = wallet.account.address;
    const spender = this.escrow.contract;
    await this.#asking(async () => {
      const allowance = await this.#client.readContract({
        address: token,
        abi: erc20Abi,
        functionName: 'allowance',
        args: [owner, spender],
      });
      if (allowance >= amount) return;
      // some tokens change an allowance only from or to zero
      for (const value of allowance > 0n ? [0n, amount] : [amount]) {
        const { request } = await this.#client.simulateContract({
          address: token,
          abi: approveAbi,
          functionName: 'approve',
          args: [spender, value],
          account: wallet.account,
        });
        await this.settled(await wallet.writeContract(request));
      }
    });
  }

  /** Tries the call on the node first, where a refusal is free and has a name. */
  async #send(
    functionName: string,
    args: readonly unknown[],
    value = 0n,
    onSent?: (transaction: Hex) => Promise<void>,
  ): Promise<Settled> {
    const wallet = this.#sender();
    const transaction = await this.#asking(async () => {
      const { request } = await this.#client.simulateContract({
        ...this.#contract(),
        functionName: functionName as 'fund',
        // the public methods above give each function its own arguments
        args: args as never,
        value,
        account: wallet.account,
      });
      return wallet.writeContract(request);
    });
    await onSent?.(transaction);
    return this.settled(transaction);
  }

  #sender(): WalletClient<Transport, Chain, Account> {
    if (this.#wallet) return this.#wallet;
    throw new ZkLoraError('USAGE', 'this needs the account that signs the transaction');
  }

  async #asking<T>(question: () => Promise<T>): Promise<T> {
    try {
      return await question();
    } catch (error) {
      throw chainError(error);
    }
  }
}
