import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { adapterId } from '../adapter/commitment.js';
import { applyExact } from '../adapter/forward.js';
import type { AdapterCommitment, QuantizedModule } from '../adapter/types.js';
import { bytesToHex, equalBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import type { ActivationRows, Session, SessionHeader } from '../protocol/session.js';
import { sessionModules } from '../protocol/session.js';
import { checkHeader, sessionDigest } from '../protocol/sessionDigest.js';
import { MAX_OPEN_SESSIONS, MAX_PROOF_BYTES, MAX_RUNNING_PROOFS } from './limits.js';
import { createSessionRecord, type SessionWriter } from './record.js';
import { refusal } from './refusal.js';
import { closingMessage, isSignedBy, keyPairFromSeed, openingMessage, sign } from './signatures.js';
import { checkStage, decodeRows, type PendingCall, type StageRequest } from './stageRequest.js';

/** Progress of a proof, for people. */
export interface ProofProgress {
  readonly step: string;
  readonly done: number;
  readonly total: number;
}

/** Proves a closed session; injected, so that the service knows nothing of provers. */
export type ProveSession = (
  session: Session,
  onProgress: (progress: ProofProgress) => void,
) => Promise<Uint8Array>;

/** What a contributor serves. */
export interface ContributorState {
  readonly commitment: AdapterCommitment;
  /** The committed weights, in the commitment's order. */
  readonly modules: readonly QuantizedModule[];
  /** Ed25519 seed whose public key is in the commitment, 32 bytes. */
  readonly secretKey: Uint8Array;
  /** Folder that receives one session record for each session. */
  readonly sessionsDir: string;
  readonly prove: ProveSession;
}

export interface OpenRequest {
  readonly adapterId: Uint8Array;
  readonly userKey: Uint8Array;
  readonly nonce: Uint8Array;
  readonly inputs: readonly (readonly number[])[];
}

export interface ModuleOutput {
  readonly module: number;
  readonly values: BigInt64Array;
}

interface OpenedSession {
  readonly record: SessionWriter;
  pending: PendingCall | undefined;
  /** A request on this session is under way. */
  busy: boolean;
}

/**
 * The contributor's side of all sessions, apart from any transport. Every request is checked whole before
 * work; refusals say nothing about weights.
 */
export class ContributorSessions {
  readonly commitment: AdapterCommitment;
  private readonly id: string;
  private readonly sessions = new Map<string, OpenedSession>();
  private runningProofs = 0;

  /** @throws ZkLoraError `SECRET_MISMATCH` when weights or key are not those of the commitment. */
  constructor(private readonly state: ContributorState) {
    const { commitment, modules, secretKey } = state;
    this.commitment = commitment;
    this.id = adapterId(commitment);
    const same =
      commitment.modules.length === modules.length &&
      commitment.modules.every((committed, i) => isModule(modules[i]!, committed));
    if (!same) {
      throw new ZkLoraError(
        'SECRET_MISMATCH',
        'the adapter is not the one that was committed to; serve that one',
      );
    }
    if (bytesToHex(keyPairFromSeed(secretKey).publicKey) !== commitment.contributorKey) {
      throw new ZkLoraError('SECRET_MISMATCH', 'the secret file does not belong to this adapter commitment');
    }
  }

  /** Opens a session; returns its random name (16 bytes, hex) and the contributor's signature. */
  async open(request: OpenRequest): Promise<{ sessionId: string; signature: Uint8Array }> {
    if (bytesToHex(request.adapterId) !== this.id) {
      throw refusal('NOT_FOUND', 'SESSION_MISMATCH', 'this contributor serves another adapter');
    }
    if (request.userKey.length !== 32 || request.nonce.length !== 32) {
      throw refusal('INVALID_ARGUMENT', 'SESSION_MALFORMED', 'user key and nonce have 32 bytes each');
    }
    if (this.openCount() >= MAX_OPEN_SESSIONS) {
      throw refusal('RESOURCE_EXHAUSTED', 'SESSION_MISMATCH', 'too many open sessions; try again later');
    }
    const header: SessionHeader = {
      format: 'zklora/session/v1',
      adapterId: this.id,
      contributorKey: this.commitment.contributorKey,
      userKey: bytesToHex(request.userKey),
      nonce: bytesToHex(request.nonce),
      inputs: request.inputs.map((users) => [...users]),
    };
    checkHeader(header, this.commitment.modules);
    const sessionId = randomBytes(16).toString('hex');
    const record = await createSessionRecord(
      join(this.state.sessionsDir, sessionId),
      header,
      this.commitment.modules,
    );
    this.sessions.set(sessionId, { record, pending: undefined, busy: false });
    return { sessionId, signature: sign(openingMessage(header), this.state.secretKey) };
  }

  /**
   * Answers one stage. A call whose last input came in is recorded before it is answered; stage 0 starts the
   * current call afresh.
   */
  apply(sessionId: string, request: StageRequest): Promise<ModuleOutput[]> {
    return this.exclusive(sessionId, async (session) => {
      const { record } = session;
      if (record.closing !== null)
        throw refusal('FAILED_PRECONDITION', 'SESSION_MISMATCH', 'the session is closed');
      const { modules } = this.state;
      const pending = checkStage(record, session.pending, modules, request);
      const rows = request.inputs.map((part) => decodeRows(record.header, modules, pending.tokens, part));
      const outputs: ModuleOutput[] = [];
      for (const [i, { input }] of request.inputs.entries()) {
        for (const module of record.header.inputs[input]!) {
          outputs.push({
            module,
            values: applyExact(modules[module]!, rows[i]!.x, pending.tokens),
          });
          // Other sessions get their turn between the products.
          await new Promise(setImmediate);
        }
      }
      outputs.sort((a, b) => a.module - b.module);
      for (const [i, { input }] of request.inputs.entries()) pending.inputs[input] = rows[i]!;
      for (const { module, values } of outputs) pending.outputs.set(module, values);
      pending.nextStage += 1;
      session.pending = pending;
      await recordWhole(session);
      return outputs;
    });
  }

  /** Compares the user's digest with the own record and countersigns. Repeating a close gives the same answer. */
  close(
    sessionId: string,
    request: { calls: number; digest: Uint8Array; userSignature: Uint8Array },
  ): Promise<Uint8Array> {
    return this.exclusive(sessionId, async (session) => {
      const { record } = session;
      if (record.callCount === 0) {
        throw refusal('FAILED_PRECONDITION', 'SESSION_MISMATCH', 'the session holds no call yet');
      }
      const digest = await sessionDigest(record, this.commitment.modules);
      if (request.calls !== record.callCount || !equalBytes(request.digest, digest)) {
        throw refusal(
          'FAILED_PRECONDITION',
          'SESSION_MISMATCH',
          `the session differs from the contributor's record of ${record.callCount} calls`,
        );
      }
      const message = closingMessage(digest);
      const userKey = Uint8Array.from(Buffer.from(record.header.userKey, 'hex'));
      if (!isSignedBy(request.userSignature, message, userKey)) {
        throw refusal(
          'INVALID_ARGUMENT',
          'SESSION_MISMATCH',
          "the user's signature does not fit the session",
        );
      }
      const signature = sign(message, this.state.secretKey);
      session.pending = undefined;
      if (record.closing === null) {
        await record.finish({
          format: 'zklora/close/v1',
          calls: record.callCount,
          digest: bytesToHex(digest),
          userSignature: bytesToHex(request.userSignature),
          contributorSignature: bytesToHex(signature),
        });
      }
      return signature;
    });
  }

  /** Proves a closed session. */
  prove(sessionId: string, onProgress: (progress: ProofProgress) => void): Promise<Uint8Array> {
    return this.exclusive(sessionId, async ({ record }) => {
      if (record.closing === null) {
        throw refusal('FAILED_PRECONDITION', 'SESSION_MISMATCH', 'close the session before it is proven');
      }
      if (this.runningProofs >= MAX_RUNNING_PROOFS) {
        throw refusal(
          'RESOURCE_EXHAUSTED',
          'SESSION_MISMATCH',
          'another proof is under way; try again later',
        );
      }
      this.runningProofs += 1;
      try {
        const proof = await this.state.prove(record, onProgress);
        if (proof.length > MAX_PROOF_BYTES) throw new ZkLoraError('INTERNAL', 'the proof is too large');
        return proof;
      } finally {
        this.runningProofs -= 1;
      }
    });
  }

  private openCount(): number {
    let count = 0;
    for (const { record } of this.sessions.values()) if (record.closing === null) count += 1;
    return count;
  }

  private async exclusive<T>(sessionId: string, work: (session: OpenedSession) => Promise<T>): Promise<T> {
    const session = this.sessions.get(sessionId);
    if (session === undefined) throw refusal('NOT_FOUND', 'SESSION_MISMATCH', 'there is no such session');
    if (session.busy) throw refusal('FAILED_PRECONDITION', 'SESSION_MISMATCH', 'the session is busy');
    session.busy = true;
    try {
      return await work(session);
    } finally {
      session.busy = false;
    }
  }
}

/** Records the pending call once every input of the session has come in. */
async function recordWhole(session: OpenedSession): Promise<void> {
  const { pending, record } = session;
  if (pending === undefined) return;
  const inputs: ActivationRows[] = [];
  for (const rows of pending.inputs) {
    if (rows === undefined) return;
    inputs.push(rows);
  }
  session.pending = undefined;
  const outputs = sessionModules(record.header).map((module) => pending.outputs.get(module)!);
  await record.append({ tokens: pending.tokens, inputs, outputs });
}

function isModule(module: QuantizedModule, committed: AdapterCommitment['modules'][number]): boolean {
  return (
    module.name === committed.name &&
    module.rank === committed.rank &&
    module.inFeatures === committed.inFeatures &&
    module.outFeatures === committed.outFeatures &&
    module.aExponent === committed.aExponent &&
    module.bExponent === committed.bExponent &&
    module.scaling === committed.scaling
  );
}
