import { bytesToNumberBE, numberToBytesBE } from '@noble/curves/utils.js';
import { encodeG1Compressed, type G1Point } from '../../algebra/index.js';
import { concatBytes, hexToBytes, utf8ToBytes } from '../../bytes.js';
import { decodeSum, encodeSum, type SumProof } from '../proof.js';
import { decodeWhole } from '../proofReader.js';
import { SKETCH_BYTES, SKETCHES } from './sizes.js';

/** First bytes: name and format version. */
const MAGIC = concatBytes(utf8ToBytes('zklora-registration'), Uint8Array.of(0, 1));

/** What a registration proof is called in messages. */
const WHAT = 'registration proof';

/** Proof that all rows of an adapter are known, short and zero outside their range. */
export interface RegistrationProof {
  /** Ids, 32 bytes, hex: what the proof claims to be about; verification compares them with the verifier's own. */
  readonly parametersId: string;
  readonly adapterId: string;
  /** [G]: commitment to the masks. */
  readonly masks: G1Point;
  /** v_i, `[SKETCHES]`, each in [-2^103, 2^103). */
  readonly sketches: readonly bigint[];
  readonly sum: SumProof;
}

/** The v_i, 13 bytes each, two's complement, big-endian. */
export function encodeSketches(sketches: readonly bigint[]): Uint8Array {
  return concatBytes(
    ...sketches.map((value) => numberToBytesBE(BigInt.asUintN(8 * SKETCH_BYTES, value), SKETCH_BYTES)),
  );
}

/** Bytes of a registration proof; docs/formats.md, "Registration proof". */
export function encodeRegistrationProof(proof: RegistrationProof): Uint8Array {
  return concatBytes(
    MAGIC,
    hexToBytes(proof.parametersId),
    hexToBytes(proof.adapterId),
    encodeG1Compressed(proof.masks),
    encodeSketches(proof.sketches),
    ...encodeSum(proof.sum),
  );
}

/**
 * Reads a registration proof; every proof has exactly one encoding, of one length.
 *
 * @throws ZkLoraError `PROOF_MALFORMED` for anything that is not the encoding of a proof.
 */
export function decodeRegistrationProof(bytes: Uint8Array): RegistrationProof {
  return decodeWhole(bytes, WHAT, (reader) => {
    reader.magic({ v1: MAGIC });
    return {
      parametersId: reader.digest(),
      adapterId: reader.digest(),
      masks: reader.g1(),
      sketches: Array.from({ length: SKETCHES }, () =>
        BigInt.asIntN(8 * SKETCH_BYTES, bytesToNumberBE(reader.take(SKETCH_BYTES))),
      ),
      sum: decodeSum(reader),
    };
  });
}
