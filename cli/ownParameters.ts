import type { Command } from 'commander';
import { openParameters, type ParameterStore } from '../src/circuit/parameterFiles.js';
import { ZkLoraError } from '../src/errors.js';

export interface DevelopmentOptions {
  allowDevelopmentParams?: boolean;
}

/** Adds the flag for parameters whose secret is known. */
export function withDevelopmentParams(command: Command): Command {
  return command.option(
    '--allow-development-params',
    'accept parameters whose secret is known (proves nothing; for trials)',
  );
}

/**
 * Opens a parameter set that money may rest on.
 *
 * @throws ZkLoraError `PARAMETERS_DEVELOPMENT` for a development set without the flag, and as `openParameters`
 */
export async function openOwnParameters(
  dir: string,
  { allowDevelopmentParams }: DevelopmentOptions,
): Promise<ParameterStore> {
  const parameters = await openParameters(dir);
  if (parameters.set.kind !== 'development' || allowDevelopmentParams === true) return parameters;
  throw new ZkLoraError(
    'PARAMETERS_DEVELOPMENT',
    'these parameters were made from a known secret, so proofs under them prove nothing: use a ceremony set, or allow development parameters for a trial',
  );
}
