import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { bytesToHex, hexToBytes, labelledSha256 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { clearUnfinishedCalls, openSessionRecord, type SessionRecord } from './record.js';
import { refusal } from './refusal.js';

/** Bytes of a session's random name. */
export const SESSION_ID_BYTES = 16;

const FOLDER = /^[0-9a-f]{32}$/;

/** Folders of sessions that are looked through together: a start waits for thousands of them. */
const FOLDERS_AT_ONCE = 16;

/** The folders in which a contributor keeps the records of its sessions. */
export class SessionStore {
  /** @param adapterId of the adapter that is served, hex */
  constructor(
    private readonly sessionsDir: string,
    private readonly adapterId: string,
  ) {}

  /**
   * Path of a session's folder. Its name does not tell the session's, which is a bearer secret.
   *
   * @param sessionId hex
   */
  folderOf(sessionId: string): string {
    const name = labelledSha256('zklora/session/folder/v1', hexToBytes(sessionId));
    return join(this.sessionsDir, bytesToHex(name.subarray(0, SESSION_ID_BYTES)));
  }

  /**
   * Takes away the call files that earlier processes were writing when they were killed: their sessions may never come back.
   * Under the lock of the folder, before a session is opened.
   */
  async clearUnfinished(): Promise<void> {
    try {
      let folders: string[] = [];
      const clear = async () => {
        await Promise.all(folders.map(clearUnfinishedCalls));
        folders = [];
      };
      for await (const entry of await opendir(this.sessionsDir)) {
        if (!entry.isDirectory() || !FOLDER.test(entry.name)) continue;
        folders.push(join(this.sessionsDir, entry.name));
        if (folders.length === FOLDERS_AT_ONCE) await clear();
      }
      await clear();
    } catch {
      // who opens a session there will say what is wrong with the folder
    }
  }

  /** @throws ZkLoraError `SESSION_MISMATCH` where there is no such session, `FILE_UNREADABLE` */
  async read(sessionId: string): Promise<SessionRecord> {
    if (!isSessionId(sessionId)) throw noSession();
    let record: SessionRecord;
    try {
      record = await openSessionRecord(this.folderOf(sessionId));
    } catch (error) {
      throw error instanceof ZkLoraError && error.code === 'FILE_NOT_FOUND' ? noSession() : unusable(error);
    }
    if (record.header.adapterId !== this.adapterId) throw noSession();
    return record;
  }
}

/** Whether it is as long as a session's name. @param sessionId hex */
export function isSessionId(sessionId: string): boolean {
  return sessionId.length === 2 * SESSION_ID_BYTES;
}

/** The reason is for the contributor's log; the other side learns that there is no answer. */
export function unusable(cause: unknown): ZkLoraError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ZkLoraError('FILE_UNREADABLE', `the record of a session cannot be used: ${reason}`, { cause });
}

export function noSession(): ZkLoraError {
  return refusal('NOT_FOUND', 'SESSION_MISMATCH', 'there is no such session; open another');
}
