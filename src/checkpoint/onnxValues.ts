import type { Dtype } from '../adapter/dtype.js';
import { DTYPE_BYTES } from '../adapter/dtype.js';
import { ZkLoraError } from '../errors.js';

/** `TensorProto.DataType` to dtype; strings, complex128, the FNUZ floats and the 4-bit types have no counterpart. */
export const ONNX_DTYPES: ReadonlyMap<number, Dtype> = new Map<number, Dtype>([
  [1, 'F32'],
  [2, 'U8'],
  [3, 'I8'],
  [4, 'U16'],
  [5, 'I16'],
  [6, 'I32'],
  [7, 'I64'],
  [9, 'BOOL'],
  [10, 'F16'],
  [11, 'F64'],
  [12, 'U32'],
  [13, 'U64'],
  [14, 'C64'],
  [16, 'BF16'],
  [17, 'F8_E4M3'],
  [19, 'F8_E5M2'],
  [24, 'F8_E8M0'],
]);

/** Field of `TensorProto` that holds the values of a dtype when `raw_data` does not (comments of onnx.proto). */
export function typedField(dtype: Dtype): number {
  if (dtype === 'F32' || dtype === 'C64') return 4;
  if (dtype === 'F64') return 10;
  if (dtype === 'I64') return 7;
  if (dtype === 'U32' || dtype === 'U64') return 11;
  return 5;
}

const SIGNED: ReadonlySet<Dtype> = new Set<Dtype>(['I8', 'I16', 'I32', 'I64']);

/**
 * Elements that a tensor keeps as protobuf varints, as little-endian bytes.
 *
 * @throws ZkLoraError `ONNX_MALFORMED` when there are not `count` of them or one is outside the dtype's range.
 */
export function decodeVarints(bytes: Uint8Array, dtype: Dtype, count: number): Uint8Array {
  const width = DTYPE_BYTES[dtype];
  // every varint has at least one byte, so that this allocates at most 8 times what was read
  if (count > bytes.length) throw malformed('it has fewer values than its shape');
  const out = new Uint8Array(count * width);
  const view = new DataView(out.buffer);
  let at = 0;
  for (let i = 0; i < count; i++) {
    let low = 0;
    let high = 0;
    for (let place = 0; ; place++) {
      const byte = bytes[at++];
      if (byte === undefined || place === 10) throw malformed('it has a broken or missing value');
      const bits = byte & 0x7f;
      if (place < 4) low += bits * 2 ** (7 * place);
      else if (place === 4) {
        low += (bits & 0x0f) * 2 ** 28;
        high = bits >> 4;
      } else if (place < 9) high += bits * 2 ** (7 * place - 32);
      else if (bits <= 1) high += bits * 2 ** 31;
      else throw malformed('it has a value of more than 64 bits');
      if (byte < 0x80) break;
    }
    if (!fits(low, high, dtype, width)) throw malformed(`it has a value outside the range of ${dtype}`);
    if (width === 1) view.setUint8(i, low & 0xff);
    else if (width === 2) view.setUint16(2 * i, low & 0xffff, true);
    else view.setUint32(width * i, low, true);
    if (width === 8) view.setUint32(8 * i + 4, high, true);
  }
  if (at !== bytes.length) throw malformed('it has more values than its shape');
  return out;
}

/** Whether the 64-bit value is the zero or sign extension of its lowest `width` bytes. */
function fits(low: number, high: number, dtype: Dtype, width: number): boolean {
  if (dtype === 'BOOL') return high === 0 && low <= 1;
  if (width === 8) return true;
  const bound = 2 ** (8 * width);
  if (!SIGNED.has(dtype)) return high === 0 && low < bound;
  if (high === 0) return low < bound / 2;
  return high === 2 ** 32 - 1 && low >= 2 ** 32 - bound / 2;
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError('ONNX_MALFORMED', `an initializer cannot be read: ${problem}; export it again`);
}
