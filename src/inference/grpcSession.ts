import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import type { MethodDefinition } from '@grpc/grpc-js';
import type { AdapterCommitment } from '../adapter/types.js';
import { bytesToHex, concatBytes, hexToBytes, u32 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { holdsInt64Min, int64Within, toBytes } from '../littleEndian.js';
import { nextTurn } from '../nextTurn.js';
import type { SessionHeader } from '../protocol/session.js';
import { sha256Of } from '../sha256.js';
import { requireCallFits } from './callSizes.js';
import type { AttachSession, RemoteSession, SessionStanding, StageRows, Timeouts } from './client.js';
import { contentDigest } from './contentDigest.js';
import {
  type ApplyRequest,
  ApplyRequestSchema,
  type ApplyResponse,
  CancelProofRequestSchema,
  CloseSessionRequestSchema,
  ProofStatusRequestSchema,
  type ProofStatusResponse,
  ProveRequestSchema,
  ResumeSessionRequestSchema,
  StartProofRequestSchema,
} from './gen/zklora_pb.js';
import { contributorMethods } from './grpcMethods.js';
import { MAX_PROOF_MESSAGES } from './limits.js';
import { ProofCollector, shownProgress } from './proofCollector.js';
import type { ProofProgress } from './proofJobs.js';
import { fromWireState, type ProofState, type ProofStatus } from './proofStates.js';
import { type RetryOptions, retrying } from './retry.js';
import type { Exchange, RpcChannel } from './rpc.js';
import { closingMessage, isSignedBy, type KeyPair, resumingMessage, sign } from './signatures.js';

/** What the sessions of a client share. */
export interface Connection {
  readonly channel: RpcChannel;
  readonly timeouts: Timeouts;
  readonly retry: RetryOptions;
}

/** A session over gRPC. */
export class GrpcSession implements RemoteSession {
  readonly header: SessionHeader;
  readonly seed: Uint8Array;
  readonly id: string;
  private readonly commitment: AdapterCommitment;
  private readonly user: KeyPair;
  private exchange: Exchange<ApplyRequest, ApplyResponse> | undefined;
  /** Stages of the call under way that have been answered. */
  private answered: AnsweredQuestion[] = [];

  constructor(
    private readonly connection: Connection,
    { commitment, user, header, seed, id }: AttachSession,
  ) {
    this.commitment = commitment;
    this.user = user;
    this.header = header;
    this.seed = seed;
    this.id = id;
  }

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
      sessionId: hexToBytes(this.id),
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
    const outputs = new Map(
      response.deltas.map(({ module, values }) => [module, this.readDelta(module, values, tokens)]),
    );
    this.answered.push(new AnsweredQuestion(request, outputs));
    return outputs;
  }

  async finish(calls: number, digest: Uint8Array): Promise<{ user: Uint8Array; contributor: Uint8Array }> {
    this.exchange?.end();
    const message = closingMessage(digest);
    const signature = sign(message, this.user.secretKey);
    const { contributorSignature } = await this.unary(
      contributorMethods.closeSession,
      create(CloseSessionRequestSchema, {
        sessionId: hexToBytes(this.id),
        calls,
        digest,
        userSignature: signature,
      }),
    );
    if (!isSignedBy(contributorSignature, message, hexToBytes(this.commitment.contributorKey))) {
      throw new ZkLoraError(
        'SESSION_MISMATCH',
        "the contributor's closing signature does not fit the session",
      );
    }
    return { user: signature, contributor: contributorSignature };
  }

  async standing(): Promise<SessionStanding> {
    const challenge = new Uint8Array(randomBytes(32));
    const request = create(ResumeSessionRequestSchema, { sessionId: hexToBytes(this.id), challenge });
    const { calls, closed, contributorSignature } = await this.unary(
      contributorMethods.resumeSession,
      request,
    );
    const message = resumingMessage(challenge, this.header, { calls, closed });
    if (!isSignedBy(contributorSignature, message, hexToBytes(this.commitment.contributorKey))) {
      throw new ZkLoraError(
        'SESSION_MISMATCH',
        'whoever answers there does not hold the key of the pinned adapter commitment, or another session',
      );
    }
    return { calls, closed };
  }

  async prove(onProgress: (progress: ProofProgress) => void = () => undefined): Promise<Uint8Array> {
    await this.startProof().catch((error: unknown) => {
      // A contributor of an earlier version, which proves while the stream lasts.
      if (!(error instanceof ZkLoraError) || error.details.status !== 'UNIMPLEMENTED') throw error;
    });
    return retrying(this.connection.retry, async () => {
      const collector = new ProofCollector(onProgress);
      const request = create(ProveRequestSchema, { sessionId: hexToBytes(this.id) });
      await this.readAll(contributorMethods.prove, request, (message) => collector.take(message));
      return collector.proof();
    });
  }

  async startProof(): Promise<ProofState> {
    const request = create(StartProofRequestSchema, { sessionId: hexToBytes(this.id) });
    return fromWireState((await this.unary(contributorMethods.startProof, request)).state);
  }

  async watchProof(onChange: (status: ProofStatus) => void): Promise<ProofState> {
    const request = create(ProofStatusRequestSchema, { sessionId: hexToBytes(this.id) });
    let messages = 0;
    let last: ProofState = 'none';
    const take = ({ state, progress }: ProofStatusResponse): void => {
      messages += 1;
      if (messages > MAX_PROOF_MESSAGES) {
        throw new ZkLoraError('CONTRIBUTOR_REFUSED', 'the contributor tells of a proof without an end');
      }
      last = fromWireState(state);
      onChange({ state: last, ...(progress && { progress: shownProgress(progress) }) });
    };
    await retrying(this.connection.retry, () => this.readAll(contributorMethods.proofStatus, request, take));
    return last;
  }

  async cancelProof(): Promise<ProofState> {
    const request = create(CancelProofRequestSchema, { sessionId: hexToBytes(this.id) });
    return fromWireState((await this.unary(contributorMethods.cancelProof, request)).state);
  }

  abandon(): void {
    this.exchange?.cancel();
    this.exchange = undefined;
  }

  private ask(request: ApplyRequest): Promise<ApplyResponse> {
    const { call, stage } = request;
    if (this.answered[0]?.request.call !== call) this.answered = [];
    this.answered.length = Math.min(this.answered.length, stage);
    return retrying(this.connection.retry, () => this.askOnce(request));
  }

  /** A stream that failed is not used again: the next question opens another. */
  private async askOnce(request: ApplyRequest): Promise<ApplyResponse> {
    const { channel, timeouts } = this.connection;
    const isFresh = this.exchange === undefined;
    this.exchange ??= channel.exchange(contributorMethods.apply);
    try {
      // Whoever answers now may have been started again since, and has lost the call's activations then.
      if (isFresh) for (const earlier of this.answered) await this.askAgain(this.exchange, earlier);
      return await this.exchange.ask(request, timeouts.answer);
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  private async askAgain(
    exchange: Exchange<ApplyRequest, ApplyResponse>,
    { request, digest }: AnsweredQuestion,
  ): Promise<void> {
    const { call, stage, deltas } = await exchange.ask(request, this.connection.timeouts.answer);
    const answer = deltas.map(({ module, values }) => [module, sha256Of(values)] as const);
    if (answerDigest({ call, stage }, answer) !== digest) {
      throw new ZkLoraError('SESSION_MISMATCH', 'the contributor gave another answer to the same question');
    }
  }

  private unary<I, O>(method: MethodDefinition<I, O>, request: I): Promise<O> {
    const { channel, retry, timeouts } = this.connection;
    return retrying(retry, () => channel.unary(method, request, timeouts.answer));
  }

  private readAll<I, O>(
    method: MethodDefinition<I, O>,
    request: I,
    take: (message: O) => void,
  ): Promise<void> {
    const { channel, timeouts } = this.connection;
    const stream = channel.serverStream(method, request, timeouts.proof);
    return new Promise((resolve, reject) => {
      stream.on('data', (message: O) => {
        try {
          take(message);
        } catch (error) {
          stream.cancel();
          reject(error);
        }
      });
      stream.on('error', (error) => reject(channel.translate(error)));
      stream.on('end', resolve);
    });
  }

  private readDelta(module: number, bytes: Uint8Array, tokens: number): BigInt64Array {
    const { outFeatures } = this.commitment.modules[module]!;
    const values = int64Within(bytes, tokens * outFeatures, `the delta of module ${module}`);
    if (holdsInt64Min(values)) {
      throw new ZkLoraError(
        'SESSION_MALFORMED',
        `the delta of module ${module} holds -2^63, which is not allowed`,
      );
    }
    return values;
  }
}

/** A question of the call under way, and a digest of its answer, which is not kept. */
class AnsweredQuestion {
  #outputs: ReadonlyMap<number, BigInt64Array> | undefined;
  #digest = '';

  constructor(
    readonly request: ApplyRequest,
    outputs: ReadonlyMap<number, BigInt64Array>,
  ) {
    this.#outputs = outputs;
    // Later, so that the model has its deltas first.
    void nextTurn().then(() => this.digest);
  }

  get digest(): string {
    if (this.#outputs !== undefined) {
      const answer = [...this.#outputs].map(([module, y]) => [module, contentDigest(y)] as const);
      this.#digest = answerDigest(this.request, answer);
      this.#outputs = undefined;
    }
    return this.#digest;
  }
}

/** @param outputs modules in the answer's order, with the SHA-256 of their deltas */
function answerDigest(
  { call, stage }: Pick<ApplyRequest, 'call' | 'stage'>,
  outputs: readonly (readonly [module: number, digest: Uint8Array])[],
): string {
  const parts = outputs.flatMap(([module, digest]) => [u32(module), digest]);
  return bytesToHex(sha256Of(concatBytes(u32(call), u32(stage), ...parts)));
}
