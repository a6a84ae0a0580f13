import type { AdapterCommitment } from '../adapter/types.js';
import { decodeG1Batch, type Engine } from '../algebra/index.js';
import { hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';

/** Committed rows of one module as points, 64 bytes each. */
export interface ModuleRows {
  readonly a: Uint8Array;
  readonly b: Uint8Array;
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
        return decodeG1Batch(engine, hexToBytes(points.join('')));
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
