import { dotVectors, type Engine, Fr, vectorFromScalars } from '../../algebra/index.js';
import { sketchWeights } from './weightsAtPoint.js';

/** sum_i lambda^i v_i in F. */
export function sketchTotal(engine: Engine, sketches: readonly bigint[], lambda: bigint): bigint {
  const values = vectorFromScalars(
    engine,
    sketches.map((sketch) => Fr.create(sketch)),
  );
  return dotVectors(engine, sketchWeights(engine, lambda), values);
}
