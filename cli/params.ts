import { Command } from 'commander';
import { loadEngine } from '../src/algebra/index.js';
import {
  CIRCUIT_SIZES,
  makeDevelopmentParameters,
  openParameters,
  type ParameterSet,
  parameterSetId,
} from '../src/circuit/index.js';
import { ZkLoraError } from '../src/errors.js';
import { positiveInteger, runs } from './command.js';
import { EXIT_OK } from './exitCodes.js';
import { formatTable } from './terminal.js';

interface MakeOptions {
  out: string;
  maxDomain: number;
  pairs: string;
  seed?: string;
}

/** `zklora params` */
export function paramsCommand(): Command {
  const make = new Command('make-development')
    .description('make a parameter set from a known secret: for tests and demonstrations only')
    .requiredOption('--out <dir>', 'new folder')
    .option(
      '--max-domain <n>',
      'largest evaluation domain, a power of two from 512',
      positiveInteger(2 ** 20),
      1024,
    )
    .option('--pairs <list>', `circuit sizes, of ${CIRCUIT_SIZES.join(', ')}`, '15,63,255')
    .option('--seed <text>', 'another seed than the default')
    .addHelpText(
      'after',
      '\nExample:\n  zklora params make-development --out ./params --max-domain 8192 --pairs 255,4095',
    );
  const show = new Command('show')
    .description('explain a parameter set')
    .argument('<dir>', 'parameter set')
    .addHelpText('after', '\nExample:\n  zklora params show ./params');
  return new Command('params')
    .description('parameter sets: structured reference string and circuit keys')
    .addCommand(
      runs<MakeOptions>(make, async (options, terminal) => {
        const pairs = options.pairs.split(',').map(Number);
        if (pairs.some((size) => !(CIRCUIT_SIZES as readonly number[]).includes(size))) {
          throw new ZkLoraError('USAGE', `--pairs takes sizes out of ${CIRCUIT_SIZES.join(', ')}`);
        }
        const engine = await loadEngine();
        try {
          const set = await makeDevelopmentParameters({
            dir: options.out,
            maxDomain: options.maxDomain,
            pairs: [...new Set(pairs)].sort((a, b) => a - b),
            ...(options.seed === undefined ? {} : { seed: options.seed }),
            onProgress: (step) => terminal.progress(step),
          });
          terminal.result(describeParameters(set), { id: parameterSetId(set), ...set });
          return EXIT_OK;
        } finally {
          await engine.terminate();
        }
      }),
    )
    .addCommand(
      runs<{ args: string[] }>(show, async (_, terminal) => {
        const { set, id } = await openParameters(show.args[0]!);
        terminal.result(describeParameters(set), { id, ...set });
        return EXIT_OK;
      }),
    );
}

/** A parameter set for people. */
export function describeParameters(set: ParameterSet): string {
  const kind =
    set.kind === 'development'
      ? 'development: made from a known secret, proofs under it prove nothing'
      : 'ceremony';
  return formatTable(
    [
      ['id', parameterSetId(set)],
      ['kind', kind],
      ['source', set.source],
      ['domains', set.domains.map(({ size }) => size).join(', ')],
      ['circuits', set.circuits.map(({ pairs }) => `${pairs} pairs`).join(', ')],
      ['contributions', String(set.contributions.length)],
    ].map(([name, value]) => [`${name!.padEnd(14)}${value}`]),
  );
}
