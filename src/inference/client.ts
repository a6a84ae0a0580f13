import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { adapterId } from '../adapter/commitment.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { bytesToHex, hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { SALT_BYTES } from '../protocol/rowSalts.js';
import type { ActivationRows, SessionHeader } from '../protocol/session.js';
import { checkHeader } from '../protocol/sessionDigest.js';
import { type Address, requireProtected } from './address.js';
import { type ClientTls, secureChannel } from './clientTls.js';
import { DescribeRequestSchema, OpenSessionRequestSchema } from './gen/zklora_pb.js';
import { contributorMethods } from './grpcMethods.js';
import { type Connection, GrpcSession } from './grpcSession.js';
import { ofContributor } from './origin.js';
import type { ProofProgress } from './proofJobs.js';
import type { ProofState, ProofStatus } from './proofStates.js';
import { DEFAULT_RETRY, type RetryOptions, retrying } from './retry.js';
import { RpcChannel } from './rpc.js';
import { isSignedBy, type KeyPair, openingMessage, sign, userOpeningMessage } from './signatures.js';

/** How long to wait for a contributor, in milliseconds. */
export interface Timeouts {
  readonly connect: number;
  /** Describe, open, close, and each stage of a forward pass; as long again at most where the contributor lacks room. */
  readonly answer: number;
  readonly proof: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = { connect: 10_000, answer: 60_000, proof: 3_600_000 };

export interface ConnectOptions {
  readonly address: Address;
  /** Encrypt, and know the service; needed beyond this machine. */
  readonly tls?: ClientTls;
  /** Bearer token that the contributor gave to the user. */
  readonly token?: string;
  /** Speak plain text to an address beyond this machine. */
  readonly allowInsecure?: boolean;
  readonly timeouts?: Partial<Timeouts>;
  readonly retry?: Partial<RetryOptions>;
}

/** A connected contributor. */
export interface ContributorClient {
  /**
   * The adapter commitment that the contributor says it serves: JSON, unchecked. Evaluate against one that you
   * pinned, not against this.
   */
  describe(): Promise<string>;
  /**
   * Opens a session with the holder of the commitment's key.
   *
   * @param inputs grouping of modules by shared input, see {@link SessionHeader}
   * @throws ZkLoraError `SESSION_MISMATCH` when the other side does not hold the key.
   */
  openSession(request: OpenSession): Promise<RemoteSession>;
  /** A session that was opened before, by this process or an earlier one; nothing is asked yet. */
  attachSession(request: AttachSession): RemoteSession;
  close(): void;
}

export interface OpenSession {
  /** The pinned commitment. */
  readonly commitment: AdapterCommitment;
  readonly user: KeyPair;
  readonly inputs: readonly (readonly number[])[];
  /** 32 bytes that nobody could foresee, such as a digest over random bytes; fresh random bytes without it. */
  readonly nonce?: Uint8Array;
}

export interface AttachSession {
  /** The pinned commitment. */
  readonly commitment: AdapterCommitment;
  readonly user: KeyPair;
  readonly header: SessionHeader;
  /** See {@link RemoteSession}. */
  readonly seed: Uint8Array;
  readonly id: string;
}

/** Where the contributor's record of a session stands. */
export interface SessionStanding {
  /** Whole calls. */
  readonly calls: number;
  /** Both sides have signed. */
  readonly closed: boolean;
}

/** Quantised activations of one input of a stage. */
export interface StageRows {
  readonly input: number;
  readonly rows: ActivationRows;
}

/** A session with a contributor. Nothing is recorded here. */
export interface RemoteSession {
  readonly header: SessionHeader;
  /** Seed of the session's salts, 32 bytes. */
  readonly seed: Uint8Array;
  /** Random name of the session, 16 bytes, hex. Whoever knows it may use the session. */
  readonly id: string;
  /**
   * Asks for one stage of a call; stages and calls in order, starting at 0. After a lost answer the same question
   * may be asked again, also from stage 0 on; the same stage with other activations ends the session. Call, stage and
   * content are what makes two questions the same. A connection that is lost is made again, see {@link RetryOptions}:
   * the stages of the call before this one are asked again first.
   *
   * @returns exact integers by module, `[tokens, outFeatures]`
   */
  apply(
    call: number,
    stage: number,
    tokens: number,
    inputs: readonly StageRows[],
  ): Promise<Map<number, BigInt64Array>>;
  /**
   * Asks where the contributor stands.
   *
   * @throws ZkLoraError `SESSION_MISMATCH` when the other side does not hold the commitment's key.
   */
  standing(): Promise<SessionStanding>;
  /** Signs the digest and returns both signatures, 64 bytes each; the contributor's has been checked. */
  finish(calls: number, digest: Uint8Array): Promise<{ user: Uint8Array; contributor: Uint8Array }>;
  /** The proof of a finished session; unchecked bytes. */
  prove(onProgress?: (progress: ProofProgress) => void): Promise<Uint8Array>;
  /** Puts the proof of a finished session to work at the contributor, whether or not somebody waits for it. */
  startProof(): Promise<ProofState>;
  /** Tells the state of the proof, and each change until it is made or given up. @returns the last state */
  watchProof(onChange: (status: ProofStatus) => void): Promise<ProofState>;
  /** Stops the contributor's work on the proof. */
  cancelProof(): Promise<ProofState>;
  /** Ends the stream of this session; the session stays open at the contributor. */
  abandon(): void;
}

/**
 * Connects to a contributor.
 *
 * @throws ZkLoraError `USAGE` for plain text beyond loopback, `CONTRIBUTOR_UNTRUSTED`, `CONTRIBUTOR_UNREACHABLE`. All methods of the
 * client throw `CONTRIBUTOR_UNREACHABLE` and `CONTRIBUTOR_REFUSED`; the latter's details carry the
 * contributor's own code.
 */
export async function connectContributor(options: ConnectOptions): Promise<ContributorClient> {
  const { address, tls, token, allowInsecure = false } = options;
  requireProtected(address, { tls: tls !== undefined, allowInsecure, tokens: token !== undefined });
  const timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
  const longestWait = Math.min(DEFAULT_RETRY.longestWait, timeouts.answer);
  const retry = { ...DEFAULT_RETRY, longestWait, ...options.retry };
  const secure = tls && (await ofContributor(() => secureChannel(address, tls, timeouts.connect)));
  const channel = new RpcChannel(address, {
    ...(secure && { secure }),
    ...(token !== undefined && { token }),
  });
  try {
    await ofContributor(() => channel.ready(timeouts.connect));
  } catch (error) {
    channel.close();
    throw error;
  }
  return {
    describe: async () => {
      const request = create(DescribeRequestSchema);
      const response = await retrying(retry, () =>
        channel.unary(contributorMethods.describe, request, timeouts.answer),
      );
      return response.adapterCommitment;
    },
    openSession: (request) => openSession({ channel, timeouts, retry }, request),
    attachSession: (request) => new GrpcSession({ channel, timeouts, retry }, request),
    close: () => channel.close(),
  };
}

/**
 * Not repeated unless it was refused for lack of room: a header opens one session, and whether a lost request arrived is
 * not known.
 */
async function openSession(connection: Connection, request: OpenSession): Promise<RemoteSession> {
  const { channel, timeouts, retry } = connection;
  const { commitment, user, inputs } = request;
  const nonce = request.nonce ?? randomBytes(32);
  const seed = new Uint8Array(randomBytes(SALT_BYTES));
  const header: SessionHeader = {
    format: 'zklora/session/v1',
    adapterId: adapterId(commitment),
    contributorKey: commitment.contributorKey,
    userKey: bytesToHex(user.publicKey),
    nonce: bytesToHex(nonce),
    inputs: inputs.map((users) => [...users]),
  };
  checkHeader(header, commitment.modules);
  const opening = create(OpenSessionRequestSchema, {
    adapterId: hexToBytes(header.adapterId),
    userKey: user.publicKey,
    nonce,
    seed,
    userSignature: sign(userOpeningMessage(header, seed), user.secretKey),
    inputs: inputs.map((users) => ({ modules: [...users] })),
  });
  const response = await retrying({ ...retry, attempts: 0 }, () =>
    channel.unary(contributorMethods.openSession, opening, timeouts.answer),
  );
  const key = hexToBytes(commitment.contributorKey);
  if (!isSignedBy(response.contributorSignature, openingMessage(header), key)) {
    throw new ZkLoraError(
      'SESSION_MISMATCH',
      'the contributor does not hold the key of the pinned adapter commitment; it may be relaying somebody ' +
        "else's adapter",
    );
  }
  return new GrpcSession(connection, { commitment, user, header, seed, id: bytesToHex(response.sessionId) });
}
