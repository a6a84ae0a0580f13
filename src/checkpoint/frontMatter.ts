import { ZkLoraError } from '../errors.js';
import { MAX_CLAIMS, MAX_TEXT_LENGTH } from './limits.js';

/** Values of the members asked for; a single value is a list of one. */
export type FrontMatter = ReadonlyMap<string, readonly string[]>;

/**
 * Reads a few members of a model card's YAML front matter.
 *
 * A small, strict part of YAML: members at the left margin whose value is one scalar on the same line (plain, single
 * or double quoted), a flow list of scalars on the same line, or a block list of scalars. Members that are not asked
 * for may hold anything and are skipped by their indentation. Whatever is beyond that in a member asked for, such as
 * an anchor, a tag or a block scalar, is refused rather than guessed.
 *
 * @returns an empty map for a text without front matter
 * @throws ZkLoraError `CHECKPOINT_MALFORMED`
 */
export function readFrontMatter(text: string, wanted: ReadonlySet<string>): FrontMatter {
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n/);
  const values = new Map<string, string[]>();
  if (lines[0]?.trimEnd() !== '---') return values;
  const end = lines.findIndex((line, i) => i > 0 && line.trimEnd() === '---');
  if (end < 0) throw malformed('the front matter has no end');
  for (let at = 1; at < end; at++) {
    const member = /^([A-Za-z0-9_-]+):(?:\s+(.*))?$/.exec(lines[at]!);
    if (member === null || !wanted.has(member[1]!)) continue;
    const [, key, rest = ''] = member;
    if (values.has(key!)) throw malformed(`${key} appears twice`);
    const inline = withoutComment(rest.trim());
    const list: string[] = [];
    if (inline !== '') {
      if (inline.startsWith('[')) list.push(...flowList(inline, key!));
      else list.push(scalar(inline, key!));
      if (at + 1 < end && /^\s+\S/.test(lines[at + 1]!)) throw malformed(`${key} continues on the next line`);
    } else {
      while (at + 1 < end && /^(?:\s*-(?:\s|$)|\s*#|\s*$|\s+\S)/.test(lines[at + 1]!)) {
        const line = lines[++at]!;
        if (/^\s*(?:#.*)?$/.test(line)) continue;
        const item = /^\s*-\s+(.*)$/.exec(line);
        if (item === null) throw malformed(`${key} is neither a value nor a list of values`);
        list.push(scalar(withoutComment(item[1]!.trim()), key!));
        if (list.length > MAX_CLAIMS) throw malformed(`${key} has more than ${MAX_CLAIMS} values`);
      }
    }
    values.set(key!, list);
  }
  return values;
}

function flowList(text: string, key: string): string[] {
  if (!text.endsWith(']')) throw malformed(`${key} is a list over several lines`);
  const inner = text.slice(1, -1).trim();
  if (inner === '') return [];
  const items = inner.match(/'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|[^,]+/g) ?? [];
  const list = items.map((item) => item.trim()).filter((item) => item !== '');
  const commas = inner.replace(/'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"/g, '').split(',').length;
  if (list.length !== commas || list.length > MAX_CLAIMS)
    throw malformed(`${key} is no list of plain values`);
  return list.map((item) => scalar(item, key));
}

function scalar(text: string, key: string): string {
  let value: string | undefined;
  if (/^'(?:[^']|'')*'$/.test(text)) value = text.slice(1, -1).replaceAll("''", "'");
  else if (/^"[^"\\]*"$/.test(text)) value = text.slice(1, -1);
  else if (/^[A-Za-z0-9_./~+@][^{}[\]"'`]*$/.test(text) && !/:(?:\s|$)/.test(text)) value = text;
  if (value === undefined || value === '' || value.length > MAX_TEXT_LENGTH || /\p{Cc}/u.test(value)) {
    throw malformed(`${key} has a value that is no plain text`);
  }
  return value;
}

/** A comment begins at a `#` after white space, outside quotes. */
function withoutComment(text: string): string {
  if (text.startsWith('#')) return '';
  const quoted = /^(?:'(?:[^']|'')*'|"[^"\\]*")/.exec(text)?.[0] ?? '';
  const rest = text.slice(quoted.length);
  return (quoted + rest.replace(/\s#.*$/, '')).trim();
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError(
    'CHECKPOINT_MALFORMED',
    `the model card cannot be read: ${problem}; write it as Hugging Face documents`,
  );
}
