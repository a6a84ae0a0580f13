import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ZkLoraError } from '../errors.js';
import { readFileBounded, writeFileAtomic } from '../files.js';
import { parseJsonBytes } from '../jsonText.js';
import { bytes32 } from './hex.js';

const digest = z.string().regex(/^[0-9a-f]{64}$/);

const schema = z.strictObject({
  format: z.literal('zklora/pipeline/v1'),
  adapterId: digest,
  offerId: bytes32,
  policyDigest: digest,
  evaluation: z
    .strictObject({
      baseLoss: z.number(),
      adapterLoss: z.number(),
      predictions: z.number().int(),
      sessionDigest: digest,
      proofDigest: digest,
    })
    .nullable(),
  verified: z.boolean(),
  fundTransaction: bytes32.nullable(),
  /** From here on the folder of the adapter is the pipeline's own. */
  writing: z.boolean(),
  opened: z.boolean(),
});

/** What a pipeline has done; each step is written before the next one begins. */
export type JournalState = z.infer<typeof schema>;

/** What a journal belongs to. */
export type JournalSubject = Pick<JournalState, 'adapterId' | 'offerId' | 'policyDigest'>;

const FILE = 'pipeline.json';
const MAX_JOURNAL_BYTES = 16_384;

/** pipeline.json in a pipeline's folder. */
export class PipelineJournal {
  readonly #path: string;
  #state: JournalState;

  private constructor(path: string, state: JournalState) {
    this.#path = path;
    this.#state = state;
  }

  /**
   * Opens the journal of a folder, or begins one.
   *
   * @throws ZkLoraError `USAGE` for the journal of another offer or policy, `JOURNAL_MALFORMED`, `FILE_UNREADABLE`,
   * `FILE_UNWRITABLE`
   */
  static async open(dir: string, subject: JournalSubject): Promise<PipelineJournal> {
    const path = join(dir, FILE);
    try {
      await mkdir(dir, { recursive: true });
    } catch (cause) {
      throw new ZkLoraError('FILE_UNWRITABLE', `cannot make the folder ${dir}: choose another`, { cause });
    }
    const state = await readState(path);
    if (state === null) {
      const journal = new PipelineJournal(path, {
        format: 'zklora/pipeline/v1',
        ...subject,
        evaluation: null,
        verified: false,
        fundTransaction: null,
        writing: false,
        opened: false,
      });
      await journal.write({});
      return journal;
    }
    for (const member of ['adapterId', 'offerId', 'policyDigest'] as const) {
      if (state[member] === subject[member]) continue;
      throw new ZkLoraError(
        'USAGE',
        `${dir} belongs to a pipeline with another ${member}; give each its own folder`,
        { details: { member } },
      );
    }
    return new PipelineJournal(path, state);
  }

  get state(): JournalState {
    return this.#state;
  }

  /** On disk when the promise resolves. */
  async write(change: Partial<JournalState>): Promise<void> {
    this.#state = { ...this.#state, ...change };
    await writeFileAtomic(this.#path, `${JSON.stringify(this.#state, null, 2)}\n`, { overwrite: true });
  }
}

async function readState(path: string): Promise<JournalState | null> {
  let bytes: Uint8Array;
  try {
    bytes = await readFileBounded(path, MAX_JOURNAL_BYTES, 'pipeline journal');
  } catch (error) {
    if (error instanceof ZkLoraError && error.code === 'FILE_NOT_FOUND') return null;
    throw error;
  }
  const parsed = schema.safeParse(parseJsonBytes(bytes, 'JOURNAL_MALFORMED', 'the pipeline journal'));
  if (parsed.success) return parsed.data;
  throw new ZkLoraError(
    'JOURNAL_MALFORMED',
    'the pipeline journal is not one; look at the state of the offer before you remove it',
  );
}
