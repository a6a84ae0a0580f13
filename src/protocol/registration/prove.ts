import { randomBytes } from '@noble/hashes/utils.js';
import { adapterId } from '../../adapter/commitment.js';
import { type AdapterSecret, assertSecretMatches } from '../../adapter/secret.js';
import type { AdapterCommitment, QuantizedModule } from '../../adapter/types.js';
import { type Engine, randomScalar, vectorFromScalars } from '../../algebra/index.js';
import { bytesToHex } from '../../bytes.js';
import { ZkLoraError } from '../../errors.js';
import { commitValues } from '../../kzg/commit.js';
import type { ProverSrs } from '../../kzg/srs.js';
import { hasCommittedShapes } from '../committedShapes.js';
import { proveSum } from '../sumProve.js';
import { expandBits } from './bits.js';
import { drawSeed, drawSum } from './challenges.js';
import { combineAllRows, sketchAll } from './combinations.js';
import { registrationLanes } from './lanes.js';
import { encodeRegistrationProof } from './proof.js';
import { MASK_BITS, SKETCHES } from './sizes.js';
import { registrationStatement } from './statement.js';
import { sketchTotal } from './total.js';
import { rowBlinders, weightMatrices } from './weights.js';

/** Arguments of {@link proveRegistration}. */
export interface RegistrationProveOptions {
  readonly engine: Engine;
  /** Of the adapter's domain and parameter set. */
  readonly srs: ProverSrs;
  readonly adapter: AdapterCommitment;
  /** The committed weights, in the adapter's order. */
  readonly modules: readonly QuantizedModule[];
  readonly secret: AdapterSecret;
  /** Called with the number of products begun so far, of all products. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Proves that the contributor knows all committed rows, that all entries are integers below 2^103 in size and
 * that rows are zero outside their range (docs/protocol.md, "Registration proof").
 *
 * One proof for a commitment is enough, and it holds for good: make it once and keep it in the commitment's
 * `registrationProof`, as hex. The masks are fresh for every call.
 *
 * @returns bytes of the proof; weights that are not the committed ones give a proof that does not verify
 * @throws ZkLoraError `SECRET_MISMATCH`, `SHAPE_MISMATCH` for weights or points of other sizes,
 * `STATEMENT_INVALID` for an adapter too large for the argument
 * @example
 * const { commitment, secret } = await registerAdapter({ engine, srs, parametersId, modules, baseDigest });
 * const proof = await proveRegistration({ engine, srs, adapter: commitment, modules, secret });
 * const published = { ...commitment, registrationProof: bytesToHex(proof) };
 */
export async function proveRegistration(options: RegistrationProveOptions): Promise<Uint8Array> {
  const { engine, srs, adapter, modules, secret } = options;
  assertSecretMatches(secret, adapter);
  if (!hasCommittedShapes(modules, adapter) || srs.domainSize !== adapter.domainSize) {
    throw new ZkLoraError(
      'SHAPE_MISMATCH',
      'weights or reference string do not have the sizes of the adapter commitment: pass those it was made from',
    );
  }
  const statement = registrationStatement(adapter);
  const weights = weightMatrices(statement, modules);
  const maskIntegers = Array.from({ length: SKETCHES }, randomMask);
  const masks = vectorFromScalars(engine, maskIntegers);
  const maskBlinder = randomScalar();
  const committedMasks = await commitValues(engine, srs, masks, [maskBlinder]);

  const { transcript, seed } = drawSeed(statement, committedMasks);
  const bits = expandBits(seed, statement);
  const combined = combineAllRows(statement, weights, bits);
  const exact = sketchAll(combined, statement.domainSize, bits);
  const sketches = maskIntegers.map((mask, i) => mask + BigInt(exact[i]!));

  const challenges = drawSum(transcript, sketches);
  const blinders = rowBlinders(engine, adapter, modules, secret);
  const secrets = { weights, blinders, masks, maskBlinder, combined };
  const lanes = registrationLanes(engine, statement, bits, challenges, secrets, options.onProgress);
  const total = sketchTotal(engine, sketches, challenges.lambda);
  // no mask R: the total is public
  const { sum } = await proveSum(engine, srs, transcript, lanes, [0n, 0n], total);
  return encodeRegistrationProof({
    parametersId: adapter.parametersId,
    adapterId: adapterId(adapter),
    masks: committedMasks,
    sketches,
    sum,
  });
}

/** Uniform in [0, 2^MASK_BITS). */
function randomMask(): bigint {
  const bytes = randomBytes(Math.ceil(MASK_BITS / 8));
  return BigInt.asUintN(MASK_BITS, BigInt(`0x${bytesToHex(bytes)}`));
}
