import { createHash, timingSafeEqual } from 'node:crypto';
import { ZkLoraError } from '../errors.js';
import { MAX_TOKENS } from './limits.js';

/** Below 128 random bits in any usual encoding a token could be guessed; above 512 characters it is no token. */
const TOKEN = /^[A-Za-z0-9._~+/=-]{32,512}$/;
const NAME = /^[A-Za-z0-9._-]{1,64}$/;
const BEARER = /^Bearer ([\x21-\x7e]{1,512})$/;

/** The tokens that a service takes. Digests alone are kept. */
export class AccessTokens {
  private constructor(
    private readonly digests: readonly { readonly name: string; readonly sha256: Buffer }[],
  ) {}

  /**
   * Reads a list of tokens: a name, blanks and a token on each line; empty lines and lines that begin with # are
   * skipped. Messages never repeat a token.
   *
   * @throws ZkLoraError `TOKENS_MALFORMED`
   */
  static parse(text: string): AccessTokens {
    const digests: { name: string; sha256: Buffer }[] = [];
    const seen = new Set<string>();
    for (const [i, line] of text.split(/\r?\n/).entries()) {
      if (line.trim() === '' || line.startsWith('#')) continue;
      const [name = '', token = '', ...rest] = line.trim().split(/[ \t]+/);
      if (!NAME.test(name) || !TOKEN.test(token) || rest.length > 0) throw malformed(`line ${i + 1}`);
      const sha256 = digest(token);
      for (const key of [name, sha256.toString('hex')]) {
        if (seen.has(key)) throw malformed(`line ${i + 1}, which repeats a name or a token,`);
        seen.add(key);
      }
      digests.push({ name, sha256 });
    }
    if (digests.length === 0 || digests.length > MAX_TOKENS) throw malformed('its length');
    return new AccessTokens(digests);
  }

  /**
   * The name of the token in an `authorization` header. All digests are compared, each in constant time.
   *
   * @returns undefined when the token is not in the list
   */
  nameOf(authorization: string): string | undefined {
    const sha256 = digest(BEARER.exec(authorization)?.[1] ?? '');
    let found: string | undefined;
    for (const known of this.digests) {
      if (timingSafeEqual(known.sha256, sha256)) found = known.name;
    }
    return found;
  }
}

/**
 * One token, as a user keeps it in a file.
 *
 * @throws ZkLoraError `TOKENS_MALFORMED`
 */
export function parseToken(text: string): string {
  const token = text.trim();
  if (!TOKEN.test(token)) {
    throw new ZkLoraError(
      'TOKENS_MALFORMED',
      'the token file does not hold one token of 32 to 512 letters, digits or ._~+/=-; ask the contributor for one',
    );
  }
  return token;
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}

function malformed(where: string): ZkLoraError {
  return new ZkLoraError(
    'TOKENS_MALFORMED',
    `the list of tokens is wrong at ${where}: a line holds a name and a token of 32 to 512 letters, digits or ` +
      `._~+/=- (for example from openssl rand -hex 32), and there are 1 to ${MAX_TOKENS} of them`,
  );
}
