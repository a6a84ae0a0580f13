import { demand } from './refusal.js';

/** A JSON object with exactly the given members, and perhaps the optional ones. */
export function membersOf<Name extends string>(
  value: unknown,
  names: readonly Name[],
  what: string,
  optional: readonly Name[] = [],
): Record<Name, unknown> {
  demand(typeof value === 'object' && value !== null && !Array.isArray(value), `${what} is not an object`);
  const found = Object.keys(value).filter((name) => !optional.some((other) => other === name));
  demand(
    found.length === names.length && names.every((name) => found.includes(name)),
    `${what} does not have exactly the members ${names.join(', ')}`,
  );
  return value as Record<Name, unknown>;
}

/** An array whose length is in [least, most]. */
export function listOf(value: unknown, least: number, most: number, what: string): unknown[] {
  demand(Array.isArray(value) && value.length >= least && value.length <= most, `${what} is no such list`);
  return value;
}

/** An integer in [least, most]. */
export function integerIn(value: unknown, least: number, most: number, what: string): number {
  demand(
    Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most,
    `${what} is out of range`,
  );
  return Number(value);
}

/** A string that matches. */
export function textLike(value: unknown, pattern: RegExp, what: string): string {
  demand(typeof value === 'string' && pattern.test(value), `${what} is malformed`);
  return value;
}
