import { type ErrorCode, ZkLoraError } from './errors.js';

/** Nesting of arrays and objects; every format read here needs at most 4. */
const MAX_DEPTH = 32;

const BACKSLASH = 0x5c;

/** What numbers the text may hold; `naturals` refuses signs, fractions and exponents, even in `8.0` or `1e3`. */
export type JsonNumbers = 'any' | 'naturals';

/**
 * Parses JSON (RFC 8259) and refuses what two readers could understand differently: an object key that appears
 * twice, the key `__proto__`, lone surrogates, and nesting below 32 levels.
 *
 * The message never repeats the text, and the parser's own error (which does) is not kept as cause: the text
 * may be a secret.
 *
 * @param what names the text in the message, e.g. `adapter_config.json`.
 * @throws ZkLoraError with the given code.
 */
export function parseJsonText(
  text: string,
  code: ErrorCode,
  what: string,
  numbers: JsonNumbers = 'any',
): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ZkLoraError(code, `${what} is not valid JSON; write it again or fetch an intact copy`);
  }
  const problem = findProblem(text, numbers);
  if (problem !== null)
    throw new ZkLoraError(code, `${what} ${problem}; write it again or fetch an intact copy`);
  return value;
}

/** UTF-8 (strict, no byte-order mark) JSON; see {@link parseJsonText}. */
export function parseJsonBytes(
  bytes: Uint8Array,
  code: ErrorCode,
  what: string,
  numbers: JsonNumbers = 'any',
): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new ZkLoraError(code, `${what} is not UTF-8 text; write it again or fetch an intact copy`);
  }
  return parseJsonText(text, code, what, numbers);
}

/** JSON text, or the bytes of a file that holds it; see {@link parseJsonText} and {@link parseJsonBytes}. */
export function parseJson(json: string | Uint8Array, code: ErrorCode, what: string): unknown {
  return typeof json === 'string' ? parseJsonText(json, code, what) : parseJsonBytes(json, code, what);
}

/** Walks the strings and brackets of a text that JSON.parse has accepted. */
function findProblem(text: string, numbers: JsonNumbers): string | null {
  /** Keys seen in each open object; null for an open array. */
  const open: (Set<string> | null)[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '{' || char === '[') {
      if (open.length === MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH} levels`;
      open.push(char === '{' ? new Set() : null);
    } else if (char === '}' || char === ']') {
      open.pop();
    } else if (char === '"') {
      const end = endOfString(text, at);
      const string = JSON.parse(text.slice(at, end)) as string;
      if (/\p{Surrogate}/u.test(string)) return 'holds a string that is not Unicode text';
      at = end - 1;
      const keys = open.at(-1);
      if (!keys || !isKey(text, end)) continue;
      if (string === '__proto__') return 'uses the forbidden key "__proto__"';
      if (keys.has(string)) return 'repeats an object key';
      keys.add(string);
    } else if (numbers === 'naturals' && isNumberMark(text, at)) {
      return 'holds a number that is not a plain non-negative integer';
    }
  }
  return null;
}

/** A sign, a point, or an exponent's `e` (which follows a digit or a point; the `e` of a literal does not). */
function isNumberMark(text: string, at: number): boolean {
  const char = text.charAt(at);
  return (
    char === '-' || char === '.' || ((char === 'e' || char === 'E') && /[0-9.]/.test(text.charAt(at - 1)))
  );
}

/** The closing quote is the first one behind an even number of backslashes. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); ; at = text.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return at + 1;
  }
}

/** Whether the string that ends before `at` is followed by a colon: in valid JSON, exactly the object keys are. */
function isKey(text: string, at: number): boolean {
  let next = at;
  while (' \t\n\r'.includes(text.charAt(next)) && next < text.length) next++;
  return text[next] === ':';
}
