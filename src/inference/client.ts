import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { adapterId } from '../adapter/commitment.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { bytesToHex, hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { int64FromBytes, toBytes } from '../littleEndian.js';
import { SALT_BYTES } from '../protocol/rowSalts.js';
import type { ActivationRows, SessionHeader } from '../protocol/session.js';
import { checkHeader } from '../protocol/sessionDigest.js';
import { type Address, requireProtected } from './address.js';
import { requireCallFits } from './callSizes.js';
import { type ClientTls, secureChannel } from './clientTls.js';
import type { ProofProgress } from './contributorSessions.js';
import {
  type ApplyRequest,
  ApplyRequestSchema,
  type ApplyResponse,
  CloseSessionRequestSchema,
  DescribeRequestSchema,
  OpenSessionRequestSchema,
  ProveRequestSchema,
  type ProveResponse,
} from './gen/zklora_pb.js';
import { contributorMethods } from './grpcMethods.js';
import { MAX_PROOF_BYTES, MAX_PROOF_MESSAGES } from './limits.js';
import { type Exchange, RpcChannel } from './rpc.js';
import {
  closingMessage,
  isSignedBy,
  type KeyPair,
  openingMessage,
  sign,
  userOpeningMessage,
} from './signatures.js';

const INT64_MIN = -(2n ** 63n);

/** How long to wait for a contributor, in milliseconds. */
export interface Timeouts {
  readonly connect: number;
  /** Describe, open, close, and each stage of a forward pass. */
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
  /**
   * Asks for one stage of a call; stages and calls in order, starting at 0. After a lost answer the same question
   * may be asked again, also from stage 0 on; the same stage with other activations ends the session.
   *
   * @returns exact integers by module, `[tokens, outFeatures]`
   */
  apply(
    call: number,
    stage: number,
    tokens: number,
    inputs: readonly StageRows[],
  ): Promise<Map<number, BigInt64Array>>;
  /** Signs the digest and returns both signatures, 64 bytes each; the contributor's has been checked. */
  finish(calls: number, digest: Uint8Array): Promise<{ user: Uint8Array; contributor: Uint8Array }>;
  /** The proof of a finished session; unchecked bytes. */
  prove(onProgress?: (progress: ProofProgress) => void): Promise<Uint8Array>;
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
  const secure = tls && (await secureChannel(address, tls, timeouts.connect));
  const channel = new RpcChannel(address, {
    ...(secure && { secure }),
    ...(token !== undefined && { token }),
  });
  try {
    await channel.ready(timeouts.connect);
  } catch (error) {
    channel.close();
    throw error;
  }
  return {
    describe: async () => {
      const request = create(DescribeRequestSchema);
      const response = await channel.unary(contributorMethods.describe, request, timeouts.answer);
      return response.adapterCommitment;
    },
    openSession: (request) => openSession(channel, timeouts, request),
    close: () => channel.close(),
  };
}

async function openSession(
  channel: RpcChannel,
  timeouts: Timeouts,
  request: OpenSession,
): Promise<RemoteSession> {
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
  const response = await channel.unary(
    contributorMethods.openSession,
    create(OpenSessionRequestSchema, {
      adapterId: hexToBytes(header.adapterId),
      userKey: user.publicKey,
      nonce,
      seed,
      userSignature: sign(userOpeningMessage(header, seed), user.secretKey),
      inputs: inputs.map((users) => ({ modules: [...users] })),
    }),
    timeouts.answer,
  );
  const key = hexToBytes(commitment.contributorKey);
  if (!isSignedBy(response.contributorSignature, openingMessage(header), key)) {
    throw new ZkLoraError(
      'SESSION_MISMATCH',
      'the contributor does not hold the key of the pinned adapter commitment; it may be relaying somebody ' +
        "else's adapter",
    );
  }
  return new GrpcSession(channel, timeouts, commitment, user, header, seed, response.sessionId);
}

class GrpcSession implements RemoteSession {
  private exchange: Exchange<ApplyRequest, ApplyResponse> | undefined;

  constructor(
    private readonly channel: RpcChannel,
    private readonly timeouts: Timeouts,
    private readonly commitment: AdapterCommitment,
    private readonly user: KeyPair,
    readonly header: SessionHeader,
    readonly seed: Uint8Array,
    private readonly sessionId: Uint8Array,
  ) {}

  async apply(
    call: number,
    stage: number,
    tokens: number,
    inputs: readonly StageRows[],
  ): Promise<Map<number, BigInt64Array>> {
    const asking = inputs.map(({ input }) => input);
    const modules = asking.flatMap((input) => this.header.inputs[input]!).sort((a, b) => a - b);
    requireCallFits(this.header, this.commitment.modules, tokens, [asking]);
    const request = create(ApplyRequestSchema, {
      sessionId: this.sessionId,
      call,
      stage,
      tokens,
      inputs: inputs.map(({ input, rows }) => ({
        input,
        rows: toBytes(rows.x),
        exponents: toBytes(rows.exponents),
      })),
    });
    const response = await this.ask(request);
    const asked =
      response.call === call &&
      response.stage === stage &&
      response.deltas.length === modules.length &&
      response.deltas.every(({ module }, i) => module === modules[i]);
    if (!asked) throw new ZkLoraError('SESSION_MISMATCH', 'the contributor answered another question');
    return new Map(
      response.deltas.map(({ module, values }) => [module, this.readDelta(module, values, tokens)]),
    );
  }

  async finish(calls: number, digest: Uint8Array): Promise<{ user: Uint8Array; contributor: Uint8Array }> {
    this.exchange?.end();
    const message = closingMessage(digest);
    const signature = sign(message, this.user.secretKey);
    const { contributorSignature } = await this.channel.unary(
      contributorMethods.closeSession,
      create(CloseSessionRequestSchema, {
        sessionId: this.sessionId,
        calls,
        digest,
        userSignature: signature,
      }),
      this.timeouts.answer,
    );
    if (!isSignedBy(contributorSignature, message, hexToBytes(this.commitment.contributorKey))) {
      throw new ZkLoraError(
        'SESSION_MISMATCH',
        "the contributor's closing signature does not fit the session",
      );
    }
    return { user: signature, contributor: contributorSignature };
  }

  prove(onProgress: (progress: ProofProgress) => void = () => undefined): Promise<Uint8Array> {
    const request = create(ProveRequestSchema, { sessionId: this.sessionId });
    const stream = this.channel.serverStream(contributorMethods.prove, request, this.timeouts.proof);
    const collector = new ProofCollector(onProgress);
    return new Promise((resolve, reject) => {
      stream.on('data', (message) => {
        try {
          collector.take(message);
        } catch (error) {
          stream.cancel();
          reject(error);
        }
      });
      stream.on('error', (error) => reject(this.channel.translate(error)));
      stream.on('end', () => resolve(collector.proof()));
    });
  }

  abandon(): void {
    this.exchange?.cancel();
  }

  /** A stream that failed is not used again: the next question opens another. */
  private async ask(request: ApplyRequest): Promise<ApplyResponse> {
    this.exchange ??= this.channel.exchange(contributorMethods.apply);
    try {
      return await this.exchange.ask(request, this.timeouts.answer);
    } catch (error) {
      this.abandon();
      this.exchange = undefined;
      throw error;
    }
  }

  private readDelta(module: number, bytes: Uint8Array, tokens: number): BigInt64Array {
    const { outFeatures } = this.commitment.modules[module]!;
    const values = int64FromBytes(bytes, tokens * outFeatures, `the delta of module ${module}`);
    if (values.includes(INT64_MIN)) {
      throw new ZkLoraError(
        'SESSION_MALFORMED',
        `the delta of module ${module} holds -2^63, which is not allowed`,
      );
    }
    return values;
  }
}

/** Puts a proof together from the messages of an untrusted sender. */
class ProofCollector {
  private readonly chunks: Uint8Array[] = [];
  private size = 0;
  private messages = 0;

  constructor(private readonly onProgress: (progress: ProofProgress) => void) {}

  /** @throws ZkLoraError `PROOF_MALFORMED`, and what `onProgress` throws */
  take({ event }: ProveResponse): void {
    this.messages += 1;
    if (this.messages > MAX_PROOF_MESSAGES) {
      throw new ZkLoraError('PROOF_MALFORMED', `the proof comes in more than ${MAX_PROOF_MESSAGES} messages`);
    }
    if (event.case === 'progress') {
      const { step, done, total } = event.value;
      this.onProgress({ step: step.slice(0, 80).replace(/[^\x20-\x7e]/g, '?'), done, total });
    } else if (event.case === 'chunk') {
      this.size += event.value.length;
      if (event.value.length === 0) throw new ZkLoraError('PROOF_MALFORMED', 'a part of the proof is empty');
      if (this.size > MAX_PROOF_BYTES) {
        throw new ZkLoraError('PROOF_MALFORMED', `the proof is larger than ${MAX_PROOF_BYTES} bytes`);
      }
      this.chunks.push(event.value);
    }
  }

  proof(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.chunks));
  }
}
