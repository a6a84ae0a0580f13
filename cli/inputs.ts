import type { AdapterCommitment, AdapterSecret, QuantizedModule } from '../src/adapter/index.js';
import {
  parseAdapterCommitment,
  quantizeModule,
  readAdapterSecret,
  readPeftAdapter,
} from '../src/adapter/index.js';
import { MAX_COMMITMENT_BYTES } from '../src/adapter/limits.js';
import { quoted } from '../src/adapter/quoted.js';
import { readFileBounded } from '../src/files.js';
import type { Terminal } from './terminal.js';

/** Largest proof file read: one proof for each of 65,535 modules. */
const MAX_PROOF_BYTES = 128 * 2 ** 20;

/** Permission bits of group and others. */
export const NOT_OWNER = 0o077;

/** Reads adapter.zkl.json. */
export async function loadCommitment(path: string): Promise<AdapterCommitment> {
  const bytes = await readFileBounded(path, MAX_COMMITMENT_BYTES, 'adapter commitment');
  return parseAdapterCommitment(new TextDecoder().decode(bytes));
}

/** Names of target_modules shown in a note; the rest is counted. */
const MAX_TARGETS_SHOWN = 5;

/** Reads a PEFT adapter and quantises it. @param terminal told of names in the configuration that found no module */
export async function loadQuantizedAdapter(dir: string, terminal?: Terminal): Promise<QuantizedModule[]> {
  const { modules, unusedTargets } = await readPeftAdapter(dir);
  if (unusedTargets.length > 0) {
    const more = unusedTargets.length - MAX_TARGETS_SHOWN;
    const shown = unusedTargets.slice(0, MAX_TARGETS_SHOWN).map(quoted).join(', ');
    terminal?.note(
      `note: the adapter has no weights for ${shown}${more > 0 ? ` and ${more} more` : ''} of its configuration`,
    );
  }
  return modules.map(quantizeModule);
}

/** Reads adapter.secret and warns when others may read it. */
export async function loadSecret(path: string, terminal: Terminal): Promise<AdapterSecret> {
  const { secret, exposed } = await readAdapterSecret(path);
  warnExposed(exposed, path, terminal);
  return secret;
}

/** A file with a secret that others may read is taken, with a warning. */
export function warnExposed(exposed: boolean, path: string, terminal: Terminal): void {
  if (exposed) terminal.note(`warning: ${path} is readable by others: run chmod 600 on it`);
}

/** Reads a proof file's bytes. */
export function loadProof(path: string): Promise<Uint8Array> {
  return readFileBounded(path, MAX_PROOF_BYTES, 'proof');
}
