// test/mutation/result.json: counts and score, for each file and in all, and the mutants that no test noticed.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { reasonFor } from './reasons.mjs';
import { root } from './sandbox.mjs';

const NOTICED = new Set(['killed', 'timeout']);

function counts(results) {
  const count = (status) => results.filter((result) => result.status === status).length;
  const [killed, timeout, survived, noCoverage, notTested] = [
    'killed',
    'timeout',
    'survived',
    'noCoverage',
    'notTested',
  ].map(count);
  const tested = results.length - notTested;
  const score = tested === 0 ? 0 : Math.round((10_000 * (killed + timeout)) / tested) / 100;
  return { mutants: results.length, killed, timeout, survived, noCoverage, notTested, score };
}

const code = (text) => `\`\` ${text.replace(/\s+/g, ' ').slice(0, 160)} \`\``;

/** The survivors by reason; what has no reason yet comes first. */
function survivorList({ survivors, killed, timeout, mutants, notTested, score }) {
  const groups = new Map();
  for (const survivor of survivors.filter(({ status }) => status !== 'notTested')) {
    const reason = reasonFor(survivor);
    groups.set(reason, [...(groups.get(reason) ?? []), survivor]);
  }
  const lines = [
    '# Mutants that no test notices',
    '',
    `Written by \`npm run mutation\` from result.json: ${killed + timeout} of ${mutants - notTested} tested mutants were noticed (${score} %); ${notTested} of ${mutants} were not tested.`,
    'The reasons come from scripts/mutation/reasons.mjs.',
  ];
  const sorted = [...groups].sort(([a], [b]) => Number(a !== '') - Number(b !== ''));
  for (const [reason, list] of sorted) {
    lines.push('', `## ${reason || 'Not yet examined'}`, '');
    for (const { at, mutator, source, replacement, status } of list) {
      const unreached = status === 'noCoverage' ? ', no test reaches it' : '';
      lines.push(`- ${at} ${mutator}${unreached}: ${code(source)} becomes ${code(replacement)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** @param partial whether only some of the files were mutated: then nothing is written */
export async function writeReport(results, { partial, seconds }) {
  const names = [...new Set(results.map(({ file }) => file))].sort();
  const files = Object.fromEntries(
    names.map((name) => [name, counts(results.filter(({ file }) => file === name))]),
  );
  const survivors = results
    .filter(({ status }) => !NOTICED.has(status))
    .map(({ file, line, column, mutator, source, replacement, status }) => ({
      at: `${file}:${line}:${column}`,
      mutator,
      source,
      replacement,
      status,
    }));
  const report = { tool: '@stryker-mutator/instrumenter 9.6.1', ...counts(results), files, survivors };
  process.stdout.write(`${JSON.stringify({ ...counts(results), seconds: Math.round(seconds) })}\n`);
  const text = `${JSON.stringify(report, null, 1)}\n`;
  if (partial) {
    for (const { at, mutator, source, replacement, status } of survivors) {
      process.stdout.write(
        `${status} ${at} ${mutator}\n  ${source}\n  -> ${replacement.split('\n').join(' ')}\n`,
      );
    }
    return;
  }
  const folder = join(root, 'test/mutation');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'result.json'), text);
  await writeFile(join(folder, 'survivors.md'), survivorList(report));
}
