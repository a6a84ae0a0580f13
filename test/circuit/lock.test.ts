import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { bytesToHex, sha256 } from '../../src/bytes.js';
import { circuitBuild, circuitR1cs, witnessWasm } from '../../src/circuit/circuitFiles.js';
import { openParameters } from '../../src/circuit/parameterFiles.js';
import { CIRCUIT_SIZES } from '../../src/circuit/size.js';
import { codeOf, DEVELOPMENT_DIR } from './helpers.js';

const circuits = fileURLToPath(new URL('../../circuits', import.meta.url));

async function readLock() {
  return JSON.parse(await readFile(join(circuits, 'circuits.lock.json'), 'utf8'));
}

async function digestOf(path: string): Promise<string> {
  return bytesToHex(sha256(await readFile(path)));
}

describe('circuits.lock.json', () => {
  test('names the compiler that is installed, its flags and the signal order', async () => {
    const { version } = createRequire(import.meta.url)('circom2/package.json');
    expect(await readLock()).toMatchObject({
      format: 'zklora/circuits/v1',
      compiler: { package: 'circom2', version, flags: '--O2' },
      signalOrder: 'y, mu, b, p[0..K-1], q[0..K-1]',
    });
  });

  test('names the compiler that package.json pins', async () => {
    const { compiler } = await readLock();
    const { devDependencies } = JSON.parse(
      await readFile(fileURLToPath(new URL('../../package.json', import.meta.url)), 'utf8'),
    );
    expect(devDependencies[compiler.package]).toBe(compiler.version);
  });

  test('names the library of the direct circuit that package.json pins, and its source', async () => {
    const { direct } = await readLock();
    const { devDependencies } = JSON.parse(
      await readFile(fileURLToPath(new URL('../../package.json', import.meta.url)), 'utf8'),
    );
    expect(direct.library).toEqual({ package: 'circomlib', version: devDependencies.circomlib });
    expect(direct.sourceSha256).toBe(await digestOf(join(circuits, 'lora_direct.circom')));
  });

  test('lists every size with its counts, and the source', async () => {
    const lock = await readLock();
    expect(lock.sourceSha256).toBe(await digestOf(join(circuits, 'rank_check.circom')));
    expect(lock.circuits).toEqual(
      CIRCUIT_SIZES.map((pairs) => ({
        pairs,
        constraints: pairs + 2,
        wires: 3 * pairs + 5,
        publicSignals: 2 * pairs + 3,
        r1csSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        wasmSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      })),
    );
  });

  test('the folder holds one main per size, with the public signals in order, and no other circuit', async () => {
    const mains = (await readdir(circuits)).filter((name) => name.endsWith('.circom')).sort();
    expect(mains).toEqual(
      [
        'lora_direct.circom',
        'rank_check.circom',
        ...CIRCUIT_SIZES.map((pairs) => `rank_check_${pairs}.circom`),
      ].sort(),
    );
    for (const pairs of CIRCUIT_SIZES) {
      const source = await readFile(join(circuits, `rank_check_${pairs}.circom`), 'utf8');
      expect(source).toContain(`component main {public [y, mu, b, p, q]} = RankCheck(${pairs});`);
    }
  });

  test.each(CIRCUIT_SIZES)('builds for K = %i have the digests of the lock', async (pairs) => {
    const { r1csSha256, wasmSha256 } = await circuitBuild(pairs);
    expect(bytesToHex(sha256(await circuitR1cs(pairs)))).toBe(r1csSha256);
    expect(bytesToHex(sha256(await witnessWasm(pairs)))).toBe(wasmSha256);
  });

  test.each([0, 14, 16, 8191, -1, 1.5, Number.NaN])('there is no build for K = %d', async (pairs) => {
    expect(await codeOf(() => witnessWasm(pairs))).toBe('PARAMETERS_MISMATCH');
    expect(await codeOf(() => circuitR1cs(pairs))).toBe('PARAMETERS_MISMATCH');
  });

  test('repeats id and key digests of the development set', async () => {
    const { development } = await readLock();
    const store = await openParameters(DEVELOPMENT_DIR);
    expect(development.parameterSet).toBe(store.id);
    expect(development.circuits).toEqual(
      store.set.circuits.map(({ pairs, zkeySha256, vkeySha256 }) => ({ pairs, zkeySha256, vkeySha256 })),
    );
    for (const { pairs, zkeySha256, vkeySha256 } of development.circuits) {
      expect(await digestOf(join(DEVELOPMENT_DIR, `rank_check_${pairs}.zkey`))).toBe(zkeySha256);
      expect(await digestOf(join(DEVELOPMENT_DIR, `rank_check_${pairs}.vkey`))).toBe(vkeySha256);
    }
  });
});
