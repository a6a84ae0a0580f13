import { zKey } from 'snarkjs';
import type { Engine } from '../algebra/index.js';
import { bytesToHex, equalBytes } from '../bytes.js';
import { circuitR1cs } from '../circuit/circuitFiles.js';
import type { Contribution } from '../circuit/parameters.js';
import { parseR1cs } from '../circuit/r1cs.js';
import { groth16DomainSize } from '../circuit/size.js';
import { parseVerificationKey } from '../circuit/verificationKey.js';
import { exportVerificationKey } from '../circuit/zkey.js';
import { ZkLoraError } from '../errors.js';
import { contributionHash, requireDeltaChain } from './deltaChain.js';
import { requireKeyOfCircuit, type UncheckedSections } from './keyEquations.js';
import { type KeyFile, parseKeyFile } from './keyFile.js';
import type { PtauFile } from './ptauFile.js';
import type { Accumulator } from './transcript.js';

/** What a key is checked against. */
export interface KeyOrigin {
  /** tau^i G, affine in ffjavascript's form, checked. */
  readonly powers: Uint8Array;
  /** Where the contributions of phase 1 lead; null where there is no transcript. */
  readonly phaseOne: Pick<Accumulator, 'alphaG1' | 'betaG1' | 'betaG2'> | null;
}

/**
 * Reads a proving key and checks it: structure and points; alpha and beta against phase 1; every section against the
 * circuit's constraint system and the powers; delta against the contributions.
 *
 * @returns the key, and the sections that need more powers than there are
 * @throws ZkLoraError `PARAMETERS_MALFORMED`, `PARAMETERS_MISMATCH`.
 */
export async function requireKey(
  engine: Engine,
  zkey: Uint8Array,
  pairs: number,
  { powers, phaseOne }: KeyOrigin,
): Promise<{ key: KeyFile; unchecked: UncheckedSections }> {
  const key = await parseKeyFile(engine, zkey, pairs);
  if (phaseOne !== null) {
    for (const name of ['alphaG1', 'betaG1', 'betaG2'] as const) {
      if (equalBytes(key[name], phaseOne[name])) continue;
      throw mismatch(pairs, `its ${name} is not that of the powers of tau`);
    }
  }
  const system = parseR1cs(await circuitR1cs(pairs));
  const unchecked = await requireKeyOfCircuit(engine, key, system, powers);
  await requireDeltaChain(engine, key);
  return { key, unchecked };
}

/**
 * Refuses a key whose delta everybody can know: without contributions it is the generator, and beacons are public.
 *
 * @throws ZkLoraError `CEREMONY_INCOMPLETE`.
 */
export function requireParticipant({ pairs, contributions }: KeyFile): void {
  if (contributions.some(({ beacon }) => beacon === null)) return;
  throw new ZkLoraError(
    'CEREMONY_INCOMPLETE',
    `no participant has contributed to the key for ${pairs} pairs, anybody could forge proofs under it; run \`zklora params phase2 contribute\``,
  );
}

/** @throws ZkLoraError `PARAMETERS_MISMATCH` for a key that did not begin as the one of this ceremony. */
export function requireCircuitHash(key: KeyFile, circuitHash: string): void {
  if (bytesToHex(key.circuitHash) === circuitHash) return;
  throw new ZkLoraError(
    'PARAMETERS_MISMATCH',
    `proving key for ${key.pairs} pairs refused: it did not begin as the first key of this ceremony; use the key that the contributor before sent`,
  );
}

/**
 * The verification key of a proving key, encoded, with a reader's checks made (gamma, delta, IC).
 *
 * @throws ZkLoraError `PARAMETERS_MALFORMED`.
 */
export function usableVerificationKey(zkey: Uint8Array, pairs: number): Uint8Array {
  const bytes = exportVerificationKey(zkey, pairs);
  parseVerificationKey(bytes, pairs);
  return bytes;
}

/** Contributions of a key as params.json lists them. */
export function describeContributions({ pairs, contributions }: KeyFile): Contribution[] {
  return contributions.map((contribution) => ({
    phase: 'phase2',
    pairs,
    kind: contribution.beacon === null ? 'participant' : 'beacon',
    name: contribution.name,
    hash: bytesToHex(contributionHash(contribution)),
  }));
}

/** log2 of the rows of Groth16's domain. */
export function circuitPower(pairs: number): number {
  return Math.log2(groth16DomainSize(pairs));
}

/**
 * Checks a key with snarkjs itself, which makes the first key of the circuit again from the .ptau file.
 *
 * @param zkey a key that {@link requireKey} has accepted: snarkjs trusts counts, points and beacons
 * @throws ZkLoraError `PARAMETERS_MISMATCH`.
 */
export async function requireSnarkjsAgrees(zkey: Uint8Array, pairs: number, ptau: PtauFile): Promise<void> {
  let agrees: boolean;
  try {
    const reduced = await ptau.readReduced(circuitPower(pairs));
    agrees = await zKey.verifyFromR1cs(await circuitR1cs(pairs), reduced, zkey);
  } catch (cause) {
    if (cause instanceof ZkLoraError) throw cause;
    throw mismatch(pairs, 'snarkjs cannot verify it against this .ptau file', cause);
  }
  if (!agrees) throw mismatch(pairs, 'snarkjs refuses it for this .ptau file');
}

function mismatch(pairs: number, reason: string, cause?: unknown): ZkLoraError {
  return new ZkLoraError(
    'PARAMETERS_MISMATCH',
    `proving key for ${pairs} pairs refused: ${reason}; use the files of one ceremony`,
    cause === undefined ? {} : { cause },
  );
}
