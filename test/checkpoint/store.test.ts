import { spawn } from 'node:child_process';
import { copyFile, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { addToStore, envelopeId, parseEnvelope, readStore } from '../../src/checkpoint/index.js';
import { refusalOf } from '../adapter/refusal.js';
import { BASE, checkpoint, edge, failureCodes, GOOD } from './lineageBuilder.js';
import { temporaryFolder } from './tensorFiles.js';

const FILES = Array.from({ length: 40 }, (_, i) => edge(checkpoint(`n${i}`), 'trained-from', BASE));

describe('the store', () => {
  it('names files by their content and takes each once', async () => {
    const folder = join(await temporaryFolder(), 'new', 'store');
    for (const added of [true, false]) {
      for (const { id, bytes } of GOOD) {
        expect(await addToStore(folder, parseEnvelope(bytes))).toEqual({ id, added });
      }
    }
    const files = await readStore(folder);
    expect(files).toEqual([...GOOD].sort((a, b) => (a.id < b.id ? -1 : 1)));
    for (const { id, bytes } of files) expect(envelopeId(bytes)).toBe(id);
    expect(await failureCodes({ files })).toEqual([]);
  });

  it('takes two writing processes at once', async () => {
    const folder = await temporaryFolder();
    const script = fileURLToPath(new URL('./storeWriter.mjs', import.meta.url));
    const texts = FILES.map(({ bytes }) => new TextDecoder().decode(bytes));
    const writers = [texts, [...texts].reverse()].map(
      (order) =>
        new Promise<number>((resolve, reject) => {
          const child = spawn(process.execPath, [script, folder, ...order], {
            stdio: ['ignore', 'pipe', 'inherit'],
          });
          let output = '';
          child.stdout.on('data', (part: Buffer) => {
            output += part.toString();
          });
          child.on('close', (code) =>
            code === 0 ? resolve(Number(output)) : reject(new Error(`exit ${code}`)),
          );
        }),
    );
    const [first, second] = await Promise.all(writers);
    // every file was new to exactly one of them, and nothing else is left
    expect(first! + second!).toBe(FILES.length);
    expect((await readdir(folder)).sort()).toEqual(FILES.map(({ id }) => `${id}.dsse.json`).sort());
    expect(new Map((await readStore(folder)).map(({ id, bytes }) => [id, bytes]))).toEqual(
      new Map(FILES.map(({ id, bytes }) => [id, bytes])),
    );
  });

  it('takes writers of one process at once', async () => {
    const folder = await temporaryFolder();
    const results = await Promise.all(
      [...FILES, ...FILES].map(({ bytes }) => addToStore(folder, parseEnvelope(bytes))),
    );
    expect(results.filter(({ added }) => added)).toHaveLength(FILES.length);
  });

  it('merges by copying files', async () => {
    const [a, b] = [await temporaryFolder(), await temporaryFolder()];
    await addToStore(a, parseEnvelope(GOOD[0]!.bytes));
    await addToStore(b, parseEnvelope(GOOD[1]!.bytes));
    expect(await failureCodes({ files: await readStore(a) })).toEqual(['missing-parent']);
    for (const name of await readdir(b)) await copyFile(join(b, name), join(a, name));
    expect(await failureCodes({ files: await readStore(a) })).toEqual([]);
  });

  it('reads past damaged, oversized, linked and foreign files', async () => {
    const folder = await temporaryFolder();
    for (const { bytes } of GOOD) await addToStore(folder, parseEnvelope(bytes));
    const name = (digit: string) => join(folder, `${digit.repeat(64)}.dsse.json`);
    await writeFile(name('a'), 'damaged');
    await writeFile(name('b'), new Uint8Array(5 * 2 ** 20));
    await symlink('/etc/hostname', name('c'));
    await mkdir(name('d'));
    await writeFile(join(folder, 'README'), 'x');
    await writeFile(join(folder, `.${'a'.repeat(64)}.dsse.json.0123.tmp`), 'half');
    const files = await readStore(folder);
    expect(files).toHaveLength(GOOD.length + 4);
    expect(await failureCodes({ files })).toEqual([]);
  });

  it('refuses to add over a damaged file, and a folder that is not there', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, `${GOOD[0]!.id}.dsse.json`), 'damaged');
    expect((await refusalOf(addToStore(folder, parseEnvelope(GOOD[0]!.bytes)))).code).toBe(
      'LINEAGE_MALFORMED',
    );
    expect((await refusalOf(readStore(join(folder, 'gone')))).code).toBe('FILE_NOT_FOUND');
  });
});
