import { randomBytes } from 'node:crypto';
import { type MemoryFile, zKey } from 'snarkjs';
import { type Engine, loadEngine } from '../algebra/index.js';
import { bytesToHex } from '../bytes.js';
import { circuitR1cs } from '../circuit/circuitFiles.js';
import type { Contribution } from '../circuit/parameters.js';
import { CIRCUIT_SIZES, groth16DomainSize } from '../circuit/size.js';
import { ZkLoraError } from '../errors.js';
import { powersNeeded } from './importPtau.js';
import {
  circuitPower,
  describeContributions,
  type KeyOrigin,
  requireCircuitHash,
  requireKey,
} from './keyChecks.js';
import { readKey, writeKey } from './keyFolder.js';
import { requirePowersFile, requireTranscriptFile } from './pointFiles.js';
import { requireSamePtau } from './ptauChecks.js';
import { openPtau } from './ptauFile.js';
import { type CeremonyState, readCeremony, requireStarted, writeCeremony } from './state.js';
import type { Accumulator } from './transcript.js';

/** Options of all steps of phase 2. */
export interface PhaseTwoOptions {
  /** Folder of the ceremony. */
  readonly dir: string;
  readonly onProgress?: (step: string) => void;
}

/** What {@link startPhaseTwo} takes. */
export interface StartOptions extends PhaseTwoOptions {
  /** The .ptau file that was imported. */
  readonly ptau: string;
  /** Circuit sizes K; all that the ceremony has powers for by default. */
  readonly pairs?: readonly number[];
}

/** What {@link contributeToKeys} takes. */
export interface ContributeOptions extends PhaseTwoOptions {
  /** 1 to 64 printable ASCII characters; public. */
  readonly name: string;
}

/** What {@link applyBeacon} takes. */
export interface BeaconOptions extends ContributeOptions {
  /** Public random value that nobody could know when the last participant contributed: 16 to 64 bytes, hex. */
  readonly beacon: string;
  /** log2 of the number of times that SHA-256 is applied to it, 10 to 20. */
  readonly iterationsExponent: number;
}

const NAME = /^[\x20-\x7e]{1,64}$/;
const BEACON = /^([0-9a-f]{2}){16,64}$/;
const ITERATIONS = { min: 10, max: 20 } as const;

const ENTROPY_BYTES = 64;

/**
 * Makes the first keys of phase 2, which everybody can forge under until somebody contributes.
 *
 * @throws ZkLoraError `USAGE` for sizes without powers or where phase 2 has started, `PARAMETERS_MALFORMED`,
 * `PARAMETERS_MISMATCH` for another .ptau file than the imported one, and errors of reading and writing.
 */
export async function startPhaseTwo(options: StartOptions): Promise<CeremonyState> {
  const { dir, onProgress = () => undefined } = options;
  const state = await readCeremony(dir);
  if (state.circuits.length > 0) {
    throw new ZkLoraError(
      'USAGE',
      `phase 2 has started in ${dir}; contribute to it or import into a new folder`,
    );
  }
  const engine = await loadEngine();
  const origin = await loadOrigin(engine, dir, state);
  const ptau = await openPtau(options.ptau);
  try {
    await requireSamePtau(engine, ptau, origin.bytes, origin.phaseOne);
    const circuits: { pairs: number; circuitHash: string }[] = [];
    for (const pairs of choosePairs(state, ptau.power, options.pairs)) {
      onProgress(`key for ${pairs} pairs`);
      const zkey: MemoryFile = { type: 'mem' };
      const reduced = await ptau.readReduced(circuitPower(pairs));
      const hash = await zKey.newZKey(await circuitR1cs(pairs), reduced, zkey);
      if (hash === -1) {
        throw new ZkLoraError(
          'PARAMETERS_MISMATCH',
          `the .ptau file does not serve ${pairs} pairs; use a larger one`,
        );
      }
      await requireKey(engine, zkey.data!, pairs, origin);
      await writeKey(dir, pairs, zkey.data!);
      circuits.push({ pairs, circuitHash: bytesToHex(hash) });
    }
    const started = { ...state, circuits };
    await writeCeremony(dir, started);
    return started;
  } finally {
    await ptau.close();
  }
}

/**
 * Adds a participant's contribution to every key. Its randomness comes from the operating system and is kept by
 * nobody; JavaScript cannot promise that no copy stays in memory until the process ends.
 *
 * @returns the new contributions: publish their hashes
 * @throws ZkLoraError `USAGE`, `PARAMETERS_MALFORMED`, `PARAMETERS_MISMATCH` for keys that are not what they must be.
 */
export async function contributeToKeys({ name, ...options }: ContributeOptions): Promise<Contribution[]> {
  requireName(name);
  return extendKeys(options, async (before, after) => {
    await zKey.contribute(before, after, name, randomBytes(ENTROPY_BYTES).toString('hex'));
  });
}

/**
 * Adds a public random beacon to every key, as the last contribution, so that the last participant could not choose
 * delta by trying.
 *
 * @returns the new contributions
 * @throws ZkLoraError as {@link contributeToKeys}.
 */
export async function applyBeacon(options: BeaconOptions): Promise<Contribution[]> {
  const { name, beacon, iterationsExponent } = options;
  requireName(name);
  if (!BEACON.test(beacon)) throw new ZkLoraError('USAGE', 'a beacon has 16 to 64 bytes in lower-case hex');
  const { min, max } = ITERATIONS;
  if (!Number.isInteger(iterationsExponent) || iterationsExponent < min || iterationsExponent > max) {
    throw new ZkLoraError('USAGE', `a beacon has 2^${min} to 2^${max} iterations`);
  }
  return extendKeys(options, async (before, after) => {
    const hash = await zKey.beacon(before, after, name, beacon, iterationsExponent);
    if (hash === false) throw new ZkLoraError('INTERNAL', 'snarkjs refuses the beacon');
  });
}

/** Checks every key, extends it, checks the result, and writes all of them only then. */
async function extendKeys(
  { dir, onProgress = () => undefined }: PhaseTwoOptions,
  extend: (before: Uint8Array, after: MemoryFile) => Promise<void>,
): Promise<Contribution[]> {
  const state = await readCeremony(dir);
  requireStarted(state, dir);
  const engine = await loadEngine();
  const origin = await loadOrigin(engine, dir, state);
  const contributions: Contribution[] = [];
  const keys: [number, Uint8Array][] = [];
  for (const { pairs, circuitHash } of state.circuits) {
    onProgress(`key for ${pairs} pairs`);
    const before = await readKey(dir, pairs);
    const { key } = await requireKey(engine, before, pairs, origin);
    requireCircuitHash(key, circuitHash);
    const after: MemoryFile = { type: 'mem' };
    await extend(before, after);
    const extended = await requireKey(engine, after.data!, pairs, origin);
    contributions.push(describeContributions(extended.key).at(-1)!);
    keys.push([pairs, after.data!]);
  }
  for (const [pairs, zkey] of keys) await writeKey(dir, pairs, zkey);
  return contributions;
}

/** Powers and phase 1 of an unfinished ceremony, checked. */
async function loadOrigin(
  engine: Engine,
  dir: string,
  state: CeremonyState,
): Promise<KeyOrigin & { phaseOne: Accumulator; bytes: Uint8Array }> {
  const powers = await requirePowersFile(engine, dir, state);
  const { after, bytes } = await requireTranscriptFile(engine, dir, state.tauG2, state.transcript.sha256);
  return { powers, phaseOne: after, bytes };
}

function choosePairs({ powers }: CeremonyState, power: number, wanted?: readonly number[]): number[] {
  const allowed = CIRCUIT_SIZES.filter(
    (pairs) => powersNeeded([], [pairs]) <= powers.count && groth16DomainSize(pairs) <= 2 ** power,
  );
  const chosen = wanted ?? allowed;
  if (chosen.length > 0 && chosen.every((pairs) => allowed.includes(pairs))) {
    return [...new Set(chosen)].sort((a, b) => a - b);
  }
  throw new ZkLoraError(
    'USAGE',
    `the ceremony has powers for circuits of ${allowed.join(', ')} pairs; choose out of these, or import again with --pairs`,
  );
}

function requireName(name: string): void {
  if (!NAME.test(name)) throw new ZkLoraError('USAGE', 'a name has 1 to 64 printable ASCII characters');
}
