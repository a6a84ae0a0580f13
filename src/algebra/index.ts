export type { Curve } from './curve.js';
export * from './domain.js';
export { type Engine, loadEngine, type SyncMemory } from './engine.js';
export * from './group.js';
export { hashToG1 } from './hashToCurve.js';
export {
  combineRows,
  type LimbPlanes,
  multiplyRows,
  type SmallIntegers,
  toLimbs,
} from './limbs.js';
export * from './points.js';
export * from './scalar.js';
export * from './vector.js';
