import { appendFile, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bytesToHex, canonicalJson, labelledSha256 } from '../src/bytes.js';
import { ChecksummedLines, type LinesFormat } from '../src/checksummedLines.js';
import { temporaryFolder } from './inference/fixtures.js';

const FORMAT: LinesFormat = {
  name: 'lines.jsonl',
  label: 'zklora/test/v1',
  maxBytes: 2000,
  code: 'EVALUATION_MALFORMED',
};
const ROOT = new Uint8Array(32).fill(3);
const ENTRIES = [{ a: 1 }, { text: 'zwölf' }, { numbers: [0.1, -0, 5e-324, 1.7976931348623157e308] }];

async function written() {
  const dir = await temporaryFolder();
  const lines = ChecksummedLines.begin(dir, FORMAT, ROOT);
  for (const entry of ENTRIES) await lines.append(entry);
  await lines.rest();
  return { dir, path: join(dir, FORMAT.name) };
}

describe('ChecksummedLines', () => {
  it('gives back what was written, numbers to the bit, for its owner alone', async () => {
    const { dir, path } = await written();
    const found = await ChecksummedLines.resume(dir, FORMAT, ROOT);
    expect(found!.entries).toEqual([
      ENTRIES[0],
      ENTRIES[1],
      { numbers: [0.1, 0, 5e-324, 1.7976931348623157e308] },
    ]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await found!.lines.append({ more: true });
    await found!.lines.rest();
    expect((await ChecksummedLines.resume(dir, FORMAT, ROOT))!.entries).toHaveLength(4);
  });

  it('lets others have their turn while it reads a long file', async () => {
    const dir = await temporaryFolder();
    let checksum: Uint8Array = ROOT;
    let text = '';
    for (let i = 0; i < 2000; i += 1) {
      checksum = labelledSha256(FORMAT.label, checksum, canonicalJson({ i }));
      text += `${bytesToHex(checksum)} {"i":${i}}\n`;
    }
    await writeFile(join(dir, FORMAT.name), text);
    let turns = 0;
    let isReading = true;
    const others = (): void => {
      turns += 1;
      if (isReading) setImmediate(others);
    };
    setImmediate(others);
    const found = await ChecksummedLines.read(dir, { ...FORMAT, maxBytes: 2 ** 20 }, ROOT);
    isReading = false;
    expect(found).toHaveLength(2000);
    expect(turns).toBeGreaterThan(30);
  });

  it('is undefined where nothing was begun', async () => {
    expect(await ChecksummedLines.resume(await temporaryFolder(), FORMAT, ROOT)).toBeUndefined();
  });

  it('takes a torn last line off, and goes on behind the whole ones', async () => {
    const { dir, path } = await written();
    const whole = await readFile(path);
    for (const torn of ['x', whole.subarray(0, 70).toString(), '{"a":']) {
      await writeFile(path, whole);
      await appendFile(path, torn);
      const found = await ChecksummedLines.resume(dir, FORMAT, ROOT);
      expect(found!.entries).toHaveLength(3);
      expect(await readFile(path)).toEqual(whole);
      await found!.lines.append({ next: 1 });
      await found!.lines.rest();
      expect((await ChecksummedLines.resume(dir, FORMAT, ROOT))!.entries[3]).toEqual({ next: 1 });
    }
  });

  it('refuses every edit', async () => {
    const { dir, path } = await written();
    const lines = (await readFile(path, 'utf8')).split('\n').slice(0, -1);
    const edits: string[][] = [
      [lines[0]!.replace('1', '2'), lines[1]!, lines[2]!],
      [lines[1]!, lines[2]!],
      [lines[0]!, lines[2]!],
      [lines[1]!, lines[0]!, lines[2]!],
      [...lines, lines[0]!],
      ['', ...lines],
      [`${lines[0]!} `, lines[1]!],
    ];
    for (const edit of edits) {
      await writeFile(path, `${edit.join('\n')}\n`);
      await expect(ChecksummedLines.resume(dir, FORMAT, ROOT)).rejects.toMatchObject({
        code: 'EVALUATION_MALFORMED',
      });
    }
    await writeFile(path, `${lines.join('\n')}\n`);
    await expect(ChecksummedLines.resume(dir, FORMAT, new Uint8Array(32))).rejects.toMatchObject({
      code: 'EVALUATION_MALFORMED',
    });
  });

  it('does not grow beyond its limit', async () => {
    const dir = await temporaryFolder();
    const lines = ChecksummedLines.begin(dir, { ...FORMAT, maxBytes: 100 }, ROOT);
    await lines.append({ a: 1 });
    await expect(lines.append({ text: 'x'.repeat(40) })).rejects.toMatchObject({
      code: 'EVALUATION_MALFORMED',
    });
    await lines.rest();
  });
});
