import { describe, expect, it } from 'vitest';
import { byteWindows, cutTexts, windowsDigest } from '../../src/inference/windows.js';

const text = new TextEncoder().encode('abcdefghij');
const code = (expected: string) => expect.objectContaining({ code: expected });
const tokens = (name: string, length: number) => ({ name, ids: Uint32Array.from({ length }, (_, i) => i) });

describe('byteWindows', () => {
  it('cuts windows that do not overlap and drops the rest', () => {
    const windows = byteWindows(text, 4);
    expect(windows).toEqual({
      ids: BigInt64Array.from([97n, 98n, 99n, 100n, 101n, 102n, 103n, 104n]),
      count: 2,
      sequence: 4,
      scored: Uint32Array.of(3, 3),
    });
    expect(byteWindows(text, 4, 1).count).toBe(1);
    expect(byteWindows(text, 10).count).toBe(1);
  });

  it('refuses texts that are too short and sizes that make no sense', () => {
    expect(() => byteWindows(text, 11)).toThrow(code('TEXT_INVALID'));
    expect(() => byteWindows(new Uint8Array(), 4)).toThrow(code('TEXT_INVALID'));
    for (const sequence of [0, 1, -3, 2.5, Number.NaN])
      expect(() => byteWindows(text, sequence)).toThrow(code('USAGE'));
    for (const max of [0, -1, 1.5]) expect(() => byteWindows(text, 4, max)).toThrow(code('USAGE'));
  });
});

describe('cutTexts', () => {
  it('predicts every token but the first exactly once, whatever the stride', () => {
    for (const stride of [1, 2, 3]) {
      const { windows } = cutTexts([tokens('a', 10)], { sequence: 4, stride });
      const predicted: number[] = [];
      for (let w = 0; w < windows.count; w += 1) {
        for (let t = 4 - windows.scored[w]!; t < 4; t += 1) predicted.push(Number(windows.ids[w * 4 + t]));
      }
      const last = (windows.count - 1) * stride + 4;
      expect(predicted).toEqual(Array.from({ length: last - 1 }, (_, i) => i + 1));
    }
  });

  it('keeps texts apart, and tells what it did not use', () => {
    const { windows, texts } = cutTexts([tokens('a', 9), tokens('b', 4), tokens('c', 8)], { sequence: 4 });
    expect([...windows.ids].map(Number)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7,
    ]);
    expect(texts).toEqual([
      { name: 'a', count: 2, unusedTokens: 1 },
      { name: 'b', count: 1, unusedTokens: 0 },
      { name: 'c', count: 2, unusedTokens: 0 },
    ]);
  });

  it('takes the first windows of all texts together', () => {
    const { windows, texts } = cutTexts([tokens('a', 8), tokens('b', 8)], { sequence: 4, maxWindows: 2 });
    expect(windows.count).toBe(2);
    expect(texts.map(({ count }) => count)).toEqual([2, 0]);
    expect(texts[1]!.unusedTokens).toBe(8);
  });

  it('scores the last tokens alone when asked to', () => {
    expect([...cutTexts([tokens('a', 12)], { sequence: 4, scoreLast: 2 }).windows.scored]).toEqual([2, 2, 2]);
    expect([...cutTexts([tokens('a', 6)], { sequence: 4, stride: 1, scoreLast: 2 }).windows.scored]).toEqual([
      2, 1, 1,
    ]);
  });

  it('names the text that is too short, and refuses sizes that make no sense', () => {
    const short = [tokens('long.txt', 9), tokens('short.txt', 3)];
    expect(() => cutTexts(short, { sequence: 4 })).toThrow(/^short\.txt has 3 tokens/);
    expect(() => cutTexts(short, { sequence: 4 })).toThrow(code('TEXT_INVALID'));
    expect(() => cutTexts([], { sequence: 4 })).toThrow(code('USAGE'));
    for (const stride of [0, 5, 1.5]) {
      expect(() => cutTexts([tokens('a', 9)], { sequence: 4, stride })).toThrow(code('USAGE'));
    }
    expect(() => cutTexts([tokens('a', 9)], { sequence: 4, scoreLast: 0 })).toThrow(code('USAGE'));
  });

  it('takes no more than memory holds', () => {
    const long = tokens('a', 2 ** 17);
    expect(() => cutTexts([long], { sequence: 2 ** 15, stride: 1 })).toThrow(code('USAGE'));
  });
});

describe('windowsDigest', () => {
  it('differs where tokens, places or scored positions do', () => {
    const digests = [
      cutTexts([tokens('a', 8)], { sequence: 4 }),
      cutTexts([tokens('a', 8)], { sequence: 8 }),
      cutTexts([tokens('a', 8)], { sequence: 4, scoreLast: 2 }),
      cutTexts([tokens('a', 8)], { sequence: 4, maxWindows: 1 }),
      cutTexts([tokens('a', 8)], { sequence: 4, stride: 4 }),
    ].map(({ windows }) => windowsDigest(windows));
    expect(new Set(digests).size).toBe(4);
    expect(digests[4]).toBe(digests[0]);
  });
});
