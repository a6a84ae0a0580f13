import { join } from 'node:path';
import { type Engine, encodeG2, loadEngine } from '../algebra/index.js';
import { bytesToHex, sha256 } from '../bytes.js';
import { PARAMETER_FILES } from '../circuit/parameterFiles.js';
import { MAX_PARAMETERS_DOMAIN } from '../circuit/parameters.js';
import { CIRCUIT_SIZES, groth16DomainSize } from '../circuit/size.js';
import { ZkLoraError } from '../errors.js';
import { fillNewFolder, requireFreeFolder, writeFileAtomic } from '../files.js';
import { EXTRA_POWERS, encodeSrsPoints } from '../kzg/srs.js';
import { readHistory, readLagrange, readPowers, requireKeyMaterial } from './ptauChecks.js';
import { openPtau, type PtauFile } from './ptauFile.js';
import { type CeremonyState, writeCeremony } from './state.js';
import { serializeTranscript } from './transcript.js';
import { requireSmallFile, requireWholeFile } from './wholeFile.js';

/** What {@link importPowersOfTau} takes. */
export interface ImportOptions {
  /** Prepared .ptau file. */
  readonly ptau: string;
  /** New folder. */
  readonly dir: string;
  /** Evaluation domains; all powers of two from 512 to 32768 that the file allows by default. */
  readonly domains?: readonly number[];
  /** Circuit sizes K that keys shall be made for; all that the file allows by default. */
  readonly pairs?: readonly number[];
  /** Where the file comes from, for the people who read the parameter set; printable ASCII. */
  readonly source?: string;
  /** What is checked: what the set uses, or also everything else in a small file, by snarkjs. */
  readonly extent?: 'used' | 'whole-file';
  readonly onProgress?: (step: string) => void;
}

const MIN_DOMAIN = 512;

/** The widest layers of today's open models have 28,672 features. */
const DEFAULT_MAX_DOMAIN = 32768;

const SOURCE = /^[\x20-\x7e]{0,900}$/;

/**
 * Takes what a parameter set needs out of a powers-of-tau file, checks it and writes a ceremony folder: powers.g1,
 * lagrange-N.g1, transcript.ptau and ceremony.json.
 *
 * Checked: the file's structure; the contributions, which must follow from one another, end at the file's points and
 * include a participant's; every point that is used or that keys are made from, on curve and in subgroup; powers
 * against tau G2, Lagrange bases against powers (randomised, wrong with probability below 2^-100). Not checked: points
 * beyond those, and that contributors destroyed their secrets: one honest contributor among them is enough.
 *
 * @throws ZkLoraError `USAGE` for sizes that the file cannot serve, `PARAMETERS_MALFORMED`, `PARAMETERS_MISMATCH`,
 * `CEREMONY_INCOMPLETE`, `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `FILE_EXISTS`, `FILE_UNWRITABLE`.
 */
export async function importPowersOfTau(options: ImportOptions): Promise<CeremonyState> {
  const { dir, source = '', onProgress = () => undefined } = options;
  if (!SOURCE.test(source)) {
    throw new ZkLoraError('USAGE', 'a source has at most 900 printable ASCII characters');
  }
  await requireFreeFolder(dir);
  const ptau = await openPtau(options.ptau);
  try {
    const domains = chooseDomains(ptau, options.domains);
    const pairs = choosePairs(ptau, options.pairs);
    if (options.extent === 'whole-file') requireSmallFile(ptau);
    const engine = await loadEngine();
    let state: CeremonyState | undefined;
    await fillNewFolder(dir, async (folder) => {
      state = await extract(engine, ptau, { folder, domains, pairs, source, onProgress });
      if (options.extent === 'whole-file') {
        onProgress('whole file, by snarkjs');
        await requireWholeFile(ptau);
      }
    });
    return state!;
  } finally {
    await ptau.close();
  }
}

/**
 * Powers that a set keeps: those of its largest domain, and those by which anybody can check the keys of its circuits
 * without the .ptau file: 2N - 1 for Groth16's domain N.
 */
export function powersNeeded(domains: readonly number[], pairs: readonly number[]): number {
  return Math.max(
    ...domains.map((size) => size + EXTRA_POWERS),
    ...pairs.map((size) => 2 * groth16DomainSize(size) - 1),
  );
}

interface Extraction {
  readonly folder: string;
  readonly domains: readonly number[];
  readonly pairs: readonly number[];
  readonly source: string;
  readonly onProgress: (step: string) => void;
}

async function extract(
  engine: Engine,
  ptau: PtauFile,
  { folder, domains, pairs, source, onProgress }: Extraction,
): Promise<CeremonyState> {
  onProgress('contributions');
  const { after, section } = await readHistory(engine, ptau);
  const write = async (name: string, bytes: Uint8Array): Promise<{ sha256: string }> => {
    await writeFileAtomic(join(folder, name), bytes);
    return { sha256: bytesToHex(sha256(bytes)) };
  };
  const transcript = await write(PARAMETER_FILES.transcript, serializeTranscript(ptau.header, section));

  const count = powersNeeded(domains, pairs);
  onProgress(`${count} powers`);
  const powers = await readPowers(engine, ptau, after, count);
  const powersFile = await write(PARAMETER_FILES.powers, await encodeSrsPoints(engine, powers));
  const domainFiles: { size: number; sha256: string }[] = [];
  for (const size of domains) {
    onProgress(`domain ${size}`);
    const lagrange = await readLagrange(engine, ptau, powers, size);
    const bytes = await encodeSrsPoints(engine, lagrange);
    domainFiles.push({ size, ...(await write(PARAMETER_FILES.lagrange(size), bytes)) });
  }
  const sizes = [...new Set(pairs.map(groth16DomainSize))];
  await requireKeyMaterial(engine, ptau, after, sizes, onProgress);

  const state: CeremonyState = {
    format: 'zklora/ceremony/v1',
    curve: 'bn254',
    tauG2: bytesToHex(encodeG2(after.tauG2)),
    powers: { count, ...powersFile },
    domains: domainFiles,
    transcript,
    source,
    circuits: [],
  };
  await writeCeremony(folder, state);
  return state;
}

function chooseDomains({ power }: PtauFile, wanted?: readonly number[]): number[] {
  const largest = Math.min(2 ** power, MAX_PARAMETERS_DOMAIN);
  const allowed: number[] = [];
  for (let size = MIN_DOMAIN; size <= largest; size *= 2) allowed.push(size);
  const chosen = wanted ?? allowed.filter((size) => size <= DEFAULT_MAX_DOMAIN);
  if (chosen.length > 0 && chosen.every((size) => allowed.includes(size))) return sorted(chosen);
  throw new ZkLoraError(
    'USAGE',
    `a file of power ${power} has no such domains: choose powers of two from ${MIN_DOMAIN} to ${largest}, or a larger file`,
  );
}

function choosePairs({ power }: PtauFile, wanted?: readonly number[]): number[] {
  const allowed = CIRCUIT_SIZES.filter((pairs) => groth16DomainSize(pairs) <= 2 ** power);
  const chosen = wanted ?? allowed;
  if (chosen.length > 0 && chosen.every((pairs) => allowed.includes(pairs))) return sorted(chosen);
  throw new ZkLoraError(
    'USAGE',
    `a file of power ${power} does not serve these circuits: choose out of ${allowed.join(', ')}, or a larger file`,
  );
}

function sorted(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}
