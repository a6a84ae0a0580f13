import { type AdapterCommitment, adapterId } from '../src/adapter/index.js';
import type { Engine } from '../src/algebra/index.js';
import type { ParameterSet } from '../src/circuit/index.js';
import {
  type RegistrationInvalidReason,
  type ValidRegistration,
  verifyRegistration,
} from '../src/protocol/index.js';
import { RegistrationCache } from './registrationCache.js';

/** What is known about the integers behind an adapter commitment. */
export type RegistrationCheck =
  | { readonly status: 'verified' | 'cached'; readonly registration: ValidRegistration }
  | { readonly status: 'missing' }
  | { readonly status: 'invalid'; readonly reason: RegistrationInvalidReason; readonly message: string };

/** Arguments of {@link checkRegistration}. */
export interface RegistrationCheckOptions {
  readonly engine: Engine;
  readonly parameters: ParameterSet;
  readonly parametersId: string;
  readonly adapter: AdapterCommitment;
  readonly allowDevelopmentParameters: boolean;
  /** The user's own file of earlier verdicts. */
  readonly cache: string | undefined;
}

/** Verifies the registration proof of a commitment, or finds that it was verified before. */
export async function checkRegistration(options: RegistrationCheckOptions): Promise<RegistrationCheck> {
  const { engine, parameters, parametersId, adapter, allowDevelopmentParameters } = options;
  const cache = options.cache === undefined ? undefined : new RegistrationCache(options.cache);
  const entry = { adapterId: adapterId(adapter), parametersId };
  const allowed = parameters.kind !== 'development' || allowDevelopmentParameters;
  if (allowed && adapter.parametersId === parametersId && (await cache?.has(entry))) {
    return { status: 'cached', registration: { valid: true, ...entry } };
  }
  if (adapter.registrationProof === null) return { status: 'missing' };
  const registration = await verifyRegistration({ engine, parameters, adapter, allowDevelopmentParameters });
  if (!registration.valid) return { ...registration, status: 'invalid' };
  await cache?.add(entry);
  return { status: 'verified', registration };
}

/** One line for people. */
export function describeRegistration(check: RegistrationCheck): string {
  switch (check.status) {
    case 'verified':
      return 'registration proof verified: integer weights';
    case 'cached':
      return 'registration proof verified before: integer weights';
    case 'missing':
      return 'no registration proof: this speaks about field elements only; integer weights are checked at delivery';
    case 'invalid':
      return `registration proof INVALID: ${check.message} [${check.reason}]`;
  }
}
