import { join } from 'node:path';
import { Command } from 'commander';
import { type AdapterCommitment, adapterId } from '../src/adapter/index.js';
import { loadEngine } from '../src/algebra/index.js';
import { openParameters } from '../src/circuit/index.js';
import { readFileBounded, writeFileAtomic } from '../src/files.js';
import {
  byteWindows,
  connectContributor,
  evaluateAdapter,
  MAX_WINDOWS,
  openBaseModel,
} from '../src/inference/index.js';
import { positiveInteger, runs } from './command.js';
import { type ConnectionFlags, connectionOf, withConnection } from './connection.js';
import { EXIT_INVALID, EXIT_OK } from './exitCodes.js';
import { loadCommitment } from './inputs.js';
import { checkRegistration, describeRegistration, type RegistrationCheck } from './registration.js';
import { formatBytes, formatTable, type Terminal } from './terminal.js';
import { userKeyOf, withUserKey } from './userKey.js';

/** Text read for one evaluation. */
const MAX_TEXT_BYTES = 256 * 2 ** 20;

interface Options extends ConnectionFlags {
  userKey?: string;
  base: string;
  commitment: string;
  contributor: string;
  text: string;
  session: string;
  sequenceLength: number;
  sequences?: number;
  batch: number;
  prove?: boolean;
  parameters?: string;
  registrationCache?: string;
  allowDevelopmentParams?: boolean;
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
    .option('--parameters <dir>', 'your own copy of the parameter set: checks the registration proof first')
    .option(
      '--registration-cache <file>',
      'file of your own that remembers verified registration proofs; nobody else may write it',
    )
    .option('--allow-development-params', 'accept parameters whose secret is known (for trials)')
    .addHelpText(
      'after',
      '\nExample:\n  zklora evaluate --base model.onnx --commitment adapter.zkl.json --contributor 127.0.0.1:7321 \\\n    --text heldout.txt --session ./session --prove',
    );
  return runs<Options>(withUserKey(withConnection(command)), async (options, terminal) => {
    const commitment = await loadCommitment(options.commitment);
    const registration = await registrationOf(options, commitment, terminal);
    if (registration?.status === 'invalid') {
      const { reason, message } = registration;
      terminal.result(describeRegistration(registration), { valid: false, reason, message });
      return EXIT_INVALID;
    }
    const text = await readFileBounded(options.text, MAX_TEXT_BYTES, 'text');
    const windows = byteWindows(text, options.sequenceLength, options.sequences ?? MAX_WINDOWS);
    const user = await userKeyOf(options, terminal);
    terminal.progress('opening the base model');
    const model = await openBaseModel(options.base, commitment.modules);
    try {
      const client = await connectContributor(await connectionOf(options.contributor, options, terminal));
      try {
        const evaluation = await evaluateAdapter({
          model,
          client,
          commitment,
          dir: options.session,
          windows,
          ...(user && { user }),
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
          registration ? describeRegistration(registration) : UNCHECKED,
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
          registration: registration?.status ?? 'unchecked',
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

const UNCHECKED =
  'registration proof not checked (--parameters does): without it deltas come from field elements, maybe not integers';

/** Checks the registration proof where the user has named a parameter set. */
async function registrationOf(
  options: Options,
  commitment: AdapterCommitment,
  terminal: Terminal,
): Promise<RegistrationCheck | undefined> {
  if (options.parameters === undefined) return undefined;
  terminal.progress('verifying the registration proof');
  const parameters = await openParameters(options.parameters);
  const engine = await loadEngine();
  try {
    return await checkRegistration({
      engine,
      parameters: parameters.set,
      parametersId: parameters.id,
      adapter: commitment,
      allowDevelopmentParameters: options.allowDevelopmentParams === true,
      cache: options.registrationCache,
    });
  } finally {
    await engine.terminate();
  }
}
