import { create } from '@bufbuild/protobuf';
import type { ServerWritableStream } from '@grpc/grpc-js';
import { bytesToHex } from '../bytes.js';
import type { ContributorSessions } from './contributorSessions.js';
import {
  type ProofStatusRequest,
  type ProofStatusResponse,
  ProofStatusResponseSchema,
  type ProveRequest,
  type ProveResponse,
  ProveResponseSchema,
} from './gen/zklora_pb.js';
import { MAX_PROOF_MESSAGES, PROOF_CHUNK_BYTES } from './limits.js';
import type { ProofProgress } from './proofJobs.js';
import { type ProofStatus, toWireState } from './proofStates.js';
import { toWireError } from './refusal.js';
import type { ServiceEvent } from './service.js';

/** Answers Prove: progress, then the proof. */
export async function proveStream(
  sessions: ContributorSessions,
  stream: ServerWritableStream<ProveRequest, ProveResponse>,
  on: (event: ServiceEvent) => void,
): Promise<void> {
  const mayReport = reporting(stream);
  await answer(stream, 'prove', on, async (id, signal) => {
    const report = ({ step, done, total }: ProofProgress): void => {
      if (!mayReport()) return;
      stream.write(
        create(ProveResponseSchema, { event: { case: 'progress', value: { step, done, total } } }),
      );
    };
    const proof = await sessions.prove(id, report, signal);
    for (let at = 0; at < proof.length; at += PROOF_CHUNK_BYTES) {
      const value = proof.subarray(at, at + PROOF_CHUNK_BYTES);
      stream.write(create(ProveResponseSchema, { event: { case: 'chunk', value } }));
    }
  });
}

/** Answers ProofStatus: each state, and progress as far as the reader takes it. */
export async function proofStatusStream(
  sessions: ContributorSessions,
  stream: ServerWritableStream<ProofStatusRequest, ProofStatusResponse>,
  on: (event: ServiceEvent) => void,
): Promise<void> {
  const mayReport = reporting(stream);
  await answer(stream, 'proofStatus', on, (id, signal) => {
    const tell = ({ state, progress }: ProofStatus): void => {
      if (progress !== undefined ? !mayReport() : stream.cancelled) return;
      stream.write(
        create(ProofStatusResponseSchema, { state: toWireState(state), ...(progress && { progress }) }),
      );
    };
    return sessions.watchProof(id, tell, signal);
  });
}

async function answer<I extends { sessionId: Uint8Array }, O>(
  stream: ServerWritableStream<I, O>,
  method: ServiceEvent['method'],
  on: (event: ServiceEvent) => void,
  work: (sessionId: string, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const abort = new AbortController();
  stream.on('cancelled', () => abort.abort());
  try {
    await work(bytesToHex(stream.request.sessionId), abort.signal);
    on({ method });
    stream.end();
  } catch (error) {
    on({ method, error });
    if (!stream.cancelled) stream.emit('error', toWireError(error));
  }
}

/** Whether one more report may go out: for a slow reader, and beyond what it takes, they are dropped, not queued. */
function reporting(stream: { cancelled: boolean; writableNeedDrain: boolean }): () => boolean {
  let reports = 0;
  return () => {
    if (stream.cancelled || stream.writableNeedDrain || reports >= MAX_PROOF_MESSAGES / 2) return false;
    reports += 1;
    return true;
  };
}
