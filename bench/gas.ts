/**
 * Gas of every call of AdapterEscrow: `node dist/bench/gas.js [--check]`.
 *
 * Writes bench/results/gas.json. Gas does not depend on the machine; --check fails where the file says something else.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measureGas } from './gasTable.js';

const FILE = fileURLToPath(new URL('../../bench/results/gas.json', import.meta.url));

/** Domain sizes N of the disputed rows, all of full length. */
const SIZES = [512, 1024, 2048, 4096, 8192, 16384];

const text = `${JSON.stringify(await measureGas(SIZES), null, 2)}\n`;
if (process.argv.includes('--check')) {
  if ((await readFile(FILE, 'utf8')) !== text) {
    process.stderr.write('bench/results/gas.json differs: run npm run bench:gas\n');
    process.exitCode = 1;
  }
} else {
  await mkdir(dirname(FILE), { recursive: true });
  await writeFile(FILE, text);
  process.stdout.write(text);
}
