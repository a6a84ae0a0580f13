// Builds and checks what lies in circuits/.
//
//   node scripts/circuits.mjs build        write mains, circuits/build/* and circuits.lock.json
//   node scripts/circuits.mjs check        compile in a temporary folder and compare with the lock; changes nothing
//   node scripts/circuits.mjs development  remake fixtures/params/development and record its digests in the lock
//                                          (needs `npm run build`; the keys differ each time, see development.ts)
//   node scripts/circuits.mjs direct N R K DIR
//                                          compile LoraDirect(N, R, K) into DIR: lora_direct.r1cs, .wasm, .sym; prints its
//                                          counts and digests as JSON. For tests and the benchmark; not committed,
//                                          since circomlib's code is in it
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { r1cs as r1csTools } from 'snarkjs';

/** Circuit sizes K. */
const SIZES = [15, 31, 63, 127, 255, 511, 1023, 2047, 4095];
/** Public signals by name, in order; p and q stand for K signals each. */
const SIGNALS = ['y', 'mu', 'b', 'p', 'q'];
const FLAGS = '--O2';
/** Shapes [n, r, k] of LoraDirect whose counts and digests the lock records. */
const DIRECT_SHAPES = [
  [5, 2, 4],
  [16, 2, 16],
];
/** What LoraDirect includes. */
const CIRCOMLIB_FILES = ['poseidon.circom', 'poseidon_constants.circom'];
/** Sizes of the committed development parameters: module and adapter of the fixtures. */
const DEVELOPMENT = { domains: [512, 1024], maxDomain: 1024, pairs: [15, 63, 255] };

const root = fileURLToPath(new URL('..', import.meta.url));
const circuits = join(root, 'circuits');
const lockPath = join(circuits, 'circuits.lock.json');
const developmentDir = join(root, 'fixtures', 'params', 'development');
const require = createRequire(import.meta.url);
const run = promisify(execFile);

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const json = (value) => `${JSON.stringify(value, null, 2)}\n`;
const fail = (message) => {
  throw new Error(message);
};

function mainSource(pairs) {
  return [
    'pragma circom 2.2.0;',
    '',
    '// Written by scripts/circuits.mjs.',
    'include "./rank_check.circom";',
    '',
    `component main {public [${SIGNALS.join(', ')}]} = RankCheck(${pairs});`,
    '',
  ].join('\n');
}

function signalNames(pairs) {
  const array = (name) => Array.from({ length: pairs }, (_, l) => `main.${name}[${l}]`);
  return ['main.y', 'main.mu', 'main.b', ...array('p'), ...array('q')];
}

/** Compiles `name`.circom in `dir`. */
async function compileMain(dir, name) {
  await run(
    process.execPath,
    [require.resolve('circom2/cli.js'), `${name}.circom`, '--r1cs', '--wasm', '--sym', FLAGS, '-o', '.'],
    { cwd: dir },
  );
  return {
    r1cs: await readFile(join(dir, `${name}.r1cs`)),
    wasm: await readFile(join(dir, `${name}_js`, `${name}.wasm`)),
    sym: await readFile(join(dir, `${name}.sym`), 'utf8'),
  };
}

/** Compiles LoraDirect(n, r, k) into `dir`, which may hold other files; returns its entry of the lock. */
async function compileDirect(dir, [n, r, k]) {
  const scratch = await mkdtemp(join(tmpdir(), 'zklora-direct-'));
  try {
    await copyFile(join(circuits, 'lora_direct.circom'), join(scratch, 'lora_direct.circom'));
    const library = join(require.resolve('circomlib/package.json'), '..', 'circuits');
    for (const file of CIRCOMLIB_FILES) await copyFile(join(library, file), join(scratch, file));
    const main = `component main {public [x, y, commitment]} = LoraDirect(${n}, ${r}, ${k});`;
    await writeFile(
      join(scratch, 'main.circom'),
      `pragma circom 2.2.0;\ninclude "./lora_direct.circom";\n${main}\n`,
    );
    const { r1cs, wasm, sym } = await compileMain(scratch, 'main');
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, 'lora_direct.r1cs'), r1cs);
    await writeFile(join(dir, 'lora_direct.wasm'), wasm);
    await writeFile(join(dir, 'lora_direct.sym'), sym);
    const counts = headerOf(r1cs);
    return {
      shape: [n, r, k],
      weights: r * (n + k),
      constraints: counts.getUint32(60, true),
      wires: counts.getUint32(36, true),
      publicSignals: counts.getUint32(40, true) + counts.getUint32(44, true),
      r1csSha256: sha256(r1cs),
      wasmSha256: sha256(wasm),
    };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Section 1 of an r1cs file: u32 32 | R | u32 wires | outputs | public inputs | private inputs | u64 labels | u32 rows. */
function headerOf(r1cs) {
  const view = new DataView(r1cs.buffer, r1cs.byteOffset, r1cs.byteLength);
  for (let at = 12; at < r1cs.length; ) {
    const length = Number(view.getBigUint64(at + 4, true));
    if (view.getUint32(at, true) === 1) return new DataView(view.buffer, view.byteOffset + at + 12, length);
    at += 12 + length;
  }
  return fail('the r1cs file has no header');
}

async function directLock() {
  return inTemporaryFolder(async (dir) => {
    const builds = [];
    for (const shape of DIRECT_SHAPES) {
      const build = await compileDirect(dir, shape);
      process.stderr.write(`lora_direct ${shape.join(' x ')}: ${build.constraints} constraints\n`);
      builds.push(build);
    }
    return {
      library: { package: 'circomlib', version: require('circomlib/package.json').version },
      sourceSha256: sha256(await readFile(join(circuits, 'lora_direct.circom'))),
      builds,
    };
  });
}

async function direct([n, r, k, dir]) {
  const shape = [n, r, k].map(Number);
  if (dir === undefined || !shape.every((size) => Number.isInteger(size) && size > 0)) {
    fail('usage: node scripts/circuits.mjs direct N R K DIR');
  }
  process.stdout.write(`${JSON.stringify(await compileDirect(dir, shape))}\n`);
}

/**
 * Compiles all sizes in `dir`, which must hold the sources: circom2 reads nothing outside its working
 * directory and follows no link.
 */
async function compile(dir) {
  const entries = [];
  for (const pairs of SIZES) {
    const name = `rank_check_${pairs}`;
    const { r1cs, wasm, sym } = await compileMain(dir, name);
    const shape = await checkShape(pairs, r1cs, sym);
    entries.push({
      name,
      r1cs,
      wasm,
      lock: { ...shape, r1csSha256: sha256(r1cs), wasmSha256: sha256(wasm) },
    });
    process.stderr.write(`${name}: ${shape.constraints} constraints\n`);
  }
  return entries;
}

/** Number of constraints, no private input and no output, and the order of the public signals. */
async function checkShape(pairs, r1cs, sym) {
  const system = await r1csTools.exportJson(new Uint8Array(r1cs));
  const publicSignals = 2 * pairs + 3;
  if (system.nConstraints !== pairs + 2) {
    fail(`RankCheck(${pairs}) has ${system.nConstraints} constraints, expected ${pairs + 2}`);
  }
  if (system.nOutputs !== 0 || system.nPrvInputs !== 0 || system.nPubInputs !== publicSignals) {
    fail(`RankCheck(${pairs}) has other inputs or outputs than ${publicSignals} public inputs`);
  }
  // a line of the .sym file: label, wire (-1 if eliminated), component, name
  const byLabel = new Map(
    sym
      .trim()
      .split('\n')
      .map((line) => [Number(line.split(',')[0]), line.split(',')[3]]),
  );
  for (const [i, name] of signalNames(pairs).entries()) {
    const found = byLabel.get(Number(system.map[i + 1]));
    if (found !== name) fail(`RankCheck(${pairs}): public signal ${i} is ${found}, expected ${name}`);
  }
  return { pairs, constraints: system.nConstraints, wires: system.nVars, publicSignals };
}

function lockOf(source, entries, direct, development) {
  return {
    format: 'zklora/circuits/v1',
    compiler: { package: 'circom2', version: require('circom2/package.json').version, flags: FLAGS },
    signalOrder: SIGNALS.map((name) => (name === 'p' || name === 'q' ? `${name}[0..K-1]` : name)).join(', '),
    sourceSha256: sha256(source),
    circuits: entries.map((entry) => entry.lock),
    direct,
    ...(development === undefined ? {} : { development }),
  };
}

async function readLock() {
  return existsSync(lockPath) ? JSON.parse(await readFile(lockPath, 'utf8')) : undefined;
}

async function inTemporaryFolder(body) {
  const dir = await mkdtemp(join(tmpdir(), 'zklora-circuits-'));
  try {
    await copyFile(join(circuits, 'rank_check.circom'), join(dir, 'rank_check.circom'));
    for (const pairs of SIZES) await writeFile(join(dir, `rank_check_${pairs}.circom`), mainSource(pairs));
    return await body(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function replaceFile(path, data) {
  await writeFile(`${path}.tmp`, data);
  await rename(`${path}.tmp`, path);
}

async function build() {
  const source = await readFile(join(circuits, 'rank_check.circom'));
  await inTemporaryFolder(async (dir) => {
    const entries = await compile(dir);
    await mkdir(join(circuits, 'build'), { recursive: true });
    for (const { name, r1cs, wasm, lock } of entries) {
      await replaceFile(join(circuits, `${name}.circom`), mainSource(lock.pairs));
      await replaceFile(join(circuits, 'build', `${name}.r1cs`), r1cs);
      await replaceFile(join(circuits, 'build', `${name}.wasm`), wasm);
    }
    await replaceFile(
      lockPath,
      json(lockOf(source, entries, await directLock(), (await readLock())?.development)),
    );
  });
}

async function check() {
  const lock = (await readLock()) ?? fail('circuits.lock.json is missing; run the build command');
  const source = await readFile(join(circuits, 'rank_check.circom'));
  await inTemporaryFolder(async (dir) => {
    const entries = await compile(dir);
    const expected = json(lockOf(source, entries, await directLock(), lock.development));
    if (expected !== (await readFile(lockPath, 'utf8'))) {
      fail('the compiled circuits differ from circuits.lock.json; if that is meant, run the build command');
    }
    for (const { name, r1cs, wasm, lock } of entries) {
      const same = async (path, bytes) => {
        if (!(await readFile(path)).equals(Buffer.from(bytes))) fail(`${path} differs from a fresh build`);
      };
      await same(join(circuits, `${name}.circom`), mainSource(lock.pairs));
      await same(join(circuits, 'build', `${name}.r1cs`), r1cs);
      await same(join(circuits, 'build', `${name}.wasm`), wasm);
    }
  });
  await checkDevelopment(lock);
}

/** Digests of the committed development keys against the lock. */
async function checkDevelopment(lock) {
  for (const { pairs, zkeySha256, vkeySha256 } of lock.development?.circuits ?? []) {
    for (const [extension, digest] of [
      ['zkey', zkeySha256],
      ['vkey', vkeySha256],
    ]) {
      const path = join(developmentDir, `rank_check_${pairs}.${extension}`);
      if (sha256(await readFile(path)) !== digest) fail(`${path} differs from circuits.lock.json`);
    }
  }
}

async function development() {
  const circuit = await import(pathToFileURL(join(root, 'dist', 'src', 'circuit', 'index.js')).href);
  const algebra = await import(pathToFileURL(join(root, 'dist', 'src', 'algebra', 'index.js')).href);
  const lock = (await readLock()) ?? fail('circuits.lock.json is missing; run the build command');
  const next = `${developmentDir}.new`;
  await rm(next, { recursive: true, force: true });
  const engine = await algebra.loadEngine();
  try {
    const set = await circuit.makeDevelopmentParameters({
      ...DEVELOPMENT,
      dir: next,
      onProgress: (step) => process.stderr.write(`${step}\n`),
    });
    await rm(developmentDir, { recursive: true, force: true });
    await rename(next, developmentDir);
    lock.development = {
      parameterSet: circuit.parameterSetId(set),
      circuits: set.circuits.map(({ pairs, zkeySha256, vkeySha256 }) => ({ pairs, zkeySha256, vkeySha256 })),
    };
    await replaceFile(lockPath, json(lock));
  } finally {
    await engine.terminate();
  }
}

const commands = { build, check, development, direct };
const command = commands[process.argv[2] ?? ''];
if (command === undefined) {
  process.stderr.write('usage: node scripts/circuits.mjs build|check|development|direct\n');
  process.exitCode = 2;
} else {
  try {
    await command(process.argv.slice(3));
  } catch (error) {
    process.stderr.write(`circuits: ${error.message}\n`);
    process.exitCode = 1;
  } finally {
    // snarkjs leaves its worker threads running
    await globalThis.curve_bn128?.terminate();
  }
}
