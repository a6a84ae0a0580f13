import { describe, expect, it } from 'vitest';
import {
  parseSessionAccess,
  parseSessionClosing,
  parseSessionHeader,
  parseSessionSecret,
} from '../../src/inference/sessionHeader.js';
import { header } from './parties.js';

const HEAD = header();
const CLOSING = {
  format: 'zklora/close/v1',
  calls: 3,
  digest: 'ab'.repeat(32),
  userSignature: 'cd'.repeat(64),
  contributorSignature: 'ef'.repeat(64),
};

const malformed = expect.objectContaining({ code: 'SESSION_MALFORMED' });

const ACCESS = {
  format: 'zklora/session-access/v1',
  sessionId: 'ab'.repeat(16),
  userSecretKey: 'cd'.repeat(32),
};

describe('parseSessionAccess', () => {
  it('reads what was written, with a key that is kept elsewhere, too', () => {
    for (const access of [ACCESS, { ...ACCESS, userSecretKey: null }]) {
      expect(parseSessionAccess(JSON.stringify(access))).toEqual(access);
    }
  });

  it.each([
    ['no JSON', '{'],
    ['nothing in it', '{}'],
    ['another format', JSON.stringify({ ...ACCESS, format: 'zklora/session-access/v2' })],
    ['an unknown field', JSON.stringify({ ...ACCESS, more: 1 })],
    ['no key', JSON.stringify({ ...ACCESS, userSecretKey: undefined })],
    ['a long id', JSON.stringify({ ...ACCESS, sessionId: 'ab'.repeat(17) })],
    ['a short key', JSON.stringify({ ...ACCESS, userSecretKey: 'ab'.repeat(31) })],
  ])('refuses %s', (_, json) => {
    expect(() => parseSessionAccess(json)).toThrow(expect.objectContaining({ code: 'SESSION_MALFORMED' }));
    expect(() => parseSessionAccess(json)).toThrow('session.access');
  });
});

describe('parseSessionSecret', () => {
  it('reads a seed, and names the file that it refuses', () => {
    const secret = { format: 'zklora/session-secret/v1', seed: 'ab'.repeat(32) };
    expect(parseSessionSecret(JSON.stringify(secret))).toEqual(secret);
    for (const wrong of [{ ...secret, seed: 'ab' }, { ...secret, format: 'x' }, { ...secret, more: 1 }, {}]) {
      const json = JSON.stringify(wrong);
      expect(() => parseSessionSecret(json)).toThrow(expect.objectContaining({ code: 'SESSION_MALFORMED' }));
      expect(() => parseSessionSecret(json)).toThrow('session.secret');
    }
  });
});

describe('parseSessionHeader', () => {
  it('reads what was written', () => {
    expect(parseSessionHeader(JSON.stringify(HEAD, null, 2))).toEqual(HEAD);
  });

  it.each([
    ['nothing', ''],
    ['no JSON', '{'],
    ['another type', '[]'],
    ['null', 'null'],
    ['a repeated key', JSON.stringify(HEAD).replace('{', '{"nonce":"00",')],
    ['another format', JSON.stringify({ ...HEAD, format: 'zklora/session/v2' })],
    ['an unknown field', JSON.stringify({ ...HEAD, more: 1 })],
    ['a missing field', JSON.stringify({ ...HEAD, nonce: undefined })],
    ['capital hex', JSON.stringify({ ...HEAD, nonce: 'AB'.repeat(32) })],
    ['short hex', JSON.stringify({ ...HEAD, nonce: 'ab'.repeat(31) })],
    ['no inputs', JSON.stringify({ ...HEAD, inputs: [] })],
    ['an empty input', JSON.stringify({ ...HEAD, inputs: [[0], []] })],
    ['a module twice in an input', JSON.stringify({ ...HEAD, inputs: [[0, 0]] })],
    [
      'a module in two inputs',
      JSON.stringify({
        ...HEAD,
        inputs: [
          [0, 2],
          [1, 2],
        ],
      }),
    ],
    ['descending modules', JSON.stringify({ ...HEAD, inputs: [[2, 0], [1]] })],
    ['descending modules in a later input', JSON.stringify({ ...HEAD, inputs: [[0], [2, 1]] })],
    ['inputs out of order', JSON.stringify({ ...HEAD, inputs: [[1], [0, 2]] })],
    ['a negative module', JSON.stringify({ ...HEAD, inputs: [[-1]] })],
    ['a fraction', JSON.stringify({ ...HEAD, inputs: [[0.5]] })],
    ['a module beyond the limit', JSON.stringify({ ...HEAD, inputs: [[4096]] })],
  ])('refuses %s', (_, json) => {
    expect(() => parseSessionHeader(json)).toThrow(malformed);
  });
});

describe('parseSessionClosing', () => {
  it('reads what was written', () => {
    expect(parseSessionClosing(JSON.stringify(CLOSING))).toEqual(CLOSING);
  });

  it.each([
    ['a negative count', { calls: -1 }],
    ['a count beyond the limit', { calls: 2 ** 20 + 1 }],
    ['a short signature', { userSignature: 'ab' }],
    ['an unknown field', { proof: '' }],
  ])('refuses %s', (_, change) => {
    expect(() => parseSessionClosing(JSON.stringify({ ...CLOSING, ...change }))).toThrow(malformed);
  });
});
