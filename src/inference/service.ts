import { create } from '@bufbuild/protobuf';
import {
  logVerbosity,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  setLogVerbosity,
} from '@grpc/grpc-js';
import { serializeAdapterCommitment } from '../adapter/commitment.js';
import { bytesToHex } from '../bytes.js';
import { lockFolder } from '../folderLock.js';
import { toBytes } from '../littleEndian.js';
import { type Address, requireProtected } from './address.js';
import { Admission, DEFAULT_LIMITS, type ServiceLimits } from './admission.js';
import { CallGuard, guarded } from './callGuard.js';
import { systemClock } from './clock.js';
import { Connections } from './connections.js';
import { ContributorSessions, type OpenRequest } from './contributorSessions.js';
import type { ContributorState } from './contributorState.js';
import {
  type ApplyRequest,
  type ApplyResponse,
  ApplyResponseSchema,
  type CancelProofRequest,
  CancelProofResponseSchema,
  CloseSessionResponseSchema,
  DescribeResponseSchema,
  OpenSessionResponseSchema,
  type ProofStatusRequest,
  type ProofStatusResponse,
  type ProveRequest,
  type ProveResponse,
  type ResumeSessionRequest,
  ResumeSessionResponseSchema,
  type StartProofRequest,
  StartProofResponseSchema,
} from './gen/zklora_pb.js';
import { contributorMethods, healthMethods, reflectionMethods, serverOptions } from './grpcMethods.js';
import { HealthService } from './health.js';
import { MAX_ANSWERING_BYTES, SHUTDOWN_MS } from './limits.js';
import { type Listener, listen } from './listener.js';
import { requestsOf, send } from './lockStep.js';
import { MemoryBudget } from './memoryBudget.js';
import { type Peer, peerOfCall } from './peers.js';
import { toWireState } from './proofStates.js';
import { proofStatusStream, proveStream } from './proofStreams.js';
import { reflect } from './reflection.js';
import { toWireError } from './refusal.js';
import type { ServerTls } from './serverTls.js';
import type { AccessTokens } from './tokens.js';

/** What happened, for a log; holds no activations and no weights. */
export interface ServiceEvent {
  readonly method:
    | 'describe'
    | 'openSession'
    | 'apply'
    | 'closeSession'
    | 'prove'
    | 'resumeSession'
    | 'startProof'
    | 'proofStatus'
    | 'cancelProof'
    | 'admission';
  readonly error?: unknown;
}

export interface ServeOptions extends ContributorState {
  /** Port 0 takes a free one. */
  readonly address: Address;
  /** Key and certificate; plain text without. */
  readonly tls?: ServerTls;
  /** Only calls with one of these tokens are answered. */
  readonly tokens?: AccessTokens;
  /** Serve plain text on an address that other machines can reach. */
  readonly allowInsecure?: boolean;
  /** Other limits than {@link DEFAULT_LIMITS}. */
  readonly limits?: Partial<ServiceLimits>;
  /** What it throws is dropped: a log that fails ends no request. */
  readonly onEvent?: (event: ServiceEvent) => void;
}

/** A running contributor service. */
export interface ContributorServer {
  /** Where it listens, with the port that was taken. */
  readonly address: Address;
  /** Ends the service; streams under way are cut. */
  close(): Promise<void>;
  /**
   * Ends the service with care: tells the health service, takes no new calls, lets those under way come to their
   * end for at most 10 seconds, and closes.
   */
  shutdown(): Promise<void>;
}

/**
 * Serves an adapter over gRPC (proto/zklora.proto).
 *
 * @throws ZkLoraError `SECRET_MISMATCH`, `USAGE` for plain text beyond loopback, `FOLDER_IN_USE` when another process
 * serves from the sessions folder, `CONTRIBUTOR_UNREACHABLE` when the address cannot be bound.
 */
export async function serveContributor(options: ServeOptions): Promise<ContributorServer> {
  const { tls, tokens, allowInsecure = false } = options;
  requireProtected(options.address, { tls: tls !== undefined, allowInsecure, tokens: tokens !== undefined });
  quietTransport();
  const sessions = new ContributorSessions(options);
  const lock = await lockFolder(options.sessionsDir).catch(async (error: unknown) => {
    await sessions.dispose();
    throw error;
  });
  await sessions.clearUnfinished();
  const on = unfailing(options.onEvent);
  const clock = options.clock ?? systemClock;
  const admission = new Admission({ ...DEFAULT_LIMITS, ...options.limits }, clock);
  const connections = new Connections(admission, clock);
  const guard = new CallGuard({
    admission,
    connections,
    clock,
    tokens,
    onRefusal: (_, error) => on({ method: 'admission', error }),
  });
  const server = new Server({ ...serverOptions, interceptors: [guard.interceptor] });
  const health = new HealthService();
  const answering = new MemoryBudget(MAX_ANSWERING_BYTES, 'answers wait to be taken');
  const adapterCommitment = serializeAdapterCommitment(options.commitment);

  server.addService(guarded(contributorMethods), {
    describe: unary('describe', on, async () => create(DescribeResponseSchema, { adapterCommitment })),
    openSession: unary('openSession', on, async (request: Parameters<typeof openSession>[1]) =>
      openSession(sessions, request),
    ),
    apply: (stream: ServerDuplexStream<ApplyRequest, ApplyResponse>) =>
      void applyStream(
        sessions,
        stream,
        { memory: answering, peer: admission.shareOf(peerOfCall(stream)) },
        on,
      ),
    closeSession: unary('closeSession', on, async (request: Parameters<typeof closeSession>[1]) =>
      closeSession(sessions, request),
    ),
    prove: (stream: ServerWritableStream<ProveRequest, ProveResponse>) =>
      void proveStream(sessions, stream, on),
    resumeSession: unary('resumeSession', on, async (request: ResumeSessionRequest) => {
      const { signature, ...standing } = await sessions.standing(
        bytesToHex(request.sessionId),
        request.challenge,
      );
      return create(ResumeSessionResponseSchema, { ...standing, contributorSignature: signature });
    }),
    startProof: unary('startProof', on, async ({ sessionId }: StartProofRequest) => {
      const state = toWireState(await sessions.startProof(bytesToHex(sessionId)));
      return create(StartProofResponseSchema, { state });
    }),
    proofStatus: (stream: ServerWritableStream<ProofStatusRequest, ProofStatusResponse>) =>
      void proofStatusStream(sessions, stream, on),
    cancelProof: unary('cancelProof', on, async ({ sessionId }: CancelProofRequest) => {
      const state = toWireState(await sessions.cancelProof(bytesToHex(sessionId)));
      return create(CancelProofResponseSchema, { state });
    }),
  });
  server.addService(guarded(healthMethods), { check: health.check, watch: health.watch });
  server.addService(guarded(reflectionMethods), {
    serverReflectionInfo: (stream: Parameters<typeof reflect>[0]) => void reflect(stream),
  });

  // Connections are bound, counted and secured here; the library sees plain ones.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  let listener: Listener | undefined;
  const end = once(async () => {
    guard.dispose();
    listener?.close();
    server.forceShutdown();
    listener?.destroy();
    await sessions.dispose();
    await lock.release();
  });
  try {
    const listening = await listen({
      address: options.address,
      ...(tls && { tls }),
      admit: (socket) => connections.admit(socket),
      accept: (socket) => injector.injectConnection(socket),
    });
    listener = listening;
    return {
      address: listening.address,
      close: end,
      shutdown: once(async () => {
        admission.end();
        health.end();
        listening.close();
        injector.drain(SHUTDOWN_MS);
        await guard.drain(SHUTDOWN_MS);
        await end();
      }),
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Work that is done at the first call; later ones wait for it. */
function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}

/** Failures come as typed errors; grpc-js would print some to stderr as well, unless its own variables ask for it. */
function quietTransport(): void {
  const { GRPC_VERBOSITY, GRPC_NODE_VERBOSITY } = process.env;
  if (GRPC_VERBOSITY === undefined && GRPC_NODE_VERBOSITY === undefined) setLogVerbosity(logVerbosity.NONE);
}

function unfailing(onEvent: ServeOptions['onEvent']): (event: ServiceEvent) => void {
  return (event) => {
    try {
      onEvent?.(event);
    } catch {
      // There is nobody to tell.
    }
  };
}

function unary<I, O>(
  method: ServiceEvent['method'],
  on: (event: ServiceEvent) => void,
  work: (request: I) => Promise<O>,
) {
  return (call: ServerUnaryCall<I, O>, done: sendUnaryData<O>): void => {
    work(call.request).then(
      (response) => {
        on({ method });
        done(null, response);
      },
      (error: unknown) => {
        on({ method, error });
        done(toWireError(error));
      },
    );
  };
}

async function openSession(
  sessions: ContributorSessions,
  request: Omit<OpenRequest, 'inputs'> & { inputs: { modules: number[] }[] },
) {
  const { sessionId, signature } = await sessions.open({
    ...request,
    inputs: request.inputs.map((group) => group.modules),
  });
  return create(OpenSessionResponseSchema, {
    sessionId: Buffer.from(sessionId, 'hex'),
    contributorSignature: signature,
  });
}

async function closeSession(
  sessions: ContributorSessions,
  request: { sessionId: Uint8Array; calls: number; digest: Uint8Array; userSignature: Uint8Array },
) {
  const signature = await sessions.close(bytesToHex(request.sessionId), request);
  return create(CloseSessionResponseSchema, { contributorSignature: signature });
}

/**
 * One request at a time: the next is read when the answer to the one before has been taken.
 *
 * @param answering memory of the answers that wait to be taken, in all streams, and whose share they take
 */
async function applyStream(
  sessions: ContributorSessions,
  stream: ServerDuplexStream<ApplyRequest, ApplyResponse>,
  answering: { readonly memory: MemoryBudget; readonly peer: Peer | undefined },
  on: (event: ServiceEvent) => void,
): Promise<void> {
  const { memory, peer } = answering;
  try {
    for await (const request of requestsOf(stream)) {
      const outputs = await sessions.apply(bytesToHex(request.sessionId), request);
      const deltas = outputs.map(({ module, values }) => ({ module, values: toBytes(values) }));
      const { call, stage } = request;
      if (stream.cancelled) return;
      let held = deltas.reduce((sum, { values }) => sum + values.length, 0);
      memory.take(held, peer);
      const give = (): void => {
        memory.give(held, peer);
        held = 0;
      };
      // a stream that is cut never says that the answer was taken
      stream.once('cancelled', give);
      await send(stream, create(ApplyResponseSchema, { call, stage, deltas }));
      stream.off('cancelled', give);
      give();
      on({ method: 'apply' });
    }
    stream.end();
  } catch (error) {
    if (stream.cancelled) return;
    on({ method: 'apply', error });
    stream.emit('error', toWireError(error));
  }
}
