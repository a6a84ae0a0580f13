import { bn254 } from '@noble/curves/bn254.js';
import { type Address, keccak256, toBytes, toHex } from 'viem';
import { encodeG2 } from '../src/algebra/points.js';
import { concatBytes } from '../src/bytes.js';
import {
  cipherLeaf,
  encodeRow,
  fraudChallenge,
  NATIVE_TOKEN,
  offerId,
  RowCipher,
  rootFromPath,
  rowsLeaf,
  srsDigest,
} from '../src/settlement/index.js';
import { treeDepth } from '../src/settlement/merkle.js';
import { bytes, evaluateRow, sampleRow, secretTauG2, TAU } from '../test/contracts/delivery.js';
import { tokenAbi, tokenBytecode } from '../test/contracts/gen/contracts.js';
import { buyer, contributor, masterKey, sampleOffer, stranger, World } from '../test/contracts/world.js';

const { Fr } = bn254.fields;

/** Rows of the largest adapter: the longest paths a dispute can have. */
const ROW_COUNT = 2 ** 17;

/** Gas of whole transactions: calldata and the transaction's own 21,000 included, after refunds. */
export interface GasTable {
  readonly rules: string;
  /** Of each call in the chain's coin and in an ERC-20 with plain transfers. */
  readonly calls: Readonly<Record<'coin' | 'erc20', Readonly<Record<string, number>>>>;
  /** Of a dispute over a row of N entries, with paths of 17 hashes, by N. */
  readonly dispute: Readonly<Record<string, number>>;
}

/** Runs every call and counts. */
export async function measureGas(sizes: readonly number[]): Promise<GasTable> {
  const dispute: Record<string, number> = {};
  for (const size of sizes) dispute[size] = await disputeGas(size);
  return {
    rules: 'Osaka',
    calls: { coin: await callGas('coin'), erc20: await callGas('erc20') },
    dispute,
  };
}

async function callGas(kind: 'coin' | 'erc20'): Promise<Record<string, number>> {
  const world = await World.create();
  const token = kind === 'coin' ? NATIVE_TOKEN : await deployToken(world);
  const value = (amount: bigint) => (kind === 'coin' ? amount : 0n);
  const gas: Record<string, number> = {};
  const count = async (name: string, used: Promise<bigint>) => {
    gas[name] = Number(await used);
  };
  const make = async (name: string) => {
    const offer = sampleOffer({ token, adapterId: keccak256(toHex(name)) });
    return { offer, signature: await world.sign(offer) };
  };
  // the balance's storage slot stays in use, as with a contributor who sells more than once
  await world.send(contributor, 'deposit', [token, 1n], value(1n));
  const sale = await make('sale');
  const { stake, price } = sale.offer;
  await count('deposit', world.send(contributor, 'deposit', [token, 2n * stake], value(2n * stake)));
  await count('fund', world.send(buyer, 'fund', [sale.offer, sale.signature], value(price)));
  await count('reveal', world.send(contributor, 'reveal', [sale.offer, masterKey]));
  world.chain.increaseTime(sale.offer.disputeWindow + 1);
  await count('withdraw', world.send(contributor, 'withdraw', [sale.offer, contributor.address]));
  gas['fund + reveal + withdraw'] = gas.fund! + gas.reveal! + gas.withdraw!;

  const abort = await make('abort');
  await world.send(buyer, 'fund', [abort.offer, abort.signature], value(price));
  world.chain.increaseTime(abort.offer.revealWindow + 1);
  await count('refund', world.send(buyer, 'refund', [abort.offer]));
  await count('collect', world.send(buyer, 'collect', [token, price, buyer.address]));
  const cancelled = await make('cancelled');
  await count('cancel', world.send(contributor, 'cancel', [cancelled.offer]));
  return gas;
}

async function deployToken(world: World): Promise<Address> {
  const holders = [contributor.address, buyer.address];
  const token = await world.deploy(tokenAbi, tokenBytecode, [holders]);
  for (const holder of [contributor, buyer]) {
    await world.sendTo(token, tokenAbi, holder, 'approve', [world.escrow.contract, 2n ** 255n]);
  }
  return token;
}

/**
 * The proof comes from the string's secret and not from the string, which takes minutes to make for all sizes; it is
 * the same proof: F = f(tau) G, W = (f(tau) - f(z)) / (tau - z) G.
 */
async function disputeGas(size: number): Promise<number> {
  const world = await World.create();
  const { values, blinder } = sampleRow(size, size);
  const wrong = values.map((value, i) => (i === 0 ? value ^ 1 : value));
  const commit = (entries: Int16Array) => evaluateRow(size, 0, entries, blinder, TAU);
  const registered = encodePoint(commit(values));
  const delivered = encodePoint(commit(wrong));
  const row = { row: 0, offset: 0, length: size, point: registered };
  const ciphertext = encodeRow({ values: wrong, blinder });
  new RowCipher(bytes(masterKey)).apply(0, ciphertext);
  const cipherHash = keccak256(ciphertext, 'bytes');
  const path = Array.from({ length: treeDepth(ROW_COUNT) }, (_, i) => keccak256(toHex(i), 'bytes'));
  const offer = sampleOffer({
    rowsRoot: toHex(rootFromPath(rowsLeaf(row), 0, path)),
    cipherRoot: toHex(rootFromPath(cipherLeaf(0, cipherHash), 0, path)),
    srsDigest: srsDigest(size, secretTauG2()),
    rowCount: ROW_COUNT,
  });
  await world.send(contributor, 'deposit', [offer.token, offer.stake], offer.stake);
  await world.send(buyer, 'fund', [offer, await world.sign(offer)], offer.price);
  await world.send(stranger, 'reveal', [offer, masterKey]);
  const id = offerId(world.escrow, offer);
  const z = fraudChallenge({ offerId: id, row: 0, cipherHash, registered, delivered });
  const difference = Fr.sub(commit(wrong), evaluateRow(size, 0, wrong, blinder, z));
  const opening = encodePoint(Fr.div(difference, Fr.sub(TAU, z)));
  const proof = {
    ...row,
    domainSize: size,
    tauG2: words(encodeG2(secretTauG2())),
    registered: words(registered),
    delivered: words(delivered),
    opening: words(opening),
    ciphertext: toHex(ciphertext),
    rowsPath: path.map((hash) => toHex(hash)),
    cipherPath: path.map((hash) => toHex(hash)),
  };
  return Number(await world.send(buyer, 'dispute', [offer, masterKey, proof]));
}

/** A multiple of the generator as x | y. */
function encodePoint(scalar: bigint): Uint8Array {
  const { x, y } = bn254.G1.Point.BASE.multiply(scalar).toAffine();
  return concatBytes(toBytes(x, { size: 32 }), toBytes(y, { size: 32 }));
}

function words(data: Uint8Array): readonly bigint[] {
  return Array.from({ length: data.length / 32 }, (_, i) =>
    BigInt(toHex(data.subarray(32 * i, 32 * i + 32))),
  );
}
