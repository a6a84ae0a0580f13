import { ZkLoraError } from '../errors.js';

const CONTRIBUTOR = 'contributor';

/**
 * Waits for what a contributor does, or checks what it sent: what this throws counts as its failure. Whatever else fails
 * is the user's own side.
 */
export async function ofContributor<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ZkLoraError) || error.code === 'INTERNAL') throw error;
    throw new ZkLoraError(error.code, error.message, {
      details: { ...error.details, origin: CONTRIBUTOR },
      cause: error,
    });
  }
}

/** Whether a failure came from a contributor, see {@link ofContributor}. */
export function isOfContributor(error: unknown): error is ZkLoraError {
  return error instanceof ZkLoraError && error.details.origin === CONTRIBUTOR;
}

/** Reads the user's own record of a session: a failure says whose files these are, and what to do. */
export async function ofOwnRecord<T>(dir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ZkLoraError) || error.code === 'INTERNAL') throw error;
    throw new ZkLoraError(
      error.code,
      `your own record in ${dir} cannot be used: ${error.message}; bring back the file from a copy, or begin again in a ` +
        'new folder',
      { details: error.details, cause: error },
    );
  }
}
