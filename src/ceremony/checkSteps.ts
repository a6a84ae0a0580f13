import type { Engine } from '../algebra/index.js';
import { bytesToHex } from '../bytes.js';
import { PARAMETER_FILES } from '../circuit/parameterFiles.js';
import type { Contribution } from '../circuit/parameters.js';
import type { CheckList } from './checkList.js';
import { type KeyOrigin, requireKey, requireParticipant, requireSnarkjsAgrees } from './keyChecks.js';
import type { KeyFile } from './keyFile.js';
import {
  type PointFiles,
  requireLagrangeFile,
  requirePowersFile,
  requireTranscriptFile,
} from './pointFiles.js';
import { requireSamePtau } from './ptauChecks.js';
import { openPtau, type PtauFile } from './ptauFile.js';
import type { Accumulator, PowersTranscript } from './transcript.js';

/** History of phase 1 as a folder holds it. */
export interface History {
  readonly transcript: PowersTranscript;
  readonly after: Accumulator;
  /** transcript.ptau */
  readonly bytes: Uint8Array;
}

/** Points that passed their checks; undefined where they did not. */
export interface CheckedPoints {
  readonly powers: Uint8Array | undefined;
  readonly history: History | undefined;
}

/** Checks powers.g1, lagrange-N.g1 and transcript.ptau. */
export async function checkPoints(
  list: CheckList,
  engine: Engine,
  dir: string,
  files: PointFiles,
): Promise<CheckedPoints> {
  const powers = await list.run(PARAMETER_FILES.powers, async () => ({
    value: await requirePowersFile(engine, dir, files),
    detail: `digest; ${files.powers.count} points on the curve, powers of the tau of tauG2`,
  }));
  for (const domain of files.domains) {
    const name = PARAMETER_FILES.lagrange(domain.size);
    if (powers === undefined) {
      list.skip(name, 'there are no valid powers to check it against');
      continue;
    }
    await list.run(name, async () => ({
      value: await requireLagrangeFile(engine, dir, domain, powers),
      detail: `digest; ${domain.size} points on the curve, the Lagrange basis of powers.g1`,
    }));
  }
  const { transcript } = files;
  if (transcript === undefined) return { powers, history: undefined };
  const history = await list.run(PARAMETER_FILES.transcript, async () => {
    const value = await requireTranscriptFile(engine, dir, files.tauG2, transcript.sha256);
    const { contributions, power, ceremonyPower } = value.transcript;
    const participants = contributions.filter(({ beacon }) => beacon === null).length;
    return {
      value,
      detail:
        `digest; power ${power} of a ceremony of power ${ceremonyPower}; participants: ${participants}, beacons: ` +
        `${contributions.length - participants}; each follows from the one before, the last gives tauG2`,
    };
  });
  return { powers, history };
}

/**
 * Checks that a .ptau file is the one that the transcript was taken from.
 *
 * @returns the open file, where it is
 */
export async function checkPtau(
  list: CheckList,
  engine: Engine,
  path: string,
  history: History | undefined,
): Promise<PtauFile | undefined> {
  if (history === undefined) {
    list.skip('.ptau file', 'there is no valid transcript to compare it with');
    return undefined;
  }
  return list.run('.ptau file', async () => {
    const ptau = await openPtau(path);
    try {
      await requireSamePtau(engine, ptau, history.bytes, history.after);
    } catch (error) {
      await ptau.close();
      throw error;
    }
    return { value: ptau, detail: 'same contributions, generators and images of tau, alpha and beta' };
  });
}

/** A key on its way through {@link checkKey}. */
export interface KeyCheck {
  readonly pairs: number;
  /** Reads the file. */
  readonly read: () => Promise<Uint8Array>;
  /** What there is to check beyond the key itself; throws a refusal. */
  readonly further: (key: KeyFile, zkey: Uint8Array) => Promise<void>;
  /** Where it was given and is the right one. */
  readonly ptau: PtauFile | undefined;
  /** Development keys do without a participant. */
  readonly participant: 'required' | 'not required';
}

/** Checks one proving key. */
export async function checkKey(
  list: CheckList,
  engine: Engine,
  { pairs, read, further, ptau, participant }: KeyCheck,
  origin: KeyOrigin,
): Promise<{ key: KeyFile; zkey: Uint8Array } | undefined> {
  const name = PARAMETER_FILES.zkey(pairs);
  const found = await list.run(name, async () => {
    const zkey = await read();
    const { key, unchecked } = await requireKey(engine, zkey, pairs, origin);
    await further(key, zkey);
    const checked = unchecked.length === 0 ? 'every section' : `all sections but ${unchecked.join(', ')}`;
    const phaseOne = origin.phaseOne === null ? '' : '; alpha and beta of phase 1';
    return {
      value: { key, zkey, unchecked },
      detail: `${checked} of circuit and powers${phaseOne}; delta follows from the contributions`,
    };
  });
  if (found === undefined) return undefined;
  if (found.unchecked.length > 0) {
    const reason = 'powers.g1 is too short for these sections';
    list.skip(
      `${name}, ${found.unchecked.join(', ')}`,
      ptau === undefined ? reason : `${reason}; snarkjs checks them`,
    );
  }
  if (participant === 'required') {
    await list.run(`${name}, contributions`, async () => {
      requireParticipant(found.key);
      return { value: true, detail: found.key.contributions.map(describeContribution).join(', ') };
    });
  }
  if (ptau !== undefined) {
    await list.run(`${name}, snarkjs`, async () => {
      await requireSnarkjsAgrees(found.zkey, pairs, ptau);
      return { value: true, detail: 'snarkjs accepts it for circuit and .ptau file' };
    });
  }
  return found;
}

function describeContribution({ name, beacon }: KeyFile['contributions'][number]): string {
  const label = JSON.stringify(name);
  return beacon === null
    ? label
    : `${label} (beacon ${bytesToHex(beacon.value)}, 2^${beacon.iterationsExponent} rounds)`;
}

/** Whether two lists of contributions are the same. */
export function sameContributions(a: readonly Contribution[], b: readonly Contribution[]): boolean {
  const texts = [a, b].map((list) =>
    JSON.stringify(list.map(({ phase, pairs, kind, name, hash }) => [phase, pairs, kind, name, hash])),
  );
  return texts[0] === texts[1];
}
