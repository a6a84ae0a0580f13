import type { AdapterCommitment } from '../adapter/types.js';
import { decodeG1, type G1Point } from '../algebra/index.js';
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
export function decodeRows(adapter: AdapterCommitment, moduleIndices: readonly number[]): ModuleRows[] {
  return moduleIndices.map((index) => {
    const module = adapter.modules[index]!;
    const decode = (points: readonly string[]) => {
      try {
        return points.map((hex) => decodeG1(hexToBytes(hex)));
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
