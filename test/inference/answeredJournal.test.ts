import { appendFile, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  ANSWERED_FILE,
  AnsweredJournal,
  type AnsweredStage,
  answeredRows,
  readAnswered,
  requestDigest,
} from '../../src/inference/answeredJournal.js';
import { temporaryFolder } from './fixtures.js';
import { header } from './parties.js';

const HEAD = header();
const stage = (call: number, number: number, tokens = 3): AnsweredStage => ({
  call,
  stage: number,
  tokens,
  inputs: [number],
  request: (call + 1).toString(16).padStart(64, '0'),
});
const STAGES = [stage(0, 0), stage(0, 1), stage(1, 0, 5)];

async function written(): Promise<{ dir: string; path: string; lines: string[] }> {
  const dir = await temporaryFolder();
  const journal = AnsweredJournal.begin(dir, HEAD);
  for (const entry of STAGES) await journal.append(entry);
  await journal.rest();
  const path = join(dir, ANSWERED_FILE);
  return { dir, path, lines: (await readFile(path, 'utf8')).split('\n').slice(0, -1) };
}

const malformed = expect.objectContaining({ code: 'SESSION_MALFORMED' });

describe('journal of answered stages', () => {
  it('comes back as it was written; nothing when there is none', async () => {
    const { dir } = await written();
    expect(await readAnswered(dir, HEAD)).toEqual(STAGES);
    expect(await readAnswered(await temporaryFolder(), HEAD)).toEqual([]);
  });

  it('leaves out what a crash cut off, at any byte', async () => {
    const { dir, path, lines } = await written();
    const whole = (await readFile(path)).length;
    for (let cut = 1; cut <= lines[2]!.length + 1; cut += 13) {
      await truncate(path, whole - cut);
      expect(await readAnswered(dir, HEAD)).toEqual(STAGES.slice(0, 2));
    }
  });

  it('is refused when it was edited or belongs to another session', async () => {
    const { dir, path, lines } = await written();
    const [a, b, c] = lines as [string, string, string];
    for (const edited of [
      [b, c],
      [a, c],
      [a, c, b],
      [a, a],
      [a, b.replace('"tokens":3', '"tokens":1'), c],
      [a, `${b} `, c],
      [a, '', b],
      [a, 'text'],
      [`${'0'.repeat(64)} {}`],
    ]) {
      await writeFile(path, `${edited.join('\n')}\n`);
      await expect(readAnswered(dir, HEAD)).rejects.toEqual(malformed);
    }
    await writeFile(path, `${lines.join('\n')}\n`);
    await expect(readAnswered(dir, { ...HEAD, nonce: '55'.repeat(32) })).rejects.toEqual(malformed);
    await appendFile(path, '\n');
    await expect(readAnswered(dir, HEAD)).rejects.toEqual(malformed);
  });

  it('is refused when an entry does not fit the session', async () => {
    for (const entry of [
      { ...STAGES[0]!, inputs: [2] },
      { ...STAGES[0]!, inputs: [] },
      { ...STAGES[0]!, tokens: -1 },
      { ...STAGES[0]!, request: 'x' },
      { ...STAGES[0]!, more: 1 },
    ]) {
      const dir = await temporaryFolder();
      const journal = AnsweredJournal.begin(dir, HEAD);
      await journal.append(entry);
      await journal.rest();
      await expect(readAnswered(dir, HEAD)).rejects.toEqual(malformed);
    }
  });

  it('counts rows by module, a stage that was noted twice once', () => {
    const other = { ...STAGES[0]!, request: 'ff'.repeat(32) };
    expect([...answeredRows(HEAD, [...STAGES, STAGES[0]!, other])].sort()).toEqual([
      [0, 11],
      [1, 3],
      [2, 11],
    ]);
  });
});

describe('requestDigest', () => {
  it('depends on every part of a request', () => {
    const input = { input: 1, rows: Uint8Array.of(1, 2), exponents: Uint8Array.of(3) };
    const base = { call: 0, stage: 0, tokens: 1, inputs: [input] };
    const variants = [
      base,
      { ...base, call: 1 },
      { ...base, stage: 1 },
      { ...base, tokens: 2 },
      { ...base, inputs: [] },
      { ...base, inputs: [input, input] },
      { ...base, inputs: [{ ...input, input: 0 }] },
      { ...base, inputs: [{ ...input, rows: Uint8Array.of(1), exponents: Uint8Array.of(2, 3) }] },
      { ...base, inputs: [{ ...input, rows: Uint8Array.of(2, 1) }] },
      { ...base, inputs: [{ ...input, exponents: Uint8Array.of(4) }] },
    ];
    expect(new Set(variants.map(requestDigest)).size).toBe(variants.length);
    expect(requestDigest({ ...base, inputs: [{ ...input }] })).toBe(requestDigest(base));
  });
});
