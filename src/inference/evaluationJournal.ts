import { join } from 'node:path';
import { z } from 'zod';
import { labelledSha256 } from '../bytes.js';
import { ChecksummedLines, type LinesFormat } from '../checksummedLines.js';
import { ZkLoraError } from '../errors.js';
import { isPresent } from '../files.js';
import { type FolderLock, LOCK_FOLDER, lockFolder } from '../folderLock.js';
import { MAX_CONTRIBUTORS } from './contributorSet.js';
import { contributorName } from './contributorsFile.js';
import { EVALUATION_FILE } from './record.js';
import { hex } from './sessionHeader.js';
import type { NamedFailure } from './setMember.js';
import { MAX_WINDOWS } from './windows.js';

const FORMAT: LinesFormat = {
  name: EVALUATION_FILE,
  label: 'zklora/evaluation/v1',
  // two measurements of 2^20 sequences, 25 bytes a sum, and 200 bytes for each pass of one sequence
  maxBytes: 2 ** 29,
  code: 'EVALUATION_MALFORMED',
};
const ROOT = labelledSha256('zklora/evaluation/v1/root');
const MAX_TEXT = 1024;
/** A path. */
const MAX_NAME = 8192;
const text = z.string().max(MAX_TEXT);

const headerSchema = z.strictObject({
  format: z.literal('zklora/evaluation/v1'),
  model: hex(32),
  texts: z.array(z.strictObject({ name: z.string().max(MAX_NAME), sha256: hex(32) })),
  tokenizer: hex(32).nullable(),
  sequence: z.number().int().min(2),
  batch: z.number().int().min(1),
  windows: hex(32),
  contributors: z
    .array(z.strictObject({ name: contributorName, adapterId: hex(32), weight: z.number() }))
    .min(1)
    .max(MAX_CONTRIBUTORS),
});

const passSchema = z.strictObject({
  kind: z.literal('pass'),
  part: z.enum(['base', 'adapter']),
  first: z
    .number()
    .int()
    .min(0)
    .max(MAX_WINDOWS - 1),
  sums: z.array(z.number()).min(1).max(MAX_WINDOWS),
});

/** Contributors that are left out from here on; the passes of part `adapter` before this line are of no set's losses. */
const dropSchema = z.strictObject({
  kind: z.literal('drop'),
  members: z
    .array(z.strictObject({ name: contributorName, code: z.string().max(64), message: text }))
    .min(1)
    .max(MAX_CONTRIBUTORS),
  /** They failed in a pass, which all others have recorded. */
  inPass: z.boolean(),
});

const entrySchema = z.discriminatedUnion('kind', [passSchema, dropSchema]);

/** Where the windows come from, to be named when they differ. */
export type EvaluationSource = Pick<z.infer<typeof headerSchema>, 'texts' | 'tokenizer'>;

/** What an evaluation is of: it goes on only under the same. */
export type EvaluationHeader = z.infer<typeof headerSchema>;
export type EvaluationEntry = z.infer<typeof entrySchema>;

/** What differs, in the words of the command line. */
const COMPARED: readonly (readonly [keyof EvaluationHeader, string])[] = [
  ['model', 'another base model'],
  ['tokenizer', 'another tokenizer'],
  ['texts', 'other texts'],
  ['sequence', 'another sequence length'],
  ['batch', 'another batch'],
  ['windows', 'other sequences (stride, scored positions or their number)'],
  ['contributors', 'other contributors, adapters or weights'],
];

/** An evaluation's progress on disk: header, then a line for each pass and each contributor that is left out. */
export class EvaluationJournal {
  private constructor(
    private readonly lines: ChecksummedLines,
    /** Of earlier runs. */
    readonly entries: readonly EvaluationEntry[],
    private readonly lock: FolderLock,
  ) {}

  /** Begins a journal in a folder that is reserved for it. */
  static async begin(dir: string, header: EvaluationHeader): Promise<EvaluationJournal> {
    return locked(dir, async (lock) => {
      const lines = ChecksummedLines.begin(dir, FORMAT, ROOT);
      await lines.append(header);
      return new EvaluationJournal(lines, [], lock);
    });
  }

  /**
   * Goes on with a journal; undefined where none was begun.
   *
   * @throws ZkLoraError `EVALUATION_MALFORMED` for a journal that was edited, `EVALUATION_MISMATCH` for one of another
   * evaluation, `FOLDER_IN_USE`
   */
  static async resume(dir: string, header: EvaluationHeader): Promise<EvaluationJournal | undefined> {
    if (!(await isPresent(join(dir, EVALUATION_FILE)))) return undefined;
    return locked(dir, async (lock) => {
      const found = await ChecksummedLines.resume(dir, FORMAT, ROOT);
      const [first, ...rest] = found?.entries ?? [];
      if (found === undefined || first === undefined) {
        await lock.release();
        return undefined;
      }
      requireSame(dir, first, header);
      return new EvaluationJournal(found.lines, parseEntries(rest), lock);
    });
  }

  /** Lets other processes go on. */
  async release(): Promise<void> {
    await this.lines.rest();
    await this.lock.release();
  }

  pass(part: 'base' | 'adapter', first: number, sums: Float64Array): Promise<void> {
    return this.append({ kind: 'pass', part, first, sums: [...sums] });
  }

  drop(failed: readonly NamedFailure[], inPass: boolean): Promise<void> {
    const members = failed.map(({ name, failure: { code, message } }) => ({
      name,
      code,
      message: message.slice(0, MAX_TEXT),
    }));
    return this.append({ kind: 'drop', members, inPass });
  }

  private append(entry: EvaluationEntry): Promise<void> {
    return this.lines.append(entry);
  }
}

/**
 * Reads the journal in a folder and leaves it as it is.
 *
 * @throws ZkLoraError `EVALUATION_MALFORMED`, `FILE_UNREADABLE`
 */
export async function readEvaluation(
  dir: string,
): Promise<{ header: EvaluationHeader; entries: EvaluationEntry[] }> {
  const [first, ...rest] = (await ChecksummedLines.read(dir, FORMAT, ROOT)) ?? [];
  const header = headerSchema.safeParse(first);
  if (!header.success) throw malformed();
  return { header: header.data, entries: parseEntries(rest) };
}

/** Whose deltas are in the losses: all but those that were left out on the way. */
export function measuredContributors({
  header,
  entries,
}: {
  readonly header: EvaluationHeader;
  readonly entries: readonly EvaluationEntry[];
}): EvaluationHeader['contributors'] {
  const out = new Set(
    entries.flatMap((entry) => (entry.kind === 'drop' ? entry.members.map(({ name }) => name) : [])),
  );
  return header.contributors.filter(({ name }) => !out.has(name));
}

function parseEntries(lines: readonly unknown[]): EvaluationEntry[] {
  return lines.map((entry) => {
    const parsed = entrySchema.safeParse(entry);
    if (!parsed.success) throw malformed();
    return parsed.data;
  });
}

/** @throws ZkLoraError `EVALUATION_MALFORMED`, `EVALUATION_MISMATCH` */
function requireSame(dir: string, line: unknown, header: EvaluationHeader): void {
  const before = headerSchema.safeParse(line);
  if (!before.success) throw malformed();
  for (const [member, what] of COMPARED) {
    if (JSON.stringify(before.data[member]) === JSON.stringify(header[member])) continue;
    throw new ZkLoraError(
      'EVALUATION_MISMATCH',
      `the evaluation in ${dir} was begun with ${what}; give the same options, or begin another one in a new folder`,
    );
  }
}

/** Beside the lock of a session in the same folder. */
async function locked<T>(dir: string, work: (lock: FolderLock) => Promise<T>): Promise<T> {
  const lock = await lockFolder(join(dir, LOCK_FOLDER, 'evaluation'));
  try {
    return await work(lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

function malformed(): ZkLoraError {
  return new ZkLoraError(
    'EVALUATION_MALFORMED',
    `${EVALUATION_FILE} is not an evaluation's; begin another one`,
  );
}
