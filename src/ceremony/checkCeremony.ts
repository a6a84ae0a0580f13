import { loadEngine } from '../algebra/index.js';
import { bytesToHex } from '../bytes.js';
import { PARAMETER_FILES } from '../circuit/parameterFiles.js';
import { ZkLoraError } from '../errors.js';
import { type Check, CheckList } from './checkList.js';
import { checkKey, checkPoints, checkPtau, type History } from './checkSteps.js';
import { contributionHash } from './deltaChain.js';
import { requireCircuitHash, usableVerificationKey } from './keyChecks.js';
import { type KeyFile, parseKeyFile } from './keyFile.js';
import { readKey } from './keyFolder.js';
import { type CeremonyState, readCeremony, requireStarted } from './state.js';

/** What {@link checkCeremony} takes. */
export interface CheckCeremonyOptions {
  /** Folder of the ceremony. */
  readonly dir: string;
  /** The .ptau file that was imported: snarkjs then checks the keys, too. */
  readonly ptau?: string;
  /** An earlier copy of the folder, whose contributions the keys must still hold. */
  readonly previous?: string;
  readonly onCheck?: (check: Check) => void;
}

/** What {@link checkCeremony} found. */
export interface CeremonyReport {
  readonly state: CeremonyState;
  readonly checks: readonly Check[];
  /** Whether nothing failed. */
  readonly passed: boolean;
  /** Undefined where its check failed. */
  readonly history: History | undefined;
  /** Keys that passed, ascending. */
  readonly keys: readonly { readonly key: KeyFile; readonly zkey: Uint8Array }[];
}

/**
 * Checks every file of an unfinished ceremony.
 *
 * @throws ZkLoraError `USAGE` before phase 2 has started, errors of reading ceremony.json; everything else is a
 * failed check.
 */
export async function checkCeremony(options: CheckCeremonyOptions): Promise<CeremonyReport> {
  const { dir, previous } = options;
  const state = await readCeremony(dir);
  requireStarted(state, dir);
  const engine = await loadEngine();
  const list = new CheckList(options.onCheck);
  const { powers, history } = await checkPoints(list, engine, dir, state);
  const ptau = options.ptau === undefined ? undefined : await checkPtau(list, engine, options.ptau, history);
  const keys: { key: KeyFile; zkey: Uint8Array }[] = [];
  try {
    for (const { pairs, circuitHash } of state.circuits) {
      if (powers === undefined || history === undefined) {
        list.skip(PARAMETER_FILES.zkey(pairs), 'there are no valid powers to check it against');
        continue;
      }
      const further = async (key: KeyFile, zkey: Uint8Array) => {
        requireCircuitHash(key, circuitHash);
        if (previous !== undefined) {
          requireExtension(key, await parseKeyFile(engine, await readKey(previous, pairs), pairs));
        }
        if (key.contributions.length > 0) usableVerificationKey(zkey, pairs);
      };
      const read = () => readKey(dir, pairs);
      const check = { pairs, read, further, ptau, participant: 'required' } as const;
      const found = await checkKey(list, engine, check, { powers, phaseOne: history.after });
      if (found !== undefined) keys.push(found);
    }
  } finally {
    await ptau?.close();
  }
  return { state, checks: list.checks, passed: list.passed, history, keys };
}

/** A key may only add to the contributions that were there. */
function requireExtension(key: KeyFile, earlier: KeyFile): void {
  const hashes = key.contributions.map((contribution) => bytesToHex(contributionHash(contribution)));
  const kept = earlier.contributions.every(
    (contribution, i) => bytesToHex(contributionHash(contribution)) === hashes[i],
  );
  if (kept) return;
  throw new ZkLoraError(
    'PARAMETERS_MISMATCH',
    `proving key for ${key.pairs} pairs refused: it lacks contributions that were there before; use the key that its contributor was sent`,
  );
}
