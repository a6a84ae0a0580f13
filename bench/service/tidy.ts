/** What an operator does with records that are settled. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Removes the records of closed sessions. */
export async function removeClosed(sessionsDir: string): Promise<void> {
  for (const name of await readdir(sessionsDir)) {
    const record = join(sessionsDir, name);
    const closed = await stat(join(record, 'close.json')).catch(() => undefined);
    if (closed) await rm(record, { recursive: true });
  }
}
