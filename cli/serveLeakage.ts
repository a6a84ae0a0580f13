import { type Command, InvalidArgumentError } from 'commander';
import type { AdapterCommitment, QuantizedModule } from '../src/adapter/index.js';
import { ZkLoraError } from '../src/errors.js';
import { readFileBounded } from '../src/files.js';
import { DEFAULT_BUDGET, LeakageLedger } from '../src/inference/index.js';

/** What `serve` may give away, and to whom. */
export interface LeakageFlags {
  sessions: string;
  ledger?: string;
  maxRevealed: number;
  maxRevealedTotal?: number;
  allowUsers?: string;
  /** False with `--no-meter`. */
  meter: boolean;
}

/** A hundred thousand keys of 64 digits. */
const MAX_USERS_BYTES = 2 ** 23;

/** Adds the flags of {@link LeakageFlags} but `--sessions` to a command. */
export function withLeakage(command: Command): Command {
  return command
    .option(
      '--max-revealed <share>',
      'refuse what would show one user key more than this share of a module; 1 is no limit',
      share,
      DEFAULT_BUDGET.maxRevealed,
    )
    .option(
      '--max-revealed-total <share>',
      `the same for all users together (default: ${DEFAULT_BUDGET.maxRevealedTotal}, or --max-revealed if that is more)`,
      share,
    )
    .option(
      '--ledger <dir>',
      'where these counts are kept (default: the sessions folder with ".ledger" added)',
    )
    .option('--no-meter', 'count nothing and refuse nothing: for weights that need no protection')
    .option('--allow-users <file>', 'only users whose public keys are in this file, one a line');
}

/** Folder of the ledger that belongs to a sessions folder. */
export function ledgerFolder({ sessions, ledger }: { sessions: string; ledger?: string }): string {
  return ledger ?? `${sessions.replace(/\/+$/, '')}.ledger`;
}

/** Opens the ledger that `serve` keeps; undefined with `--no-meter`. */
export async function openLedger(
  flags: LeakageFlags,
  commitment: AdapterCommitment,
  modules: readonly QuantizedModule[],
): Promise<LeakageLedger | undefined> {
  if (!flags.meter) return undefined;
  const { maxRevealed } = flags;
  const maxRevealedTotal = flags.maxRevealedTotal ?? Math.max(maxRevealed, DEFAULT_BUDGET.maxRevealedTotal);
  return LeakageLedger.open({
    dir: ledgerFolder(flags),
    sessionsDir: flags.sessions,
    commitment,
    modules,
    budget: { maxRevealed, maxRevealedTotal },
  });
}

/**
 * Reads `--allow-users`.
 *
 * @throws ZkLoraError `USAGE` for a line that is no key, `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export async function readAllowedUsers(path: string): Promise<ReadonlySet<string>> {
  const text = new TextDecoder().decode(await readFileBounded(path, MAX_USERS_BYTES, 'list of users'));
  const users = new Set<string>();
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    const key = line.replace(/#.*/, '').trim().toLowerCase();
    if (key === '') continue;
    if (!/^[0-9a-f]{64}$/.test(key)) {
      throw new ZkLoraError('USAGE', `line ${i + 1} of ${path} is no public key of 64 hex digits`);
    }
    users.add(key);
  }
  return users;
}

function share(text: string): number {
  const value = Number(text);
  if (!/^(0|1|0?\.\d+|1\.0*|0\.\d+)$/.test(text) || value <= 0 || value > 1) {
    throw new InvalidArgumentError('expected a share above 0 and up to 1, such as 0.25');
  }
  return value;
}
