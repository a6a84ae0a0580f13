import { Command, InvalidArgumentError } from 'commander';
import { loadEngine } from '../src/algebra/index.js';
import { importPowersOfTau } from '../src/ceremony/index.js';
import { runs } from './command.js';
import { EXIT_OK } from './exitCodes.js';
import { describeCeremony } from './paramsText.js';

interface ImportOptions {
  ptau: string;
  out: string;
  domains?: number[];
  pairs?: number[];
  source?: string;
  wholeFile?: boolean;
}

const HELP = `
Example:
  zklora params import --ptau powersOfTau28_hez_final_16.ptau --out ./ceremony --domains 512,8192 --source "Hermez, 2^16"

The file is a .ptau of snarkjs, prepared for phase 2, of any size: only the points that are used are read.

Checked: sections and their lengths; that the contributions follow from one another (with each contributor's proof of
knowledge), include a participant's and lead to this file's points; for all points that are used: canonical, on the
curve, in the subgroup, powers of one tau in both groups, Lagrange bases that belong to the powers (randomised).
Not checked: points that are not used; that the intermediate files of the ceremony existed (a .ptau holds only their
digests); that contributors forgot their secrets: one who did is enough. Compare the file's digest and the hashes that
\`zklora params show\` prints later with what the ceremony has published.
--whole-file also runs \`snarkjs powersoftau verify\`, which reads every point (files up to power 16).`;

/** `zklora params import` */
export function importCommand(): Command {
  const command = new Command('import')
    .description('take checked powers of tau out of a ceremony file')
    .requiredOption('--ptau <file>', 'prepared powers-of-tau file (snarkjs, .ptau)')
    .requiredOption('--out <dir>', 'new folder')
    .option('--domains <list>', 'evaluation domains, powers of two (default: 512 to 32768)', numberList)
    .option('--pairs <list>', 'circuit sizes of phase 2 (default: all that the file allows)', numberList)
    .option('--source <text>', 'where the file comes from; kept in the parameter set')
    .option('--whole-file', 'have snarkjs check every point of the file, too')
    .addHelpText('after', HELP);
  return runs<ImportOptions>(command, async ({ ptau, out, wholeFile, ...options }, terminal) => {
    const engine = await loadEngine();
    try {
      const state = await importPowersOfTau({
        ptau,
        dir: out,
        ...(options.domains === undefined ? {} : { domains: options.domains }),
        ...(options.pairs === undefined ? {} : { pairs: options.pairs }),
        ...(options.source === undefined ? {} : { source: options.source }),
        extent: wholeFile === true ? 'whole-file' : 'used',
        onProgress: (step) => terminal.progress(step),
      });
      terminal.result(describeCeremony(state), { ...state });
      return EXIT_OK;
    } finally {
      await engine.terminate();
    }
  });
}

/** Option parser for whole numbers between commas. */
export function numberList(text: string): number[] {
  if (!/^[0-9]{1,9}(,[0-9]{1,9})*$/.test(text)) {
    throw new InvalidArgumentError('expected whole numbers between commas, such as 512,1024');
  }
  return [...new Set(text.split(',').map(Number))].sort((a, b) => a - b);
}
