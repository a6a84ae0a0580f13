import { powersOfTau } from 'snarkjs';
import { ZkLoraError } from '../errors.js';
import type { PtauFile } from './ptauFile.js';

/** snarkjs holds a basis of 2^(power + 1) points in memory several times over, and takes about 1 ms per point. */
const MAX_POWER = 16;

/** snarkjs hashes 400 bytes for each of the 2^power points of the whole ceremony. */
const MAX_CEREMONY_POWER = 22;

/** @throws ZkLoraError `USAGE` for a file that {@link requireWholeFile} would take too long over. */
export function requireSmallFile({ power, ceremonyPower }: PtauFile): void {
  if (power <= MAX_POWER && ceremonyPower <= MAX_CEREMONY_POWER) return;
  throw new ZkLoraError(
    'USAGE',
    `a file of power ${power} of ${ceremonyPower} is too large for the whole-file check (${MAX_POWER} of ${MAX_CEREMONY_POWER}); leave the option out`,
  );
}

/**
 * Has snarkjs check every point and the digests of a .ptau file, as `snarkjs powersoftau verify` does.
 *
 * @param ptau a file whose contributions have been checked: snarkjs trusts counts and beacons
 * @throws ZkLoraError `PARAMETERS_MISMATCH`.
 */
export async function requireWholeFile(ptau: PtauFile): Promise<void> {
  const refused = (cause?: unknown) =>
    new ZkLoraError(
      'PARAMETERS_MISMATCH',
      '.ptau file refused: `snarkjs powersoftau verify` does not accept it; fetch it again or use another',
      cause === undefined ? {} : { cause },
    );
  let valid: boolean;
  try {
    valid = await powersOfTau.verify(await ptau.readReduced(ptau.power));
  } catch (cause) {
    throw refused(cause);
  }
  if (!valid) throw refused();
}
