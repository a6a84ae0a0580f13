import { type Address, type Hex, hashTypedData, recoverTypedDataAddress, type TypedDataDomain } from 'viem';
import { z } from 'zod';
import { ZkLoraError } from '../errors.js';
import { parseJson } from '../jsonText.js';
import { address, bytes32, decimal, integer, signature65 } from './hex.js';
import { MAX_OFFER_BYTES, MAX_SETTLEMENT_ROWS, MAX_WINDOW_SECONDS, MIN_WINDOW_SECONDS } from './limits.js';
import { isLowS } from './signature.js';

/** EIP-712 type of an offer, as AdapterEscrow.sol hashes it. */
export const OFFER_TYPES = {
  Offer: [
    { name: 'adapterId', type: 'bytes32' },
    { name: 'rowsRoot', type: 'bytes32' },
    { name: 'cipherRoot', type: 'bytes32' },
    { name: 'keyHash', type: 'bytes32' },
    { name: 'srsDigest', type: 'bytes32' },
    { name: 'rowCount', type: 'uint32' },
    { name: 'contributor', type: 'address' },
    { name: 'buyer', type: 'address' },
    { name: 'token', type: 'address' },
    { name: 'price', type: 'uint128' },
    { name: 'stake', type: 'uint128' },
    { name: 'fundBy', type: 'uint64' },
    { name: 'revealWindow', type: 'uint32' },
    { name: 'disputeWindow', type: 'uint32' },
  ],
} as const;

/** What a contributor offers to one buyer. Everything that a dispute needs is bound by it. */
export interface Offer {
  /** Adapter id of docs/formats.md, 32 bytes. */
  readonly adapterId: Hex;
  /** Root over all registered rows. */
  readonly rowsRoot: Hex;
  /** Root over all encrypted rows. */
  readonly cipherRoot: Hex;
  /** keccak256 of the master key. */
  readonly keyHash: Hex;
  /** keccak256(u256 N | tau G2), see {@link srsDigest}. */
  readonly srsDigest: Hex;
  /** Leaves of both trees. */
  readonly rowCount: number;
  /** Signs the offer, puts up the stake, is paid. */
  readonly contributor: Address;
  /** The only account that can fund it. */
  readonly buyer: Address;
  /** ERC-20 contract, or the zero address for the chain's own coin. */
  readonly token: Address;
  /** In the token's smallest unit. */
  readonly price: bigint;
  /** What the buyer gets on top of the price when a row is wrong. */
  readonly stake: bigint;
  /** Last block timestamp at which the offer can be funded, seconds. */
  readonly fundBy: bigint;
  /** Seconds after funding in which the key can be revealed, the last one included. */
  readonly revealWindow: number;
  /** Seconds after the reveal in which a fraud proof is accepted, the last one included. */
  readonly disputeWindow: number;
}

/** Escrow contract on a chain. */
export interface EscrowAddress {
  readonly chainId: number;
  readonly contract: Address;
}

/** An offer with the contributor's signature over its id. */
export interface SignedOffer {
  readonly escrow: EscrowAddress;
  readonly offer: Offer;
  /** r | s | v, 65 bytes; low s, v 27 or 28. */
  readonly signature: Hex;
}

/** `address(0)`: the chain's own coin. */
export const NATIVE_TOKEN: Address = '0x0000000000000000000000000000000000000000';

/** EIP-712 domain of offers. */
export function offerDomain({ chainId, contract }: EscrowAddress) {
  return {
    name: 'zklora AdapterEscrow',
    version: '1',
    chainId,
    verifyingContract: contract,
  } as const satisfies TypedDataDomain;
}

/** Typed data of an offer, for a wallet to sign. */
export function offerTypedData(escrow: EscrowAddress, offer: Offer) {
  return {
    domain: offerDomain(escrow),
    types: OFFER_TYPES,
    primaryType: 'Offer',
    message: offer,
  } as const;
}

/** Id of an offer: its EIP-712 digest, which binds chain and contract. Each can be funded once. */
export function offerId(escrow: EscrowAddress, offer: Offer): Hex {
  return hashTypedData(offerTypedData(escrow, offer));
}

/**
 * Checks the contributor's signature.
 *
 * @throws ZkLoraError `OFFER_MALFORMED` when it is not the contributor's, or not in the one form the contract takes
 */
export async function checkOfferSignature({ escrow, offer, signature }: SignedOffer): Promise<void> {
  const signer = isLowS(signature)
    ? await recoverTypedDataAddress({ ...offerTypedData(escrow, offer), signature }).catch(() => undefined)
    : undefined;
  if (signer !== offer.contributor) throw malformed('it is not signed by its contributor');
}

const FORMAT = 'zklora/offer/v1';

const windowSeconds = z.number().int().min(MIN_WINDOW_SECONDS).max(MAX_WINDOW_SECONDS);

const schema = z.strictObject({
  format: z.literal(FORMAT),
  chainId: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
  contract: address,
  adapterId: bytes32,
  rowsRoot: bytes32,
  cipherRoot: bytes32,
  keyHash: bytes32,
  srsDigest: bytes32,
  rowCount: z.number().int().min(1).max(MAX_SETTLEMENT_ROWS),
  contributor: address,
  buyer: address,
  token: address,
  price: decimal(128),
  stake: decimal(128),
  fundBy: integer(53),
  revealWindow: windowSeconds,
  disputeWindow: windowSeconds,
  signature: signature65,
});

/**
 * Parses an offer file (docs/formats.md, "Offer") and checks its signature.
 *
 * @throws ZkLoraError `OFFER_MALFORMED`
 */
export async function parseSignedOffer(json: string | Uint8Array): Promise<SignedOffer> {
  if (json.length > MAX_OFFER_BYTES) throw malformed(`it is larger than ${MAX_OFFER_BYTES} bytes`);
  const parsed = schema.safeParse(parseJson(json, 'OFFER_MALFORMED', 'the offer'));
  if (!parsed.success) {
    const path = parsed.error.issues[0]?.path.map(String).join('.') || 'the top level';
    throw malformed(`"${path}" is missing, unknown or out of range`);
  }
  const { format: _, chainId, contract, signature, ...members } = parsed.data;
  const offer = { ...members, fundBy: BigInt(members.fundBy) };
  const signed = { escrow: { chainId, contract }, offer, signature };
  await checkOfferSignature(signed);
  return signed;
}

/** Readable JSON text of a signed offer, ending in a newline. */
export function serializeSignedOffer({ escrow, offer, signature }: SignedOffer): string {
  const { price, stake, fundBy, ...members } = offer;
  const file = {
    format: FORMAT,
    ...escrow,
    ...members,
    price: price.toString(),
    stake: stake.toString(),
    fundBy: Number(fundBy),
    signature,
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError('OFFER_MALFORMED', `not a usable offer: ${problem}; ask the contributor again`);
}
