import { adapterId } from '../../adapter/commitment.js';
import type { AdapterCommitment, QuantizedModule } from '../../adapter/types.js';
import { bytesToHex } from '../../bytes.js';
import type { ZkLoraError } from '../../errors.js';
import { ensureFolder } from '../../files.js';
import { type FolderLock, lockFolder } from '../../folderLock.js';
import type { SessionHeader } from '../../protocol/session.js';
import { headerDigest } from '../../protocol/sessionDigest.js';
import { refusal } from '../refusal.js';
import type { RoomClaim } from '../roomClaim.js';
import { UserQueue } from '../userQueue.js';
import type { Charge, ChargedRows, ChargedStage, LeakageGuard } from './guard.js';
import {
  type BudgetRefusal,
  type CountedStage,
  type LedgerEntry,
  placeOf,
  REFUSED_PLACE,
} from './ledgerEntry.js';
import { LedgerFile, ledgerPath, readLedger } from './ledgerFile.js';
import { MAX_BUDGET_REFUSALS, MAX_LEDGER_OPENINGS, MAX_METER_BYTES } from './limits.js';
import { type AskedRows, LeakageMeter } from './meter.js';
import { unledgeredStages } from './records.js';

/** What may be given away of each module, as a share of 0 to 1; 1 is no limit. See {@link Revealed.counted}. */
export interface LeakageBudget {
  /** To one user key. */
  readonly maxRevealed: number;
  /** To all users together. */
  readonly maxRevealedTotal: number;
}

/** A quarter to one key, a half to all: see docs/leakage.md, "Choosing a budget". */
export const DEFAULT_BUDGET: LeakageBudget = { maxRevealed: 0.25, maxRevealedTotal: 0.5 };

export interface LedgerOptions {
  /** Folder of the ledgers of this contributor. */
  readonly dir: string;
  /** Folder of the session records, against which the ledger is checked. */
  readonly sessionsDir: string;
  readonly commitment: AdapterCommitment;
  readonly modules: readonly QuantizedModule[];
  readonly budget: LeakageBudget;
}

/** Counts of an adapter's leakage, as its ledger has them. */
export interface LedgerState {
  readonly meter: LeakageMeter;
  /** Sessions that were opened, by header digest. */
  readonly sessions: ReadonlyMap<string, string>;
  /** Keys that were refused for a budget, with the budget of that time. */
  readonly refused: ReadonlyMap<string, LeakageBudget>;
}

/** The state that grows with the records of a ledger. */
class Counts implements LedgerState {
  readonly meter: LeakageMeter;
  readonly sessions = new Map<string, string>();
  readonly refused = new Map<string, LeakageBudget>();
  /** Places of the stages that were read; see {@link placeOf}. */
  readonly stages = new Set<string>();
  /** Of stages whose rows were lost: counted as directions that nobody can read, and not measured. */
  readonly lost = new Set<string>();

  constructor(modules: readonly QuantizedModule[]) {
    this.meter = new LeakageMeter(modules);
  }

  async take(entry: LedgerEntry): Promise<void> {
    if (entry.kind === 'opening') this.sessions.set(entry.session, entry.user);
    else if (entry.kind === 'refusal') this.refused.set(entry.user, entry);
    else {
      const place = placeOf(entry);
      this.stages.add(place);
      if (entry.asked.some(({ lost = 0 }) => lost > 0)) this.lost.add(place);
      else this.lost.delete(place);
      await this.meter.add(entry.user, entry.asked, { isCounted: true });
    }
  }
}

/**
 * Reads a ledger without changing it.
 *
 * @param options.sessionsDir session records to check it against; what they hold beyond it is counted too
 * @returns the counts, and the number of answered stages that the ledger lacks
 * @throws ZkLoraError `LEDGER_MALFORMED`, `SESSION_MALFORMED`, `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export async function readLeakage(
  options: Pick<LedgerOptions, 'dir' | 'commitment' | 'modules'> &
    Partial<Pick<LedgerOptions, 'sessionsDir'>>,
): Promise<{ state: LedgerState; missing: number }> {
  const { dir, sessionsDir, commitment, modules } = options;
  const counts = new Counts(modules);
  const subject = subjectOf(commitment);
  await readLedger(ledgerPath(dir, subject), subject, (entry) => counts.take(entry));
  let missing = 0;
  if (sessionsDir !== undefined) {
    for await (const entry of unledgeredStages(sessionsDir, subject.adapterId, counts)) {
      await counts.take(entry);
      if (entry.kind === 'stage') missing += 1;
    }
  }
  return { state: counts, missing };
}

/**
 * Counts what a contributor's answers give away, keeps the counts on disk, and refuses what would pass a budget. One
 * process at a time may have a ledger open.
 */
export class LeakageLedger implements LeakageGuard {
  private readonly queue = new UserQueue();

  private constructor(
    private readonly counts: Counts,
    private readonly file: LedgerFile,
    private readonly lock: FolderLock,
    private readonly budget: LeakageBudget,
  ) {}

  /**
   * Opens the ledger of an adapter, or begins one, and adds what the session records hold beyond it: a ledger that was
   * removed, or set back, comes back from them.
   *
   * @throws ZkLoraError `LEDGER_MALFORMED`, `FOLDER_IN_USE`, `SESSION_MALFORMED`, `FILE_UNREADABLE`,
   * `FILE_UNWRITABLE`
   */
  static async open(options: LedgerOptions): Promise<LeakageLedger> {
    const { dir, sessionsDir, commitment, modules, budget } = options;
    const counts = new Counts(modules);
    const subject = subjectOf(commitment);
    await ensureFolder(dir, { mode: 0o700 });
    const lock = await lockFolder(dir);
    let file: LedgerFile | undefined;
    try {
      file = await LedgerFile.open(ledgerPath(dir, subject), subject, (entry) => counts.take(entry));
      for await (const entry of unledgeredStages(sessionsDir, subject.adapterId, counts)) {
        await counts.take(entry);
        await file.append(entry);
      }
      counts.stages.clear();
      return new LeakageLedger(counts, file, lock, budget);
    } catch (error) {
      await file?.close();
      await lock.release();
      throw error;
    }
  }

  get state(): LedgerState {
    return this.counts;
  }

  async open(header: SessionHeader, place: RoomClaim): Promise<void> {
    const { sessions } = this.counts;
    const session = bytesToHex(headerDigest(header));
    const user = header.userKey;
    if (sessions.has(session)) {
      throw refusal('FAILED_PRECONDITION', 'SESSION_MISMATCH', 'this nonce has opened a session before');
    }
    if (sessions.size >= MAX_LEDGER_OPENINGS) {
      throw refusal('RESOURCE_EXHAUSTED', 'SESSION_MISMATCH', 'this contributor opens no more sessions');
    }
    this.requireUnspent(user);
    place.check();
    place.take();
    sessions.set(session, user);
    await this.file.append({ kind: 'opening', session, user });
  }

  async charge(
    header: SessionHeader,
    { call, stage, tokens }: ChargedStage,
    rows: readonly ChargedRows[],
    room: RoomClaim,
  ): Promise<Charge> {
    const user = header.userKey;
    const session = bytesToHex(headerDigest(header));
    return this.queue.run(user, async () => {
      this.requireUnspent(user);
      const { meter } = this.counts;
      this.requireMemory();
      const asked = rows.map(({ input, x }) => ({ modules: header.inputs[input]!, tokens, x }));
      try {
        const added = await meter.add(user, asked, {
          row: (module) => this.requireFew(module, user),
          turn: () => this.requireMemory(),
          end: (modules) => {
            room.check();
            for (const module of modules) this.requireWithin(module, user);
            room.take();
          },
        });
        // one record for each: modules that share the rows of a message and are counted apart have a copy each
        const records = added.map((part) =>
          this.file.append({ kind: 'stage', user, session, call, stage, asked: [part] }),
        );
        const written = Promise.all(records).then(() => undefined);
        this.counts.lost.delete(placeOf({ session, call, stage }));
        // The caller may fail before it waits for the disk.
        written.catch(() => undefined);
        return { written };
      } catch (error) {
        if (error instanceof OverBudget) await this.refuse(user);
        if (error instanceof Unresolved) await this.countRefused(user, session, asked, error.module);
        throw error instanceof OverBudget || error instanceof Unresolved ? error.refusal : error;
      }
    });
  }

  chargeOf(header: SessionHeader, { call, stage }: ChargedStage): Charge | undefined {
    const session = bytesToHex(headerDigest(header));
    if (this.counts.lost.has(placeOf({ session, call, stage }))) return undefined;
    return { written: this.file.flush() };
  }

  /** Waits for what is being written, and lets another process have the folder. */
  async close(): Promise<void> {
    await this.queue.idle();
    await this.file.close();
    await this.lock.release();
  }

  /** @throws ZkLoraError `LEAKAGE_BUDGET` for a key that was refused under limits as high as these */
  private requireUnspent(user: string): void {
    const before = this.counts.refused.get(user);
    if (before !== undefined && !isRaised(this.budget, before)) throw spent(OF_USER);
    if (this.refusals >= MAX_BUDGET_REFUSALS) throw spent(OF_ALL);
  }

  /** Keys that were refused under limits as high as these. */
  private get refusals(): number {
    return [...this.counts.refused.values()].filter((before) => !isRaised(this.budget, before)).length;
  }

  private requireMemory(): void {
    if (this.counts.meter.bytes > MAX_METER_BYTES)
      throw spent('this contributor cannot count more questions');
  }

  /** Depends on the number of directions alone, so that it may be said as often as it is asked. */
  private requireFew(module: number, user: string): void {
    const { meter } = this.counts;
    const { maxRevealed, maxRevealedTotal } = this.budget;
    if (meter.revealed(module, user).packed > maxRevealed) throw tooMany(OF_USER);
    if (meter.revealed(module).packed > maxRevealedTotal) throw tooMany(OF_ALL);
  }

  /**
   * Depends on rows alone, but on those of other users, too: what a message with few enough rows learns by it costs as much as a
   * row does.
   */
  private requireResolved(module: number, user: string): void {
    const { meter } = this.counts;
    const { maxRevealed, maxRevealedTotal } = this.budget;
    const isMine = maxRevealed < 1 && meter.isUnresolved(module, user);
    if (isMine || (maxRevealedTotal < 1 && meter.isUnresolved(module))) throw new Unresolved(module);
  }

  /** Depends on the weights: the key asks nothing more. */
  private requireWithin(module: number, user: string): void {
    // where another limit let them in, there is nothing to be measured
    this.requireResolved(module, user);
    const { meter } = this.counts;
    const { maxRevealed, maxRevealedTotal } = this.budget;
    if (meter.revealed(module, user).measured > maxRevealed) throw new OverBudget(spent(OF_USER));
    if (meter.revealed(module).measured > maxRevealedTotal) throw new OverBudget(spent(OF_ALL));
  }

  /** Counts a refused message as one direction, for the modules that share the rows. */
  private async countRefused(
    user: string,
    session: string,
    asked: readonly AskedRows[],
    module: number,
  ): Promise<void> {
    const { modules } = asked.find((part) => part.modules.includes(module))!;
    const direction: AskedRows = { modules, tokens: 0, lost: 1, x: new Int16Array() };
    const entry: CountedStage = { kind: 'stage', user, session, ...REFUSED_PLACE, asked: [direction] };
    await this.counts.meter.add(user, entry.asked);
    await this.file.append(entry);
  }

  private async refuse(user: string): Promise<void> {
    const entry: BudgetRefusal = { kind: 'refusal', user, ...this.budget };
    this.counts.refused.set(user, entry);
    await this.file.append(entry);
  }
}

/** Thrown once rows are added, so that they are taken back. */
class Unresolved extends Error {
  readonly refusal = tooClose();

  constructor(readonly module: number) {
    super('a row is not resolved');
  }
}

/** Thrown while rows are added, so that they are taken back. */
class OverBudget extends Error {
  constructor(readonly refusal: ZkLoraError) {
    super(refusal.message);
  }
}

const OF_USER = 'the budget of what one user key may learn is spent';
const OF_ALL = 'the budget of what all users together may learn is spent';

/** The message says nothing about how much a question would reveal: that depends on the weights. */
function spent(what: string): ZkLoraError {
  return refusal(
    'RESOURCE_EXHAUSTED',
    'LEAKAGE_BUDGET',
    `${what}; the whole calls of the session can still be closed and proven`,
  );
}

function tooMany(what: string): ZkLoraError {
  return refusal(
    'RESOURCE_EXHAUSTED',
    'LEAKAGE_BUDGET',
    `these rows are more than ${what.replace(' is spent', '')} has left for them; ask fewer, or close the session`,
  );
}

/** Says nothing about weights. */
function tooClose(): ZkLoraError {
  return refusal(
    'RESOURCE_EXHAUSTED',
    'LEAKAGE_BUDGET',
    'these rows lie so close to what was asked before that they cannot be measured; ask others, or close the session',
  );
}

function isRaised(now: LeakageBudget, before: LeakageBudget): boolean {
  return now.maxRevealed > before.maxRevealed || now.maxRevealedTotal > before.maxRevealedTotal;
}

function subjectOf(commitment: AdapterCommitment) {
  return {
    adapterId: adapterId(commitment),
    widths: commitment.modules.map(({ inFeatures }) => inFeatures),
  };
}
