import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { type ErrorCode, ZkLoraError } from '../errors.js';
import { TOKEN_METADATA } from './access.js';
import { type Address, formatAddress } from './address.js';
import type { SecureChannel } from './clientTls.js';
import { channelOptions } from './grpcMethods.js';
import { CODE_METADATA, RETRY_METADATA } from './refusal.js';

/** Longest text of the other side that an error message repeats. */
const MAX_SHOWN = 200;

/** Statuses that the transport makes up itself when the other side is gone. */
const GONE = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
  status.INTERNAL,
  status.UNKNOWN,
]);

/** Statuses of a connection that was cut: by the network, or by the other side's end. */
const CUT = new Set([status.UNAVAILABLE, status.CANCELLED]);

/** How grpc-js begins the text of a status for an answer that does not parse. */
const UNREADABLE = 'Response message parsing error';

/** How a channel is secured; made by {@link secureChannel}. */
export interface ChannelSecurity {
  readonly secure?: SecureChannel;
  /** Bearer token of the user. */
  readonly token?: string;
}

/** A connection to a contributor; every failure comes as a typed error. */
export class RpcChannel {
  private readonly client: Client;

  /** @param security plain text without `secure` */
  constructor(
    readonly address: Address,
    private readonly security: ChannelSecurity = {},
  ) {
    const { secure } = security;
    this.client = new Client(formatAddress(address), secure?.credentials ?? credentials.createInsecure(), {
      ...channelOptions,
      ...secure?.options,
    });
  }

  /** @throws ZkLoraError `CONTRIBUTOR_UNREACHABLE` */
  ready(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.client.waitForReady(deadline(timeoutMs), (error) => {
        if (error === undefined) resolve();
        else reject(this.unreachable(error));
      });
    });
  }

  /** @throws ZkLoraError `CONTRIBUTOR_UNREACHABLE`, `CONTRIBUTOR_REFUSED` */
  unary<I, O>(method: MethodDefinition<I, O>, request: I, timeoutMs: number): Promise<O> {
    return new Promise((resolve, reject) => {
      const { path, requestSerialize, responseDeserialize } = method;
      this.client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        this.metadata(),
        { deadline: deadline(timeoutMs) },
        (error, response) => {
          if (error !== null) reject(this.translate(error));
          else if (response === undefined) reject(this.unreachable());
          else resolve(response);
        },
      );
    });
  }

  serverStream<I, O>(method: MethodDefinition<I, O>, request: I, timeoutMs: number): ClientReadableStream<O> {
    const { path, requestSerialize, responseDeserialize } = method;
    return this.client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      this.metadata(),
      {
        deadline: deadline(timeoutMs),
      },
    );
  }

  /** A stream of questions with one answer each. */
  exchange<I, O>(method: MethodDefinition<I, O>): Exchange<I, O> {
    const { path, requestSerialize, responseDeserialize } = method;
    return new Exchange(
      this.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, this.metadata()),
      (error) => this.translate(error),
    );
  }

  close(): void {
    this.client.close();
  }

  /** An error of the transport or of the other side as one of ours. */
  translate(error: unknown): ZkLoraError {
    if (error instanceof ZkLoraError) return error;
    if (!isServiceError(error)) return this.unreachable(error);
    if (error.details.startsWith(UNREADABLE)) {
      const details = { status: 'UNREADABLE' };
      return new ZkLoraError('CONTRIBUTOR_REFUSED', 'the contributor speaks another protocol', {
        details,
        cause: error,
      });
    }
    const code = error.metadata?.get(CODE_METADATA)[0];
    if (code === undefined && GONE.has(error.code)) return this.unreachable(error, error.code);
    const details = {
      status: status[error.code] ?? 'UNKNOWN',
      ...(typeof code === 'string' && { contributorCode: oneLine(code) as ErrorCode }),
      ...retryOf(error),
    };
    return new ZkLoraError('CONTRIBUTOR_REFUSED', `the contributor refused: ${oneLine(error.details)}`, {
      details,
      cause: error,
    });
  }

  private metadata(): Metadata {
    const metadata = new Metadata();
    const { token } = this.security;
    if (token !== undefined) metadata.set(TOKEN_METADATA, `Bearer ${token}`);
    return metadata;
  }

  private unreachable(cause?: unknown, code?: status): ZkLoraError {
    return new ZkLoraError(
      'CONTRIBUTOR_UNREACHABLE',
      `no answer from the contributor at ${formatAddress(this.address)}; is it running there?`,
      { cause, details: code !== undefined && CUT.has(code) ? { status: 'UNAVAILABLE' } : {} },
    );
  }
}

/** Lock-step questions and answers over one bidirectional stream. */
export class Exchange<I, O> {
  private waiting: { resolve: (answer: O) => void; reject: (error: ZkLoraError) => void } | undefined;
  private failure: ZkLoraError | undefined;

  constructor(
    private readonly stream: ClientDuplexStream<I, O>,
    private readonly translate: (error: unknown) => ZkLoraError,
  ) {
    stream.on('data', (answer: O) => {
      const waiting = this.waiting;
      this.waiting = undefined;
      if (waiting !== undefined) return waiting.resolve(answer);
      this.fail(new ZkLoraError('SESSION_MISMATCH', 'the contributor answered without being asked'));
      this.cancel();
    });
    stream.on('error', (error) => this.fail(this.translate(error)));
    stream.on('end', () => this.fail(this.translate(undefined)));
  }

  /** @throws ZkLoraError `CONTRIBUTOR_UNREACHABLE`, `CONTRIBUTOR_REFUSED` */
  async ask(question: I, timeoutMs: number): Promise<O> {
    if (this.failure !== undefined) throw this.failure;
    if (this.waiting !== undefined) throw new ZkLoraError('INTERNAL', 'one question at a time');
    const timer = setTimeout(() => {
      this.fail(this.translate(undefined));
      this.cancel();
    }, timeoutMs);
    try {
      return await new Promise<O>((resolve, reject) => {
        this.waiting = { resolve, reject };
        this.stream.write(question);
      });
    } finally {
      clearTimeout(timer);
    }
  }

  end(): void {
    this.stream.end();
  }

  cancel(): void {
    this.stream.cancel();
  }

  private fail(error: ZkLoraError): void {
    this.failure ??= error;
    this.waiting?.reject(this.failure);
    this.waiting = undefined;
  }
}

function deadline(timeoutMs: number): number {
  return Date.now() + timeoutMs;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}

/** When to ask again, where the contributor lacks room and says so. */
function retryOf({ code, metadata }: ServiceError): { retryMs?: number } {
  if (code !== status.UNAVAILABLE && code !== status.RESOURCE_EXHAUSTED) return {};
  const text = metadata?.get(RETRY_METADATA)[0];
  return typeof text === 'string' && /^[0-9]{1,9}$/.test(text) ? { retryMs: Number(text) } : {};
}

/** Foreign text, fit for one line. */
function oneLine(text: string): string {
  return text.slice(0, MAX_SHOWN).replace(/[^\x20-\x7e]/g, '?');
}
