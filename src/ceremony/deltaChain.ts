import { blake2b } from '@noble/hashes/blake2.js';
import { type Engine, encodeG1, encodeG2, type G1Point, g1Generator, g2Generator } from '../algebra/index.js';
import { SeededStream } from '../algebra/seeded.js';
import { concatBytes, equalBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { beaconHash, requireBoundedBeacons } from './contributionNote.js';
import type { DeltaContribution, KeyFile } from './keyFile.js';
import { haveSameRatio } from './knowledge.js';

/**
 * Checks that each phase-2 contribution multiplies delta by a factor whose contributor knew it, that each beacon is
 * the one it says, and that the key has the delta that this leads to (the checks of `snarkjs zkey verify` that need
 * no more than the key).
 *
 * @throws ZkLoraError `PARAMETERS_MISMATCH`, `PARAMETERS_MALFORMED` for beacons that take too long.
 */
export async function requireDeltaChain(engine: Engine, key: KeyFile): Promise<void> {
  requireBoundedBeacons(key.contributions);
  const refuse = (reason: string) =>
    new ZkLoraError(
      'PARAMETERS_MISMATCH',
      `proving key for ${key.pairs} pairs refused: ${reason}; use the key that the contributor before sent`,
    );
  const history = blake2b.create({ dkLen: 64 }).update(key.circuitHash);
  let before = g1Generator(engine);
  for (const [i, contribution] of key.contributions.entries()) {
    const { after, s, sx, transcript } = contribution;
    const expected = history.clone().update(encodeG1(s)).update(encodeG1(sx)).digest();
    const wrong = equalBytes(transcript, expected)
      ? await firstWrong(engine, contribution, before)
      : 'its transcript differs from what came before';
    if (wrong !== null) throw refuse(`contribution ${i + 1} does not follow from the one before: ${wrong}`);
    history.update(encodeContribution(contribution));
    before = after;
  }
  if (!equalBytes(key.deltaG1, before))
    throw refuse('its delta is not the one that the contributions lead to');
  const generators = [g1Generator(engine), g2Generator(engine)] as const;
  if (!(await haveSameRatio(engine, [generators[0], key.deltaG1], [generators[1], key.deltaG2]))) {
    throw refuse('delta differs between G1 and G2');
  }
}

async function firstWrong(
  engine: Engine,
  { after, s, sx, spx, transcript, beacon }: DeltaContribution,
  before: G1Point,
): Promise<string | null> {
  const sp = new SeededStream(engine, transcript).g2();
  if (!(await haveSameRatio(engine, [s, sx], [sp, spx]))) return 'no knowledge of its factor';
  if (!(await haveSameRatio(engine, [before, after], [sp, spx]))) return 'wrong delta';
  if (beacon === null) return null;
  const stream = new SeededStream(engine, beaconHash(beacon));
  const factor = stream.scalar();
  const base = stream.g1();
  const { G1 } = engine.curve;
  const multiple = G1.toAffine(G1.timesScalar(G1.toJacobian(base), factor));
  return equalBytes(s, base) && equalBytes(sx, multiple) ? null : 'its key is not that of the beacon';
}

/** Hash of one contribution, as snarkjs prints it: what contributors publish. */
export function contributionHash(contribution: DeltaContribution): Uint8Array {
  return blake2b(encodeContribution(contribution));
}

function encodeContribution({ after, s, sx, spx, transcript }: DeltaContribution): Uint8Array {
  return concatBytes(encodeG1(after), encodeG1(s), encodeG1(sx), encodeG2(spx), transcript);
}
