import type { AdapterCommitment } from '../adapter/types.js';
import { decodeG1Batch, type Engine, G1_BYTES, type G1Point } from '../algebra/index.js';
import { hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';

/** Committed rows of one module as points. */
export interface ModuleRows {
  readonly a: readonly G1Point[];
  readonly b: readonly G1Point[];
}

/**
 * Decodes the committed rows of the given modules.
 *
 * @throws ZkLoraError `COMMITMENT_MALFORMED` naming the module whose point is not a valid one.
 */
export function decodeRows(
  engine: Engine,
  adapter: AdapterCommitment,
  moduleIndices: readonly number[],
): ModuleRows[] {
  return moduleIndices.map((index) => {
    const module = adapter.modules[index]!;
    const decode = (points: readonly string[]) => {
      try {
        const decoded = decodeG1Batch(engine, hexToBytes(points.join('')));
        return points.map((_, i) => decoded.subarray(i * G1_BYTES, (i + 1) * G1_BYTES) as G1Point);
      } catch (cause) {
        throw new ZkLoraError(
          'COMMITMENT_MALFORMED',
          `adapter commitment: a row of ${module.name} is not a valid point: get the file again from its contributor`,
          { cause },
        );
      }
    };
    return { a: decode(module.aRows), b: decode(module.bColumns) };
  });
}
