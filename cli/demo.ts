import { Command, Option } from 'commander';
import { positiveInteger, runs } from './command.js';
import { describeEnsembles } from './demo/ensembleReport.js';
import { runEnsembleDemo } from './demo/ensembleStory.js';
import { describeDemo } from './demo/report.js';
import { describeSettlement, settlementJson } from './demo/settleReport.js';
import { runSettleDemo } from './demo/settleStory.js';
import { runDemo } from './demo/story.js';
import { EXIT_BUG, EXIT_OK } from './exitCodes.js';

interface Options {
  out: string;
  sequences: number;
  settle?: boolean;
  ensemble?: boolean;
}

/** `zklora demo` */
export function demoCommand(): Command {
  const command = new Command('demo')
    .description(
      'the whole story on the bundled trained model: register, evaluate, prove, verify, and two frauds',
    )
    .option('--out <dir>', 'folder for everything the parties write', 'zklora-demo')
    .option('--sequences <n>', 'held-out sequences of 96 tokens', positiveInteger(258), 8)
    .addOption(
      new Option(
        '--settle',
        'the other half: weights against payment on a chain of the demo, honest and with two cheats',
      ).conflicts('ensemble'),
    )
    .option('--ensemble', 'the bundled image and video ensembles instead of the language model')
    .addHelpText(
      'after',
      '\nExamples:\n  zklora demo --out ./zklora-demo\n  zklora demo --settle\n  zklora demo --ensemble',
    );
  return runs<Options>(command, async ({ out, sequences, settle, ensemble }, terminal) => {
    if (settle) {
      const settled = await runSettleDemo({ out, sequences, terminal });
      terminal.result(describeSettlement(settled, out), settlementJson(settled));
      const { evaluatedLoss, openedLoss, fraudFound, refunded } = settled;
      return evaluatedLoss === openedLoss && fraudFound && refunded ? EXIT_OK : EXIT_BUG;
    }
    if (ensemble) {
      const summary = await runEnsembleDemo({ out, terminal });
      terminal.result(describeEnsembles(summary, out), summary);
      return summary.swappedExpertRejected && summary.tamperedEdgeRejected ? EXIT_OK : EXIT_BUG;
    }
    const summary = await runDemo({ out, sequences, terminal });
    terminal.result(describeDemo(summary, out), summary);
    return summary.tamperedSessionRejected && summary.wrongWeightRejected ? EXIT_OK : EXIT_BUG;
  });
}
