import { join } from 'node:path';
import { z } from 'zod';
import {
  HASH_FIELD,
  MAX_PARAMETERS_JSON,
  PAIRS_FIELD,
  type ParameterSet,
  parseDescription,
  pointsInconsistency,
  SHARED_FIELDS,
} from '../circuit/parameters.js';
import { CIRCUIT_SIZES } from '../circuit/size.js';
import { ZkLoraError } from '../errors.js';
import { readFileBounded, writeFileAtomic } from '../files.js';

/** Name of the state's file; a folder that has it, and no params.json, is an unfinished ceremony. */
export const CEREMONY_FILE = 'ceremony.json';

/** The points of a parameter set, as its description names them. */
export type PointsDescription = Pick<ParameterSet, 'curve' | 'tauG2' | 'powers' | 'domains'> & {
  readonly transcript: { readonly sha256: string };
};

/** An imported powers-of-tau file on its way to a parameter set: ceremony.json. */
export interface CeremonyState extends PointsDescription {
  readonly format: 'zklora/ceremony/v1';
  /** Where the powers come from, in the words of the person who imported them. */
  readonly source: string;
  /** Circuits of phase 2, ascending; empty before it starts. */
  readonly circuits: readonly {
    /** K. */
    readonly pairs: number;
    /** snarkjs's circuit hash: digest of the key before the first contribution, BLAKE2b-512, hex. */
    readonly circuitHash: string;
  }[];
}

const schema = z.strictObject({
  format: z.literal('zklora/ceremony/v1'),
  ...SHARED_FIELDS,
  circuits: z
    .array(z.strictObject({ pairs: PAIRS_FIELD, circuitHash: HASH_FIELD }))
    .max(CIRCUIT_SIZES.length),
}) satisfies z.ZodType<CeremonyState>;

/**
 * Reads ceremony.json.
 *
 * @throws ZkLoraError `PARAMETERS_MALFORMED`.
 */
export function parseCeremonyState(json: string): CeremonyState {
  const state = parseDescription(json, schema, malformed);
  const reason = pointsInconsistency(state);
  if (reason !== null) throw malformed(reason);
  if (!state.circuits.every(({ pairs }, i, all) => i === 0 || pairs > all[i - 1]!.pairs)) {
    throw malformed('circuits are not ascending');
  }
  return state;
}

/**
 * Reads the state of the ceremony in a folder.
 *
 * @throws ZkLoraError `PARAMETERS_MALFORMED`, `FILE_NOT_FOUND`, `FILE_UNREADABLE`.
 */
export async function readCeremony(dir: string): Promise<CeremonyState> {
  const path = join(dir, CEREMONY_FILE);
  try {
    const bytes = await readFileBounded(path, MAX_PARAMETERS_JSON, 'ceremony');
    return parseCeremonyState(new TextDecoder().decode(bytes));
  } catch (error) {
    if (!(error instanceof ZkLoraError) || error.code !== 'FILE_NOT_FOUND') throw error;
    throw new ZkLoraError(
      'FILE_NOT_FOUND',
      `${path} is missing: give the folder of an unfinished ceremony (zklora params import makes one)`,
      { cause: error, details: error.details },
    );
  }
}

/** Writes ceremony.json, replacing an older one. */
export async function writeCeremony(dir: string, state: CeremonyState): Promise<void> {
  await writeFileAtomic(join(dir, CEREMONY_FILE), `${JSON.stringify(state, null, 2)}\n`, { overwrite: true });
}

/** @throws ZkLoraError `USAGE` before phase 2 has started. */
export function requireStarted(state: CeremonyState, dir: string): void {
  if (state.circuits.length > 0) return;
  throw new ZkLoraError('USAGE', `phase 2 has not started in ${dir}; run \`zklora params phase2 start\``);
}

function malformed(reason: string, cause?: unknown): ZkLoraError {
  return new ZkLoraError(
    'PARAMETERS_MALFORMED',
    `ceremony.json refused: ${reason}; import the powers of tau again`,
    cause === undefined ? {} : { cause },
  );
}
