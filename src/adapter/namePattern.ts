import { compileRegex } from './boundedRegex.js';
import type { MatchSteps } from './regexProgram.js';

/** A key of PEFT's rank_pattern or alpha_pattern. */
export interface NamePattern {
  /** Whether only the whole name matches (the key began with `^`); else any dot-separated suffix does too. */
  readonly whole: boolean;
  /** Letters, digits, `_`, `-`; a dot stands for any one character. */
  readonly text: string;
}

/** Whether a module's path is meant. */
export type NameMatcher = (name: string) => boolean;

/**
 * A key of rank_pattern or alpha_pattern as PEFT reads it: `re.match(rf"(.*\.)?({key})$", module_name)`
 * (peft/utils/other.py, `get_pattern_key`). Names of modules, which most keys are, match without an expression.
 *
 * @param steps see {@link compileRegex}
 * @returns null for a key of digits alone ({@link parseNamePattern}), or an expression that is not taken
 */
export function compilePatternKey(key: string, steps?: MatchSteps): NameMatcher | null {
  const literal = parseNamePattern(key);
  if (literal !== null) return (name) => patternMatches(literal, name);
  if (key === '' || /^[0-9]+$/.test(key)) return null;
  return compileRegex(`(.*\\.)?(${key})$`, false, steps);
}

/**
 * The part of such keys that needs no expression: literal characters, dots (which in a regular expression match any
 * character), and a leading `^`. On these keys the answer is the same as PEFT's.
 *
 * A key of digits alone is not taken: JavaScript moves such keys to the front of an object, and PEFT applies the
 * first pattern that matches.
 *
 * @returns null for a key with any other metacharacter, one of digits alone, or an empty one.
 */
export function parseNamePattern(key: string): NamePattern | null {
  const whole = key.startsWith('^');
  const text = whole ? key.slice(1) : key;
  return /^[A-Za-z0-9_.-]+$/.test(text) && !/^[0-9]+$/.test(key) ? { whole, text } : null;
}

/** Whether a module's path is matched, in time linear in the key. */
export function patternMatches(pattern: NamePattern, name: string): boolean {
  const start = name.length - pattern.text.length;
  if (start < 0) return false;
  if (start > 0 && (pattern.whole || name[start - 1] !== '.')) return false;
  for (let i = 0; i < pattern.text.length; i++) {
    const expected = pattern.text[i];
    if (expected !== '.' && expected !== name[start + i]) return false;
  }
  return true;
}
