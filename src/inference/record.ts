import { lstat, readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { bytesToHex, hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import {
  ensureNewFolder,
  isPresent,
  readFileBounded,
  readFileStart,
  removeFileDurable,
  type WriteOptions,
  writeFileAtomic,
} from '../files.js';
import { LOCK_FOLDER } from '../folderLock.js';
import { GrowingFile } from '../growingFile.js';
import type { ActivationRows, Session, SessionCall, SessionHeader } from '../protocol/session.js';
import { checkCall, checkHeader, MAX_SESSION_CALLS, type ModuleShape } from '../protocol/sessionDigest.js';
import { sessionDigest } from '../protocol/sessionPass.js';
import {
  CALL_START_BYTES,
  CallFile,
  decodeCall,
  decodeOwnCall,
  type FilePart,
  statedTokens,
} from './callFile.js';
import {
  MAX_CALL_FILE_BYTES,
  MAX_CLOSING_FILE_BYTES,
  MAX_HEADER_FILE_BYTES,
  MAX_SECRET_FILE_BYTES,
} from './limits.js';
import {
  parseSessionAccess,
  parseSessionClosing,
  parseSessionHeader,
  parseSessionSecret,
  type SessionAccess,
  type SessionClosing,
  type SessionSecret,
} from './sessionHeader.js';
import { wrongSigner } from './signatures.js';

const HEADER_FILE = 'session.json';
const SECRET_FILE = 'session.secret';
const CLOSING_FILE = 'close.json';
const ACCESS_FILE = 'session.access';
const CALL_FOLDER = 'calls';
/** In the folder of an evaluation; for a single contributor that is the session's. */
export const EVALUATION_FILE = 'evaluation.jsonl';
/** What may lie in a folder before its session is opened. */
export const BESIDES = [EVALUATION_FILE, LOCK_FOLDER];
/** In messages. */
const CALL_FILE_ROLE = 'session call';
const CALL_FILE = /^([0-9]{6,7})\.safetensors$/;
/** Left behind by a process that was killed while writing (see src/files.ts). */
const TEMPORARY_FILE = /^\..*\.tmp$/;
/** As {@link GrowingFile} names one of {@link CALL_FILE}. */
const UNFINISHED_CALL = /^\.[0-9]{6,7}\.safetensors\.[0-9a-f]{16}\.tmp$/;

/** A session as it lies in a folder: session.json, session.secret, calls/NNNNNN.safetensors, close.json. */
export interface SessionRecord extends Session {
  readonly dir: string;
  /** Null until both sides have signed. */
  readonly closing: SessionClosing | null;
}

/** Records one call while it is made; rows stay as they are from the time they are given. */
export interface CallWriter {
  /**
   * @param rows with exponents that have been checked
   * @throws ZkLoraError `SESSION_MALFORMED` for rows of another size
   */
  input(input: number, rows: ActivationRows): void;
  /**
   * @param y `[tokens, outFeatures]`, without -2^63
   * @throws ZkLoraError `SESSION_MALFORMED` for rows of another size
   */
  output(module: number, y: BigInt64Array): void;
  /**
   * Ends a call whose inputs and modules all came in; it is on disk when the promise resolves.
   *
   * @throws ZkLoraError `FILE_UNWRITABLE`
   */
  finish(): Promise<void>;
}

/** A record that grows: append-only, one whole call at a time. */
export interface SessionWriter extends SessionRecord {
  /**
   * Begins to record the next call, in place of one that was begun and not finished.
   *
   * @throws ZkLoraError `SESSION_MALFORMED` for a call that is too large, or one too many
   */
  begin(tokens: number): CallWriter;
  /**
   * Lets go of a call that was begun and not finished; nothing of it is in the folder when the promise resolves. One that is being
   * finished has come to its end then.
   */
  drop(): Promise<void>;
  /** Records the signatures; nothing can be appended afterwards. */
  finish(closing: SessionClosing): Promise<void>;
}

/** Activations and deltas together determine the weights: for the owner of the record alone. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/**
 * Makes the folder of a record that is to come, or takes an empty one.
 *
 * @param besides names that may be in it already
 * @throws ZkLoraError `FILE_EXISTS`, `FILE_UNWRITABLE`
 */
export async function reserveSessionFolder(dir: string, besides: readonly string[] = []): Promise<void> {
  await ensureNewFolder(dir, { mode: FOLDER_MODE, besides });
}

/**
 * Begins a record in a new or empty folder. Folders get mode 0700, files 0600; a folder that exists keeps its own.
 *
 * @param session its header and the seed of its salts; a user's with the access to it
 * @param modules shapes of all modules of the adapter, in its order
 * @throws ZkLoraError `FILE_EXISTS`, `FILE_UNWRITABLE`, `SESSION_MALFORMED`
 */
export async function createSessionRecord(
  dir: string,
  { header, seed, access }: Pick<Session, 'header' | 'seed'> & { readonly access?: SessionAccess },
  modules: readonly ModuleShape[],
): Promise<SessionWriter> {
  checkHeader(header, modules);
  await reserveSessionFolder(dir, BESIDES);
  await ensureNewFolder(join(dir, CALL_FOLDER), { mode: FOLDER_MODE });
  const secret: SessionSecret = { format: 'zklora/session-secret/v1', seed: bytesToHex(seed) };
  // the header last: where it is, the rest is
  await writeJson(join(dir, SECRET_FILE), secret);
  if (access) await writeJson(join(dir, ACCESS_FILE), access);
  await writeJson(join(dir, HEADER_FILE), header);
  return new SessionFolder(dir, header, seed, 0, null, modules);
}

/**
 * Opens a recorded session for reading. Calls are parsed when they are read.
 *
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `SESSION_MALFORMED` for missing or foreign call files
 * and for a close.json that names another number of calls.
 */
export function openSessionRecord(dir: string): Promise<SessionRecord> {
  return openFolder(dir, null);
}

/**
 * Opens a record that is to go on. Every call is read and held against its checksum. A last call that was not written
 * to its end is taken away, and so is what a killed process left of one: nobody was told of it.
 *
 * @param modules shapes of all modules of the adapter, in its order
 * @param visit sees every whole call, in order, and the number of a torn last one before it is taken away; what it
 * throws ends the opening
 * @throws ZkLoraError as {@link openSessionRecord}; `SESSION_MALFORMED` for a record that was edited
 */
export async function reopenSessionRecord(
  dir: string,
  modules: readonly ModuleShape[],
  visit: {
    call(call: SessionCall, index: number): void;
    torn(index: number): void;
    /** Has the reading of each call wait for others'. */
    inTurn?<T>(read: () => Promise<T>): Promise<T>;
  },
): Promise<SessionWriter> {
  await clearTemporaries(join(dir, CALL_FOLDER));
  const folder = await openFolder(dir, modules);
  checkHeader(folder.header, modules);
  const take = async (index: number): Promise<void> => {
    const call = await folder.readOwnCall(index);
    if (call === undefined) {
      visit.torn(index);
      await folder.removeLast();
    } else {
      checkCall(folder.header, modules, call);
      visit.call(call, index);
    }
  };
  for (let index = 0; index < folder.callCount; index += 1) {
    await (visit.inTurn?.(() => take(index)) ?? take(index));
  }
  return folder;
}

/**
 * Reads what lets the user come back to the session of a record.
 *
 * @throws ZkLoraError `FILE_NOT_FOUND` for a record of an earlier version or of a contributor, `SESSION_MALFORMED`
 */
export async function readSessionAccess(dir: string): Promise<SessionAccess> {
  return parseSessionAccess(await readText(join(dir, ACCESS_FILE), MAX_SECRET_FILE_BYTES, 'session access'));
}

/** Whether a folder holds the record of a session that was opened. */
export function hasSessionRecord(dir: string): Promise<boolean> {
  return isPresent(join(dir, HEADER_FILE));
}

/**
 * Takes away what an opening left that did not come to its header, so that the folder can be used again. Anything
 * else stays, and is in the way then.
 *
 * @throws ZkLoraError `FILE_UNWRITABLE`
 */
export async function clearPartialRecord(dir: string): Promise<void> {
  const names: string[] = await readdir(dir).catch(() => []);
  if (names.includes(HEADER_FILE)) return;
  if (names.includes(CALL_FOLDER)) await rmdir(join(dir, CALL_FOLDER)).catch(() => undefined);
  const own = names.filter((name) => TEMPORARY_FILE.test(name) || [SECRET_FILE, ACCESS_FILE].includes(name));
  for (const name of own) await removeFileDurable(join(dir, name));
}

/**
 * Takes away the call files that killed processes left unfinished in a session's folder, and nothing else. For a folder that
 * no process uses; what cannot be taken away stays.
 */
export async function clearUnfinishedCalls(dir: string): Promise<void> {
  const calls = join(dir, CALL_FOLDER);
  const stats = await lstat(calls).catch(() => undefined);
  if (!stats?.isDirectory()) return;
  for (const entry of await readdir(calls, { withFileTypes: true }).catch(() => [])) {
    if (!entry.isFile() || !UNFINISHED_CALL.test(entry.name)) continue;
    await rm(join(calls, entry.name), { force: true }).catch(() => undefined);
  }
}

/** Takes away calls that were being written when their process was killed. @throws ZkLoraError `FILE_UNWRITABLE` */
async function clearTemporaries(dir: string): Promise<void> {
  const names: string[] = await readdir(dir).catch(() => []);
  for (const name of names.filter((one) => TEMPORARY_FILE.test(one)))
    await removeFileDurable(join(dir, name));
}

async function openFolder(dir: string, modules: readonly ModuleShape[] | null): Promise<SessionFolder> {
  const header = parseSessionHeader(await readText(join(dir, HEADER_FILE), MAX_HEADER_FILE_BYTES, 'session'));
  const { seed } = parseSessionSecret(
    await readText(join(dir, SECRET_FILE), MAX_SECRET_FILE_BYTES, 'session secret'),
  );
  const callCount = await countCalls(dir);
  const closing = await readClosing(dir);
  if (closing !== null && closing.calls !== callCount) {
    throw new ZkLoraError(
      'SESSION_MALFORMED',
      `the session was closed with ${closing.calls} calls but holds ${callCount}; it was edited or is incomplete`,
    );
  }
  return new SessionFolder(dir, header, hexToBytes(seed), callCount, closing, modules);
}

/**
 * Checks a closed record against its own close.json: digest and both signatures.
 *
 * @param modules shapes of all modules of the adapter, in its order
 * @throws ZkLoraError `SESSION_MISMATCH` when the session is not closed or was edited, `SESSION_MALFORMED`
 */
export async function checkClosing(
  record: SessionRecord,
  modules: readonly ModuleShape[],
): Promise<Uint8Array> {
  requireClosed(record);
  const digest = await sessionDigest(record, modules);
  checkClosedDigest(record, digest);
  return digest;
}

/**
 * {@link checkClosing} for who has just digested the record, as a verifier has.
 *
 * @throws ZkLoraError `SESSION_MISMATCH`
 */
export function checkClosedDigest(record: SessionRecord, digest: Uint8Array): void {
  const closing = requireClosed(record);
  if (bytesToHex(digest) !== closing.digest) {
    throw new ZkLoraError(
      'SESSION_MISMATCH',
      'the session differs from what both sides signed; it was edited',
    );
  }
  const who = wrongSigner(closing, record.header, digest);
  if (who === undefined) return;
  throw new ZkLoraError(
    'SESSION_MISMATCH',
    `the ${who}'s signature in ${CLOSING_FILE} does not fit the session`,
  );
}

function requireClosed({ closing }: SessionRecord): SessionClosing {
  if (closing !== null) return closing;
  throw new ZkLoraError('SESSION_MISMATCH', 'the session was never closed; neither side has signed it');
}

class SessionFolder implements SessionWriter {
  /** Of the call under way. */
  private begun: GrowingFile | undefined;
  /** Bytes of the calls that were read, and those that nobody looks at any more. */
  private readonly memory = new WeakMap<SessionCall, Uint8Array>();
  private spare: Uint8Array | undefined;
  /** The end of the files that are being finished or taken away; never fails. */
  private settling: Promise<unknown> = Promise.resolve();

  constructor(
    readonly dir: string,
    readonly header: SessionHeader,
    readonly seed: Uint8Array,
    private calls: number,
    private signed: SessionClosing | null,
    private readonly modules: readonly ModuleShape[] | null,
  ) {}

  get callCount(): number {
    return this.calls;
  }

  get closing(): SessionClosing | null {
    return this.signed;
  }

  async readCall(index: number): Promise<SessionCall> {
    if (!Number.isInteger(index) || index < 0 || index >= this.calls) {
      throw new ZkLoraError('SESSION_MALFORMED', `the session has no call ${index}`);
    }
    const bytes = await this.readFile(index);
    const call = decodeCall(this.header, bytes, `call file ${callFile(index)}`);
    this.memory.set(call, bytes);
    return call;
  }

  recycle(call: SessionCall): void {
    this.spare = this.memory.get(call);
    this.memory.delete(call);
  }

  async statedTokens(index: number): Promise<number | undefined> {
    return statedTokens(await readFileStart(this.pathOf(index), CALL_START_BYTES, CALL_FILE_ROLE));
  }

  /** A call that fits its checksum; undefined for a torn last one. */
  async readOwnCall(index: number): Promise<SessionCall | undefined> {
    try {
      return decodeOwnCall(this.header, index, await this.readFile(index), `call file ${callFile(index)}`);
    } catch (error) {
      const torn =
        error instanceof ZkLoraError && error.details.cutShort === true && index === this.calls - 1;
      if (!torn || this.signed !== null) throw error;
      return undefined;
    }
  }

  async removeLast(): Promise<void> {
    await removeFileDurable(this.pathOf(this.calls - 1));
    this.calls -= 1;
  }

  begin(tokens: number): CallWriter {
    if (this.modules === null || this.signed !== null) {
      throw new ZkLoraError('INTERNAL', 'this session record is closed');
    }
    const index = this.calls;
    if (index >= MAX_SESSION_CALLS) {
      throw new ZkLoraError(
        'SESSION_MALFORMED',
        `a session takes at most ${MAX_SESSION_CALLS} calls; open another`,
      );
    }
    const call = new CallFile(this.header, this.modules, index, tokens);
    const file = new GrowingFile(this.pathOf(index), FILE_MODE);
    void this.drop();
    this.begun = file;
    const write = ({ position, bytes }: FilePart): void => file.write(position, bytes);
    return {
      input: (input, rows) => call.input(input, rows).forEach(write),
      output: (module, y) => write(call.output(module, y)),
      finish: async () => {
        write(call.head());
        if (this.begun === file) this.begun = undefined;
        const finished = file.finish().then(() => {
          this.calls += 1;
        });
        this.settling = Promise.allSettled([this.settling, finished]);
        await finished;
      },
    };
  }

  async drop(): Promise<void> {
    this.settling = Promise.allSettled([this.settling, this.begun?.discard()]);
    this.begun = undefined;
    await this.settling;
  }

  async finish(closing: SessionClosing): Promise<void> {
    if (this.signed !== null) throw new ZkLoraError('INTERNAL', 'this session record is closed');
    // A write that failed late may have left the same file.
    await writeJson(join(this.dir, CLOSING_FILE), closing, { overwrite: true });
    this.signed = closing;
  }

  private pathOf(index: number): string {
    return join(this.dir, CALL_FOLDER, callFile(index));
  }

  private readFile(index: number): Promise<Uint8Array> {
    const { spare } = this;
    this.spare = undefined;
    return readFileBounded(this.pathOf(index), MAX_CALL_FILE_BYTES, CALL_FILE_ROLE, spare);
  }
}

function callFile(index: number): string {
  return `${String(index).padStart(6, '0')}.safetensors`;
}

/** Call files are numbered without a gap; anything else in the folder is refused. */
async function countCalls(dir: string): Promise<number> {
  let names: string[];
  try {
    names = await readdir(join(dir, CALL_FOLDER));
  } catch (cause) {
    throw new ZkLoraError('SESSION_MALFORMED', `the session has no readable folder ${CALL_FOLDER}`, {
      cause,
    });
  }
  const calls = names.filter((name) => !TEMPORARY_FILE.test(name));
  if (calls.length > MAX_SESSION_CALLS) {
    throw new ZkLoraError('SESSION_MALFORMED', `a session has at most ${MAX_SESSION_CALLS} calls`);
  }
  const seen = new Set<number>();
  for (const name of calls) {
    const index = Number(CALL_FILE.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(index) || callFile(index) !== name || index >= calls.length) {
      throw new ZkLoraError('SESSION_MALFORMED', `${CALL_FOLDER} holds a foreign file or misses a call`);
    }
    seen.add(index);
  }
  return seen.size;
}

async function readClosing(dir: string): Promise<SessionClosing | null> {
  let json: string;
  try {
    json = await readText(join(dir, CLOSING_FILE), MAX_CLOSING_FILE_BYTES, 'session closing');
  } catch (error) {
    if (error instanceof ZkLoraError && error.code === 'FILE_NOT_FOUND') return null;
    throw error;
  }
  return parseSessionClosing(json);
}

function writeJson(
  path: string,
  value: SessionHeader | SessionSecret | SessionAccess | SessionClosing,
  options: WriteOptions = {},
): Promise<void> {
  return writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`, { ...options, mode: FILE_MODE });
}

async function readText(path: string, maxBytes: number, what: string): Promise<string> {
  // Bytes that are no UTF-8 become U+FFFD, which no field of these files admits.
  return new TextDecoder().decode(await readFileBounded(path, maxBytes, what));
}
