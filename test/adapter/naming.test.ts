import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseNamePattern, patternMatches } from '../../src/adapter/namePattern.js';
import { compareNatural } from '../../src/adapter/naturalOrder.js';
import { parsePeftKey } from '../../src/adapter/peftKeys.js';
import { quoted } from '../../src/adapter/quoted.js';
import { refusal } from './refusal.js';

const matches = (key: string, name: string) => patternMatches(parseNamePattern(key)!, name);

describe('patternMatches', () => {
  it.each([
    ['q_proj', 'model.layers.0.q_proj', true],
    ['q_proj', 'q_proj', true],
    ['q_proj', 'model.my_q_proj', false],
    ['0.q_proj', 'model.layers.0.q_proj', true],
    ['0.q_proj', 'model.layers.10.q_proj', false],
    ['^model.q', 'model.q', true],
    ['^q', 'model.q', false],
    ['h.1', 'h.1.attn', false],
    ['longer.than.name', 'name', false],
    ['a.b', 'x.a_b', true], // the dot of a regular expression
  ])('%s on %s: %s', (key, name, expected) => {
    expect(matches(key, name)).toBe(expected);
  });

  it("agrees with PEFT's regular expression on every key it takes", () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', '.', '1', '_', '-'),
      minLength: 1,
      maxLength: 6,
    });
    const key = fc.tuple(fc.constantFrom('', '^'), text).map(([caret, rest]) => caret + rest);
    fc.assert(
      fc.property(
        key,
        fc.string({ unit: fc.constantFrom('a', 'b', '.', '1', '_', '-'), maxLength: 9 }),
        (k, n) => {
          fc.pre(!/^[0-9]+$/.test(k));
          expect(matches(k, n)).toBe(new RegExp(`^(?:(.*\\.)?(${k})$)`).test(n));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('takes no other metacharacter', () => {
    for (const key of [
      '',
      '^',
      'a$',
      'a|b',
      '(a+)+$',
      'a*',
      'a?',
      '[ab]',
      'a{2}',
      '\\d',
      '.*q',
      'a b',
      '^^a',
      'a\n',
    ]) {
      expect(parseNamePattern(key)).toBeNull();
    }
  });
});

describe('compareNatural', () => {
  it('counts layers as numbers', () => {
    const names = ['h.10.b', 'h.2.b', 'h.2.a', 'h.0.c', 'g.11', 'h', 'h.100000000000000000000', 'h.9'];
    expect([...names].sort(compareNatural)).toEqual([
      'g.11',
      'h',
      'h.0.c',
      'h.2.a',
      'h.2.b',
      'h.9',
      'h.10.b',
      'h.100000000000000000000',
    ]);
  });

  it('is a total order, equal only for equal strings', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '.', '0', '1', '9'), maxLength: 6 });
    fc.assert(
      fc.property(text, text, text, (a, b, c) => {
        expect(Math.sign(compareNatural(a, b))).toBe(-Math.sign(compareNatural(b, a)) + 0);
        expect(compareNatural(a, b) === 0).toBe(a === b);
        const [x, y, z] = [a, b, c].sort(compareNatural) as [string, string, string];
        expect(compareNatural(x, y) <= 0 && compareNatural(y, z) <= 0 && compareNatural(x, z) <= 0).toBe(
          true,
        );
      }),
      { numRuns: 2000 },
    );
  });
});

describe('parsePeftKey', () => {
  it.each([
    ['base_model.model.h.0.attn.lora_A.weight', 'h.0.attn', 'A'],
    ['base_model.model.h.0.attn.lora_B.default.weight', 'h.0.attn', 'B'],
    ['h.0.attn.lora_A.default.weight', 'h.0.attn', 'A'],
    ['q.lora_B.weight', 'q', 'B'],
    ['h.0.attn.lora_A.second.weight', 'h.0.attn', 'A'],
    ['base_model.model.model.layers.0.q_proj.lora_A.weight', 'model.layers.0.q_proj', 'A'],
  ])('reads %s', (key, module, matrix) => {
    expect(parsePeftKey(key)).toMatchObject({ module, matrix });
  });

  it.each([
    ['base_model.model.h.0.attn.lora_magnitude_vector', 'DoRA'],
    ['base_model.model.h.0.attn.lora_magnitude_vector.default.weight', 'DoRA'],
    ['base_model.model.wte.lora_embedding_A', 'lora_embedding_A'],
    ['base_model.model.wte.lora_embedding_B.default', 'lora_embedding_A'],
    ['base_model.model.h.0.attn.lora_B.bias', 'lora_bias'],
    ['base_model.model.h.0.attn.lora_B.default.bias', 'lora_bias'],
    ['base_model.model.h.0.attn.bias', 'bias other than none'],
    ['base_model.model.lm_head.weight', 'modules_to_save'],
    ['base_model.model.wte.token_adapter.trainable_tokens_delta', 'trainable_token_indices'],
    ['base_model.model.h.0.attn.lora_C.weight', 'variant'],
    ['base_model.model.h.0.attn.lora_A.second.third.weight', 'variant'],
    ['base_model.model.h.0.attn.base_layer.weight', 'the base model (base_layer)'],
    ['base_model.model.h.0.attn.base_layer.bias', 'bias other than none'],
    ['base_model.model.h.0.attn.lora_B.second.bias', 'lora_bias'],
    ['base_model.model.head.original_module.weight', 'modules_to_save'],
  ])('refuses %s as %s', (key, feature) => {
    const error = refusal(() => parsePeftKey(key));
    expect(error.code).toBe('ADAPTER_UNSUPPORTED');
    expect(error.message).toContain(feature);
  });

  it.each([
    ['.lora_A.weight'],
    ['a..b.lora_A.weight'],
    ['a b.lora_A.weight'],
    [`${'a'.repeat(257)}.lora_A.weight`],
  ])('refuses a path that is none: %s', (key) => {
    expect(refusal(() => parsePeftKey(key)).code).toBe('ADAPTER_MALFORMED');
  });
});

describe('quoted', () => {
  it('keeps messages short, printable and on one line', () => {
    expect(quoted('h.0')).toBe('"h.0"');
    expect(quoted('a\n\u001b\u2028\u202e')).toBe('"a????"');
    expect(quoted('x'.repeat(1000)).length).toBe(85);
  });
});
