import { Command } from 'commander';
import { loadEngine } from '../src/algebra/index.js';
import { checkParameters } from '../src/ceremony/index.js';
import { digestOption, runs } from './command.js';
import { EXIT_INVALID, EXIT_OK } from './exitCodes.js';
import { describeChecks } from './paramsText.js';

interface Options {
  ptau?: string;
  parametersId?: string;
  allowDevelopmentParams?: boolean;
}

/** `zklora params verify` */
export function verifyParametersCommand(): Command {
  const command = new Command('verify')
    .description('check a parameter set from its files: points, contributions, keys')
    .argument('<dir>', 'parameter set')
    .option('--ptau <file>', 'the powers-of-tau file it was made from: snarkjs then checks the keys, too')
    .option('--parameters-id <digest>', 'fail for any parameter set but this one', digestOption)
    .option('--allow-development-params', 'pass a set whose secret is known (proves nothing; for trials)')
    .addHelpText(
      'after',
      '\nExample:\n  zklora params verify ./params\n\nExit code 0: every check passed; 1: one failed; 2: params.json is malformed; 3: file missing.',
    );
  return runs<Options>(command, async (options, terminal) => {
    const engine = await loadEngine();
    try {
      const { id, checks, passed } = await checkParameters({
        dir: command.args[0]!,
        ...(options.ptau === undefined ? {} : { ptau: options.ptau }),
        development: options.allowDevelopmentParams === true ? 'allowed' : 'refused',
        onCheck: ({ name }) => terminal.progress(name),
      });
      const pinned = options.parametersId === undefined || options.parametersId === id;
      const valid = passed && pinned;
      const reason = pinned ? 'do not use this set' : 'the set is not the one you pinned';
      const verdict = valid ? `VALID    ${id}` : `INVALID  ${reason}`;
      terminal.result(describeChecks(checks, verdict), { valid, id, pinned, checks });
      return valid ? EXIT_OK : EXIT_INVALID;
    } finally {
      await engine.terminate();
    }
  });
}
