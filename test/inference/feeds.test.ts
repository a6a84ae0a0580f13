import { describe, expect, it } from 'vitest';
import { type FeedType, languageFeeds, languageInputs } from '../../src/inference/feeds.js';
import { TensorProto_DataType as DataType } from '../../src/inference/gen/onnx_pb.js';

const IDS = BigInt64Array.of(7n, 8n, 9n, 4n, 5n, 6n);
const FREE = [null, null];
const input = (name: string, elementType = DataType.INT64, dims: FeedType['dims'] = FREE): FeedType => ({
  name,
  elementType,
  dims,
});

const fed = (types: FeedType[]) =>
  Object.fromEntries(
    languageFeeds(languageInputs(types), IDS, 2, 3).map(({ name, data, dims }) => [name, [data, dims]]),
  );

describe('languageFeeds', () => {
  it('fills masks with ones and positions with positions, in the type and shape of the input', () => {
    const feeds = fed([
      input('attention_mask', DataType.INT32),
      input('position_ids'),
      input('input_ids'),
      input('token_type_ids', DataType.FLOAT),
      input('cache_position', DataType.INT64, [null]),
    ]);
    expect(feeds).toEqual({
      input_ids: [IDS, [2, 3]],
      attention_mask: [Int32Array.of(1, 1, 1, 1, 1, 1), [2, 3]],
      position_ids: [BigInt64Array.of(0n, 1n, 2n, 0n, 1n, 2n), [2, 3]],
      token_type_ids: [new Float32Array(6), [2, 3]],
      cache_position: [BigInt64Array.of(0n, 1n, 2n), [3]],
    });
    expect(fed([input('input_ids'), input('attention_mask', DataType.BOOL)]).attention_mask).toEqual([
      new Uint8Array(6).fill(1),
      [2, 3],
    ]);
  });

  it('feeds 32-bit token ids, and a single input of any name', () => {
    expect(fed([input('tokens', DataType.INT32, undefined)])).toEqual({
      tokens: [Int32Array.of(7, 8, 9, 4, 5, 6), [2, 3]],
    });
  });

  it.each<[string, FeedType[], string]>([
    ['a cache', [input('input_ids'), input('past_key_values.0.key', DataType.FLOAT)], 'use_cache=False'],
    [
      "a merged decoder's switch",
      [input('input_ids'), input('use_cache_branch', DataType.BOOL)],
      'use_cache',
    ],
    [
      'other inputs',
      [input('input_ids'), input('pixel_values', DataType.FLOAT)],
      '"pixel_values" is none that',
    ],
    ['no token ids', [input('x'), input('y')], 'none of them "input_ids"'],
    ['no input', [], '0 inputs'],
    ['floating-point ids', [input('input_ids', DataType.FLOAT)], 'does not take token ids'],
    ['ids without a batch', [input('input_ids', DataType.INT64, [null])], 'does not take token ids'],
    [
      'a mask of four dimensions',
      [input('input_ids'), input('attention_mask', DataType.FLOAT, [null, null, null, null])],
      'not of the shape',
    ],
    ['a half mask', [input('input_ids'), input('attention_mask', DataType.FLOAT16)], 'neither an integer'],
  ])('refuses %s by name', (_, types, message) => {
    expect(() => languageInputs(types)).toThrow(
      expect.objectContaining({
        code: 'BASE_MODEL_MISMATCH',
        message: expect.stringContaining(message),
      }),
    );
  });

  it('refuses a size that the model is not made for', () => {
    for (const type of [
      input('input_ids', DataType.INT64, [1, null]),
      input('ids', DataType.INT64, [2, 4]),
    ]) {
      expect(() => fed([type])).toThrow(
        expect.objectContaining({
          code: 'BASE_MODEL_MISMATCH',
          message: expect.stringContaining('fixed size'),
        }),
      );
    }
    expect(() => fed([input('input_ids'), input('attention_mask', DataType.INT64, [2, 8])])).toThrow(
      expect.objectContaining({ code: 'BASE_MODEL_MISMATCH' }),
    );
  });
});
