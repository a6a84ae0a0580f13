/** A registered adapter, both parties' keys, and deliveries of it, honest or not. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Address, getAddress } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import {
  type AdapterCommitment,
  type AdapterSecret,
  adapterId,
  moduleBlinders,
  type QuantizedModule,
  quantizeModule,
  registerAdapter,
} from '../../src/adapter/index.js';
import { decodeG2, type Engine, loadEngine } from '../../src/algebra/index.js';
import { bytesToHex, hexToBytes } from '../../src/bytes.js';
import { openParameters, type ParameterStore } from '../../src/circuit/index.js';
import { writeFileAtomic } from '../../src/files.js';
import type { ProverSrs } from '../../src/kzg/index.js';
import { proveRegistration, proveSession } from '../../src/protocol/index.js';
import { Delivery } from '../../src/settlement/deliver.js';
import { sealDelivery, sealedBytes } from '../../src/settlement/deliverySeal.js';
import {
  cipherLeaf,
  encodeRow,
  keccak256,
  keyHashOf,
  MerkleTree,
  type Offer,
  offerTypedData,
  RowCipher,
  rowsLeaf,
  type SettlementRow,
  type SignedOffer,
  settlementRows,
  srsDigest,
} from '../../src/settlement/index.js';
import { deliveryPublicKey } from '../../src/settlement/keyFiles.js';
import { holdSession, type MemorySession, seeded } from '../support/scenario.js';

const PARAMETERS = fileURLToPath(new URL('../../fixtures/params/development', import.meta.url));
const DOMAIN = 512;

/** Keys of no worth, for accounts of a local chain. */
export const CONTRIBUTOR_KEY = `0x${'11'.repeat(32)}` as const;
export const BUYER_KEY = `0x${'22'.repeat(32)}` as const;

/** A registered adapter in a folder of its own. */
export interface Bargain {
  readonly dir: string;
  readonly engine: Engine;
  readonly parameters: ParameterStore;
  readonly srs: ProverSrs;
  readonly modules: readonly QuantizedModule[];
  readonly commitment: AdapterCommitment;
  readonly secret: AdapterSecret;
  readonly masterKey: Uint8Array;
  readonly deliveryKey: Uint8Array;
  close(): Promise<void>;
}

/** A session with the adapter, its proof, and the commitment with its registration proof. */
export async function withEvidence(
  bargain: Bargain,
): Promise<Bargain & { session: MemorySession; proof: Uint8Array }> {
  const { engine, srs, parameters, modules, secret } = bargain;
  const registration = await proveRegistration({
    engine,
    srs,
    adapter: bargain.commitment,
    modules,
    secret,
  });
  const commitment = { ...bargain.commitment, registrationProof: bytesToHex(registration) };
  const session = holdSession(commitment, modules, [[0], [1]], [2], seeded(5));
  const proof = await proveSession({ engine, parameters, adapter: commitment, modules, secret, session });
  return { ...bargain, commitment, session, proof };
}

/**
 * Two modules; the second one's input has more entries than a chunk of one word.
 *
 * @param lineageDigest of the head that the adapter is bound to
 */
export async function makeBargain(lineageDigest = '00'.repeat(32)): Promise<Bargain> {
  const dir = await mkdtemp(join(tmpdir(), 'zklora-settle-'));
  const engine = await loadEngine();
  const parameters = await openParameters(PARAMETERS);
  const srs = await parameters.srs(DOMAIN);
  const modules = [
    quantizeModule(floats('h.0.attn.c_attn', 2, 40, 56, 2)),
    quantizeModule(floats('h.10.mlp', 3, 500, 33, 0.5)),
  ];
  const { commitment, secret } = await registerAdapter({
    engine,
    srs,
    parametersId: parameters.id,
    modules,
    baseDigest: '33'.repeat(32),
    lineageDigest,
  });
  return {
    dir,
    engine,
    parameters,
    srs,
    modules,
    commitment,
    secret,
    masterKey: new Uint8Array(32).fill(0xa7),
    deliveryKey: new Uint8Array(32).fill(0x5b),
    close: async () => {
      await engine.terminate();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function floats(name: string, rank: number, inFeatures: number, outFeatures: number, scaling: number) {
  const wave = (count: number, step: number) =>
    Float32Array.from({ length: count }, (_, i) => Math.sin(step * (i + 1)) / 8);
  return {
    name,
    rank,
    inFeatures,
    outFeatures,
    a: wave(rank * inFeatures, 0.7),
    b: wave(rank * outFeatures, 1.3),
    scaling,
  };
}

/** Address and terms of an offer that a test may change. */
export interface Terms extends Partial<Offer> {
  readonly chainId?: number;
  readonly contract?: Address;
}

/** Writes a delivery file and signs its offer. */
export async function deliverTo(
  bargain: Bargain,
  name: string,
  terms: Terms = {},
): Promise<{ path: string; offer: SignedOffer }> {
  const { dir, engine, srs, commitment, secret, modules, masterKey, deliveryKey } = bargain;
  const path = join(dir, name);
  const delivery = new Delivery({
    engine,
    srs,
    commitment,
    secret,
    modules,
    buyerKey: hexToBytes(deliveryPublicKey(deliveryKey)),
    masterKey,
  });
  await writeFileAtomic(path, delivery.bytes());
  return { path, offer: await signedOffer(bargain, delivery.digests(), terms) };
}

export async function signedOffer(
  { commitment, parameters }: Bargain,
  digests: ReturnType<Delivery['digests']>,
  { chainId = 31_337, contract = getAddress(`0x${'c0'.repeat(20)}`), ...terms }: Terms = {},
): Promise<SignedOffer> {
  const hex = (bytes: Uint8Array) => `0x${bytesToHex(bytes)}` as const;
  const offer: Offer = {
    adapterId: `0x${adapterId(commitment)}`,
    rowsRoot: hex(digests.rowsRoot),
    cipherRoot: hex(digests.cipherRoot),
    keyHash: hex(digests.keyHash),
    srsDigest: srsDigest(commitment.domainSize, decodeG2(hexToBytes(parameters.set.tauG2))),
    rowCount: commitment.modules.reduce((sum, { rank }) => sum + 2 * rank, 0),
    contributor: privateKeyToAccount(CONTRIBUTOR_KEY).address,
    buyer: privateKeyToAccount(BUYER_KEY).address,
    token: `0x${'00'.repeat(20)}`,
    price: 10n ** 18n,
    stake: 10n ** 17n,
    fundBy: 4_000_000_000n,
    revealWindow: 3600,
    disputeWindow: 7200,
    ...terms,
  };
  const escrow = { chainId, contract };
  const account = privateKeyToAccount(CONTRIBUTOR_KEY);
  return { escrow, offer, signature: await account.signTypedData(offerTypedData(escrow, offer)) };
}

/**
 * A delivery by somebody who does not care for the commitment: rows are changed before they are encrypted.
 *
 * @param change gets each row's plain bytes, as `encodeRow` makes them
 */
export async function cheatingDelivery(
  bargain: Bargain,
  name: string,
  change: (row: SettlementRow, plain: Uint8Array) => void,
  terms: Terms = {},
): Promise<{ path: string; offer: SignedOffer }> {
  const { commitment, modules, secret, masterKey, deliveryKey } = bargain;
  const rows = settlementRows(commitment);
  const cipher = new RowCipher(masterKey);
  const ciphertexts = rows.map((row) => {
    const module = modules[row.module]!;
    const blinders = moduleBlinders(hexToBytes(secret.blindingSecret), hexToBytes(commitment.salt), module);
    const [matrix, blinder] =
      row.matrix === 'A' ? [module.a, blinders.a[row.rank]!] : [module.bT, blinders.b[row.rank]!];
    const values = matrix.slice(row.rank * row.length, (row.rank + 1) * row.length);
    const bytes = encodeRow({ values, blinder });
    change(row, bytes);
    cipher.apply(row.row, bytes);
    return bytes;
  });
  const sealer = sealDelivery(
    hexToBytes(deliveryPublicKey(deliveryKey)),
    hexToBytes(adapterId(commitment)),
    ciphertexts.reduce((sum, { length }) => sum + length, 0),
  );
  const parts = async function* () {
    yield* ciphertexts;
  };
  const path = join(bargain.dir, name);
  await writeFileAtomic(path, sealedBytes(sealer, parts()));
  const digests = {
    rowsRoot: new MerkleTree(rows.map(rowsLeaf)).root,
    cipherRoot: new MerkleTree(ciphertexts.map((bytes, row) => cipherLeaf(row, keccak256(bytes)))).root,
    keyHash: keyHashOf(masterKey),
  };
  return { path, offer: await signedOffer(bargain, digests, terms) };
}
