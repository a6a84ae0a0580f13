import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { adapterId, parseAdapterCommitment } from '../../src/adapter/index.js';
import type { Engine } from '../../src/algebra/index.js';
import { bytesToHex, hexToBytes } from '../../src/bytes.js';
import { parameterSetId, parseParameterSet, verificationKeyOf } from '../../src/circuit/parameters.js';
import { ZkLoraError } from '../../src/errors.js';
import { parseSessionHeader, parseSessionSecret } from '../../src/inference/sessionHeader.js';
import type { SessionCall, SessionHeader } from '../../src/protocol/index.js';
import { readSession, verifyProof } from '../../src/protocol/index.js';
import { type ReferenceInput, type ReferenceResult, referenceVerify } from '../reference/verify.js';
import { MemorySession, type Scenario } from './scenario.js';

const DEVELOPMENT = new URL('../../fixtures/params/development/', import.meta.url);

/** What a verifier holds, as it lies in files. */
export interface VerifierFiles {
  /** params.json */
  readonly parameters: string;
  /** rank_check_K.vkey */
  readonly key: (pairs: number) => Uint8Array;
  /** adapter.zkl.json */
  readonly adapter: string;
  /** session.json */
  readonly header: string;
  /** session.secret */
  readonly secret: string;
  readonly calls: readonly SessionCall[];
  /** proof.zkl */
  readonly proof: Uint8Array;
}

/** Files of the committed development parameters. */
export function developmentFiles(): Pick<VerifierFiles, 'parameters' | 'key'> {
  return {
    parameters: readFileSync(new URL('params.json', DEVELOPMENT), 'utf8'),
    key: (pairs) => new Uint8Array(readFileSync(new URL(`rank_check_${pairs}.vkey`, DEVELOPMENT))),
  };
}

/** Files of a scenario held under development parameters. */
export function scenarioFiles(
  scenario: Pick<Scenario, 'adapter' | 'session'>,
  proof: Uint8Array,
  parameters: Pick<VerifierFiles, 'parameters' | 'key'> = developmentFiles(),
): VerifierFiles {
  return {
    ...parameters,
    adapter: JSON.stringify(scenario.adapter),
    header: JSON.stringify(scenario.session.header),
    secret: JSON.stringify({ format: 'zklora/session-secret/v1', seed: bytesToHex(scenario.session.seed) }),
    calls: scenario.session.calls,
    proof,
  };
}

/** Verdicts of the library (`VALID`, a reason, or an error code) and of the reference verifier. */
export interface Verdicts {
  readonly own: string;
  readonly ownMessage: string;
  readonly reference: ReferenceResult;
}

/** Asks both verifiers; anything the library throws that is no ZkLoraError is thrown on. */
export async function bothVerdicts(engine: Engine, files: VerifierFiles): Promise<Verdicts> {
  return { ...(await ownVerdict(engine, files)), reference: referenceVerify(referenceInput(files)) };
}

/** The files as the reference verifier takes them. */
export function referenceInput(files: VerifierFiles): ReferenceInput {
  return {
    paramsJson: files.parameters,
    vkeyFiles: files.key,
    commitmentJson: files.adapter,
    sessionHeader: JSON.parse(files.header),
    sessionSecret: JSON.parse(files.secret),
    calls: files.calls,
    proof: files.proof,
    allowDevelopment: true,
  };
}

function sessionOf(header: SessionHeader, files: VerifierFiles): MemorySession {
  return new MemorySession(header, files.calls, hexToBytes(parseSessionSecret(files.secret).seed));
}

async function ownVerdict(
  engine: Engine,
  files: VerifierFiles,
): Promise<{ own: string; ownMessage: string }> {
  try {
    const parameters = parseParameterSet(files.parameters);
    const verdict = await verifyProof({
      engine,
      parameters,
      verificationKeys: async (pairs) => verificationKeyOf(parameters, pairs, files.key(pairs)),
      adapter: parseAdapterCommitment(files.adapter),
      session: sessionOf(parseSessionHeader(files.header), files),
      proof: files.proof,
      allowDevelopmentParameters: true,
    });
    return verdict.valid
      ? { own: 'VALID', ownMessage: '' }
      : { own: verdict.reason, ownMessage: verdict.message };
  } catch (error) {
    if (error instanceof ZkLoraError) return { own: error.code, ownMessage: error.message };
    throw error;
  }
}

/** What the reference verifier says where the library gives a reason or an error code. */
const SAME_FINDING: Readonly<Record<string, RegExp>> = {
  OPENING_INVALID: /^equation \(5'?\) or \(6\)$/,
  LINEAR_FORM_INVALID: /^equation \(4\)$/,
  GROTH16_INVALID: /^equation \(2\)$/,
  GROUP_STRUCTURE: /^another number of (groups|rounds|blocks)$/,
  INCOMPLETE: /^the proven modules are not those of the session$/,
  WRONG_PARAMETERS: /another parameter set$/,
  WRONG_ADAPTER: /another adapter$/,
  WRONG_SESSION: /^the (session|proof) is (of|with) another (adapter|contributor|session)$/,
  PARAMETERS_MISMATCH: /is not the one of params\.json$/,
};

/** Both verifiers refuse; the library with the given reason or code, the reference with the same finding. */
export async function expectRefused(
  engine: Engine,
  files: VerifierFiles,
  reason: string | RegExp,
  what = '',
): Promise<Verdicts> {
  const verdicts = await bothVerdicts(engine, files);
  if (typeof reason === 'string') expect(verdicts.own, what).toBe(reason);
  else expect(verdicts.own, what).toMatch(reason);
  expect(verdicts.own, what).not.toBe('VALID');
  expect(verdicts.reference.valid, what).toBe(false);
  const same = SAME_FINDING[verdicts.own];
  if (same) expect(verdicts.reference.why, what).toMatch(same);
  return verdicts;
}

/** Both verifiers accept. */
export async function expectAccepted(engine: Engine, files: VerifierFiles, what = ''): Promise<void> {
  expect(await bothVerdicts(engine, files), what).toEqual({
    own: 'VALID',
    ownMessage: '',
    reference: { valid: true },
  });
}

/** Offsets of the three ids in proof.zkl (docs/formats.md, "Proof"). */
const ID_OFFSETS = { parameters: 14, adapter: 46, session: 78 } as const;

/**
 * Writes the ids that a verifier will compute into commitment, header and proof: what is left to catch a change is
 * the proof itself.
 */
export async function repinned(files: VerifierFiles): Promise<VerifierFiles> {
  const parametersId = parameterSetId(parseParameterSet(files.parameters));
  const adapter = parseAdapterCommitment(
    JSON.stringify({ ...(JSON.parse(files.adapter) as object), parametersId }),
  );
  const header = parseSessionHeader(
    JSON.stringify({
      ...(JSON.parse(files.header) as object),
      adapterId: adapterId(adapter),
      contributorKey: adapter.contributorKey,
    }),
  );
  const { digest } = await readSession(sessionOf(header, files), adapter.modules);
  const proof = Uint8Array.from(files.proof);
  proof.set(Buffer.from(parametersId, 'hex'), ID_OFFSETS.parameters);
  proof.set(Buffer.from(adapterId(adapter), 'hex'), ID_OFFSETS.adapter);
  proof.set(digest, ID_OFFSETS.session);
  return { ...files, adapter: JSON.stringify(adapter), header: JSON.stringify(header), proof };
}
