import { describe, expect, it } from 'vitest';
import { AccessTokens, parseToken } from '../../src/inference/tokens.js';

const A = 'a'.repeat(32);
const B = 'b'.repeat(512);
const malformed = expect.objectContaining({ code: 'TOKENS_MALFORMED' });

describe('AccessTokens', () => {
  it('knows the names of its tokens', () => {
    const tokens = AccessTokens.parse(`# users\n\nalice ${A}\r\nbob.2\t${B}\n`);
    expect(tokens.nameOf(`Bearer ${A}`)).toBe('alice');
    expect(tokens.nameOf(`Bearer ${B}`)).toBe('bob.2');
  });

  it.each([
    '',
    'Bearer ',
    'Bearer',
    A,
    `bearer ${A}`,
    `Bearer ${A} `,
    `Bearer  ${A}`,
    `Bearer ${A}a`,
    `Basic ${A}`,
  ])('does not know %j', (authorization) => {
    expect(AccessTokens.parse(`alice ${A}`).nameOf(authorization)).toBeUndefined();
  });

  it.each([
    ['nothing', ''],
    ['comments alone', '# a\n'],
    ['a name alone', 'alice'],
    ['a token alone', A],
    ['a short token', `alice ${'a'.repeat(31)}`],
    ['a long token', `alice ${'a'.repeat(513)}`],
    ['another character', `alice ${A}é`],
    ['three words', `alice ${A} x`],
    ['a name twice', `alice ${A}\nalice ${B}`],
    ['a token twice', `alice ${A}\nbob ${A}`],
    ['too many', Array.from({ length: 1025 }, (_, i) => `u${i} ${A}${i}`).join('\n')],
  ])('refuses a list with %s', (_, text) => {
    expect(() => AccessTokens.parse(text)).toThrow(malformed);
  });

  it('never repeats a token in its message', () => {
    expect(() => AccessTokens.parse(`alice ${A}\nalice secret${B}`)).not.toThrow(/secret|aaaa/);
    expect(() => parseToken('short-secret')).not.toThrow(/short-secret/);
  });
});

describe('parseToken', () => {
  it('takes one token, with blanks around it', () => {
    expect(parseToken(`${A}\n`)).toBe(A);
  });

  it.each(['', 'short', `${A} ${A}`, `${A}\n${A}`])('refuses %j', (text) => {
    expect(() => parseToken(text)).toThrow(malformed);
  });
});
