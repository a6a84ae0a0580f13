import { adapterId } from '../adapter/commitment.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { bytesToHex } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { HASH_BYTES, headFromPath } from '../merkle.js';
import { SALT_BYTES } from './rowSalts.js';
import { type Session, type SessionHeader, sessionModules } from './session.js';
import { checkHeader, MAX_EXPONENT, MAX_SESSION_CALLS, type ModuleShape } from './sessionDigest.js';
import {
  digestOf,
  type OpenedRow,
  rowHash,
  SESSION_NODE_LABEL,
  SessionTree,
  type WantedRow,
} from './sessionTree.js';
import { MAX_TOKENS } from './statement.js';

/** One row of a session, to be shown to somebody who holds the session digest and not the session. */
export interface RowOpening extends OpenedRow {
  readonly header: SessionHeader;
  /** Calls of the session. */
  readonly calls: number;
  /** Token rows of all calls. */
  readonly tokens: number;
}

/** Why an opening is refused. */
export type RowInvalidReason =
  /** The session was held with another adapter. */
  | 'WRONG_ADAPTER'
  /** Row, place or path do not lead to the session digest. */
  | 'WRONG_SESSION'
  /** No such row can be in a session with this adapter: place, widths or values. */
  | 'ROW_INVALID';

/** Verdict on an opening. */
export type RowVerdict =
  | { readonly valid: true }
  | { readonly valid: false; readonly reason: RowInvalidReason; readonly message: string };

/**
 * Opens one row of a session; one pass, one call in memory at a time.
 *
 * The opening shows that row's activations and deltas and nothing of other rows: their hashes are salted.
 *
 * @param modules shapes of all modules of the adapter, in its order
 * @throws ZkLoraError `SESSION_MALFORMED`; `USAGE` for a row or module that the session does not have
 * @example
 * const opening = await openRow(session, adapter.modules, { row: 7, module: 0 });
 * const verdict = verifyRow(opening, adapter, decodeProofFile(proof).sessionDigest);
 */
export async function openRow(
  session: Session,
  modules: readonly ModuleShape[],
  wanted: WantedRow,
): Promise<RowOpening> {
  const { header, callCount } = session;
  const tree = new SessionTree(session, modules, wanted);
  for (let index = 0; index < callCount; index++) tree.add(await session.readCall(index));
  const opened = tree.opened();
  if (!opened) {
    throw new ZkLoraError(
      'USAGE',
      `the session has ${tree.tokens} token rows, numbered from 0; there is no row ${wanted.row}`,
    );
  }
  return { ...opened, header, calls: callCount, tokens: tree.tokens };
}

/**
 * Checks that an opened row belongs to the session of a digest, at the place it claims.
 *
 * @param adapter pinned commitment of the adapter
 * @param sessionDigest hex, as a verified proof or close.json has it
 * @throws ZkLoraError `SESSION_MALFORMED` when the header does not fit the adapter
 */
export function verifyRow(
  opening: RowOpening,
  adapter: AdapterCommitment,
  sessionDigest: string,
): RowVerdict {
  const { header, path } = opening;
  if (header.adapterId !== adapterId(adapter) || header.contributorKey !== adapter.contributorKey) {
    return refused('WRONG_ADAPTER', 'the session was held with another adapter or contributor');
  }
  checkHeader(header, adapter.modules);
  const impossible = whyImpossible(opening, adapter.modules);
  if (impossible !== undefined) return refused('ROW_INVALID', impossible);
  const members = sessionModules(header);
  const leaf = opening.row * members.length + members.indexOf(opening.module);
  const head = headFromPath(
    SESSION_NODE_LABEL,
    rowHash(opening.salt, opening),
    leaf,
    opening.tokens * members.length,
    path,
  );
  if (head && bytesToHex(digestOf(header, opening.calls, opening.tokens, head)) === sessionDigest) {
    return { valid: true };
  }
  return refused('WRONG_SESSION', 'the row is not at this place of the session with this digest');
}

/** What no row of a session with these modules can be. */
function whyImpossible(opening: RowOpening, modules: readonly ModuleShape[]): string | undefined {
  const { header, calls, tokens, row, call, module, exponent, x, y, salt, path } = opening;
  const shape = modules[module];
  if (!shape || !sessionModules(header).includes(module)) return 'the session does not have this module';
  const counts = [
    [calls, MAX_SESSION_CALLS + 1],
    [tokens, MAX_TOKENS + 1],
    [row, tokens],
    [call, calls],
  ] as const;
  if (!counts.every(([value, below]) => Number.isInteger(value) && value >= 0 && value < below)) {
    return 'the session does not have this row';
  }
  if (x.length !== shape.inFeatures || y.length !== shape.outFeatures || salt.length !== SALT_BYTES) {
    return 'the row does not have the size of its module';
  }
  if (path.some((hash) => hash.length !== HASH_BYTES)) {
    return `the path holds something else than hashes of ${HASH_BYTES} bytes`;
  }
  if (!Number.isInteger(exponent) || Math.abs(exponent) > MAX_EXPONENT || y.includes(-(2n ** 63n))) {
    return 'the row holds a value that no session has';
  }
  return undefined;
}

function refused(reason: RowInvalidReason, message: string): RowVerdict {
  return { valid: false, reason, message };
}
