/** A GPT-2 of any size with seeded random weights, as torch.onnx.export writes one: weights in a file beside the model. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { writeFileAtomic } from '../../src/files.js';
import {
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  ModelProtoSchema,
  type NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from '../../src/inference/gen/onnx_pb.js';
import { gaussian } from '../synthetic.js';

export interface Gpt2Shape {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  /** Width inside of the feed-forward part. */
  readonly inner: number;
  readonly vocabulary: number;
  readonly positions: number;
}

type Attributes = MessageInitShape<typeof NodeProtoSchema>['attribute'];

const DATA = 'model.onnx.data';
/** GPT-2's own: standard deviation of initial weights. */
const DEVIATION = 0.02;
const MASKED = -10000;

/** Writes `model.onnx` and its weights into a folder. @returns path of the model */
export async function writeGpt2Base(folder: string, shape: Gpt2Shape, seed: number): Promise<string> {
  const weights = await Weights.create(join(folder, DATA), seed);
  try {
    const { nodes, initializers } = await new Graph(shape, weights).build();
    const model = create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: '', version: 17n }],
      graph: {
        name: 'gpt2',
        node: nodes,
        initializer: initializers,
        input: [described('input_ids', DataType.INT64, ['batch', 'seq'])],
        output: [described('logits', DataType.FLOAT, ['batch', 'seq', 'vocabulary'])],
      },
    });
    const path = join(folder, 'model.onnx');
    await writeFileAtomic(path, toBinary(ModelProtoSchema, model));
    return path;
  } finally {
    await weights.close();
  }
}

function described(name: string, elemType: DataType, axes: string[]) {
  const dim = axes.map((axis) => ({ value: { case: 'dimParam' as const, value: axis } }));
  return { name, type: { value: { case: 'tensorType' as const, value: { elemType, shape: { dim } } } } };
}

/** The data file, tensor after tensor. */
class Weights {
  #offset = 0;

  private constructor(
    private readonly file: Awaited<ReturnType<typeof open>>,
    private readonly random: () => number,
  ) {}

  static async create(path: string, seed: number): Promise<Weights> {
    return new Weights(await open(path, 'wx'), gaussian(seed));
  }

  normal(count: number): Float32Array {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = DEVIATION * this.random();
    return values;
  }

  async put(name: string, dims: readonly number[], values: Float32Array): Promise<TensorProto> {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    for (let at = 0; at < bytes.length; ) at += (await this.file.write(bytes, at)).bytesWritten;
    const entries = { location: DATA, offset: String(this.#offset), length: String(bytes.length) };
    this.#offset += bytes.length;
    return create(TensorProtoSchema, {
      name,
      dims: dims.map(BigInt),
      dataType: DataType.FLOAT,
      dataLocation: DataLocation.EXTERNAL,
      externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
    });
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

class Graph {
  readonly nodes: MessageInitShape<typeof NodeProtoSchema>[] = [];
  readonly initializers: TensorProto[] = [];

  constructor(
    private readonly shape: Gpt2Shape,
    private readonly weights: Weights,
  ) {}

  async build(): Promise<this> {
    const { layers, width, vocabulary, positions } = this.shape;
    const embedding = this.weights.normal(vocabulary * width);
    await this.store('transformer.wte.weight', [vocabulary, width], embedding);
    await this.random('transformer.wpe.weight', [positions, width]);
    this.constants();
    const at = '/transformer';
    const size = this.node('Shape', `${at}/Shape`, ['input_ids']);
    const length = this.node('Gather', `${at}/Gather`, [size, 'one']);
    const range = this.node('Range', `${at}/Range`, ['zero', length, 'one']);
    const row = this.node('Unsqueeze', `${at}/Unsqueeze`, [range, 'first axis']);
    const column = this.node('Unsqueeze', `${at}/Unsqueeze_1`, [range, 'second axis']);
    const mask = this.node('LessOrEqual', `${at}/LessOrEqual`, [row, column]);
    const token = this.node('Gather', `${at}/wte/Gather`, ['transformer.wte.weight', 'input_ids']);
    const position = this.node('Gather', `${at}/wpe/Gather`, ['transformer.wpe.weight', row]);
    let hidden = this.node('Add', `${at}/Add`, [token, position]);
    for (let layer = 0; layer < layers; layer++) hidden = await this.block(layer, hidden, size, mask);
    const last = await this.norm('transformer.ln_f', hidden);
    // the same weight as the embedding, transposed and stored again, as the exporter folds it
    const head = new Float32Array(embedding.length);
    for (let i = 0; i < vocabulary; i++) {
      for (let j = 0; j < width; j++) head[j * vocabulary + i] = embedding[i * width + j]!;
    }
    await this.store('onnx::MatMul_head', [width, vocabulary], head);
    this.node('MatMul', '/lm_head/MatMul', [last, 'onnx::MatMul_head'], { output: 'logits' });
    return this;
  }

  private async block(layer: number, input: string, size: string, mask: string): Promise<string> {
    const { width, inner } = this.shape;
    const name = `transformer.h.${layer}`;
    const at = `/transformer/h.${layer}`;
    const read = await this.norm(`${name}.ln_1`, input);
    const qkv = await this.conv1d(`${name}.attn.c_attn`, read, size, [width, 3 * width]);
    const mixed = this.attention(`${at}/attn`, qkv, size, mask);
    const attended = await this.conv1d(`${name}.attn.c_proj`, mixed, size, [width, width]);
    const residual = this.node('Add', `${at}/Add`, [attended, input]);
    const again = await this.norm(`${name}.ln_2`, residual);
    const wide = await this.conv1d(`${name}.mlp.c_fc`, again, size, [width, inner]);
    const active = this.gelu(`${at}/mlp/act`, wide);
    const narrow = await this.conv1d(`${name}.mlp.c_proj`, active, size, [inner, width]);
    return this.node('Add', `${at}/Add_1`, [residual, narrow]);
  }

  private attention(at: string, qkv: string, size: string, mask: string): string {
    const parts = [`${at}/Split_output_0`, `${at}/Split_output_1`, `${at}/Split_output_2`];
    this.nodes.push({
      opType: 'Split',
      name: `${at}/Split`,
      input: [qkv],
      output: parts,
      attribute: [integer('axis', -1)],
    });
    const [q, k, v] = parts.map((part, i) => {
      const split = this.node('Reshape', `${at}/Reshape_${i}`, [part, 'heads']);
      const perm = i === 1 ? [0, 2, 3, 1] : [0, 2, 1, 3];
      return this.node('Transpose', `${at}/Transpose_${i}`, [split], {
        attribute: [integers('perm', perm)],
      });
    });
    const scores = this.node('MatMul', `${at}/MatMul`, [q!, k!]);
    const scaled = this.node('Div', `${at}/Div`, [scores, 'root']);
    const masked = this.node('Where', `${at}/Where`, [mask, scaled, 'masked']);
    const shares = this.node('Softmax', `${at}/Softmax`, [masked], { attribute: [integer('axis', -1)] });
    const summed = this.node('MatMul', `${at}/MatMul_1`, [shares, v!]);
    const back = this.node('Transpose', `${at}/Transpose_3`, [summed], {
      attribute: [integers('perm', [0, 2, 1, 3])],
    });
    return this.node('Reshape', `${at}/Reshape_3`, [back, this.widthOf(at, size)]);
  }

  /** A transformers Conv1D: one Gemm on the rows of all sequences. */
  private async conv1d(name: string, input: string, size: string, dims: [number, number]): Promise<string> {
    const at = pathOf(name);
    await this.random(`${name}.weight`, dims);
    await this.random(`${name}.bias`, [dims[1]]);
    const width = this.integersOf(`${name}.rows`, [-1, dims[0]]);
    const rows = this.node('Reshape', `${at}/Reshape`, [input, width]);
    const product = this.node('Gemm', `${at}/Gemm`, [rows, `${name}.weight`, `${name}.bias`]);
    return this.node('Reshape', `${at}/Reshape_1`, [product, this.widthOf(at, size)]);
  }

  /** Shape `[batch, seq, the rest]`. */
  private widthOf(at: string, size: string): string {
    return this.node('Concat', `${at}/Concat`, [size, 'rest'], { attribute: [integer('axis', 0)] });
  }

  private async norm(name: string, input: string): Promise<string> {
    const { width } = this.shape;
    await this.store(`${name}.weight`, [width], new Float32Array(width).fill(1));
    await this.store(`${name}.bias`, [width], new Float32Array(width));
    return this.node(
      'LayerNormalization',
      `${pathOf(name)}/LayerNormalization`,
      [input, `${name}.weight`, `${name}.bias`],
      { attribute: [{ name: 'epsilon', type: AttributeType.FLOAT, f: 1e-5 }] },
    );
  }

  /** 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). */
  private gelu(at: string, x: string): string {
    const cube = this.node('Pow', `${at}/Pow`, [x, 'three']);
    const small = this.node('Mul', `${at}/Mul_1`, [cube, 'cubic']);
    const sum = this.node('Add', `${at}/Add`, [x, small]);
    const scaled = this.node('Mul', `${at}/Mul_2`, [sum, 'root of 2 over pi']);
    const tanh = this.node('Tanh', `${at}/Tanh`, [scaled]);
    const gate = this.node('Add', `${at}/Add_1`, [tanh, 'unit']);
    const half = this.node('Mul', `${at}/Mul`, [x, 'half']);
    return this.node('Mul', `${at}/Mul_3`, [half, gate]);
  }

  private constants(): void {
    const { width, heads } = this.shape;
    const scalars = {
      root: Math.sqrt(width / heads),
      masked: MASKED,
      three: 3,
      cubic: 0.044715,
      'root of 2 over pi': Math.sqrt(2 / Math.PI),
      unit: 1,
      half: 0.5,
    };
    for (const [name, value] of Object.entries(scalars)) {
      this.inline(name, [], DataType.FLOAT, new Float32Array([value]).buffer);
    }
    for (const [name, value] of Object.entries({ zero: 0n, one: 1n })) {
      this.inline(name, [], DataType.INT64, new BigInt64Array([value]).buffer);
    }
    this.integersOf('first axis', [0]);
    this.integersOf('second axis', [1]);
    this.integersOf('rest', [-1]);
    this.integersOf('heads', [0, 0, heads, width / heads]);
  }

  private integersOf(name: string, values: readonly number[]): string {
    this.inline(name, [values.length], DataType.INT64, BigInt64Array.from(values, BigInt).buffer);
    return name;
  }

  private inline(name: string, dims: readonly number[], dataType: DataType, data: ArrayBuffer): void {
    this.initializers.push(
      create(TensorProtoSchema, { name, dims: dims.map(BigInt), dataType, rawData: new Uint8Array(data) }),
    );
  }

  private random(name: string, dims: readonly number[]): Promise<void> {
    return this.store(name, dims, this.weights.normal(dims.reduce((product, dim) => product * dim, 1)));
  }

  private async store(name: string, dims: readonly number[], values: Float32Array): Promise<void> {
    this.initializers.push(await this.weights.put(name, dims, values));
  }

  /** A node with one output. @returns the output's name */
  private node(
    opType: string,
    name: string,
    input: string[],
    { output = `${name}_output_0`, attribute = [] as Attributes } = {},
  ): string {
    this.nodes.push({ opType, name, input, output: [output], ...(attribute && { attribute }) });
    return output;
  }
}

/** Where torch puts the nodes of a module: `h.0` stays one part, as a list and its index do. */
function pathOf(module: string): string {
  return `/${module.replaceAll('.', '/').replace(/\/h\/(\d+)/, '/h.$1')}`;
}

function integer(name: string, i: number) {
  return { name, type: AttributeType.INT, i: BigInt(i) };
}

function integers(name: string, values: readonly number[]) {
  return { name, type: AttributeType.INTS, ints: values.map(BigInt) };
}
