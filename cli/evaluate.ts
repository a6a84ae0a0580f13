import { join } from 'node:path';
import { Command } from 'commander';
import { adapterId } from '../src/adapter/index.js';
import { readFileBounded, writeFileAtomic } from '../src/files.js';
import {
  byteWindows,
  connectContributor,
  evaluateAdapter,
  MAX_WINDOWS,
  openBaseModel,
  parseAddress,
} from '../src/inference/index.js';
import { positiveInteger, runs } from './command.js';
import { EXIT_OK } from './exitCodes.js';
import { loadCommitment } from './inputs.js';
import { formatBytes, formatTable } from './terminal.js';

/** Text read for one evaluation. */
const MAX_TEXT_BYTES = 256 * 2 ** 20;

interface Options {
  base: string;
  commitment: string;
  contributor: string;
  text: string;
  session: string;
  sequenceLength: number;
  sequences?: number;
  batch: number;
  prove?: boolean;
  allowInsecure?: boolean;
}

/** `zklora evaluate` */
export function evaluateCommand(): Command {
  const command = new Command('evaluate')
    .description("loss of a text under your base model, without and with the contributor's adapter")
    .requiredOption('--base <file>', 'ONNX base model')
    .requiredOption('--commitment <file>', 'adapter.zkl.json that you pin')
    .requiredOption('--contributor <host:port>', 'where the contributor serves')
    .requiredOption('--text <file>', 'text; a byte is a token')
    .requiredOption('--session <dir>', 'new folder for the record of the session')
    .option('--sequence-length <n>', 'tokens of one sequence', positiveInteger(32768), 96)
    .option('--sequences <n>', 'only the first n sequences', positiveInteger(MAX_WINDOWS))
    .option('--batch <n>', 'sequences in one forward pass', positiveInteger(4096), 4)
    .option('--prove', 'ask the contributor for the proof and keep it in the session folder as proof.zkl')
    .option('--allow-insecure', 'speak plain text to another machine')
    .addHelpText(
      'after',
      '\nExample:\n  zklora evaluate --base model.onnx --commitment adapter.zkl.json --contributor 127.0.0.1:7321 \\\n    --text heldout.txt --session ./session --prove',
    );
  return runs<Options>(command, async (options, terminal) => {
    const commitment = await loadCommitment(options.commitment);
    const text = await readFileBounded(options.text, MAX_TEXT_BYTES, 'text');
    const windows = byteWindows(text, options.sequenceLength, options.sequences ?? MAX_WINDOWS);
    terminal.progress('opening the base model');
    const model = await openBaseModel(options.base, commitment.modules);
    try {
      const client = await connectContributor({
        address: parseAddress(options.contributor),
        allowInsecure: options.allowInsecure === true,
      });
      try {
        const evaluation = await evaluateAdapter({
          model,
          client,
          commitment,
          dir: options.session,
          windows,
          batch: options.batch,
          onProgress: ({ part, done, total }) =>
            terminal.progress(part === 'base' ? 'base model alone' : 'base model with adapter', done, total),
        });
        let proof: Uint8Array | undefined;
        const proofPath = join(options.session, 'proof.zkl');
        if (options.prove) {
          proof = await evaluation.session.prove(({ step }) =>
            terminal.progress(`contributor proves: ${step}`),
          );
          await writeFileAtomic(proofPath, proof);
        }
        const { baseLoss, adapterLoss, predictions, tokens } = evaluation;
        const rows = [
          ['', 'loss (nats)', 'perplexity'],
          ['base model', baseLoss.toFixed(4), Math.exp(baseLoss).toFixed(3)],
          ['with adapter', adapterLoss.toFixed(4), Math.exp(adapterLoss).toFixed(3)],
        ];
        const lines = [
          formatTable(rows),
          `${predictions} predictions, ${tokens} token rows recorded in ${options.session}`,
        ];
        if (proof)
          lines.push(`proof ${proofPath}, ${formatBytes(proof.length)}: not verified yet, run zklora verify`);
        terminal.result(lines.join('\n'), {
          baseLoss,
          adapterLoss,
          predictions,
          tokens,
          calls: evaluation.calls,
          adapterId: adapterId(commitment),
          sessionDigest: evaluation.closing.digest,
          session: options.session,
          ...(proof ? { proof: proofPath, proofBytes: proof.length } : {}),
        });
        return EXIT_OK;
      } finally {
        client.close();
      }
    } finally {
      await model.close();
    }
  });
}
