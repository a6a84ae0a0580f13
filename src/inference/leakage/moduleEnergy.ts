import { powerOfTwo } from '../../adapter/fixedPoint.js';
import type { QuantizedModule } from '../../adapter/types.js';
import { dot } from './vectors.js';

/**
 * ||Delta W v||^2 for directions v, Delta W = B A in the integers of the commitment: v^T A^T (B^T B) A v, so that the work
 * follows the rank and not the number of outputs.
 */
export class ModuleEnergy {
  readonly name: string;
  readonly rank: number;
  readonly inFeatures: number;
  /** The model adds `scale` times B A. */
  readonly scale: number;
  /** ||Delta W||_F^2 */
  readonly total: number;
  /** `[rank]` rows of inFeatures. */
  private readonly a: readonly Float64Array[];
  /** B^T B, row-major `[rank, rank]`. */
  private readonly gram: Float64Array;

  constructor(module: QuantizedModule) {
    const { name, rank, inFeatures, outFeatures, a, bT } = module;
    this.name = name;
    this.rank = rank;
    this.inFeatures = inFeatures;
    this.scale = module.scaling * powerOfTwo(module.aExponent + module.bExponent);
    this.a = floatRows(a, rank, inFeatures);
    this.gram = gramOf(floatRows(bT, rank, outFeatures));
    const gramA = gramOf(this.a);
    this.total = dot(this.gram, gramA);
  }

  /** A v, `[rank]`. @param direction `[inFeatures]` */
  project(direction: Float64Array): Float64Array {
    return Float64Array.from(this.a, (row) => dot(row, direction));
  }

  /** ||B w||^2. @param projected A v, see {@link project} */
  energy(projected: Float64Array): number {
    let sum = 0;
    for (let i = 0; i < this.rank; i++) {
      const row = this.gram.subarray(i * this.rank, (i + 1) * this.rank);
      sum += projected[i]! * dot(row, projected);
    }
    return Math.max(0, sum);
  }
}

function floatRows(values: Int16Array, rows: number, columns: number): Float64Array[] {
  return Array.from({ length: rows }, (_, row) =>
    Float64Array.from(values.subarray(row * columns, (row + 1) * columns)),
  );
}

function gramOf(rows: readonly Float64Array[]): Float64Array {
  return Float64Array.from({ length: rows.length ** 2 }, (_, i) =>
    dot(rows[Math.floor(i / rows.length)]!, rows[i % rows.length]!),
  );
}
