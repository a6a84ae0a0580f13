import { join } from 'node:path';
import { loadEngine, runningEngine } from '../algebra/index.js';
import { G1_BYTES } from '../algebra/points.js';
import { ZkLoraError } from '../errors.js';
import { readFileBounded } from '../files.js';
import { decodeSrs, type ProverSrs } from '../kzg/srs.js';
import { circuitBuild } from './circuitFiles.js';
import {
  circuitFiles,
  MAX_PARAMETERS_JSON,
  type ParameterSet,
  parameterSetId,
  parseParameterSet,
  requireDigest,
  verificationKeyOf,
} from './parameters.js';
import { type VerificationKey, verificationKeyBytes } from './verificationKey.js';
import { matchesVerificationKey } from './zkey.js';

/** A parameter set in a folder. Every load reads the file anew and checks it against params.json. */
export interface ParameterStore {
  readonly set: ParameterSet;
  /** Id of the set, see `parameterSetId`. */
  readonly id: string;
  /** Points of one evaluation domain. Starts the engine if it is not running. */
  srs(domainSize: number): Promise<ProverSrs>;
  /** Proving key of RankCheck(K), a snarkjs .zkey. */
  zkey(pairs: number): Promise<Uint8Array>;
  /** Verification key of RankCheck(K). */
  vkey(pairs: number): Promise<VerificationKey>;
}

/** Names of a set's files. */
export const PARAMETER_FILES = {
  description: 'params.json',
  powers: 'powers.g1',
  transcript: 'transcript.ptau',
  lagrange: (domainSize: number) => `lagrange-${domainSize}.g1`,
  zkey: (pairs: number) => `rank_check_${pairs}.zkey`,
  vkey: (pairs: number) => `rank_check_${pairs}.vkey`,
} as const;

/** The key for K = 4095 has 6 MB, and each contribution adds half a kB. */
export const MAX_ZKEY_BYTES = 16 * 2 ** 20;

/**
 * Opens a folder with params.json, powers.g1, lagrange-N.g1, rank_check_K.zkey and rank_check_K.vkey.
 *
 * Reads params.json only. Its methods read a file when it is first asked for and keep what they made of it. They throw `PARAMETERS_MISMATCH` for a file whose digest is not the one in
 * params.json and for a size that the set does not have, `PARAMETERS_MALFORMED` for a key that must not be used,
 * `FILE_NOT_FOUND` and `FILE_UNREADABLE`.
 *
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `PARAMETERS_MALFORMED`, and `PARAMETERS_MISMATCH` for
 * a set made for another build of the circuits.
 */
export async function openParameters(dir: string): Promise<ParameterStore> {
  const description = await read(dir, PARAMETER_FILES.description, MAX_PARAMETERS_JSON);
  const set = parseParameterSet(new TextDecoder().decode(description));
  for (const circuit of set.circuits) await requireSameBuild(circuit);

  const vkey = kept(async (pairs): Promise<VerificationKey> => {
    circuitFiles(set, pairs);
    const bytes = await read(dir, PARAMETER_FILES.vkey(pairs), verificationKeyBytes(pairs));
    return verificationKeyOf(set, pairs, bytes, runningEngine());
  });

  const zkey = kept(async (pairs): Promise<Uint8Array> => {
    const { zkeySha256 } = circuitFiles(set, pairs);
    const file = PARAMETER_FILES.zkey(pairs);
    const bytes = await read(dir, file, MAX_ZKEY_BYTES);
    requireDigest(file, bytes, zkeySha256);
    if (!matchesVerificationKey(bytes, await vkey(pairs))) {
      throw new ZkLoraError(
        'PARAMETERS_MISMATCH',
        `${file} and ${PARAMETER_FILES.vkey(pairs)} are not of one key pair; use another parameter set`,
      );
    }
    return bytes;
  });

  const srs = kept(async (domainSize): Promise<ProverSrs> => {
    const domain = set.domains.find(({ size }) => size === domainSize);
    if (domain === undefined) {
      const sizes = set.domains.map(({ size }) => size).join(', ');
      throw new ZkLoraError(
        'PARAMETERS_MISMATCH',
        `the parameter set has no domain of ${domainSize} points (it has ${sizes}); use a larger set`,
      );
    }
    const lagrangeFile = PARAMETER_FILES.lagrange(domainSize);
    const lagrange = await read(dir, lagrangeFile, domainSize * G1_BYTES);
    requireDigest(lagrangeFile, lagrange, domain.sha256);
    const powers = await read(dir, PARAMETER_FILES.powers, set.powers.count * G1_BYTES);
    requireDigest(PARAMETER_FILES.powers, powers, set.powers.sha256);
    return decodeSrs(await loadEngine(), domainSize, powers, lagrange);
  });

  return { set, id: parameterSetId(set), srs, zkey, vkey };
}

/** Loads each size once; what failed is tried again. All sizes of a set together are some 30 MB. */
function kept<T>(load: (size: number) => Promise<T>): (size: number) => Promise<T> {
  const known = new Map<number, Promise<T>>();
  return (size) => {
    let loaded = known.get(size);
    if (!loaded) {
      loaded = load(size).catch((error: unknown) => {
        known.delete(size);
        throw error;
      });
      known.set(size, loaded);
    }
    return loaded;
  };
}

async function requireSameBuild(circuit: ParameterSet['circuits'][number]): Promise<void> {
  const build = await circuitBuild(circuit.pairs);
  if (build.r1csSha256 === circuit.r1csSha256 && build.wasmSha256 === circuit.wasmSha256) return;
  throw new ZkLoraError(
    'PARAMETERS_MISMATCH',
    `the parameter set was made for another build of RankCheck(${circuit.pairs}); use a set made for this version`,
  );
}

async function read(dir: string, file: string, maxBytes: number): Promise<Uint8Array> {
  try {
    return await readFileBounded(join(dir, file), maxBytes, 'parameter set');
  } catch (error) {
    if (!(error instanceof ZkLoraError) || error.code !== 'FILE_NOT_FOUND') throw error;
    throw new ZkLoraError(
      'FILE_NOT_FOUND',
      `${join(dir, file)} is missing; give the folder of a complete parameter set (params.json lists its files)`,
      { cause: error, details: error.details },
    );
  }
}
