import { Command } from 'commander';
import { positiveInteger, runs } from './command.js';
import { describeDemo } from './demo/report.js';
import { describeSettlement, settlementJson } from './demo/settleReport.js';
import { runSettleDemo } from './demo/settleStory.js';
import { runDemo } from './demo/story.js';
import { EXIT_BUG, EXIT_OK } from './exitCodes.js';

interface Options {
  out: string;
  sequences: number;
  settle?: boolean;
}

/** `zklora demo` */
export function demoCommand(): Command {
  const command = new Command('demo')
    .description(
      'the whole story on the bundled trained model: register, evaluate, prove, verify, and two frauds',
    )
    .option('--out <dir>', 'folder for everything the two parties write', 'zklora-demo')
    .option('--sequences <n>', 'held-out sequences of 96 tokens', positiveInteger(258), 8)
    .option(
      '--settle',
      'the other half: weights against payment on a chain of the demo, honest and with two cheats',
    )
    .addHelpText('after', '\nExample:\n  zklora demo --out ./zklora-demo');
  return runs<Options>(command, async (options, terminal) => {
    if (options.settle) {
      const settled = await runSettleDemo({ out: options.out, sequences: options.sequences, terminal });
      terminal.result(describeSettlement(settled, options.out), settlementJson(settled));
      const { evaluatedLoss, openedLoss, fraudFound, refunded } = settled;
      return evaluatedLoss === openedLoss && fraudFound && refunded ? EXIT_OK : EXIT_BUG;
    }
    const summary = await runDemo({ out: options.out, sequences: options.sequences, terminal });
    terminal.result(describeDemo(summary, options.out), summary);
    return summary.tamperedSessionRejected && summary.wrongWeightRejected ? EXIT_OK : EXIT_BUG;
  });
}
