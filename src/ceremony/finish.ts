import { join } from 'node:path';
import { bytesToHex, sha256 } from '../bytes.js';
import { circuitBuild } from '../circuit/circuitFiles.js';
import { PARAMETER_FILES } from '../circuit/parameterFiles.js';
import {
  type CircuitFiles,
  type Contribution,
  type ParameterSet,
  parseParameterSet,
} from '../circuit/parameters.js';
import { ZkLoraError } from '../errors.js';
import { fillNewFolder, readFileBounded, requireFreeFolder, writeFileAtomic } from '../files.js';
import { checkCeremony } from './checkCeremony.js';
import type { Check } from './checkList.js';
import { describeContributions, usableVerificationKey } from './keyChecks.js';
import type { PowersTranscript } from './transcript.js';

/** What {@link finishCeremony} takes. */
export interface FinishOptions {
  /** Folder of the ceremony. */
  readonly dir: string;
  /** The .ptau file that was imported. */
  readonly ptau: string;
  /** New folder of the parameter set. */
  readonly out: string;
  readonly onCheck?: (check: Check) => void;
}

/**
 * Checks a ceremony, with the .ptau file, and writes the parameter set that it gives.
 *
 * @throws ZkLoraError the first check that fails, `CEREMONY_INCOMPLETE` for a key without a participant's
 * contribution, `USAGE` before phase 2 has started, and errors of reading and writing.
 */
export async function finishCeremony(options: FinishOptions): Promise<ParameterSet> {
  const { dir, ptau, out, onCheck } = options;
  await requireFreeFolder(out);
  const report = await checkCeremony({ dir, ptau, ...(onCheck === undefined ? {} : { onCheck }) });
  const failure = report.checks.find(({ outcome }) => outcome === 'failed');
  if (failure !== undefined) throw new ZkLoraError(failure.code ?? 'PARAMETERS_MISMATCH', failure.detail);
  const { state, history, keys } = report;

  const files = new Map<string, Uint8Array>();
  const circuits: CircuitFiles[] = [];
  for (const { key, zkey } of keys) {
    const { pairs } = key;
    const vkey = usableVerificationKey(zkey, pairs);
    files.set(PARAMETER_FILES.zkey(pairs), zkey);
    files.set(PARAMETER_FILES.vkey(pairs), vkey);
    const { constraints, r1csSha256, wasmSha256 } = await circuitBuild(pairs);
    const digests = { zkeySha256: digest(zkey), vkeySha256: digest(vkey) };
    circuits.push({ pairs, constraints, r1csSha256, wasmSha256, ...digests });
  }
  const set: ParameterSet = {
    format: 'zklora/params/v1',
    kind: 'ceremony',
    curve: state.curve,
    tauG2: state.tauG2,
    powers: state.powers,
    domains: state.domains,
    transcript: state.transcript,
    circuits,
    source: state.source,
    contributions: [
      ...describePowersContributions(history!.transcript),
      ...keys.flatMap(({ key }) => describeContributions(key)),
    ],
  };
  const description = `${JSON.stringify(set, null, 2)}\n`;
  parseParameterSet(description);
  const points = [
    [PARAMETER_FILES.powers, state.powers.sha256],
    [PARAMETER_FILES.transcript, state.transcript.sha256],
    ...state.domains.map(({ size, sha256 }) => [PARAMETER_FILES.lagrange(size), sha256] as const),
  ] as const;
  await fillNewFolder(out, async (folder) => {
    for (const [name, expected] of points) await copyFile(dir, folder, name, expected);
    for (const [name, bytes] of files) await writeFileAtomic(join(folder, name), bytes);
    await writeFileAtomic(join(folder, PARAMETER_FILES.description), description);
  });
  return set;
}

/** 64 MiB of Lagrange points are the most that a set holds in one file. */
const MAX_POINT_FILE_BYTES = 65 * 2 ** 20;

async function copyFile(from: string, to: string, name: string, expected: string): Promise<void> {
  const bytes = await readFileBounded(join(from, name), MAX_POINT_FILE_BYTES, 'ceremony');
  if (digest(bytes) !== expected) {
    throw new ZkLoraError(
      'PARAMETERS_MISMATCH',
      `${join(from, name)} changed while it was checked; try again`,
    );
  }
  await writeFileAtomic(join(to, name), bytes);
}

/** Contributions of phase 1 as params.json lists them. */
export function describePowersContributions({ contributions }: PowersTranscript): Contribution[] {
  return contributions.map(({ name, beacon, responseHash }) => ({
    phase: 'powers-of-tau',
    pairs: null,
    kind: beacon === null ? 'participant' : 'beacon',
    name,
    hash: bytesToHex(responseHash),
  }));
}

function digest(bytes: Uint8Array): string {
  return bytesToHex(sha256(bytes));
}
