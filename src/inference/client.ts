import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { adapterId } from '../adapter/commitment.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { bytesToHex, hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import type { ActivationRows, SessionHeader } from '../protocol/session.js';
import { checkHeader } from '../protocol/sessionDigest.js';
import { type Address, requireLoopback } from './address.js';
import type { ProofProgress } from './contributorSessions.js';
import {
  type ApplyRequest,
  ApplyRequestSchema,
  type ApplyResponse,
  CloseSessionRequestSchema,
  DescribeRequestSchema,
  OpenSessionRequestSchema,
  ProveRequestSchema,
} from './gen/zklora_pb.js';
import { contributorMethods } from './grpcMethods.js';
import { MAX_MESSAGE_BYTES, MAX_PROOF_BYTES, MESSAGE_OVERHEAD_BYTES } from './limits.js';
import { int64FromBytes, toBytes } from './littleEndian.js';
import { type Exchange, RpcChannel } from './rpc.js';
import { closingMessage, isSignedBy, type KeyPair, openingMessage, sign } from './signatures.js';

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
}

/** Quantised activations of one input of a stage. */
export interface StageRows {
  readonly input: number;
  readonly rows: ActivationRows;
}

/** A session with a contributor. Nothing is recorded here. */
export interface RemoteSession {
  readonly header: SessionHeader;
  /**
   * Asks for one stage of a call; stages and calls in order, starting at 0.
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
 * @throws ZkLoraError `USAGE` for an address beyond loopback, `CONTRIBUTOR_UNREACHABLE`. All methods of the
 * client throw `CONTRIBUTOR_UNREACHABLE` and `CONTRIBUTOR_REFUSED`; the latter's details carry the
 * contributor's own code.
 */
export async function connectContributor(options: ConnectOptions): Promise<ContributorClient> {
  requireLoopback(options.address, options.allowInsecure ?? false);
  const timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
  const channel = new RpcChannel(options.address);
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
  const nonce = randomBytes(32);
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
  return new GrpcSession(channel, timeouts, commitment, user, header, response.sessionId);
}

class GrpcSession implements RemoteSession {
  private exchange: Exchange<ApplyRequest, ApplyResponse> | undefined;

  constructor(
    private readonly channel: RpcChannel,
    private readonly timeouts: Timeouts,
    private readonly commitment: AdapterCommitment,
    private readonly user: KeyPair,
    readonly header: SessionHeader,
    private readonly sessionId: Uint8Array,
  ) {}

  async apply(
    call: number,
    stage: number,
    tokens: number,
    inputs: readonly StageRows[],
  ): Promise<Map<number, BigInt64Array>> {
    const modules = inputs.flatMap(({ input }) => this.header.inputs[input]!).sort((a, b) => a - b);
    this.checkMessageSizes(tokens, inputs, modules);
    this.exchange ??= this.channel.exchange(contributorMethods.apply);
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
    const response = await this.exchange.ask(request, this.timeouts.answer);
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
    const chunks: Uint8Array[] = [];
    let size = 0;
    return new Promise((resolve, reject) => {
      stream.on('data', ({ event }) => {
        if (event.case === 'progress') {
          const { step, done, total } = event.value;
          onProgress({ step: step.slice(0, 80).replace(/[^\x20-\x7e]/g, '?'), done, total });
        } else if (event.case === 'chunk') {
          size += event.value.length;
          if (size > MAX_PROOF_BYTES) {
            stream.cancel();
            reject(new ZkLoraError('PROOF_MALFORMED', `the proof is larger than ${MAX_PROOF_BYTES} bytes`));
          } else chunks.push(event.value);
        }
      });
      stream.on('error', (error) => reject(this.channel.translate(error)));
      stream.on('end', () => resolve(new Uint8Array(Buffer.concat(chunks))));
    });
  }

  abandon(): void {
    this.exchange?.cancel();
  }

  /** @throws ZkLoraError `USAGE` before anything is sent that the other side would have to refuse. */
  private checkMessageSizes(tokens: number, inputs: readonly StageRows[], modules: readonly number[]): void {
    let request = MESSAGE_OVERHEAD_BYTES;
    for (const { rows } of inputs) {
      request += MESSAGE_OVERHEAD_BYTES + rows.x.byteLength + rows.exponents.byteLength;
    }
    let response = MESSAGE_OVERHEAD_BYTES;
    for (const module of modules) {
      response += MESSAGE_OVERHEAD_BYTES + 8 * tokens * this.commitment.modules[module]!.outFeatures;
    }
    if (Math.max(request, response) > MAX_MESSAGE_BYTES) {
      throw new ZkLoraError(
        'USAGE',
        `${tokens} tokens in one call pass the message limit; use a smaller batch`,
      );
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
