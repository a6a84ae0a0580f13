import { ZkLoraError } from '../errors.js';

/**
 * Bytes per element of the safetensors dtypes (huggingface/safetensors, `Dtype`); the sub-byte ones are left out.
 * Elements are little-endian, and so is every host this library runs on: typed-array views rely on it.
 */
export const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  C64: 8,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

export type Dtype = keyof typeof DTYPE_BYTES;

export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(DTYPE_BYTES, name);
}

/** One named tensor of a safetensors file. */
export interface Tensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Little-endian, row-major elements; may be an unaligned view into the file's bytes. */
  readonly data: Uint8Array;
}

/**
 * Elements of an F32, F16 or BF16 tensor as float32 (exact for all three), row-major; always a copy.
 *
 * @throws ZkLoraError `ADAPTER_UNSUPPORTED` for any other dtype, naming it.
 */
export function tensorToFloat32(tensor: Tensor): Float32Array<ArrayBuffer> {
  if (tensor.dtype === 'F32') return new Float32Array(alignedCopy(tensor.data));
  if (tensor.dtype === 'F16')
    return Float32Array.from(new Uint16Array(alignedCopy(tensor.data)), halfToFloat);
  if (tensor.dtype === 'BF16') {
    const words = Uint32Array.from(new Uint16Array(alignedCopy(tensor.data)), (bits) => (bits << 16) >>> 0);
    return new Float32Array(words.buffer);
  }
  throw new ZkLoraError(
    'ADAPTER_UNSUPPORTED',
    `weights of dtype ${tensor.dtype} are not supported; save the adapter as float32, float16 or bfloat16`,
    { details: { dtype: tensor.dtype } },
  );
}

/** IEEE 754 binary16 bits to a number: sign 1, exponent 5 (bias 15), fraction 10. */
function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

function alignedCopy(data: Uint8Array): ArrayBuffer {
  const copy = new Uint8Array(data.length);
  copy.set(data);
  return copy.buffer;
}
