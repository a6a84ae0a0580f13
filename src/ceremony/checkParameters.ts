import { loadEngine } from '../algebra/index.js';
import { openParameters, PARAMETER_FILES, type ParameterStore } from '../circuit/parameterFiles.js';
import type { ParameterSet } from '../circuit/parameters.js';
import { ZkLoraError } from '../errors.js';
import { type Check, CheckList } from './checkList.js';
import { checkKey, checkPoints, checkPtau, type History, sameContributions } from './checkSteps.js';
import { describePowersContributions } from './finish.js';
import { describeContributions } from './keyChecks.js';
import type { KeyFile } from './keyFile.js';

/** What {@link checkParameters} takes. */
export interface CheckParametersOptions {
  /** Folder of the parameter set. */
  readonly dir: string;
  /** The .ptau file that the set was made from: snarkjs then checks the keys, too. */
  readonly ptau?: string;
  /** Whether a set whose secrets are known passes. */
  readonly development: 'allowed' | 'refused';
  readonly onCheck?: (check: Check) => void;
}

/** What {@link checkParameters} found. */
export interface ParametersReport {
  readonly set: ParameterSet;
  readonly id: string;
  readonly checks: readonly Check[];
  /** Whether nothing failed. */
  readonly passed: boolean;
}

/**
 * Checks a parameter set from its files alone, taking nothing of params.json on trust: digests; points on the curve;
 * powers, tau G2 and Lagrange bases of one tau; the contributions of phase 1, which lead to that tau; each proving key
 * against constraint system, powers, alpha, beta and its own contributions; verification keys against proving keys.
 *
 * What it cannot tell: whether at least one contributor of each phase was honest and forgot the secret. That is for
 * the reader, who knows some of them or is one.
 *
 * @throws ZkLoraError errors of opening params.json; everything else is a failed check.
 */
export async function checkParameters(options: CheckParametersOptions): Promise<ParametersReport> {
  const { dir, development } = options;
  const store = await openParameters(dir);
  const { set, id } = store;
  const engine = await loadEngine();
  const list = new CheckList(options.onCheck);
  await list.run(PARAMETER_FILES.description, async () => ({
    value: true,
    detail: `well-formed; made for this build of the circuits; id ${id}`,
  }));
  await list.run('kind', async () => {
    if (set.kind === 'development' && development === 'refused') {
      throw new ZkLoraError(
        'PARAMETERS_DEVELOPMENT',
        'development: the secrets are known, proofs under this set prove nothing; use a set of a ceremony',
      );
    }
    return { value: true, detail: set.kind === 'development' ? 'development: proves nothing' : 'ceremony' };
  });
  const { powers, history } = await checkPoints(list, engine, dir, set);
  await checkPhaseOneList(list, set, history);
  const ptau = options.ptau === undefined ? undefined : await checkPtau(list, engine, options.ptau, history);
  try {
    for (const { pairs } of set.circuits) {
      if (powers === undefined || (set.kind === 'ceremony' && history === undefined)) {
        list.skip(PARAMETER_FILES.zkey(pairs), 'there are no valid powers to check it against');
        continue;
      }
      const participant = set.kind === 'ceremony' ? 'required' : 'not required';
      const read = () => store.zkey(pairs);
      const further = async (key: KeyFile) => requireListed(set, key);
      const check = { pairs, read, further, ptau, participant } as const;
      await checkKey(list, engine, check, { powers, phaseOne: history?.after ?? null });
      await checkVerificationKey(list, store, pairs);
    }
  } finally {
    await ptau?.close();
  }
  return { set, id, checks: list.checks, passed: list.passed };
}

async function checkPhaseOneList(
  list: CheckList,
  set: ParameterSet,
  history: History | undefined,
): Promise<void> {
  const name = 'contributions of phase 1';
  if (history === undefined) {
    const reason = set.transcript === undefined ? 'the set has no transcript' : 'the transcript is not valid';
    list.skip(name, reason);
    return;
  }
  await list.run(name, async () => {
    const found = describePowersContributions(history.transcript);
    const listed = set.contributions.filter(({ phase }) => phase === 'powers-of-tau');
    if (!sameContributions(found, listed)) throw otherContributions('transcript.ptau');
    return { value: true, detail: 'params.json lists those of the transcript' };
  });
}

function requireListed(set: ParameterSet, key: KeyFile): void {
  const listed = set.contributions.filter(({ pairs }) => pairs === key.pairs);
  if (!sameContributions(describeContributions(key), listed)) {
    throw otherContributions(PARAMETER_FILES.zkey(key.pairs));
  }
}

async function checkVerificationKey(list: CheckList, store: ParameterStore, pairs: number): Promise<void> {
  await list.run(PARAMETER_FILES.vkey(pairs), async () => ({
    value: await store.vkey(pairs),
    detail: 'digest; points in their groups; gamma is the generator, delta is not; no two IC points alike',
  }));
}

function otherContributions(file: string): ZkLoraError {
  return new ZkLoraError(
    'PARAMETERS_MISMATCH',
    `params.json lists other contributions than ${file} holds; fetch the parameter set again`,
  );
}
