export { ahead } from './ahead.js';
export { BlockQueue } from './blockQueue.js';
export type { Curve } from './curve.js';
export { decodeG1Batch } from './decodeBatch.js';
export * from './domain.js';
export { type Engine, loadEngine, type SyncMemory } from './engine.js';
export * from './group.js';
export { hashToG1 } from './hashToCurve.js';
export { gatherVector, vectorFromIntegers } from './integers.js';
export {
  combineMatrices,
  combineRows,
  type LimbPlanes,
  multiplyRows,
  type SmallIntegers,
  toLimbs,
} from './limbs.js';
export { PairingProduct } from './pairing.js';
export * from './points.js';
export {
  type Factors,
  MAX_TASK_PRODUCTS,
  type ProductValues,
  prepareTransforms,
  sumOfProducts,
  transformFour,
} from './quadTransform.js';
export { FoldVector, RowStacks } from './rowStacks.js';
export { RowSums } from './rowSums.js';
export { runningEngine } from './running.js';
export * from './scalar.js';
export * from './vector.js';
export { warmCircuitProver, warmProver, warmVerifier } from './warmUp.js';
