import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compareWithEvaluation, type LossPart } from '../../cli/evaluatedSet.js';
import { EvaluationJournal } from '../../src/inference/evaluationJournal.js';
import { EVALUATION_FILE } from '../../src/inference/record.js';
import { temporaryFolder } from '../inference/fixtures.js';

const [alice, bob]: [LossPart, LossPart] = [
  { name: 'alice', adapterId: '12'.repeat(32), weight: 0.5 },
  { name: 'bob', adapterId: '34'.repeat(32), weight: 2 },
];

/** An evaluation of both, which left out `dropped`. */
async function evaluated(dropped: readonly string[] = []): Promise<string> {
  const dir = await temporaryFolder();
  const journal = await EvaluationJournal.begin(dir, {
    format: 'zklora/evaluation/v1',
    model: '56'.repeat(32),
    texts: [],
    tokenizer: null,
    sequence: 4,
    batch: 1,
    windows: '78'.repeat(32),
    contributors: [alice, bob],
  });
  await journal.pass('adapter', 0, Float64Array.of(1));
  const failure = { code: 'CONTRIBUTOR_UNREACHABLE', message: 'no answer' };
  if (dropped.length > 0)
    await journal.drop(
      dropped.map((name) => ({ name, failure })),
      true,
    );
  await journal.release();
  return dir;
}

describe('compareWithEvaluation', () => {
  it('finds the same set, in any order, without those that were left out', async () => {
    expect(await compareWithEvaluation(await evaluated(), [bob, alice])).toEqual({ status: 'same' });
    expect(await compareWithEvaluation(await evaluated(['bob']), [alice])).toEqual({ status: 'same' });
  });

  it.each<[string, readonly string[], readonly LossPart[]]>([
    ['fewer', [], [alice]],
    ['more', ['bob'], [alice, bob]],
    ['another weight', [], [alice, { ...bob, weight: -2 }]],
    ['another adapter', [], [alice, { ...bob, adapterId: '9a'.repeat(32) }]],
  ])('warns of another set: %s', async (_, dropped, parts) => {
    const { status, warning } = await compareWithEvaluation(await evaluated(dropped), parts);
    expect(status).toBe('different');
    expect(warning).toContain(
      dropped.length === 0 ? 'another set: alice (weight 0.5), bob (weight 2);' : 'set: alice (weight 0.5);',
    );
  });

  it('says when there is no journal, or none that can be read', async () => {
    expect(await compareWithEvaluation(await temporaryFolder(), [alice])).toEqual({ status: 'absent' });
    const dir = await evaluated();
    const path = join(dir, EVALUATION_FILE);
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('"bob"', '"rob"'));
    expect(await compareWithEvaluation(dir, [alice, bob])).toMatchObject({
      status: 'unreadable',
      warning: expect.stringContaining('not known'),
    });
    await writeFile(path, '');
    await appendFile(path, '\n');
    expect(await compareWithEvaluation(dir, [alice, bob])).toMatchObject({ status: 'unreadable' });
  });
});
