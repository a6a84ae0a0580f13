import { bn254 } from '@noble/curves/bn254.js';
import {
  type Abi,
  type Account,
  type Address,
  type Chain,
  type CustomTransport,
  createPublicClient,
  createWalletClient,
  custom,
  defineChain,
  type Hex,
  keccak256,
  type PublicClient,
  parseEther,
  toHex,
  type WalletClient,
} from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { BASE_FEE, DevChain } from '../../cli/demo/chain/devChain.js';
import { DevRpc } from '../../cli/demo/chain/rpc.js';
import {
  adapterEscrowAbi,
  adapterEscrowBytecode,
  type EscrowAddress,
  NATIVE_TOKEN,
  type Offer,
  offerTypedData,
} from '../../src/settlement/index.js';

const key = (name: string): Hex => keccak256(toHex(name));
export const contributor = privateKeyToAccount(key('contributor'));
export const buyer = privateKeyToAccount(key('buyer'));
export const stranger = privateKeyToAccount(key('stranger'));
export const masterKey: Hex = key('master key');
export const HOUR = 3600;
/** Timestamp of block 0. */
export const GENESIS = 1_800_000_000;
export const R = bn254.fields.Fr.ORDER;
export const Q = bn254.fields.Fp.ORDER;

/** What transactions pay, so that their cost is known. */
const FEES = { maxFeePerGas: 3n * BASE_FEE, maxPriorityFeePerGas: BASE_FEE };

/** A chain in this process with an escrow contract on it. */
export class World {
  private constructor(
    readonly chain: DevChain,
    readonly rpc: DevRpc,
    readonly escrow: EscrowAddress,
  ) {}

  static async create(chainId = 31337): Promise<World> {
    const balances = Object.fromEntries(
      [contributor, buyer, stranger].map(({ address }) => [address, parseEther('1000')]),
    );
    const chain = await DevChain.create({ chainId, timestamp: GENESIS, balances });
    const world = new World(chain, new DevRpc(chain), { chainId, contract: NATIVE_TOKEN });
    const contract = await world.deploy(adapterEscrowAbi, adapterEscrowBytecode);
    return new World(chain, world.rpc, { chainId, contract });
  }

  get #settings() {
    const chain = defineChain({
      id: this.escrow.chainId,
      name: 'test',
      nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
      rpcUrls: { default: { http: [] } },
    });
    return { chain, transport: custom(this.rpc, { retryCount: 0 }), pollingInterval: 1, cacheTime: 0 };
  }

  get reader(): PublicClient {
    return createPublicClient(this.#settings);
  }

  wallet(account: Account): WalletClient<CustomTransport, Chain, Account> {
    return createWalletClient({ ...this.#settings, account });
  }

  async deploy(abi: Abi, bytecode: Hex, args: readonly unknown[] = []): Promise<Address> {
    const hash = await this.wallet(stranger).deployContract({ abi, bytecode, args } as never);
    const { createdAddress, succeeded } = this.chain.transaction(hash)!;
    if (!succeeded) throw new Error('the deployment reverted');
    // with its checksum, as offers have it
    return (await this.reader.getTransactionReceipt({ hash })).contractAddress ?? createdAddress!;
  }

  /** Sends a transaction to the escrow after asking whether it would revert; returns the gas it used. */
  async send(from: Account, functionName: string, args: readonly unknown[], value = 0n): Promise<bigint> {
    return this.sendTo(this.escrow.contract, adapterEscrowAbi, from, functionName, args, value);
  }

  /** Asks what a call would do now, without sending it. */
  async ask(from: Account, functionName: string, args: readonly unknown[], value = 0n): Promise<void> {
    const request = {
      address: this.escrow.contract,
      abi: adapterEscrowAbi,
      functionName,
      args,
      value,
      account: from,
    };
    await this.reader.simulateContract(request as never);
  }

  async sendTo(
    address: Address,
    abi: Abi,
    from: Account,
    functionName: string,
    args: readonly unknown[],
    value = 0n,
  ): Promise<bigint> {
    const request = { address, abi, functionName, args, value, account: from, ...FEES };
    await this.reader.simulateContract(request as never);
    const hash = await this.wallet(from).writeContract(request as never);
    const mined = this.chain.transaction(hash)!;
    if (!mined.succeeded) throw new Error(`${functionName} reverted`);
    return mined.gasUsed;
  }

  /**
   * Calls the escrow at a moment: the transaction's block has this timestamp. Returns what the gas cost, in wei.
   */
  async sendAt(
    timestamp: number,
    from: Account,
    functionName: string,
    args: readonly unknown[],
    value = 0n,
  ): Promise<bigint> {
    this.chain.setNextTimestamp(timestamp);
    const gas = await this.send(from, functionName, args, value);
    const { maxPriorityFeePerGas } = FEES;
    return gas * (BASE_FEE + maxPriorityFeePerGas);
  }

  read(functionName: string, args: readonly unknown[]): Promise<unknown> {
    const request = { address: this.escrow.contract, abi: adapterEscrowAbi, functionName, args };
    return this.reader.readContract(request as never);
  }

  balanceOf(account: Account | Address, token: Address = NATIVE_TOKEN): Promise<bigint> {
    const address = typeof account === 'string' ? account : account.address;
    return this.read('balanceOf', [address, token]) as Promise<bigint>;
  }

  async stateOf(id: Hex): Promise<State> {
    const [state] = (await this.read('escrowOf', [id])) as [number, bigint];
    return STATES[state]!;
  }

  sign(offer: Offer, escrow: EscrowAddress = this.escrow, signer = contributor): Promise<Hex> {
    return signer.signTypedData(offerTypedData(escrow, offer));
  }

  /** Timestamp of the last block. */
  get now(): number {
    return Number(this.chain.head.header.timestamp);
  }
}

export const STATES = [
  'None',
  'Cancelled',
  'Funded',
  'Revealed',
  'Withdrawn',
  'Refunded',
  'Convicted',
] as const;
export type State = (typeof STATES)[number];

/** An offer over nothing in particular; what a test is about it sets itself. */
export function sampleOffer(changes: Partial<Offer> = {}): Offer {
  return {
    adapterId: key('adapter'),
    rowsRoot: key('rows'),
    cipherRoot: key('ciphertexts'),
    keyHash: keccak256(masterKey),
    srsDigest: key('srs'),
    rowCount: 4,
    contributor: contributor.address,
    buyer: buyer.address,
    token: NATIVE_TOKEN,
    price: parseEther('3'),
    stake: parseEther('1'),
    fundBy: BigInt(GENESIS + 100 * HOUR),
    revealWindow: 2 * HOUR,
    disputeWindow: 3 * HOUR,
    ...changes,
  };
}
