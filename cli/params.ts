import { Command } from 'commander';
import { loadEngine } from '../src/algebra/index.js';
import { readCeremony } from '../src/ceremony/index.js';
import {
  CIRCUIT_SIZES,
  makeDevelopmentParameters,
  openParameters,
  parameterSetId,
} from '../src/circuit/index.js';
import { ZkLoraError } from '../src/errors.js';
import { positiveInteger, runs } from './command.js';
import { EXIT_OK } from './exitCodes.js';
import { importCommand, numberList } from './paramsImport.js';
import { phaseTwoCommand } from './paramsPhase2.js';
import { describeCeremony, describeParameters } from './paramsText.js';
import { verifyParametersCommand } from './paramsVerify.js';

interface MakeOptions {
  out: string;
  maxDomain: number;
  pairs: number[];
  seed?: string;
}

/** `zklora params` */
export function paramsCommand(): Command {
  return new Command('params')
    .description('parameter sets: structured reference string and circuit keys')
    .addCommand(importCommand())
    .addCommand(phaseTwoCommand())
    .addCommand(verifyParametersCommand())
    .addCommand(showCommand())
    .addCommand(makeDevelopmentCommand());
}

function showCommand(): Command {
  const show = new Command('show')
    .description('explain a parameter set or an unfinished ceremony; checks nothing but the description')
    .argument('<dir>', 'folder')
    .addHelpText('after', '\nExample:\n  zklora params show ./params');
  return runs(show, async (_, terminal) => {
    const dir = show.args[0]!;
    try {
      const { set, id } = await openParameters(dir);
      terminal.result(describeParameters(set), { id, ...set });
    } catch (error) {
      if (!(error instanceof ZkLoraError) || error.code !== 'FILE_NOT_FOUND') throw error;
      const state = await readCeremony(dir).catch((other: unknown) => {
        // neither file is there: name the one that most folders have
        throw other instanceof ZkLoraError && other.code === 'FILE_NOT_FOUND' ? error : other;
      });
      terminal.result(describeCeremony(state), { ...state });
    }
    return EXIT_OK;
  });
}

function makeDevelopmentCommand(): Command {
  const make = new Command('make-development')
    .description('make a parameter set from a known secret: for tests and demonstrations only')
    .requiredOption('--out <dir>', 'new folder')
    .option(
      '--max-domain <n>',
      'largest evaluation domain, a power of two from 512',
      positiveInteger(2 ** 20),
      1024,
    )
    .option('--pairs <list>', `circuit sizes, of ${CIRCUIT_SIZES.join(', ')}`, numberList, [15, 63, 255])
    .option('--seed <text>', 'another seed than the default')
    .addHelpText(
      'after',
      '\nExample:\n  zklora params make-development --out ./params --max-domain 8192 --pairs 255,4095',
    );
  return runs<MakeOptions>(make, async (options, terminal) => {
    if (options.pairs.some((size) => !CIRCUIT_SIZES.includes(size))) {
      throw new ZkLoraError('USAGE', `--pairs takes sizes out of ${CIRCUIT_SIZES.join(', ')}`);
    }
    const engine = await loadEngine();
    try {
      const set = await makeDevelopmentParameters({
        dir: options.out,
        maxDomain: options.maxDomain,
        pairs: options.pairs,
        ...(options.seed === undefined ? {} : { seed: options.seed }),
        onProgress: (step) => terminal.progress(step),
      });
      terminal.result(describeParameters(set), { id: parameterSetId(set), ...set });
      return EXIT_OK;
    } finally {
      await engine.terminate();
    }
  });
}
