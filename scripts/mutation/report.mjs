// test/mutation/result.json: counts and score, for each file and in all, and the mutants that no test noticed.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { reasonFor } from './reasons.mjs';
import { root } from './sandbox.mjs';

const NOTICED = new Set(['killed', 'timeout']);

const STATUSES = ['killed', 'timeout', 'survived', 'noCoverage', 'notTested'];

function counts(results) {
  const count = (status) => results.filter((result) => result.status === status).length;
  return scored(Object.fromEntries(STATUSES.map((status) => [status, count(status)])));
}

function sum(files) {
  const total = (status) => files.reduce((all, file) => all + file[status], 0);
  return scored(Object.fromEntries(STATUSES.map((status) => [status, total(status)])));
}

/** The score counts what was tested. */
function scored(statuses) {
  const mutants = STATUSES.reduce((all, status) => all + statuses[status], 0);
  const noticed = statuses.killed + statuses.timeout;
  const tested = mutants - statuses.notTested;
  const score = tested === 0 ? 0 : Math.round((10_000 * noticed) / tested) / 100;
  return { mutants, ...statuses, score };
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

const FOLDER = join(root, 'test/mutation');
const RESULT = join(FOLDER, 'result.json');

/** SHA-256 of each file, hexadecimal: says later whether a result still speaks of its text. */
export async function digestsOf(files) {
  const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');
  return Object.fromEntries(
    await Promise.all(files.map(async (file) => [file, digest(await readFile(join(root, file)))])),
  );
}

async function readResult() {
  const text = await readFile(RESULT, 'utf8').catch(() => '{"files":{},"timeouts":[],"survivors":[]}');
  return JSON.parse(text);
}

const fileOf = (at) => at.slice(0, at.indexOf(':'));
const place = ({ file, line, column }) => `${file}:${line}:${column}`;

/**
 * What the committed result says about mutants; nothing about those of a file that has changed since.
 *
 * @param digests of the files as they are now
 * @returns a function from a mutant to its status, `notTested` where none is known
 */
export async function earlierStatus(digests) {
  const { files, timeouts, survivors } = await readResult();
  // over the same text the instrumenter makes the same mutants in the same order
  const known = new Map(
    [...timeouts, ...survivors].map(({ at, index, status }) => [`${fileOf(at)} ${index}`, status]),
  );
  return (mutant) => {
    if (files[mutant.file]?.sha256 !== digests[mutant.file]) return 'notTested';
    return known.get(`${mutant.file} ${mutant.index}`) ?? 'killed';
  };
}

/**
 * Writes result.json and survivors.md; what the result says about other files stays.
 *
 * @param results mutants with their status
 * @param covered all files whose mutants count
 * @param digests of the files that were mutated
 */
export async function writeReport(results, covered, digests) {
  const before = await readResult();
  const tested = [...new Set(results.map(({ file }) => file))];
  const files = {};
  for (const name of covered) {
    if (tested.includes(name)) {
      const own = results.filter(({ file }) => file === name);
      files[name] = { sha256: digests[name], ...counts(own) };
    } else if (before.files[name]) files[name] = before.files[name];
  }
  const kept = (list) => list.filter(({ at }) => !tested.includes(fileOf(at)) && fileOf(at) in files);
  const listed = (wanted) =>
    results
      .filter(({ status }) => wanted(status))
      .map((mutant) => {
        const { index, mutator, source, replacement, status } = mutant;
        return { at: place(mutant), index, mutator, source, replacement, status };
      });
  const order = new Map(covered.map((name, i) => [name, i]));
  const sorted = (list) => list.sort((a, b) => order.get(fileOf(a.at)) - order.get(fileOf(b.at)));
  const report = {
    tool: '@stryker-mutator/instrumenter 9.6.1',
    ...sum(Object.values(files)),
    files,
    timeouts: sorted([...kept(before.timeouts), ...listed((status) => status === 'timeout')]),
    survivors: sorted([...kept(before.survivors), ...listed((status) => !NOTICED.has(status))]),
  };
  await mkdir(FOLDER, { recursive: true });
  await writeFileAtomically(RESULT, `${JSON.stringify(report, null, 1)}\n`);
  await writeFileAtomically(join(FOLDER, 'survivors.md'), survivorList(report));
  return sum(Object.values(files));
}

/** A run may be stopped at any time. */
async function writeFileAtomically(path, text) {
  await writeFile(`${path}.tmp`, text);
  await rename(`${path}.tmp`, path);
}
