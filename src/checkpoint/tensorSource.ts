import type { Dtype } from '../adapter/dtype.js';

/** A tensor of an open checkpoint: what is known without its data, and a way to stream the data. */
export interface TensorSource {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Length of the data: elements times bytes per element. */
  readonly bytes: number;
  /** Passes the little-endian, row-major elements in pieces; each piece is valid only during its call. */
  readonly stream: (consume: (piece: Uint8Array) => void) => Promise<void>;
}

/** An open checkpoint in any container. */
export interface Checkpoint {
  readonly container: 'safetensors' | 'safetensors-sharded' | 'onnx';
  readonly tensors: readonly TensorSource[];
  /** Releases the files. */
  readonly close: () => Promise<void>;
}

/** Elements times element size; beyond 2^53 it is rounded but stays beyond it, so it equals no real length. */
export function dataLength(shape: readonly number[], elementBytes: number): number {
  return shape.reduce((product, dimension) => product * dimension, elementBytes);
}
