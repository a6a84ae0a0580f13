import { Refusal } from './refusal.js';

/** Nesting beyond which a document is refused (docs/formats.md, "JSON"). */
const MAX_DEPTH = 32;

/** Parses JSON; refuses doubled keys, `__proto__`, lone surrogates and deep nesting. */
export function strictJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    walk(value, 0);
    if (countMembers(text) !== membersOf(value)) throw new Refusal('JSON: an object has a key twice');
    return value;
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal('JSON: not well formed');
  }
}

/** Colons outside strings: one for each member as written, doubled keys included. */
function countMembers(text: string): number {
  return (text.replace(/"(?:[^"\\]|\\.)*"/gs, '').match(/:/g) ?? []).length;
}

/** Members that are left after parsing, where a doubled key counts once. */
function membersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const children = Object.values(value);
  return children.reduce(
    (sum: number, child) => sum + membersOf(child),
    Array.isArray(value) ? 0 : children.length,
  );
}

function walk(value: unknown, depth: number): void {
  if (depth > MAX_DEPTH) throw new Refusal('JSON: nested too deeply');
  if (typeof value === 'string') wellFormed(value);
  if (typeof value !== 'object' || value === null) return;
  for (const [key, child] of Object.entries(value)) {
    if (key === '__proto__') throw new Refusal('JSON: the key __proto__');
    wellFormed(key);
    walk(child, depth + 1);
  }
}

function wellFormed(text: string): void {
  if (/\p{Surrogate}/u.test(text)) throw new Refusal('JSON: a lone surrogate');
}
