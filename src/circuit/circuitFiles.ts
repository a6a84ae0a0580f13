import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { bytesToHex } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { readFileBounded } from '../files.js';
import { sha256Of } from '../sha256.js';

/** Build of one circuit size, as circuits/circuits.lock.json pins it. */
export interface CircuitBuild {
  /** K. */
  readonly pairs: number;
  readonly constraints: number;
  readonly wires: number;
  readonly publicSignals: number;
  /** SHA-256, hex. */
  readonly r1csSha256: string;
  readonly wasmSha256: string;
}

/** The lock file has nine sizes and is under 4 kB. */
const MAX_LOCK_BYTES = 2 ** 16;

/** The largest file, the constraint system for K = 4095, has 0.74 MB. */
const MAX_BUILD_BYTES = 2 ** 22;

const lockSchema = z.object({
  format: z.literal('zklora/circuits/v1'),
  circuits: z.array(
    z.object({
      pairs: z.int(),
      constraints: z.int(),
      wires: z.int(),
      publicSignals: z.int(),
      r1csSha256: z.string(),
      wasmSha256: z.string(),
    }),
  ),
});

let locked: Promise<ReadonlyMap<number, CircuitBuild>> | undefined;

/**
 * The build that this version of the package uses for RankCheck(K).
 *
 * @throws ZkLoraError `PARAMETERS_MISMATCH` for a size that is not built.
 */
export async function circuitBuild(pairs: number): Promise<CircuitBuild> {
  locked ??= readLock().catch((error: unknown) => {
    locked = undefined;
    throw error;
  });
  const build = (await locked).get(pairs);
  if (build === undefined) {
    throw new ZkLoraError(
      'PARAMETERS_MISMATCH',
      `there is no circuit for ${pairs} pairs; use one of the built sizes`,
    );
  }
  return build;
}

/**
 * Witness program of RankCheck(K), WebAssembly, from circuits/build.
 *
 * @throws ZkLoraError `PARAMETERS_MISMATCH` if the file is not the one that the lock names, `FILE_NOT_FOUND`.
 */
export async function witnessWasm(pairs: number): Promise<Uint8Array> {
  const { wasmSha256 } = await circuitBuild(pairs);
  return readBuild(`rank_check_${pairs}.wasm`, wasmSha256);
}

/**
 * Constraint system of RankCheck(K) in the .r1cs format, from circuits/build.
 *
 * @throws ZkLoraError `PARAMETERS_MISMATCH` if the file is not the one that the lock names, `FILE_NOT_FOUND`.
 */
export async function circuitR1cs(pairs: number): Promise<Uint8Array> {
  const { r1csSha256 } = await circuitBuild(pairs);
  return readBuild(`rank_check_${pairs}.r1cs`, r1csSha256);
}

async function readBuild(name: string, expected: string): Promise<Uint8Array> {
  const path = join(await circuitsFolder(), 'build', name);
  const bytes = await readFileBounded(path, MAX_BUILD_BYTES, 'circuit build');
  if (bytesToHex(sha256Of(bytes)) !== expected) {
    throw new ZkLoraError(
      'PARAMETERS_MISMATCH',
      `${path} differs from circuits.lock.json; reinstall the package`,
    );
  }
  return bytes;
}

async function readLock(): Promise<ReadonlyMap<number, CircuitBuild>> {
  const path = join(await circuitsFolder(), LOCK_NAME);
  const bytes = await readFileBounded(path, MAX_LOCK_BYTES, 'circuit lock');
  try {
    const lock = lockSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
    return new Map(lock.circuits.map((circuit) => [circuit.pairs, circuit]));
  } catch (cause) {
    throw new ZkLoraError('PARAMETERS_MALFORMED', `${path} is not a circuit lock; reinstall the package`, {
      cause,
    });
  }
}

const LOCK_NAME = 'circuits.lock.json';

/** circuits/ lies at the package root: three levels above dist/src/circuit, two above src/circuit. */
async function circuitsFolder(): Promise<string> {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let level = 0; level < 3; level++) {
    folder = dirname(folder);
    const candidate = join(folder, 'circuits');
    const found = await readFileBounded(join(candidate, LOCK_NAME), MAX_LOCK_BYTES, 'circuit lock').catch(
      () => null,
    );
    if (found !== null) return candidate;
  }
  throw new ZkLoraError('FILE_NOT_FOUND', 'circuits/circuits.lock.json is not in the package; reinstall it');
}
