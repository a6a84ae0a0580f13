import { dirname, join, resolve } from 'node:path';
import type { AdapterCommitment } from '../src/adapter/index.js';
import { readFileBounded } from '../src/files.js';
import { MAX_CONTRIBUTORS_BYTES, parseContributors } from '../src/inference/index.js';
import { type ConnectionFlags, SYSTEM_AUTHORITIES } from './connection.js';
import { loadCommitment } from './inputs.js';

/** One contributor of an evaluation, from the command line or from contributors.json. */
export interface Contributor {
  readonly name: string;
  readonly commitment: AdapterCommitment;
  /** host:port */
  readonly address: string;
  readonly weight: number;
  /** Folder of its session. */
  readonly dir: string;
  readonly connection: ConnectionFlags;
}

/**
 * Reads contributors.json and the commitments that it names. Its paths start at its folder.
 *
 * @param evaluationDir sessions are in it, in folders of the contributors' names, unless the file says otherwise
 * @param timeout of all connections, in seconds
 */
export async function loadContributors(
  path: string,
  evaluationDir: string,
  timeout?: number,
): Promise<Contributor[]> {
  const bytes = await readFileBounded(path, MAX_CONTRIBUTORS_BYTES, 'contributors');
  const at = (file: string): string => resolve(dirname(path), file);
  const contributors: Contributor[] = [];
  for (const entry of parseContributors(bytes)) {
    const { name, commitment, address, weight, session, fingerprint, tlsCa, allowInsecure } = entry;
    const { tlsClientCert, tlsClientKey, tokenFile } = entry;
    contributors.push({
      name,
      commitment: await loadCommitment(at(commitment)),
      address,
      weight,
      dir: session === undefined ? join(evaluationDir, name) : at(session),
      connection: {
        ...(fingerprint !== undefined && { fingerprint }),
        ...(tlsCa !== undefined && { tlsCa: tlsCa === SYSTEM_AUTHORITIES ? tlsCa : at(tlsCa) }),
        ...(tlsClientCert !== undefined && { tlsClientCert: at(tlsClientCert) }),
        ...(tlsClientKey !== undefined && { tlsClientKey: at(tlsClientKey) }),
        ...(tokenFile !== undefined && { tokenFile: at(tokenFile) }),
        ...(allowInsecure !== undefined && { allowInsecure }),
        ...(timeout !== undefined && { timeout }),
      },
    });
  }
  return contributors;
}
