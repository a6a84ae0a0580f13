import { describe, expect, it } from 'vitest';
import { measureLoss } from '../../src/inference/loss.js';
import { byteWindows } from '../../src/inference/windows.js';

const text = new TextEncoder().encode('abcdefghij');
const code = (expected: string) => expect.objectContaining({ code: expected });

describe('measureLoss', () => {
  const uniform =
    (vocabulary: number, value = 0) =>
    async (ids: BigInt64Array) => ({
      values: new Float32Array(ids.length * vocabulary).fill(value),
      vocabulary,
    });

  it('is ln of the vocabulary for equal logits, however large', async () => {
    for (const value of [0, 1000, -1000]) {
      const { loss, predictions, tokens } = await measureLoss(uniform(256, value), byteWindows(text, 4), {
        batch: 1,
      });
      expect(loss).toBeCloseTo(Math.log(256), 6);
      expect({ predictions, tokens }).toEqual({ predictions: 6, tokens: 8 });
    }
  });

  it('scores each position against the next token and leaves the last one out', async () => {
    // Certain of the successor of each letter: right everywhere but at the last positions.
    const successor = async (ids: BigInt64Array) => {
      const values = new Float32Array(ids.length * 256);
      for (const [i, id] of ids.entries()) values[i * 256 + Number(id) + 1] = 50;
      return { values, vocabulary: 256 };
    };
    for (const batch of [1, 2, 7]) {
      expect((await measureLoss(successor, byteWindows(text, 5), { batch })).loss).toBeCloseTo(0, 9);
    }
  });

  it('refuses a vocabulary that lacks a token, logits that are no numbers, and an empty batch', async () => {
    const windows = byteWindows(text, 4);
    await expect(measureLoss(uniform(50), windows, { batch: 1 })).rejects.toThrow(
      code('BASE_MODEL_MISMATCH'),
    );
    await expect(measureLoss(uniform(256, Number.NaN), windows, { batch: 1 })).rejects.toThrow(
      code('BASE_MODEL_MISMATCH'),
    );
    await expect(measureLoss(uniform(256), windows, { batch: 0 })).rejects.toThrow(code('USAGE'));
  });
});
