import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { onTestFinished } from 'vitest';
import { DTYPE_BYTES, type Dtype, type Tensor } from '../../src/adapter/dtype.js';
import { serializeSafetensors } from '../../src/adapter/safetensors.js';
import { bytesToHex, sha256 } from '../../src/bytes.js';
import type { TensorDigest } from '../../src/checkpoint/index.js';
import { openOnnxCheckpoint } from '../../src/checkpoint/onnxCheckpoint.js';
import { GraphProtoSchema, ModelProtoSchema, TensorProtoSchema } from '../../src/inference/gen/onnx_pb.js';
import { encodeModel } from '../../src/inference/onnx.js';

/** A folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'zklora-checkpoint-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Deterministic bytes. */
export function pattern(length: number, seed: number): Uint8Array {
  let state = seed >>> 0;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

export function tensor(dtype: Dtype, shape: number[], seed: number): Tensor {
  const size = shape.reduce((product, dimension) => product * dimension, DTYPE_BYTES[dtype]);
  return { dtype, shape, data: pattern(size, seed) };
}

/** What the digest is over, worked out apart from the readers. */
export function listingOf(tensors: ReadonlyMap<string, Tensor>): TensorDigest[] {
  return [...tensors].map(([name, { dtype, shape, data }]) => ({
    name,
    dtype,
    shape: [...shape],
    sha256: bytesToHex(sha256(data)),
  }));
}

export function safetensorsBytes(tensors: ReadonlyMap<string, Tensor>): Uint8Array {
  return serializeSafetensors(tensors);
}

export const ONNX_CODES: Partial<Record<Dtype, number>> = {
  F32: 1,
  U8: 2,
  I8: 3,
  U16: 4,
  I16: 5,
  I32: 6,
  I64: 7,
  BOOL: 9,
  F16: 10,
  F64: 11,
  U32: 12,
  U64: 13,
  C64: 14,
  BF16: 16,
};

type Initializer = MessageInitShape<typeof TensorProtoSchema>;

export function rawInitializer(name: string, { dtype, shape, data }: Tensor): Initializer {
  return { name, dataType: ONNX_CODES[dtype]!, dims: shape.map(BigInt), rawData: new Uint8Array(data) };
}

export function externalInitializer(
  name: string,
  { dtype, shape }: Tensor,
  entries: Record<string, string>,
): Initializer {
  return {
    name,
    dataType: ONNX_CODES[dtype]!,
    dims: shape.map(BigInt),
    dataLocation: 1,
    externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
  };
}

export function onnxBytes(initializers: Initializer[]): Uint8Array {
  return encodeModel(
    create(ModelProtoSchema, {
      irVersion: 8n,
      graph: create(GraphProtoSchema, {
        name: 'g',
        node: [{ opType: 'Identity', name: 'node', input: ['x'], output: ['y'] }],
        initializer: initializers.map((init) => create(TensorProtoSchema, init)),
      }),
    }),
  );
}

/** A length-delimited protobuf field. */
export function field(number: number, body: Uint8Array): Uint8Array {
  return Uint8Array.from([...varint(number * 8 + 2), ...varint(body.length), ...body]);
}

export function varintField(number: number, value: number): Uint8Array {
  return Uint8Array.from([...varint(number * 8), ...varint(value)]);
}

export function varint(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  while (rest >= 128) {
    out.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return [...out, rest];
}

/** A model whose only initializer has this message body. */
export function rawModel(body: Uint8Array): Uint8Array {
  return field(7, field(5, body));
}

/** A matrix with rows and columns exchanged. @param size bytes of an element */
export function transpose({ dtype, shape, data }: Tensor, size = 4): Tensor {
  const [rows, columns] = shape as [number, number];
  const out = new Uint8Array(data.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const at = (r * columns + c) * size;
      out.set(data.subarray(at, at + size), (c * rows + r) * size);
    }
  }
  return { dtype, shape: [columns, rows], data: out };
}

/** The checkpoint that a model was exported from: anonymous matrices turned back under names of their own. */
export async function sourceOf(path: string): Promise<Map<string, Tensor>> {
  const checkpoint = await openOnnxCheckpoint(path);
  const tensors = new Map<string, Tensor>();
  for (const { name, dtype, shape, bytes, stream } of checkpoint.tensors) {
    const data = new Uint8Array(bytes);
    let at = 0;
    await stream((piece) => {
      data.set(piece, at);
      at += piece.length;
    });
    const tensor: Tensor = { dtype, shape: [...shape], data };
    if (name.startsWith('onnx::')) tensors.set(`linear.${name.slice(13)}.weight`, transpose(tensor));
    else tensors.set(name, tensor);
  }
  await checkpoint.close();
  return tensors;
}
