/** Builds of circuits/lora_direct.circom and inputs for it. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { buildPoseidon, type Poseidon } from 'circomlibjs';
import { Fr } from '../src/algebra/index.js';

/** LoraDirect(n, r, k): `[inFeatures, rank, outFeatures]`. */
export type DirectShape = readonly [number, number, number];

/** What the circuit was built to; the lock file has the same for some shapes. */
export interface DirectBuild {
  readonly shape: DirectShape;
  readonly weights: number;
  readonly constraints: number;
  readonly wires: number;
  readonly publicSignals: number;
}

/** Files of a build in its folder. */
export const DIRECT_FILES = {
  r1cs: 'lora_direct.r1cs',
  wasm: 'lora_direct.wasm',
  sym: 'lora_direct.sym',
} as const;

/** Weights that one hash of the chain takes. */
const CHUNK = 15;

/** Compiles LoraDirect for a shape into a folder: some ten seconds for the smallest, most of it for circomlib's constants. */
export async function buildDirect(shape: DirectShape, dir: string): Promise<DirectBuild> {
  const root = dirname(createRequire(import.meta.url).resolve('zklora/package.json'));
  const script = join(root, 'scripts/circuits.mjs');
  const { stdout } = await promisify(execFile)(process.execPath, [
    script,
    'direct',
    ...shape.map(String),
    dir,
  ]);
  return JSON.parse(stdout) as DirectBuild;
}

/** Bytes of one of a build's files. */
export async function directFile(dir: string, file: keyof typeof DIRECT_FILES): Promise<Uint8Array> {
  return new Uint8Array(await readFile(join(dir, DIRECT_FILES[file])));
}

/** Weights as integers or elements of F: A and B transposed, row by row. */
export type Weights = Readonly<Record<'a' | 'bT', ArrayLike<number | bigint>>>;

/** Values of all input signals. */
export type DirectInputs = Readonly<Record<'x' | 'y' | 'a' | 'bT', readonly bigint[]>> &
  Readonly<Record<'commitment' | 'salt', bigint>>;

/**
 * Inputs of the circuit for one token.
 *
 * @param x int16, `[inFeatures]`
 * @param y the deltas as integers, `[outFeatures]`
 */
export async function directInputs(
  { a, bT }: Weights,
  x: Int16Array,
  y: BigInt64Array,
  salt: bigint,
): Promise<DirectInputs> {
  const elements = (values: ArrayLike<number | bigint>) =>
    Array.from(values, (value) => Fr.create(BigInt(value)));
  const weights = [...elements(a), ...elements(bT)];
  return {
    x: elements(x),
    y: elements(y),
    a: weights.slice(0, a.length),
    bT: weights.slice(a.length),
    salt,
    commitment: await chain(salt, weights),
  };
}

let loading: Promise<Poseidon> | undefined;

/** h_(i+1) = Poseidon(h_i, 15 weights), zeros after the last weight. */
async function chain(salt: bigint, weights: readonly bigint[]): Promise<bigint> {
  loading ??= buildPoseidon();
  const poseidon = await loading;
  let state = salt;
  for (let at = 0; at < weights.length; at += CHUNK) {
    const chunk = weights.slice(at, at + CHUNK);
    const padding = new Array<bigint>(CHUNK - chunk.length).fill(0n);
    state = poseidon.F.toObject(poseidon([state, ...chunk, ...padding]));
  }
  return state;
}
