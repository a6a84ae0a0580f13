/**
 * The tree whose head the session digest binds: a salted leaf for each token row of each module, so that one row can
 * be shown without the rest. docs/protocol.md, "Session digest".
 */
import { concatBytes, labelledSha256, u32, utf8ToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { toBytes } from '../littleEndian.js';
import { HASH_BYTES, MerkleTree } from '../merkle.js';
import { sha256Of, sha256OfParts } from '../sha256.js';
import { RowSalts, SALT_BYTES } from './rowSalts.js';
import {
  type ActivationRows,
  type Session,
  type SessionCall,
  type SessionHeader,
  sessionModules,
} from './session.js';
import { checkCall, checkHeader, headerDigest, type ModuleShape } from './sessionDigest.js';
import { MAX_TOKENS } from './statement.js';

export const SESSION_NODE_LABEL = 'zklora/session/node/v1';

const LEAF = concatBytes(utf8ToBytes('zklora/session/row/v1'), Uint8Array.of(0));
const EMPTY = 'zklora/session/empty/v1';
const DIGEST = 'zklora/session/v1';

/** Bytes of rows that are hashed at a time: a fraction of a millisecond's work. */
const TURN_BYTES = 2 ** 18;

/** Salts that are made at a time: a fraction of a millisecond's work, too. */
const TURN_SALTS = 2 ** 8;

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
  const prefix = new RowPrefix(call, module, x.byteLength, y.byteLength);
  return sha256OfParts(prefix.of(salt, row, exponent), toBytes(x), toBytes(y));
}

/** What comes before x and y in the leaf of a row; one buffer for all rows of a module in a call. */
class RowPrefix {
  readonly #bytes = new Uint8Array(LEAF.length + SALT_BYTES + 22);
  readonly #place = new DataView(this.#bytes.buffer, LEAF.length + SALT_BYTES);

  constructor(call: number, module: number, xBytes: number, yBytes: number) {
    this.#bytes.set(LEAF);
    this.#place.setUint32(4, call);
    this.#place.setUint32(8, module);
    this.#place.setUint32(14, xBytes);
    this.#place.setUint32(18, yBytes);
  }

  /** Valid until it is asked for another row's. */
  of(salt: Uint8Array, row: number, exponent: number): Uint8Array {
    this.#bytes.set(salt, LEAF.length);
    this.#place.setUint32(0, row);
    this.#place.setInt16(12, exponent);
    return this.#bytes;
  }
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

/** Modules of a session, and the salts of their rows. */
class SessionRows {
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

  /** Salts of so many leaves from one on, 32 bytes each, in pieces. */
  *salts(first: number, count: number): Generator<void, Uint8Array> {
    const salts = new Uint8Array(count * SALT_BYTES);
    for (let i = 0; i < count; i++) {
      salts.set(this.#salts.of(first + i), i * SALT_BYTES);
      if ((i + 1) % TURN_SALTS === 0) yield;
    }
    return salts;
  }
}

/** The rows of one call, hashed module by module in any order while the call is made. */
export class CallRows {
  readonly tokens: number;
  readonly place: Place;
  readonly #session: SessionRows;
  /** By token, then by module: as the leaves. */
  #hashes: Uint8Array | undefined;
  readonly #hashed: boolean[] = [];
  #salts: Uint8Array | undefined;
  /** Bytes that were hashed since other work had its turn. */
  #sinceTurn = 0;

  constructor(session: SessionRows, place: Place, tokens: number) {
    this.tokens = tokens;
    this.place = place;
    this.#session = session;
  }

  /**
   * Hashes the rows of one module. Their values have been checked.
   *
   * @throws ZkLoraError `SESSION_MALFORMED` for rows of another size
   */
  add(module: number, rows: ActivationRows, y: BigInt64Array): void {
    for (const _ of this.adding(module, rows, y));
  }

  /** {@link CallRows.add} in pieces. */
  *adding(module: number, { x, exponents }: ActivationRows, y: BigInt64Array): Generator<void> {
    const { tokens } = this;
    const { members } = this.#session;
    const member = members.findIndex((one) => one.module === module);
    const [n, k] = [x.length / tokens, y.length / tokens];
    if (member < 0 || exponents.length !== tokens || !Number.isInteger(n) || !Number.isInteger(k)) {
      throw new ZkLoraError('SESSION_MALFORMED', `rows of module ${module} do not fit their call`);
    }
    const { call, row } = this.place;
    this.#hashes ??= new Uint8Array(tokens * members.length * HASH_BYTES);
    this.#salts ??= yield* this.#session.salts(row * members.length, tokens * members.length);
    const salts = this.#salts;
    const [rowsX, rowsY] = [toBytes(x), toBytes(y)];
    const [xBytes, yBytes] = [2 * n, 8 * k];
    const prefix = new RowPrefix(call, module, xBytes, yBytes);
    for (let token = 0; token < tokens; token++) {
      const leaf = token * members.length + member;
      const salt = salts.subarray(leaf * SALT_BYTES, (leaf + 1) * SALT_BYTES);
      const hash = sha256OfParts(
        prefix.of(salt, row + token, exponents[token]!),
        rowsX.subarray(xBytes * token, xBytes * (token + 1)),
        rowsY.subarray(yBytes * token, yBytes * (token + 1)),
      );
      this.#hashes.set(hash, leaf * HASH_BYTES);
      this.#sinceTurn += xBytes + yBytes;
      if (this.#sinceTurn >= TURN_BYTES) {
        this.#sinceTurn = 0;
        yield;
      }
    }
    this.#hashed[member] = true;
  }

  /** Hashes of all rows, 32 bytes each. @throws ZkLoraError `INTERNAL` while a module is missing */
  whole(): Uint8Array {
    if (!this.#hashes || !this.#session.members.every((_, member) => this.#hashed[member])) {
      throw new ZkLoraError('INTERNAL', 'a call is hashed before all of its rows came in');
    }
    return this.#hashes;
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
  readonly #session: SessionRows;
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
    this.#session = new SessionRows(session);
    this.#wanted = wanted;
    this.#tree = new MerkleTree(SESSION_NODE_LABEL, wanted && this.#leafOf(wanted));
  }

  /** Token rows of all calls so far. */
  get tokens(): number {
    return this.#tokens;
  }

  /**
   * Begins the next call; it belongs to the session once it is {@link take}n.
   *
   * @throws ZkLoraError `SESSION_MALFORMED` beyond 2^31 token rows
   */
  begin(tokens: number): CallRows {
    if (this.#tokens + tokens > MAX_TOKENS) {
      throw new ZkLoraError(
        'SESSION_MALFORMED',
        `a session has at most ${MAX_TOKENS} token rows: open another`,
      );
    }
    return new CallRows(this.#session, { call: this.#calls, row: this.#tokens }, tokens);
  }

  /** Takes a call with all of its rows; it was begun after the call before it was taken. */
  take(rows: CallRows): CallFingerprint {
    const hashes = rows.whole();
    if (rows.place.call !== this.#calls) throw new ZkLoraError('INTERNAL', 'calls are taken in order');
    for (let at = 0; at < hashes.length; at += HASH_BYTES) {
      this.#tree.push(hashes.slice(at, at + HASH_BYTES));
    }
    const place = { call: this.#calls, row: this.#tokens };
    this.#calls += 1;
    this.#tokens += rows.tokens;
    return { ...place, hash: sha256Of(hashes) };
  }

  /**
   * Takes the next call as a whole.
   *
   * @throws ZkLoraError `SESSION_MALFORMED` when it does not fit (see {@link checkCall}), or beyond 2^31 token rows
   */
  add(call: SessionCall): CallFingerprint {
    const adding = this.adding(call);
    for (;;) {
      const { done, value } = adding.next();
      if (done) return value;
    }
  }

  /**
   * {@link SessionTree.add} in pieces, between which other work may have its turn. The call has been checked when this
   * returns; it is in the tree at the end.
   *
   * @throws ZkLoraError as {@link SessionTree.add}
   */
  adding(call: SessionCall): Generator<void, CallFingerprint> {
    checkCall(this.#header, this.#modules, call);
    return this.#adding(this.begin(call.tokens), call);
  }

  *#adding(rows: CallRows, call: SessionCall): Generator<void, CallFingerprint> {
    yield* this.#hashing(rows, call);
    const print = this.take(rows);
    this.#keepWanted(call, print);
    return print;
  }

  /**
   * Fingerprint of a call at the place of an earlier one.
   *
   * @throws ZkLoraError `SESSION_MALFORMED` when it does not fit
   */
  fingerprint(call: SessionCall, place: Place): Uint8Array {
    checkCall(this.#header, this.#modules, call);
    const rows = new CallRows(this.#session, place, call.tokens);
    for (const _ of this.#hashing(rows, call));
    return sha256Of(rows.whole());
  }

  *#hashing(rows: CallRows, { inputs, outputs }: SessionCall): Generator<void> {
    for (const [member, { module, input }] of this.#session.members.entries()) {
      yield* rows.adding(module, inputs[input]!, outputs[member]!);
    }
  }

  /** Session digest of the calls so far. */
  digest(): Uint8Array {
    return digestOf(this.#header, this.#calls, this.#tokens, this.#tree.head());
  }

  /** The wanted row; undefined when the calls so far do not reach it. */
  opened(): OpenedRow | undefined {
    if (!this.#opened || !this.#wanted) return undefined;
    const salt = this.#session.salt(this.#leafOf(this.#wanted)).slice();
    return { ...this.#opened, salt, path: this.#tree.path() };
  }

  #leafOf({ row, module }: WantedRow): number {
    const member = this.#session.members.findIndex((one) => one.module === module);
    if (member < 0) throw new ZkLoraError('USAGE', 'the session has no such module; `inspect` lists them');
    return row * this.#session.members.length + member;
  }

  #keepWanted({ tokens, inputs, outputs }: SessionCall, { call, row }: Place): void {
    const wanted = this.#wanted;
    if (!wanted) return;
    const token = wanted.row - row;
    if (!Number.isInteger(token) || token < 0 || token >= tokens) return;
    const member = this.#session.members.findIndex(({ module }) => module === wanted.module);
    const { x, exponents } = inputs[this.#session.members[member]!.input]!;
    const y = outputs[member]!;
    const rowOf = <A extends Int16Array | BigInt64Array>(values: A): A => {
      const width = values.length / tokens;
      return values.slice(width * token, width * (token + 1)) as A;
    };
    this.#opened = { ...wanted, call, exponent: exponents[token]!, x: rowOf(x), y: rowOf(y) };
  }
}
