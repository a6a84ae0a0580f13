import { equalBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import type { Session, SessionCall } from './session.js';
import { MAX_SESSION_CALLS, type ModuleShape } from './sessionDigest.js';
import { type CallFingerprint, SessionTree } from './sessionTree.js';

/** Calls kept in memory between the passes over a session; the rest is read again. */
const MAX_KEPT_BYTES = 64 * 2 ** 20;

/** A session that has been read once. */
export interface ReadSession {
  readonly digest: Uint8Array;
  /** Token rows of all calls. */
  readonly tokens: number;
  /** The same session; a call that is not what was read at first is refused. */
  readonly stable: Session;
  /** Whether all calls are in memory: another pass reads and digests nothing again. */
  readonly inMemory: boolean;
}

/**
 * Reads a whole session: its digest and number of token rows.
 *
 * What later passes see is what was digested, whatever happens to the files in between: calls are kept in memory up
 * to a limit, and digested again beyond it.
 *
 * @param modules shapes of all modules of the adapter, in its order
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export async function readSession(session: Session, modules: readonly ModuleShape[]): Promise<ReadSession> {
  const { header, seed, callCount } = session;
  const tree = new SessionTree(session, modules);
  if (!Number.isInteger(callCount) || callCount < 0 || callCount > MAX_SESSION_CALLS) {
    throw new ZkLoraError('SESSION_MALFORMED', `a session has 0 to ${MAX_SESSION_CALLS} calls`);
  }
  const prints: CallFingerprint[] = [];
  const kept = new Map<number, SessionCall>();
  let room = MAX_KEPT_BYTES;
  for (let index = 0; index < callCount; index++) {
    const call = await session.readCall(index);
    prints.push(tree.add(call));
    const bytes = callBytes(call);
    // a call alone is kept at any size: each pass holds it anyway
    if (bytes <= room || callCount === 1) {
      room -= bytes;
      kept.set(index, call);
    }
  }
  const readAgain = async (index: number): Promise<SessionCall> => {
    const call = await session.readCall(index);
    const print = prints[index]!;
    if (!equalBytes(tree.fingerprint(call, print), print.hash)) {
      throw new ZkLoraError('SESSION_MALFORMED', 'the session changed while it was read: try again');
    }
    return call;
  };
  const stable: Session = {
    header,
    seed,
    callCount,
    readCall: async (index) => kept.get(index) ?? readAgain(index),
  };
  return { digest: tree.digest(), tokens: tree.tokens, stable, inMemory: kept.size === callCount };
}

/**
 * Digest of a whole session: binds every X, Y and exponent, their order, both parties' keys and the nonce.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export async function sessionDigest(session: Session, modules: readonly ModuleShape[]): Promise<Uint8Array> {
  return (await readSession(session, modules)).digest;
}

function callBytes({ inputs, outputs }: SessionCall): number {
  const arrays = [...inputs.flatMap(({ x, exponents }) => [x, exponents]), ...outputs];
  return arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
