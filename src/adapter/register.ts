import { randomBytes } from '@noble/hashes/utils.js';
import type { Engine } from '../algebra/index.js';
import { bytesToHex } from '../bytes.js';
import { ed25519PublicKey } from '../ed25519PublicKey.js';
import { ZkLoraError } from '../errors.js';
import { commitRows } from '../kzg/commit.js';
import type { ProverSrs } from '../kzg/srs.js';
import { moduleBlinders } from './blinders.js';
import { adapterId, checkAdapterCommitment } from './commitment.js';
import { MAX_DOMAIN_SIZE, MIN_DOMAIN_SIZE } from './limits.js';
import { assertFitsInt64, assertModuleShape } from './overflow.js';
import { placeColumns } from './placement.js';
import type { AdapterSecret } from './secret.js';
import type { AdapterCommitment, QuantizedModule } from './types.js';

const SECRET_BYTES = 32;
const NO_LINEAGE = '0'.repeat(64);

export interface RegisterOptions {
  readonly engine: Engine;
  /** Of the adapter's domain, {@link domainSizeFor} or larger. */
  readonly srs: ProverSrs;
  /** Id of the parameter set that the SRS belongs to, 32 bytes, hex. */
  readonly parametersId: string;
  readonly modules: readonly QuantizedModule[];
  /**
   * Module indices by input, for inputs that several modules read (q, k and v projections): their rows then share
   * places in the domain, which makes proofs cheaper. Any value is sound; modules named nowhere stand alone.
   */
  readonly inputs?: readonly (readonly number[])[];
  /** Digest of the base model, hex; docs/formats.md. */
  readonly baseDigest: string;
  /** Head of the lineage, 32 bytes, hex; zeros when absent. */
  readonly lineageDigest?: string;
  /** Ed25519 seed, 32 bytes; a fresh one when absent. */
  readonly contributorSecretKey?: Uint8Array;
  /** Called with the number of rows committed so far, of all rows. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Registration {
  readonly commitment: AdapterCommitment;
  readonly secret: AdapterSecret;
}

/**
 * Commits to every row of A and column of B of an adapter, under a fresh salt and fresh blinders
 * (docs/protocol.md, "Commitment to an adapter").
 *
 * Registering the same weights twice gives two unrelated commitments.
 *
 * @throws ZkLoraError `ADAPTER_OVERFLOW`, `ADAPTER_MALFORMED`, `SHAPE_MISMATCH` when the SRS is too small, `USAGE`
 * for a malformed key, `COMMITMENT_MALFORMED` for digests that are none or a module named twice.
 * @example
 * const modules = (await readPeftAdapter(dir)).modules.map(quantizeModule);
 * const srs = await parameters.srs(domainSizeFor(modules));
 * const { commitment, secret } = await registerAdapter({ engine, srs, parametersId, modules, baseDigest });
 */
export async function registerAdapter(options: RegisterOptions): Promise<Registration> {
  const { engine, srs, modules } = options;
  const seed = options.contributorSecretKey ?? randomBytes(SECRET_BYTES);
  if (seed.length !== SECRET_BYTES) {
    throw new ZkLoraError('USAGE', 'the contributor key is not a 32-byte Ed25519 seed; pass the seed itself');
  }
  if (srs.domainSize < domainSizeFor(modules)) {
    throw new ZkLoraError(
      'SHAPE_MISMATCH',
      `the adapter needs a domain of ${domainSizeFor(modules)} places; the reference string has ${srs.domainSize}`,
    );
  }
  for (const module of modules) {
    assertModuleShape(module);
    assertFitsInt64(module);
  }
  const salt = randomBytes(SECRET_BYTES);
  const blindingSecret = randomBytes(SECRET_BYTES);
  const withoutPoints = {
    format: 'zklora/adapter/v1',
    parametersId: options.parametersId,
    contributorKey: bytesToHex(ed25519PublicKey(seed)),
    baseDigest: options.baseDigest,
    lineageDigest: options.lineageDigest ?? NO_LINEAGE,
    salt: bytesToHex(salt),
    domainSize: srs.domainSize,
    registrationProof: null,
  } as const;
  // Every check that needs no points, before the work: placeholders stand for them.
  const widths = modules.map(({ inFeatures }) => inFeatures);
  const offsets = placeColumns(widths, srs.domainSize, options.inputs ?? []);
  checkAdapterCommitment({ ...withoutPoints, modules: describe(modules, offsets, '00'.repeat(64)) });

  const rows = modules.flatMap((module, i) => moduleRows(module, offsets[i]!, blindingSecret, salt));
  const points = (await commitRows(engine, srs, rows, options.onProgress)).map(bytesToHex);
  const commitment = checkAdapterCommitment({
    ...withoutPoints,
    modules: describe(modules, offsets, points),
  });
  const secret: AdapterSecret = {
    format: 'zklora/secret/v1',
    adapterId: adapterId(commitment),
    blindingSecret: bytesToHex(blindingSecret),
    contributorSecretKey: bytesToHex(seed),
  };
  return { commitment, secret };
}

/**
 * Size of the evaluation domain for a set of modules: the power of two that is >= every n and k, and at least 512
 * (room for the registration proof's sketches).
 *
 * @throws ZkLoraError `ADAPTER_UNSUPPORTED` above 2^20.
 */
export function domainSizeFor(
  modules: readonly Pick<QuantizedModule, 'inFeatures' | 'outFeatures'>[],
): number {
  let size = MIN_DOMAIN_SIZE;
  for (const { inFeatures, outFeatures } of modules)
    while (size < inFeatures || size < outFeatures) size *= 2;
  if (size > MAX_DOMAIN_SIZE) {
    throw new ZkLoraError(
      'ADAPTER_UNSUPPORTED',
      `a module has more than ${MAX_DOMAIN_SIZE} features; leave it out of target_modules`,
    );
  }
  return size;
}

interface Row {
  readonly values: Int16Array;
  readonly offset: number;
  readonly blinder: bigint;
}

/** Rows of A, then columns of B. */
function moduleRows(
  module: QuantizedModule,
  columnOffset: number,
  blindingSecret: Uint8Array,
  salt: Uint8Array,
): Row[] {
  const { inFeatures, outFeatures } = module;
  const blinders = moduleBlinders(blindingSecret, salt, module);
  return [
    ...blinders.a.map((blinder, j) => ({
      values: module.a.subarray(j * inFeatures, (j + 1) * inFeatures),
      offset: columnOffset,
      blinder,
    })),
    ...blinders.b.map((blinder, j) => ({
      values: module.bT.subarray(j * outFeatures, (j + 1) * outFeatures),
      offset: 0,
      blinder,
    })),
  ];
}

/** Public parts of the modules; points in the order of {@link moduleRows}, or one placeholder for all. */
function describe(
  modules: readonly QuantizedModule[],
  offsets: readonly number[],
  points: readonly string[] | string,
): unknown[] {
  let at = 0;
  return modules.map(({ name, rank, inFeatures, outFeatures, aExponent, bExponent, scaling }, i) => {
    const take = (): string[] => {
      at += rank;
      return typeof points === 'string' ? Array<string>(rank).fill(points) : points.slice(at - rank, at);
    };
    const aRows = take();
    const bColumns = take();
    return {
      name,
      rank,
      inFeatures,
      outFeatures,
      aExponent,
      bExponent,
      scaling,
      columnOffset: offsets[i],
      aRows,
      bColumns,
    };
  });
}
