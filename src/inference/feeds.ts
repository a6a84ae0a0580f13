import { ZkLoraError } from '../errors.js';
import { TensorProto_DataType as DataType, type GraphProto } from './gen/onnx_pb.js';
import { printable } from './graph.js';
import { elementType } from './onnx.js';

/** One input of a forward pass; `Uint8Array` holds booleans. */
export interface ModelFeed {
  readonly name: string;
  readonly data: Float32Array | BigInt64Array | Int32Array | Uint8Array;
  readonly dims: readonly number[];
}

/** What a graph says of one of its inputs. */
export interface FeedType {
  readonly name: string;
  /** `TensorProto.DataType`; 0 where the input is no tensor. */
  readonly elementType: number;
  /** Sizes; null where one is free. Undefined where even their number is. */
  readonly dims: readonly (number | null)[] | undefined;
}

/** @param names inputs without stored values, in the graph's order */
export function feedTypes(graph: GraphProto, names: readonly string[]): FeedType[] {
  const described = new Map(graph.input.map((info) => [info.name, info]));
  return names.map((name) => {
    const info = described.get(name);
    const value = info?.type?.value;
    const shape = value?.case === 'tensorType' ? value.value.shape : undefined;
    const dims = shape?.dim.map(({ value: size }) => (size.case === 'dimValue' ? Number(size.value) : null));
    return { name, elementType: elementType(info) ?? 0, dims };
  });
}

/** What an input besides the token ids says when every token counts and nothing is cached. */
type Filling = (token: number, sequence: number) => number;

const ONES: Filling = () => 1;
const POSITION: Filling = (token, sequence) => token % sequence;

/** Inputs of Hugging Face's causal language models. */
const FILLINGS: ReadonlyMap<string, Filling> = new Map([
  ['attention_mask', ONES],
  ['position_ids', POSITION],
  ['cache_position', POSITION],
  ['token_type_ids', () => 0],
]);

/** How the inputs of a language model are fed from token ids alone. */
export interface LanguageInputs {
  /** Input of the token ids. */
  readonly ids: FeedType;
  readonly others: readonly { readonly type: FeedType; readonly filling: Filling }[];
}

/**
 * Finds the token ids among a model's inputs, and how to fill the others.
 *
 * @throws ZkLoraError `BASE_MODEL_MISMATCH` naming an input that token ids do not determine
 */
export function languageInputs(types: readonly FeedType[]): LanguageInputs {
  const cached = types.find(({ name }) => /^past|^use_cache_branch$|past_key_values/.test(name));
  if (cached !== undefined) {
    throw mismatch(
      cached.name,
      'belongs to a cache of keys and values; export the model with use_cache=False',
    );
  }
  const ids = types.length === 1 ? types[0]! : types.find(({ name }) => name === 'input_ids');
  if (ids === undefined) {
    throw new ZkLoraError(
      'BASE_MODEL_MISMATCH',
      `the model has ${types.length} inputs, none of them "input_ids"; export it with token ids as the only input`,
    );
  }
  if (!isInteger(ids) || (ids.dims !== undefined && ids.dims.length !== 2)) {
    throw mismatch(ids.name, 'does not take token ids [batch, sequence] as int64 or int32');
  }
  const others = types
    .filter((type) => type !== ids)
    .map((type) => {
      const filling = FILLINGS.get(type.name);
      if (filling === undefined)
        throw mismatch(type.name, 'is none that token ids determine; export it without');
      if (type.dims !== undefined && (type.dims.length < 1 || type.dims.length > 2)) {
        throw mismatch(type.name, 'is not of the shape [batch, sequence] or [sequence]');
      }
      if (!isInteger(type) && type.elementType !== DataType.FLOAT && type.elementType !== DataType.BOOL) {
        throw mismatch(type.name, 'is neither an integer, float32 nor boolean');
      }
      return { type, filling };
    });
  return { ids, others };
}

/**
 * All inputs of one forward pass.
 *
 * @param ids token ids `[batch, sequence]`
 * @throws ZkLoraError `USAGE`, `BASE_MODEL_MISMATCH` for a size that the model was not exported for
 */
export function languageFeeds(
  inputs: LanguageInputs,
  ids: BigInt64Array,
  batch: number,
  sequence: number,
): ModelFeed[] {
  const tokens = idFeed(inputs.ids.name, ids, batch, sequence);
  checkFixed(inputs.ids, [batch, sequence]);
  const feeds = [
    inputs.ids.elementType === DataType.INT32 ? { ...tokens, data: Int32Array.from(ids, Number) } : tokens,
  ];
  for (const { type, filling } of inputs.others) {
    const dims = type.dims?.length === 1 ? [sequence] : [batch, sequence];
    checkFixed(type, dims);
    const values = Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) => filling(i, sequence));
    feeds.push({ name: type.name, data: typed(type.elementType, values), dims });
  }
  return feeds;
}

/** Token ids `[batch, sequence]` as an input of a graph. @throws ZkLoraError `USAGE` */
export function idFeed(name: string, ids: BigInt64Array, batch: number, sequence: number): ModelFeed {
  if (!(Number.isSafeInteger(batch) && batch > 0 && Number.isSafeInteger(sequence) && sequence > 0)) {
    throw new ZkLoraError('USAGE', 'batch and sequence must be positive integers');
  }
  if (ids.length !== batch * sequence) {
    throw new ZkLoraError('USAGE', `expected ${batch} x ${sequence} token ids, got ${ids.length}`);
  }
  return { name, data: ids, dims: [batch, sequence] };
}

function checkFixed({ name, dims }: FeedType, given: readonly number[]): void {
  if (dims === undefined || dims.every((size, i) => size === null || size === given[i])) return;
  const wanted = dims.map((size) => size ?? 'any').join(', ');
  throw mismatch(
    name,
    `was exported with the fixed size [${wanted}], not [${given.join(', ')}]; choose batch and sequence length so, or export with dynamic axes`,
  );
}

function typed(elementType: number, values: readonly number[]): ModelFeed['data'] {
  if (elementType === DataType.INT64) return BigInt64Array.from(values, BigInt);
  if (elementType === DataType.INT32) return Int32Array.from(values);
  return elementType === DataType.BOOL ? Uint8Array.from(values) : Float32Array.from(values);
}

function isInteger({ elementType }: FeedType): boolean {
  return elementType === DataType.INT64 || elementType === DataType.INT32;
}

function mismatch(name: string, problem: string): ZkLoraError {
  return new ZkLoraError('BASE_MODEL_MISMATCH', `the model's input ${printable(name)} ${problem}`);
}
