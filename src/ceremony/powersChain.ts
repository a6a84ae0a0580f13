import { createHash } from 'node:crypto';
import { blake2b } from '@noble/hashes/blake2.js';
import {
  type Engine,
  encodeG1,
  encodeG2,
  type G1Point,
  type G2Point,
  g1Generator,
  g2Generator,
  isIdentity,
} from '../algebra/index.js';
import { SeededStream } from '../algebra/seeded.js';
import { concatBytes, equalBytes, hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { beaconHash, requireBoundedBeacons } from './contributionNote.js';
import { haveSameRatio } from './knowledge.js';
import type { Accumulator, PowersContribution, PowersKey, PowersTranscript } from './transcript.js';

/** The secrets that a contribution changes, in the order of their keys; the index separates their hashes. */
const SECRETS = ['tau', 'alpha', 'beta'] as const;

/**
 * Checks that each phase-1 contribution multiplies tau, alpha and beta of the one before by factors whose
 * contributor knew them, and that each beacon is the one it says (the checks of `snarkjs powersoftau verify`
 * that need no more than the contributions).
 *
 * @returns the accumulator after the last contribution
 * @throws ZkLoraError `PARAMETERS_MISMATCH`, `PARAMETERS_MALFORMED` for beacons that take too long,
 * `CEREMONY_INCOMPLETE` if no participant has contributed.
 */
export async function requirePowersChain(
  engine: Engine,
  { ceremonyPower, contributions }: PowersTranscript,
): Promise<Accumulator> {
  requireBoundedBeacons(contributions);
  if (!contributions.some(({ beacon }) => beacon === null)) {
    throw new ZkLoraError(
      'CEREMONY_INCOMPLETE',
      'no participant has contributed to these powers of tau: everybody can know tau; use a file of a ceremony',
    );
  }
  let before: Accumulator = {
    tauG1: g1Generator(engine),
    tauG2: g2Generator(engine),
    alphaG1: g1Generator(engine),
    betaG1: g1Generator(engine),
    betaG2: g2Generator(engine),
  };
  let challenge = firstChallenge(engine, ceremonyPower);
  for (const [i, contribution] of contributions.entries()) {
    const wrong = await firstWrong(engine, contribution, before, challenge);
    if (wrong !== null) {
      throw new ZkLoraError(
        'PARAMETERS_MISMATCH',
        `phase-1 contribution ${i + 1} does not follow from the one before: ${wrong}; use another file`,
      );
    }
    before = contribution.after;
    challenge = contribution.nextChallenge;
  }
  return before;
}

async function firstWrong(
  engine: Engine,
  { after, keys, beacon }: PowersContribution,
  before: Accumulator,
  challenge: Uint8Array,
): Promise<string | null> {
  if (beacon !== null && !isKeyOfBeacon(engine, keys, new SeededStream(engine, beaconHash(beacon)))) {
    return 'its key is not that of the beacon';
  }
  const steps = { tau: ['tauG1'], alpha: ['alphaG1'], beta: ['betaG1'] } as const;
  for (const [i, secret] of SECRETS.entries()) {
    const { s, sx, spx } = keys[secret];
    const g2Pair = [secondBase(engine, i, challenge, s, sx), spx] as const;
    if (!(await haveSameRatio(engine, [s, sx], g2Pair))) return `no knowledge of a factor of ${secret}`;
    const [name] = steps[secret];
    if (!(await haveSameRatio(engine, [before[name], after[name]], g2Pair))) return `wrong ${name}`;
  }
  const inG2 = [
    ['tauG2', keys.tau],
    ['betaG2', keys.beta],
  ] as const;
  for (const [name, { s, sx }] of inG2) {
    if (!(await haveSameRatio(engine, [s, sx], [before[name], after[name]]))) return `wrong ${name}`;
  }
  return null;
}

/** s' of a key: a point of G2 whose logarithm nobody knows, bound to s, x s and all that came before. */
function secondBase(engine: Engine, secret: number, challenge: Uint8Array, s: G1Point, sx: G1Point): G2Point {
  const hash = blake2b(concatBytes(Uint8Array.of(secret), challenge, encodeG1(s), encodeG1(sx)));
  return new SeededStream(engine, hash).g2();
}

/** Private keys are drawn first, then a base for each; x s' follows from the proof of knowledge. */
function isKeyOfBeacon(engine: Engine, keys: PowersContribution['keys'], stream: SeededStream): boolean {
  const factors = SECRETS.map(() => stream.scalar());
  return SECRETS.every((secret, i) => isMultiple(engine, keys[secret], stream.g1(), factors[i]!));
}

function isMultiple(engine: Engine, { s, sx }: PowersKey, base: G1Point, factor: bigint): boolean {
  const { G1 } = engine.curve;
  const multiple = G1.toAffine(G1.timesScalar(G1.toJacobian(base), factor));
  return equalBytes(s, base) && !isIdentity(engine, multiple) && equalBytes(sx, multiple);
}

/**
 * What {@link hashGenerators} gives for powers that take it seconds to minutes (103 GB for the largest). That of 28 is
 * the published BLAKE2b of challenge_initial of the Perpetual Powers of Tau (attestation to response 0001).
 */
const FIRST_CHALLENGES: ReadonlyMap<number, string> = new Map([
  [
    24,
    'adc423b1cd43ea5a40601c30364febdcdf4796f0ffc56c01e1f64019146e60f9c9b68c75f1e36e275c336acbee5632f69569c9f2267dfda4ad59dcb15b8f3e84',
  ],
  [
    25,
    '661de6f41b1150ac7448085558e5ecdaae345272e662da9851b0ff3816901a2b2141722a38a35a314b41a53abba15f7198f30c57891111864081aa38d3012a5b',
  ],
  [
    26,
    '5140c98bda53f8c1fc3a25d574c409d5de41561b585b4224ab5ed369a98f2e41389c39c83b47470701e52261fa199918666181be3855d33e2ef19377365b038b',
  ],
  [
    27,
    '36bcd31f9d5ed309ded4a17ee8279e34eceec40b56be88e2fb604aebe2c714bafbf99218e7269f20ec3392bab9d45f5198b826c94bd3d3c2d780f46dfd65be67',
  ],
  [
    28,
    '93da91920d5a54a8a0fde55cd9dc3a10c4f3eef768b62c0948741370864254b4c1920f3f29d4ebc0ef3acecf2e2db63a755713d77e1ed77347a56fbc317c7a93',
  ],
]);

/** Digest that the first contribution builds on: of an accumulator with all secrets one. */
export function firstChallenge(engine: Engine, ceremonyPower: number): Uint8Array {
  const known = FIRST_CHALLENGES.get(ceremonyPower);
  return known === undefined ? hashGenerators(engine, ceremonyPower) : hexToBytes(known);
}

/** Generators hashed at once. */
const BLOCK = 2 ** 14;

function hashGenerators(engine: Engine, power: number): Uint8Array {
  const hash = createHash('blake2b512');
  hash.update(createHash('blake2b512').digest());
  const repeat = (point: Uint8Array, count: number) => {
    const block = concatBytes(...new Array<Uint8Array>(Math.min(BLOCK, count)).fill(point));
    let left = count;
    for (; left >= BLOCK; left -= BLOCK) hash.update(block);
    hash.update(block.subarray(0, left * point.length));
  };
  const size = 2 ** power;
  const g1 = encodeG1(g1Generator(engine));
  const g2 = encodeG2(g2Generator(engine));
  repeat(g1, 2 * size - 1);
  repeat(g2, size);
  repeat(g1, 2 * size);
  repeat(g2, 1);
  return new Uint8Array(hash.digest());
}
