import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';

/** Rows of the tables of a page whose last column is "test". */
function testedRows(page: string): { label: string; test: string }[] {
  const rows: { label: string; test: string }[] = [];
  let inside = false;
  for (const line of page.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    if (cells.length < 4) inside = false;
    else if (cells.at(-2) === 'test') inside = true;
    else if (inside && !/^-+$/.test(cells[1]!)) rows.push({ label: cells[1]!, test: cells.at(-2)! });
  }
  return rows;
}

describe.each([
  ['docs/models.md', 'test/inference', 25],
  ['docs/peft.md', 'test/adapter', 40],
])('%s', (page, folder, fewest) => {
  it('names an existing test in every row', async () => {
    const rows = testedRows(await readFile(page, 'utf8'));
    expect(rows.length).toBeGreaterThanOrEqual(fewest);
    const files = new Set(await readdir(folder));
    for (const { label, test } of rows) {
      const [, file, title] = /^(\w+): (.+)$/.exec(test) ?? [];
      expect(files, label).toContain(`${file}.test.ts`);
      expect(await readFile(`${folder}/${file}.test.ts`, 'utf8'), label).toContain(title);
    }
  });
});

it('docs/peft.md has a row for every adapter that PEFT saved', async () => {
  const tested = testedRows(await readFile('docs/peft.md', 'utf8')).map(({ test }) => test);
  const folders = (await readdir('fixtures/peft', { withFileTypes: true })).filter((entry) =>
    entry.isDirectory(),
  );
  for (const { name } of folders) expect(tested).toContain(`peftFeatures: ${name}`);
});
