import { utf8ToBytes } from '../../../src/bytes.js';
import type { Mutant } from './kit.js';

// Type-aware edits of JSON. The edited document is a tree in which a part can be literal text, so that what no
// JavaScript value stands for (repeated keys, 1e400, an escaped key) can be written.

/** Text that stands in the document as it is. */
class Literal {
  constructor(readonly text: string) {}
}

/** An object by its members; keys are JSON text. */
class Members {
  constructor(readonly members: readonly (readonly [string, unknown])[]) {}
}

function write(value: unknown): string {
  if (value instanceof Literal) return value.text;
  if (value instanceof Members) {
    return `{${value.members.map(([key, member]) => `${key}:${write(member)}`).join(',')}}`;
  }
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    return write(new Members(Object.entries(value).map(([key, member]) => [JSON.stringify(key), member])));
  }
  return JSON.stringify(value);
}

type Path = readonly (string | number)[];

/** All places of a document, the top level first; of long lists the first and the last two entries. */
function places(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  const keys: (string | number)[] = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  const chosen = keys.length > 12 ? [...keys.slice(0, 2), ...keys.slice(-2)] : keys;
  const inside = value as Record<string | number, unknown>;
  return [path, ...chosen.flatMap((key) => places(inside[key], [...path, key]))];
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inside, key) => (inside as Record<string | number, unknown>)[key], value);
}

function replaced(value: unknown, path: Path, by: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return by;
  const inside = value as Record<string | number, unknown>;
  const next = replaced(inside[key], rest, by);
  if (Array.isArray(value)) return value.map((entry: unknown, i) => (i === key ? next : entry));
  return Object.fromEntries(
    Object.entries(inside).map(([name, entry]) => [name, name === key ? next : entry]),
  );
}

const HUGE = 100_000;
const literal = (text: string) => new Literal(text);

/** Put in the place of anything. */
const FOREIGN: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  0.5,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  literal('-0'),
  literal('1e400'),
  literal('-1e400'),
  literal('1e-400'),
  literal('9007199254740993'),
  literal('00'),
  literal('+1'),
  literal('NaN'),
  literal('0x10'),
  literal('9'.repeat(HUGE)),
  '',
  '0',
  'null',
  '\u0000',
  '__proto__',
  'x'.repeat(HUGE),
  literal('"\\ud800"'),
  literal('"\n"'),
  [],
  {},
  [[]],
  literal('[,]'),
  literal('{"__proto__":{}}'),
  literal('{"__proto__":null}'),
  literal('{"length":1,"0":0}'),
  literal('{"toString":1,"valueOf":1}'),
  literal(`${'['.repeat(31)}${']'.repeat(31)}`),
  literal(`${'['.repeat(HUGE)}${']'.repeat(HUGE)}`),
  literal(`${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`),
  literal(`[${'0,'.repeat(HUGE)}0]`),
  literal(''),
];

function* nearNumbers(value: number): Generator<unknown> {
  yield* [value + 1, value - 1, 2 * value, -value, value + 0.5, value * 2 ** 40, String(value)];
  yield* [
    literal(`${value}.0`),
    literal(`${value}e0`),
    literal(`0${value}`),
    literal(`${value}.`),
    literal(`${value}n`),
  ];
}

function* nearStrings(value: string): Generator<unknown> {
  yield* [
    value.slice(1),
    value.slice(0, -1),
    `${value}0`,
    `0${value}`,
    ` ${value}`,
    `${value}\n`,
    `${value}\u0000`,
  ];
  yield* [value.toUpperCase(), value.replace(/[0-9]/, '\uff10'), `${value}${value}`, value.replace(/./, 'g')];
  yield* [value.replace(/[0-9]/g, '0'), [...value].reverse().join(''), value.split('')];
}

function* nearArrays(value: readonly unknown[]): Generator<unknown> {
  yield* [value.slice(1), value.slice(0, -1), [...value, ...value], [...value].reverse(), [...value, null]];
  yield* [[value], [...value, value[0]], Object.fromEntries(value.entries()), value.map(() => value[0])];
}

function* nearObjects(value: Record<string, unknown>): Generator<unknown> {
  const members = Object.entries(value).map(([key, member]) => [JSON.stringify(key), member] as const);
  const edited = (...more: (readonly [string, unknown])[]) => new Members([...members, ...more]);
  yield* [
    edited(['"extra"', 0]),
    edited(['"__proto__"', {}]),
    edited(['"constructor"', {}]),
    edited(['""', 0]),
  ];
  yield* [
    edited(['"hasOwnProperty"', 0]),
    new Members([...members].reverse()),
    [value],
    Object.values(value),
  ];
  for (const [i, [key, member]] of members.entries()) {
    yield new Members(members.filter((_, j) => j !== i));
    yield edited([key, member]);
    yield edited([key, 0]);
    yield new Members([[key, 0], ...members]);
    const renamed = (name: string) =>
      new Members(members.map((entry, j) => (j === i ? [name, member] : entry)));
    yield renamed(key.toUpperCase());
    yield renamed(`" ${key.slice(1)}`);
    const code = key.charCodeAt(1).toString(16).padStart(4, '0');
    yield renamed(`"\\u${code}${key.slice(2)}`);
  }
}

function* near(value: unknown): Generator<unknown> {
  if (typeof value === 'number') yield* nearNumbers(value);
  else if (typeof value === 'string') yield* nearStrings(value);
  else if (Array.isArray(value)) yield* nearArrays(value);
  else if (typeof value === 'object' && value !== null) yield* nearObjects(value as Record<string, unknown>);
}

/**
 * Every edit at every place of a document.
 *
 * @param step takes every step-th edit only, another one at each place
 */
export function* everyEdit(document: unknown, step = 1): Generator<Mutant> {
  let count = 0;
  for (const path of places(document)) {
    const value = at(document, path);
    for (const edit of [...FOREIGN, ...near(value)]) {
      if (count++ % step !== 0) continue;
      const text = write(replaced(document, path, edit));
      yield {
        label: `${path.join('.') || 'top level'} becomes ${write(edit).slice(0, 60)}`,
        bytes: utf8ToBytes(text),
      };
    }
  }
}

/** Other layouts of the same document, and things around it. */
export function* surroundings(document: unknown): Generator<Mutant> {
  const text = JSON.stringify(document);
  for (const [label, mutant] of [
    ['indented', JSON.stringify(document, null, 4)],
    ['blanks around', `\t\r\n ${text} \n`],
    ['a byte-order mark', `\ufeff${text}`],
    ['two documents', `${text}${text}`],
    ['a comment', `${text}//`],
    ['a comma', `${text},`],
    ['nothing', ''],
    ['blanks only', ' '.repeat(1000)],
    ['a NUL', `${text}\u0000`],
    ['single quotes', text.replaceAll('"', "'")],
  ] as const) {
    yield { label, bytes: utf8ToBytes(mutant) };
  }
}
