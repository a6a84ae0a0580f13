import { constants, type ServerHttp2Stream } from 'node:http2';
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { ZkLoraError } from '../errors.js';
import { isOpen, requireAccess } from './access.js';
import { type Admission, shuttingDown } from './admission.js';
import type { Clock } from './clock.js';
import type { Connections } from './connections.js';
import {
  CALL_QUIET_MS,
  LINGER_MS,
  MAX_METADATA_BYTES,
  MAX_METADATA_ENTRIES,
  MAX_RECEIVING_BYTES,
  MAX_SMALL_REQUEST_BYTES,
  MESSAGE_MS,
  SWEEP_MS,
} from './limits.js';
import { MemoryBudget } from './memoryBudget.js';
import { limitsOf } from './methodLimits.js';
import { peerOf } from './peers.js';
import { refusal, toWireError } from './refusal.js';
import { StreamGuard } from './streamGuard.js';
import type { AccessTokens } from './tokens.js';

/** In place of a request that does not parse; the library would answer INTERNAL, without a code of ours. */
const UNREADABLE = Symbol('unreadable');

export interface CallGuardOptions {
  readonly admission: Admission;
  readonly clock: Clock;
  readonly connections: Connections;
  /** Only calls with one of these tokens pass. */
  readonly tokens: AccessTokens | undefined;
  /** Called with each refusal; `path` names the method. */
  readonly onRefusal: (path: string, error: unknown) => void;
}

/** A call under way. */
interface GuardedCall {
  readonly guard: StreamGuard;
  /** Ends a stream that waits for its next request; others come to their end by themselves. */
  endIfWaiting(): void;
  /** Since when a stream waits for its next request. */
  waitingSince(): number | undefined;
  /** Ends a stream that waits, so that another call has its place. */
  giveWay(): void;
}

/** Stands between the HTTP/2 streams of strangers and the methods of the service. */
export class CallGuard {
  private readonly memory = new MemoryBudget(MAX_RECEIVING_BYTES, 'requests are under way');
  /** Of methods that take small requests: as many as there are calls. */
  private readonly unbounded = new MemoryBudget(Number.POSITIVE_INFINITY, 'small requests');
  private readonly calls = new Set<GuardedCall>();
  private isDraining = false;
  private onEmpty: () => void = () => undefined;
  private readonly stopSweep: () => void;

  constructor(private readonly options: CallGuardOptions) {
    this.stopSweep = options.clock.every(SWEEP_MS, () => this.sweep());
  }

  /** Ends the watch over streams. */
  dispose(): void {
    this.stopSweep();
  }

  /**
   * Ends streams between two requests, and waits for the other calls.
   *
   * @param ms at most so long
   */
  async drain(ms: number): Promise<void> {
    this.isDraining = true;
    for (const call of this.calls) call.endIfWaiting();
    if (this.calls.size === 0) return;
    await new Promise<void>((resolve) => {
      const stop = this.options.clock.every(ms, resolve);
      this.onEmpty = () => {
        stop();
        resolve();
      };
    });
  }

  /** Has to be the only interceptor of the server: it works on the stream below the call. */
  readonly interceptor: ServerInterceptor = (method, call) => {
    const { admission, connections, tokens, clock, onRefusal } = this.options;
    const stream = streamOf(call);
    const peer = peerOf(stream.session?.socket?.remoteAddress);
    let answers = 0;
    let hasEnded = false;
    /**
     * What still arrives is dropped. A stream that the other side holds open is closed soon after it took the status; one that takes
     * none, having used up its window to the last byte, is closed all the same.
     */
    const end = (): void => {
      hasEnded = true;
      // no event will come to end what waits below
      if (stream.closed) return;
      const stop = clock.every(MESSAGE_MS, () => {
        stop();
        stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      });
      stream.once('close', stop);
      stream.removeAllListeners('data');
      stream.resume();
      const linger = (): void => {
        const timer = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), LINGER_MS);
        stream.once('close', () => clearTimeout(timer));
      };
      if (stream.writableFinished) linger();
      else stream.once('finish', linger);
    };
    const refuse = (error: unknown): void => {
      if (hasEnded || stream.closed) return;
      onRefusal(method.path, error);
      end();
      call.sendStatus(toWireError(error));
    };
    const limits = limitsOf(method.path);
    const guard = new StreamGuard({
      stream,
      memory: limits.bytes > MAX_SMALL_REQUEST_BYTES ? this.memory : this.unbounded,
      peer: admission.shareOf(peer),
      limits,
      answers: () => answers,
      clock,
      refuse,
    });
    let leave = (): void => undefined;
    /** Takes the place of a call, once it is let in. */
    const enter = (): void => {
      if (stream.closed) return;
      const release = admission.call(peer, () => this.endQuietest());
      // whoever may ask about health alone is nobody that is known
      const endOnConnection = isOpen(method.path)
        ? () => undefined
        : connections.begin(stream.session?.socket ?? {});
      this.calls.add(guarded);
      leave = () => {
        leave = () => undefined;
        release();
        endOnConnection();
        this.calls.delete(guarded);
        if (this.calls.size === 0) this.onEmpty();
      };
    };
    const guarded: GuardedCall = {
      guard,
      endIfWaiting: () => {
        if (method.requestStream && guard.requests <= answers) refuse(shuttingDown());
      },
      waitingSince: () => (method.requestStream && !hasEnded ? guard.waitingSince : undefined),
      giveWay: () => {
        refuse(gaveWay());
        leave();
      },
    };
    stream.once('close', () => {
      guard.release();
      leave();
    });
    return new ServerInterceptingCall(call, {
      start: (next) => {
        try {
          admission.request(peer);
        } catch (error) {
          refuse(error);
          return;
        }
        next({
          onReceiveMetadata: (metadata, pass) => {
            try {
              requireSmall(metadata);
              if (tokens !== undefined) requireAccess(tokens, method.path, metadata);
              // nobody gives way to who is not let in
              enter();
            } catch (error) {
              return refuse(error);
            }
            pass(metadata);
          },
          onReceiveMessage: (message: unknown, pass) => {
            if (hasEnded) return;
            if (message === UNREADABLE) return refuse(unreadable());
            const wait = method.requestStream ? admission.delay(peer) : 0;
            if (wait === 0) return pass(message);
            const stop = clock.every(wait, () => {
              stop();
              if (!hasEnded && !stream.closed) pass(message);
            });
          },
        });
      },
      sendMessage: (message, next) => {
        next(message);
        answers += 1;
        guard.answered();
        if (this.isDraining) guarded.endIfWaiting();
      },
      sendStatus: (status, next) => {
        if (hasEnded) return;
        end();
        next(status);
      },
    });
  };

  /** Of the streams that wait for their next request for {@link CALL_QUIET_MS}; their clients open others. */
  private endQuietest(): void {
    const latest = this.options.clock.now() - CALL_QUIET_MS;
    let quietest: { readonly call: GuardedCall; readonly since: number } | undefined;
    for (const call of this.calls) {
      const since = call.waitingSince();
      if (since === undefined || since > (quietest?.since ?? latest)) continue;
      quietest = { call, since };
    }
    quietest?.call.giveWay();
  }

  private sweep(): void {
    for (const { guard } of this.calls) guard.sweep();
  }
}

/** The same methods, whose requests never fail to parse: {@link CallGuard} refuses what is in their place. */
export function guarded<T extends ServiceDefinition>(methods: T): T {
  return Object.fromEntries(
    Object.entries(methods).map(([name, method]) => {
      const requestDeserialize = (bytes: Buffer): unknown => {
        try {
          return method.requestDeserialize(bytes);
        } catch {
          return UNREADABLE;
        }
      };
      return [name, { ...method, requestDeserialize }];
    }),
  ) as T;
}

/**
 * The HTTP/2 stream below a call. grpc-js gives no public way to it, and none to see a message before it is whole;
 * its version is pinned, and a test fails where the field is gone.
 */
function streamOf(call: ServerInterceptingCallInterface): ServerHttp2Stream {
  const { stream } = call as unknown as { stream?: ServerHttp2Stream };
  if (stream === undefined) throw new ZkLoraError('INTERNAL', 'calls of grpc-js have no stream');
  return stream;
}

function requireSmall(metadata: Metadata): void {
  const entries = Object.entries(metadata.toHttp2Headers()).flatMap(([key, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => key.length + String(one ?? '').length),
  );
  const bytes = entries.reduce((sum, length) => sum + length, 0);
  if (entries.length > MAX_METADATA_ENTRIES || bytes > MAX_METADATA_BYTES) {
    throw refusal(
      'RESOURCE_EXHAUSTED',
      'LIMIT_REACHED',
      `a call has at most ${MAX_METADATA_ENTRIES} metadata entries and ${MAX_METADATA_BYTES} bytes of them`,
    );
  }
}

function gaveWay(): ZkLoraError {
  return refusal('UNAVAILABLE', 'LIMIT_REACHED', 'the stream gave its place to another; open another');
}

function unreadable(): ZkLoraError {
  return refusal('INVALID_ARGUMENT', 'SESSION_MALFORMED', 'the request is not a message of this method');
}
