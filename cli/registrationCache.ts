import { z } from 'zod';
import { ZkLoraError } from '../src/errors.js';
import { readFileBounded, writeFileAtomic } from '../src/files.js';
import { parseJsonText } from '../src/jsonText.js';

const FORMAT = 'zklora/registration-cache/v1';

/** Oldest entries go when there are more. */
const MAX_ENTRIES = 4096;

/** An entry takes under 200 bytes. */
const MAX_CACHE_BYTES = 2 ** 20;

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const schema = z.strictObject({
  format: z.literal(FORMAT),
  verified: z.array(z.strictObject({ adapterId: digest, parametersId: digest })).max(MAX_ENTRIES),
});

/** An adapter commitment whose registration proof has been verified, and the parameter set it was verified under. */
export type VerifiedRegistration = z.infer<typeof schema>['verified'][number];

/**
 * Registration proofs that this user has verified before, in a file of the user's own.
 *
 * Whoever can write the file decides what counts as verified: it has no default place, so that no folder that came
 * from a contributor is ever looked into.
 */
export class RegistrationCache {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * @throws ZkLoraError `USAGE` for a file of another form, `FILE_UNREADABLE`
   */
  async has(entry: VerifiedRegistration): Promise<boolean> {
    return (await this.#read()).some((known) => isSame(known, entry));
  }

  /** @throws ZkLoraError as {@link has}, and `FILE_UNWRITABLE` */
  async add(entry: VerifiedRegistration): Promise<void> {
    const others = (await this.#read()).filter((known) => !isSame(known, entry));
    const verified = [...others, entry].slice(-MAX_ENTRIES);
    const text = JSON.stringify({ format: FORMAT, verified }, null, 2);
    await writeFileAtomic(this.#path, `${text}\n`, { overwrite: true });
  }

  async #read(): Promise<VerifiedRegistration[]> {
    let text: string;
    try {
      const bytes = await readFileBounded(this.#path, MAX_CACHE_BYTES, 'registration cache');
      text = new TextDecoder().decode(bytes);
    } catch (error) {
      if (error instanceof ZkLoraError && error.code === 'FILE_NOT_FOUND') return [];
      throw error;
    }
    const parsed = schema.safeParse(parseJsonText(text, 'USAGE', 'the registration cache'));
    if (!parsed.success) {
      throw new ZkLoraError(
        'USAGE',
        `${this.#path} is no registration cache: name another file, or remove it to verify anew`,
      );
    }
    return parsed.data.verified;
  }
}

function isSame(a: VerifiedRegistration, b: VerifiedRegistration): boolean {
  return a.adapterId === b.adapterId && a.parametersId === b.parametersId;
}
