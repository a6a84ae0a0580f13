/**
 * The tree whose head the session digest binds: a salted leaf for each token row of each module, so that one row can
 * be shown without the rest. docs/protocol.md, "Session digest".
 */
import { concatBytes, labelledSha256, u32, utf8ToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { toBytes } from '../littleEndian.js';
import { MerkleTree } from '../merkle.js';
import { createSha256 } from '../sha256.js';
import { RowSalts, SALT_BYTES } from './rowSalts.js';
import { type Session, type SessionCall, type SessionHeader, sessionModules } from './session.js';
import { checkCall, checkHeader, headerDigest, type ModuleShape } from './sessionDigest.js';
import { MAX_TOKENS } from './statement.js';

export const SESSION_NODE_LABEL = 'zklora/session/node/v1';

const LEAF = concatBytes(utf8ToBytes('zklora/session/row/v1'), Uint8Array.of(0));
const EMPTY = 'zklora/session/empty/v1';
const DIGEST = 'zklora/session/v1';

/** One token row of one module. */
export interface SessionRow {
  /** Number of the token row, counted through all calls. */
  readonly row: number;
  readonly call: number;
  /** Index in the adapter. */
  readonly module: number;
  /** Activation = x * 2^exponent. */
  readonly exponent: number;
  /** int16 `[inFeatures]`. */
  readonly x: Int16Array;
  /** int64 `[outFeatures]`: x A^T B^T. */
  readonly y: BigInt64Array;
}

/** Where a session starts to be read: all that a leaf knows about its place. */
interface Place {
  readonly call: number;
  /** First token row of the call. */
  readonly row: number;
}

/** H("zklora/session/row/v1" | 00 | salt | u32 row, call, module | i16 exponent | u32 bytes of x, y | x | y). */
export function rowHash(salt: Uint8Array, { row, call, module, exponent, x, y }: SessionRow): Uint8Array {
  const prefix = new Uint8Array(LEAF.length + SALT_BYTES + 22);
  prefix.set(LEAF);
  prefix.set(salt, LEAF.length);
  const place = new DataView(prefix.buffer, LEAF.length + SALT_BYTES);
  place.setUint32(0, row);
  place.setUint32(4, call);
  place.setUint32(8, module);
  place.setInt16(12, exponent);
  place.setUint32(14, x.byteLength);
  place.setUint32(18, y.byteLength);
  return createSha256().update(prefix).update(toBytes(x)).update(toBytes(y)).digest();
}

/** H("zklora/session/v1" | 00 | header digest | u32 calls | u32 token rows | head of the tree). */
export function digestOf(
  header: SessionHeader,
  calls: number,
  tokens: number,
  head: Uint8Array | undefined,
): Uint8Array {
  return labelledSha256(DIGEST, headerDigest(header), u32(calls), u32(tokens), head ?? labelledSha256(EMPTY));
}

/** Cuts calls into the rows of their modules and hashes these. */
class RowHasher {
  /** Modules of the session, ascending, with their inputs. */
  readonly members: readonly { readonly module: number; readonly input: number }[];
  readonly #salts: RowSalts;

  constructor({ header, seed }: Pick<Session, 'header' | 'seed'>) {
    this.#salts = new RowSalts(seed);
    this.members = sessionModules(header).map((module) => ({
      module,
      input: header.inputs.findIndex((users) => users.includes(module)),
    }));
  }

  salt(leaf: number): Uint8Array {
    return this.#salts.of(leaf);
  }

  /** Rows of a call by token, then by module; views into the call's arrays. */
  *rows({ tokens, inputs, outputs }: SessionCall, { call, row }: Place): Generator<SessionRow> {
    for (let token = 0; token < tokens; token++) {
      for (const [member, { module, input }] of this.members.entries()) {
        const { x, exponents } = inputs[input]!;
        const y = outputs[member]!;
        const [n, k] = [x.length / tokens, y.length / tokens];
        yield {
          row: row + token,
          call,
          module,
          exponent: exponents[token]!,
          x: x.subarray(n * token, n * (token + 1)),
          y: y.subarray(k * token, k * (token + 1)),
        };
      }
    }
  }

  *hashes(call: SessionCall, place: Place): Generator<Uint8Array> {
    let leaf = place.row * this.members.length;
    for (const row of this.rows(call, place)) yield rowHash(this.salt(leaf++), row);
  }
}

/** Row to be opened, see {@link SessionTree}. */
export interface WantedRow {
  /** Number of the token row, counted through all calls. */
  readonly row: number;
  /** Index in the adapter; one of the session's. */
  readonly module: number;
}

/** A row with what shows that it belongs to a session. */
export interface OpenedRow extends SessionRow {
  readonly salt: Uint8Array;
  /** Siblings in the tree, lowest first. */
  readonly path: readonly Uint8Array[];
}

/** What was read of a call: comparing it later needs the same place. */
export interface CallFingerprint extends Place {
  /** SHA-256 of the hashes of the call's rows. */
  readonly hash: Uint8Array;
}

/** Tree of a session that is read or held call by call; its memory does not grow with the session. */
export class SessionTree {
  readonly #header: SessionHeader;
  readonly #modules: readonly ModuleShape[];
  readonly #hasher: RowHasher;
  readonly #tree: MerkleTree;
  readonly #wanted: WantedRow | undefined;
  #opened: SessionRow | undefined;
  #calls = 0;
  #tokens = 0;

  /**
   * @param modules shapes of all modules of the adapter, in its order
   * @param wanted row to be opened
   * @throws ZkLoraError `SESSION_MALFORMED`; `USAGE` for a module that the session does not have
   */
  constructor(
    session: Pick<Session, 'header' | 'seed'>,
    modules: readonly ModuleShape[],
    wanted?: WantedRow,
  ) {
    checkHeader(session.header, modules);
    this.#header = session.header;
    this.#modules = modules;
    this.#hasher = new RowHasher(session);
    this.#wanted = wanted;
    this.#tree = new MerkleTree(SESSION_NODE_LABEL, wanted && this.#leafOf(wanted));
  }

  /** Token rows of all calls so far. */
  get tokens(): number {
    return this.#tokens;
  }

  /**
   * Takes the next call.
   *
   * @throws ZkLoraError `SESSION_MALFORMED` when it does not fit (see {@link checkCall}), or beyond 2^31 token rows
   */
  add(call: SessionCall): CallFingerprint {
    checkCall(this.#header, this.#modules, call);
    if (this.#tokens + call.tokens > MAX_TOKENS) {
      throw new ZkLoraError(
        'SESSION_MALFORMED',
        `a session has at most ${MAX_TOKENS} token rows: open another`,
      );
    }
    const place = { call: this.#calls, row: this.#tokens };
    const print = createSha256();
    for (const hash of this.#hasher.hashes(call, place)) {
      this.#tree.push(hash);
      print.update(hash);
    }
    this.#keepWanted(call, place);
    this.#calls += 1;
    this.#tokens += call.tokens;
    return { ...place, hash: print.digest() };
  }

  /**
   * Fingerprint of a call at the place of an earlier one.
   *
   * @throws ZkLoraError `SESSION_MALFORMED` when it does not fit
   */
  fingerprint(call: SessionCall, place: Place): Uint8Array {
    checkCall(this.#header, this.#modules, call);
    const print = createSha256();
    for (const hash of this.#hasher.hashes(call, place)) print.update(hash);
    return print.digest();
  }

  /** Session digest of the calls so far. */
  digest(): Uint8Array {
    return digestOf(this.#header, this.#calls, this.#tokens, this.#tree.head());
  }

  /** The wanted row; undefined when the calls so far do not reach it. */
  opened(): OpenedRow | undefined {
    if (!this.#opened || !this.#wanted) return undefined;
    const salt = this.#hasher.salt(this.#leafOf(this.#wanted)).slice();
    return { ...this.#opened, salt, path: this.#tree.path() };
  }

  #leafOf({ row, module }: WantedRow): number {
    const member = this.#hasher.members.findIndex((one) => one.module === module);
    if (member < 0) throw new ZkLoraError('USAGE', 'the session has no such module; `inspect` lists them');
    return row * this.#hasher.members.length + member;
  }

  #keepWanted(call: SessionCall, place: Place): void {
    const wanted = this.#wanted;
    if (!wanted || wanted.row < place.row || wanted.row >= place.row + call.tokens) return;
    for (const row of this.#hasher.rows(call, place)) {
      if (row.row !== wanted.row || row.module !== wanted.module) continue;
      this.#opened = { ...row, x: row.x.slice(), y: row.y.slice() };
      return;
    }
  }
}
