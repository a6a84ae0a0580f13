import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { tokenizeBytes, tokenizeTexts } from '../../src/inference/tokenizer.js';
import {
  MAX_TOKENIZER_BYTES,
  parseTokenizerFile,
  vocabularySize,
} from '../../src/inference/tokenizerFile.js';

const FILE = new Uint8Array(await readFile('fixtures/tokenizer/tokenizer.json'));
const VECTORS: { text: string; ids: number[] }[] = JSON.parse(
  await readFile('fixtures/tokenizer/vectors.json', 'utf8'),
);
const encode = (text: string) => new TextEncoder().encode(text);
const plain = (text: string) => [{ name: 'a.txt', bytes: encode(text) }];

interface Editable {
  model: { type: string; vocab: Record<string, number>; merges: unknown[] };
  pre_tokenizer: object;
  added_tokens: { id: number; content: string }[];
}
/** tokenizer.json with a change. */
function edited(change: (file: Editable) => void): Uint8Array {
  const file = JSON.parse(new TextDecoder().decode(FILE)) as Editable;
  change(file);
  return encode(JSON.stringify(file));
}

describe('tokenizeTexts', () => {
  it('gives the tokens of another implementation', async () => {
    const texts = VECTORS.map(({ text }, i) => ({ name: `text ${i}`, bytes: encode(text) }));
    const { texts: tokens, vocabulary } = await tokenizeTexts(FILE, texts);
    expect(tokens.map(({ ids }) => [...ids])).toEqual(VECTORS.map(({ ids }) => ids));
    expect(tokens[0]!.name).toBe('text 0');
    expect(vocabulary).toBe(457);
  });

  it('ends a pattern that would take for ever', async () => {
    const pattern = { Regex: '(x+x+)+y' };
    const file = edited((json) => {
      json.pre_tokenizer = { type: 'Split', pattern, behavior: 'Isolated', invert: false };
    });
    await expect(tokenizeTexts(file, plain('x'.repeat(200)), 1000)).rejects.toMatchObject({
      code: 'TOKENIZER_MALFORMED',
      message: expect.stringContaining('takes more than 1 s'),
    });
  });

  it.each<[string, Uint8Array | (() => Uint8Array)]>([
    ['no JSON', encode('{')],
    ['no object', encode('[]')],
    ['no UTF-8', Uint8Array.of(0xff)],
    ['a key that changes prototypes', encode('{"model": {"__proto__": 1}}')],
    ['an unknown model', () => edited(({ model }) => Object.assign(model, { type: 'WordLevel' }))],
    ['no merges', () => edited(({ model }) => Object.assign(model, { merges: null }))],
    ['a merge of three', () => edited(({ model }) => model.merges.push(['a', 'b', 'c']))],
    ['an id that is no number', () => edited(({ model }) => Object.assign(model.vocab, { q: 'x' }))],
    ['an id that two tokens have', () => edited(({ model }) => Object.assign(model.vocab, { qqq: 7 }))],
    [
      'an id beyond all vocabularies',
      () => edited(({ model }) => Object.assign(model.vocab, { q: 2 ** 30 })),
    ],
    ['no tokens', () => edited(({ model }) => Object.assign(model, { vocab: {}, merges: [] }))],
    ['an unknown step', () => edited((file) => Object.assign(file, { pre_tokenizer: { type: 'Nothing' } }))],
    [
      'a pattern that does not compile',
      () =>
        edited((file) => {
          file.pre_tokenizer = {
            type: 'Split',
            pattern: { Regex: '(' },
            behavior: 'Isolated',
            invert: false,
          };
        }),
    ],
    ['a chain without end', () => edited((file) => Object.assign(file, { normalizer: chain(40) }))],
    ['a lone surrogate', encode('{"model": "\\ud800"}')],
  ])('refuses a tokenizer with %s', async (_, file) => {
    const bytes = typeof file === 'function' ? file() : file;
    await expect(tokenizeTexts(bytes, plain('some text'))).rejects.toMatchObject({
      code: 'TOKENIZER_MALFORMED',
    });
  });

  it('refuses a file that is too large before it is parsed', async () => {
    const file = new Uint8Array(MAX_TOKENIZER_BYTES + 1);
    await expect(tokenizeTexts(file, plain('a'))).rejects.toMatchObject({ code: 'TOKENIZER_MALFORMED' });
    expect(() => parseTokenizerFile(file)).toThrow(expect.objectContaining({ code: 'TOKENIZER_MALFORMED' }));
  });

  it('refuses text that is not UTF-8, and text without a token', async () => {
    await expect(
      tokenizeTexts(FILE, [{ name: 'a.txt', bytes: Uint8Array.of(0xc3, 0x28) }]),
    ).rejects.toMatchObject({ code: 'TEXT_INVALID', message: expect.stringContaining('a.txt') });
    const noQ = edited(({ model }) => {
      delete model.vocab.Q;
      Object.assign(model, { unk_token: '<none>' });
    });
    await expect(tokenizeTexts(noQ, plain('Question'))).rejects.toMatchObject({ code: 'TEXT_INVALID' });
  });
});

describe('parseTokenizerFile', () => {
  const common = {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
  };

  it('reads WordPiece and Unigram vocabularies', () => {
    const wordPiece = {
      ...common,
      model: { type: 'WordPiece', vocab: { a: 0, '[UNK]': 9 }, unk_token: '[UNK]' },
    };
    const unigram = {
      ...common,
      model: {
        type: 'Unigram',
        vocab: [
          ['<unk>', 0],
          ['a', -1.5],
        ],
        unk_id: 0,
      },
    };
    expect(vocabularySize(parseTokenizerFile(encode(JSON.stringify(wordPiece))))).toBe(10);
    expect(vocabularySize(parseTokenizerFile(encode(JSON.stringify(unigram))))).toBe(2);
  });
});

describe('tokenizeBytes', () => {
  it('takes each byte for a token', () => {
    const { texts, vocabulary } = tokenizeBytes([{ name: 'a', bytes: Uint8Array.of(0, 255, 7) }]);
    expect(texts).toEqual([{ name: 'a', ids: Uint32Array.of(0, 255, 7) }]);
    expect(vocabulary).toBe(256);
  });
});

/** Normalizers inside normalizers. */
function chain(depth: number): object {
  return depth === 0 ? { type: 'NFC' } : { type: 'Sequence', normalizers: [chain(depth - 1)] };
}
