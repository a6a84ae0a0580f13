import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJson, parseJsonBytes, parseJsonText } from '../src/jsonText.js';
import { accepts, refusal } from './adapter/refusal.js';

const parse = (text: string) => parseJsonText(text, 'ADAPTER_MALFORMED', 'the file');

describe('parseJsonText', () => {
  it('reads what JSON.parse reads when no key repeats', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5, noUnicodeString: false }), fc.nat({ max: 3 }), (json, indent) => {
        fc.pre(!json.includes('__proto__') && !/\\ud[89a-f]/i.test(json));
        const text = JSON.stringify(JSON.parse(json), null, indent);
        expect(parse(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it.each([
    ['{"a":1,"a":2}'],
    ['{"a":1,"\\u0061":2}'],
    ['{"x":[{"b":0 , "b" : 0}]}'],
    ['{"":0,"c":{},"":1}'],
  ])('refuses the repeated key of %s', (text) => {
    const error = refusal(() => parse(text));
    expect(error.code).toBe('ADAPTER_MALFORMED');
    expect(error.message).toContain('repeats an object key');
  });

  it('lets equal keys stand in different objects, and values equal keys', () => {
    expect(parse('{"a":{"a":"a"},"b":[{"a":1},{"a":"b"}]}')).toEqual({
      a: { a: 'a' },
      b: [{ a: 1 }, { a: 'b' }],
    });
  });

  it('refuses __proto__ as a key, however it is spelt, and not as a value', () => {
    expect(refusal(() => parse('{"__proto__":{"x":1}}')).message).toContain('__proto__');
    expect(refusal(() => parse('{"a":{"\\u005f_proto__":1}}')).message).toContain('__proto__');
    expect(parse('["__proto__"]')).toEqual(['__proto__']);
  });

  it('refuses lone surrogates and deep nesting', () => {
    expect(refusal(() => parse('["\\ud800"]')).code).toBe('ADAPTER_MALFORMED');
    expect(parse('["\\ud83d\\ude00"]')).toEqual(['\u{1f600}']);
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    expect(() => parse(nested(32))).not.toThrow();
    expect(refusal(() => parse(nested(33))).code).toBe('ADAPTER_MALFORMED');
    expect(refusal(() => parse(nested(1_000_000))).code).toBe('ADAPTER_MALFORMED');
  });

  it('never repeats the text, not even in the cause', () => {
    for (const text of ['topsecret', '{"topsecret":', '{"topsecret":1,"topsecret":2}', '["topsecret" x]']) {
      const error = refusal(() => parse(text));
      expect(error.message).not.toContain('topsecret');
      expect(error.cause).toBeUndefined();
    }
  });

  it('holds numbers to plain naturals when asked', () => {
    const naturals = (text: string) => parseJsonText(text, 'SAFETENSORS_MALFORMED', 'the file', 'naturals');
    expect(naturals('{"true":[true,false,null,0,10,"1e-3 - ."]}')).toBeDefined();
    for (const text of ['[1.0]', '[1e3]', '[1E3]', '[1e+3]', '[-0]', '[-1]', '{"a":{"b":0.5}}']) {
      expect(refusal(() => naturals(text)).code).toBe('SAFETENSORS_MALFORMED');
      expect(() => parse(text)).not.toThrow();
    }
  });

  it('reads bytes as strict UTF-8 without a byte-order mark', () => {
    const bytes = (...values: number[]) => Uint8Array.from(values);
    expect(parseJsonBytes(bytes(0x22, 0xc3, 0xa9, 0x22), 'ADAPTER_MALFORMED', 'x')).toBe('\u00e9');
    for (const text of [
      bytes(0x22, 0xc3, 0x22),
      bytes(0x22, 0xc0, 0xaf, 0x22),
      bytes(0xef, 0xbb, 0xbf, 0x31),
    ]) {
      expect(refusal(() => parseJsonBytes(text, 'ADAPTER_MALFORMED', 'x')).code).toBe('ADAPTER_MALFORMED');
    }
  });

  it('takes a text or its bytes', () => {
    const bytes = new TextEncoder().encode('{"a":1}');
    for (const json of ['{"a":1}', bytes]) {
      expect(parseJson(json, 'ADAPTER_MALFORMED', 'x')).toEqual({ a: 1 });
    }
    for (const json of ['{"a":1', bytes.subarray(1)]) {
      expect(refusal(() => parseJson(json, 'ADAPTER_MALFORMED', 'x')).code).toBe('ADAPTER_MALFORMED');
    }
  });

  it('answers any text with a value or the code', () => {
    fc.assert(fc.property(fc.string(), (text) => void accepts('ADAPTER_MALFORMED', () => parse(text))));
  });
});
