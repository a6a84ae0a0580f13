import { join } from 'node:path';
import { zKey } from 'snarkjs';
import {
  type Engine,
  encodeG2,
  type G2Point,
  loadEngine,
  scalarFromWideBytes,
  vectorFromScalars,
} from '../algebra/index.js';
import { bytesToHex, labelledSha256, sha256, u32, utf8ToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { fillNewFolder, requireFreeFolder, writeFileAtomic } from '../files.js';
import { multiplyGenerator } from '../kzg/fixedBase.js';
import { EXTRA_POWERS, encodeSrsPoints, srsFromSecret, srsIsConsistent } from '../kzg/srs.js';
import { circuitBuild, circuitR1cs } from './circuitFiles.js';
import { PARAMETER_FILES } from './parameterFiles.js';
import {
  type CircuitFiles,
  type Contribution,
  MAX_PARAMETERS_DOMAIN,
  type ParameterSet,
  parseParameterSet,
} from './parameters.js';
import { type PhaseOneSecrets, ptauFromSecrets } from './ptau.js';
import { groth16DomainSize } from './size.js';
import { parseVerificationKey } from './verificationKey.js';
import { exportVerificationKey } from './zkey.js';

/** What {@link makeDevelopmentParameters} makes. */
export interface DevelopmentOptions {
  /** New folder. */
  readonly dir: string;
  /** Largest evaluation domain, a power of two from 512 on. */
  readonly maxDomain: number;
  /** Evaluation domains; all powers of two from 512 to `maxDomain` by default. */
  readonly domains?: readonly number[];
  /** Circuit sizes K. */
  readonly pairs: readonly number[];
  /** Everything follows from it: equal options give equal files. */
  readonly seed?: string;
  readonly onProgress?: (step: string) => void;
}

/** Seed of the committed development set. */
export const DEVELOPMENT_SEED = 'zklora development parameters 1';

const SECRET_LABEL = 'zklora/development-secret/v1';

/** Seeds are repeated in params.json. */
const SEED = /^[\x20-\x7e]{1,128}$/;

/** log2 of the hash iterations of the beacon, the least that snarkjs allows: here it adds no security. */
const BEACON_ITERATIONS_EXPONENT = 10;

const MIN_DOMAIN = 512;

/**
 * Makes a parameter set of kind `development`: tau, alpha, beta and delta follow from a seed, so that anybody who
 * knows the seed can forge proofs and open commitments to anything.
 *
 * Phase 2 is one beacon contribution derived from the seed, so delta differs from gamma and the keys, like
 * everything else, are reproducible. Each key is verified against constraint system and powers.
 *
 * @throws ZkLoraError `USAGE` for sizes that cannot be made, `FILE_EXISTS`, `FILE_UNWRITABLE`.
 */
export async function makeDevelopmentParameters(options: DevelopmentOptions): Promise<ParameterSet> {
  const { dir, maxDomain, seed = DEVELOPMENT_SEED, onProgress = () => undefined } = options;
  const domains = sizes(options.domains ?? powersOfTwo(MIN_DOMAIN, maxDomain));
  const pairs = sizes(options.pairs);
  requireSizes(maxDomain, domains, pairs);
  if (!SEED.test(seed)) throw new ZkLoraError('USAGE', 'a seed has 1 to 128 printable ASCII characters');
  // what can be refused is refused before any work is done
  for (const size of pairs) await circuitBuild(size);
  await requireFreeFolder(dir);

  const engine = await loadEngine();
  const secrets = secretsFromSeed(seed);
  const files = new Map<string, Uint8Array>();
  const srs = await makeSrs(engine, secrets.tau, maxDomain, domains, files, onProgress);
  const { circuits, contributions } = await makeKeys(engine, secrets, seed, pairs, files, onProgress);
  const set: ParameterSet = {
    format: 'zklora/params/v1',
    kind: 'development',
    curve: 'bn254',
    ...srs,
    circuits,
    source: `known secret from the seed "${seed}"`,
    contributions,
  };
  const description = `${JSON.stringify(set, null, 2)}\n`;
  parseParameterSet(description);
  await fillNewFolder(dir, async (folder) => {
    for (const [name, bytes] of files) await writeFileAtomic(join(folder, name), bytes);
    await writeFileAtomic(join(folder, PARAMETER_FILES.description), description);
  });
  return set;
}

async function makeSrs(
  engine: Engine,
  tau: bigint,
  maxDomain: number,
  domains: readonly number[],
  files: Map<string, Uint8Array>,
  onProgress: (step: string) => void,
): Promise<Pick<ParameterSet, 'tauG2' | 'powers' | 'domains'>> {
  const tauG2 = (await multiplyGenerator(engine, 'G2', vectorFromScalars(engine, [tau]))) as G2Point;
  const digests: { size: number; sha256: string }[] = [];
  let powers = new Uint8Array();
  for (const size of new Set([...domains, maxDomain])) {
    onProgress(`domain ${size}`);
    const srs = await srsFromSecret(engine, tau, size);
    if (!(await srsIsConsistent(engine, srs, tauG2))) throw inconsistent(`domain ${size}`);
    if (size === maxDomain) powers = new Uint8Array(await encodeSrsPoints(engine, srs.powers));
    if (!domains.includes(size)) continue;
    const lagrange = await encodeSrsPoints(engine, srs.lagrange);
    files.set(PARAMETER_FILES.lagrange(size), lagrange);
    digests.push({ size, sha256: digest(lagrange) });
  }
  files.set(PARAMETER_FILES.powers, powers);
  return {
    tauG2: bytesToHex(encodeG2(tauG2)),
    powers: { count: maxDomain + EXTRA_POWERS, sha256: digest(powers) },
    domains: digests,
  };
}

async function makeKeys(
  engine: Engine,
  secrets: PhaseOneSecrets,
  seed: string,
  pairs: readonly number[],
  files: Map<string, Uint8Array>,
  onProgress: (step: string) => void,
): Promise<{ circuits: CircuitFiles[]; contributions: Contribution[] }> {
  onProgress('powers of tau');
  const ptau = await ptauFromSecrets(engine, secrets, Math.log2(groth16DomainSize(pairs.at(-1)!)));
  const circuits: CircuitFiles[] = [];
  const contributions: Contribution[] = [];
  for (const size of pairs) {
    onProgress(`keys for ${size} pairs`);
    const r1cs = await circuitR1cs(size);
    const { zkey, contribution } = await makeKey(r1cs, ptau, size, seed);
    const vkey = exportVerificationKey(zkey, size);
    parseVerificationKey(vkey, size);
    files.set(PARAMETER_FILES.zkey(size), zkey);
    files.set(PARAMETER_FILES.vkey(size), vkey);
    const { constraints, r1csSha256, wasmSha256 } = await circuitBuild(size);
    circuits.push({
      pairs: size,
      constraints,
      r1csSha256,
      wasmSha256,
      zkeySha256: digest(zkey),
      vkeySha256: digest(vkey),
    });
    contributions.push(contribution);
  }
  return { circuits, contributions };
}

async function makeKey(
  r1cs: Uint8Array,
  ptau: Uint8Array,
  pairs: number,
  seed: string,
): Promise<{ zkey: Uint8Array; contribution: Contribution }> {
  const name = 'development beacon';
  const beacon = labelledSha256(SECRET_LABEL, utf8ToBytes('delta'), u32(pairs), utf8ToBytes(seed));
  const bare: { type: 'mem'; data?: Uint8Array } = { type: 'mem' };
  const after: { type: 'mem'; data?: Uint8Array } = { type: 'mem' };
  const circuitHash = await zKey.newZKey(r1cs, ptau, bare);
  if (circuitHash === -1) throw inconsistent(`setup for ${pairs} pairs`);
  const hash = await zKey.beacon(bare.data!, after, name, bytesToHex(beacon), BEACON_ITERATIONS_EXPONENT);
  const zkey = after.data!;
  if (hash === false || !(await zKey.verifyFromR1cs(r1cs, ptau, zkey))) {
    throw inconsistent(`key for ${pairs} pairs`);
  }
  return { zkey, contribution: { phase: 'phase2', pairs, kind: 'beacon', name, hash: bytesToHex(hash) } };
}

function secretsFromSeed(seed: string): PhaseOneSecrets {
  const scalar = (name: string): bigint => {
    const half = (i: number) => labelledSha256(SECRET_LABEL, utf8ToBytes(name), u32(i), utf8ToBytes(seed));
    return scalarFromWideBytes(Uint8Array.of(...half(0), ...half(1)));
  };
  return { tau: scalar('tau'), alpha: scalar('alpha'), beta: scalar('beta') };
}

function requireSizes(maxDomain: number, domains: readonly number[], pairs: readonly number[]): void {
  const validDomain = (size: number) =>
    Number.isInteger(Math.log2(size)) && size >= MIN_DOMAIN && size <= MAX_PARAMETERS_DOMAIN;
  if (
    !validDomain(maxDomain) ||
    domains.length === 0 ||
    !domains.every((size) => validDomain(size) && size <= maxDomain)
  ) {
    throw new ZkLoraError(
      'USAGE',
      `evaluation domains must be powers of two from ${MIN_DOMAIN} to ${MAX_PARAMETERS_DOMAIN}, none above the maximum`,
    );
  }
  if (pairs.length === 0) throw new ZkLoraError('USAGE', 'name at least one circuit size');
}

function sizes(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

function powersOfTwo(from: number, to: number): number[] {
  const values: number[] = [];
  for (let size = from; size <= to; size *= 2) values.push(size);
  return values;
}

function digest(bytes: Uint8Array): string {
  return bytesToHex(sha256(bytes));
}

function inconsistent(what: string): ZkLoraError {
  return new ZkLoraError('INTERNAL', `development parameters: ${what} is inconsistent`);
}
