import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { adapterId } from '../../src/adapter/commitment.js';
import { quantizeModule } from '../../src/adapter/quantize.js';
import type { AdapterCommitment, QuantizedModule } from '../../src/adapter/types.js';
import { bytesToHex, hexToBytes } from '../../src/bytes.js';
import {
  type ConnectOptions,
  type ContributorClient,
  connectContributor,
  type Timeouts,
} from '../../src/inference/client.js';
import type { OpenRequest } from '../../src/inference/contributorSessions.js';
import type { ProveSession } from '../../src/inference/proofJobs.js';
import {
  type ContributorServer,
  type ServeOptions,
  type ServiceEvent,
  serveContributor,
} from '../../src/inference/service.js';
import { type KeyPair, keyPairFromSeed, sign, userOpeningMessage } from '../../src/inference/signatures.js';
import type { ActivationRows, SessionCall, SessionHeader } from '../../src/protocol/session.js';
import { sessionModules } from '../../src/protocol/session.js';

/** Both parties of a session with a made-up adapter; its points are no commitments, nothing here opens them. */

export const CONTRIBUTOR: KeyPair = keyPairFromSeed(new Uint8Array(32).fill(1));
export const USER: KeyPair = keyPairFromSeed(new Uint8Array(32).fill(2));
/** Seed of a session's salts. */
export const SEED = new Uint8Array(32).fill(5);
export const LOOPBACK = { host: '127.0.0.1', port: 0 };

/** A reproducible stream of numbers in [0, 1) (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function randomModule(
  name: string,
  inFeatures: number,
  outFeatures: number,
  rank = 2,
): QuantizedModule {
  const next = randomNumbers(name.length + inFeatures * 31 + outFeatures);
  const floats = (length: number) => Float32Array.from({ length }, () => next() - 0.5);
  return quantizeModule({
    name,
    rank,
    inFeatures,
    outFeatures,
    a: floats(rank * inFeatures),
    b: floats(outFeatures * rank),
    scaling: 2,
  });
}

/** Three modules; the first and the last read one input. */
export const MODULES: readonly QuantizedModule[] = [
  randomModule('m.0', 4, 6),
  randomModule('m.1', 5, 3),
  randomModule('m.2', 4, 2, 1),
];
export const INPUTS = [[0, 2], [1]];

export function commitTo(
  modules: readonly QuantizedModule[],
  baseDigest: string = '00'.repeat(32),
  contributor: KeyPair = CONTRIBUTOR,
): AdapterCommitment {
  return {
    format: 'zklora/adapter/v1',
    parametersId: '11'.repeat(32),
    contributorKey: bytesToHex(contributor.publicKey),
    baseDigest,
    lineageDigest: '00'.repeat(32),
    salt: '22'.repeat(32),
    domainSize: 512,
    modules: modules.map(({ name, rank, inFeatures, outFeatures, aExponent, bExponent, scaling }) => ({
      name,
      rank,
      inFeatures,
      outFeatures,
      aExponent,
      bExponent,
      scaling,
      columnOffset: 0,
      aRows: Array.from({ length: rank }, () => '01'.repeat(64)),
      bColumns: Array.from({ length: rank }, () => '02'.repeat(64)),
    })),
    registrationProof: null,
  };
}

export function header(commitmentId = '33'.repeat(32)): SessionHeader {
  return {
    format: 'zklora/session/v1',
    adapterId: commitmentId,
    contributorKey: bytesToHex(CONTRIBUTOR.publicKey),
    userKey: bytesToHex(USER.publicKey),
    nonce: '44'.repeat(32),
    inputs: INPUTS,
  };
}

/** What a user sends to open a session; signed by `user`. */
export function openRequest(
  commitment: AdapterCommitment,
  options: {
    readonly inputs?: readonly (readonly number[])[];
    readonly user?: KeyPair;
    readonly nonce?: number;
    readonly signer?: KeyPair;
  } = {},
): OpenRequest {
  const { inputs = INPUTS, user = USER, nonce = 9, signer = user } = options;
  const head: SessionHeader = {
    ...header(adapterId(commitment)),
    userKey: bytesToHex(user.publicKey),
    nonce: bytesToHex(new Uint8Array(32).fill(nonce)),
    inputs,
  };
  return {
    adapterId: hexToBytes(head.adapterId),
    userKey: user.publicKey,
    nonce: hexToBytes(head.nonce),
    seed: SEED,
    inputs,
    userSignature: sign(userOpeningMessage(head, SEED), signer.secretKey),
  };
}

export function randomRows(tokens: number, features: number, seed = 1): ActivationRows {
  const next = randomNumbers(seed);
  return {
    x: Int16Array.from({ length: tokens * features }, () => Math.floor(next() * 65_535) - 32_767),
    exponents: Int16Array.from({ length: tokens }, () => Math.floor(next() * 20) - 20),
  };
}

/** A call of the right shape; its outputs are arbitrary. */
export function randomCall(head: SessionHeader, tokens: number, seed = 1): SessionCall {
  const next = randomNumbers(seed);
  return {
    tokens,
    inputs: head.inputs.map((users, i) => randomRows(tokens, MODULES[users[0]!]!.inFeatures, seed + i)),
    outputs: sessionModules(head).map((module) =>
      BigInt64Array.from({ length: tokens * MODULES[module]!.outFeatures }, () =>
        BigInt(Math.floor((next() - 0.5) * 2 ** 50)),
      ),
    ),
  };
}

export interface Served {
  readonly server: ContributorServer;
  readonly client: ContributorClient;
  readonly commitment: AdapterCommitment;
  readonly events: ServiceEvent[];
}

export interface ServedOptions {
  readonly dir: string;
  readonly modules?: readonly QuantizedModule[];
  readonly commitment?: AdapterCommitment;
  readonly prove?: ProveSession;
  readonly timeouts?: Partial<Timeouts>;
  /** More of the service's options, and of the client's. */
  readonly serving?: Partial<ServeOptions>;
  readonly connecting?: Partial<ConnectOptions>;
}

/** A contributor and a client of it over real loopback; both end with the test. */
export async function serve(options: ServedOptions): Promise<Served> {
  const modules = options.modules ?? MODULES;
  const commitment = options.commitment ?? commitTo(modules);
  const events: ServiceEvent[] = [];
  const server = await serveContributor({
    commitment,
    modules,
    secretKey: CONTRIBUTOR.secretKey,
    sessionsDir: join(options.dir, 'contributor'),
    prove: options.prove ?? (async () => Uint8Array.of(1, 2, 3)),
    address: LOOPBACK,
    onEvent: (event) => events.push(event),
    ...options.serving,
  });
  onTestFinished(() => server.close());
  const client = await connectContributor({
    address: server.address,
    ...(options.timeouts && { timeouts: options.timeouts }),
    // A lost connection, or a limit, is what most of these tests look at.
    retry: { attempts: 0, longestWait: 0 },
    ...options.connecting,
  });
  onTestFinished(() => client.close());
  return { server, client, commitment, events };
}

/** Folders of a contributor's sessions, in no order. */
export async function sessionFolders(sessionsDir: string): Promise<string[]> {
  const names = await readdir(sessionsDir);
  return names.filter((name) => /^[0-9a-f]{32}$/.test(name)).map((name) => join(sessionsDir, name));
}
