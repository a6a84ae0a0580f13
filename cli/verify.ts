import { Command } from 'commander';
import { adapterId } from '../src/adapter/index.js';
import { loadEngine } from '../src/algebra/index.js';
import { openParameters } from '../src/circuit/index.js';
import { openSessionRecord } from '../src/inference/index.js';
import { type VerificationResult, verifyProof } from '../src/protocol/index.js';
import { digestOption, runs } from './command.js';
import { EXIT_INVALID, EXIT_OK } from './exitCodes.js';
import { loadCommitment, loadProof } from './inputs.js';
import { formatBytes } from './terminal.js';

interface Options {
  proof: string;
  commitment: string;
  session: string;
  parameters: string;
  parametersId?: string;
  adapterId?: string;
  allowDevelopmentParams?: boolean;
}

/** `zklora verify` */
export function verifyCommand(): Command {
  const command = new Command('verify')
    .description('check that every delta of a session was computed with the committed weights')
    .requiredOption('--proof <file>', 'proof.zkl')
    .requiredOption('--commitment <file>', 'adapter.zkl.json that you pinned before the evaluation')
    .requiredOption('--session <dir>', 'your own record of the session')
    .requiredOption('--parameters <dir>', 'your own copy of the parameter set')
    .option('--parameters-id <digest>', 'refuse any parameter set but this one', digestOption)
    .option('--adapter-id <digest>', 'refuse any adapter commitment but this one', digestOption)
    .option(
      '--allow-development-params',
      'accept parameters whose secret is known (proves nothing; for trials)',
    )
    .addHelpText(
      'after',
      '\nExample:\n  zklora verify --proof proof.zkl --commitment adapter.zkl.json --session ./session --parameters ./params\n\nExit code 0: valid; 1: invalid; 2: malformed input; 3: file missing.',
    );
  return runs<Options>(command, async (options, terminal) => {
    terminal.progress('reading proof and session');
    const adapter = await loadCommitment(options.commitment);
    const parameters = await openParameters(options.parameters);
    const session = await openSessionRecord(options.session);
    const proof = await loadProof(options.proof);
    const engine = await loadEngine();
    try {
      terminal.progress('verifying');
      const verdict =
        pinned(options, parameters.id, adapterId(adapter)) ??
        (await verifyProof({
          engine,
          parameters: parameters.set,
          verificationKeys: parameters.vkey,
          adapter,
          session,
          proof,
          allowDevelopmentParameters: options.allowDevelopmentParams === true,
        }));
      terminal.result(describeVerdict(verdict, proof.length, parameters.set.kind), { ...verdict });
      return verdict.valid ? EXIT_OK : EXIT_INVALID;
    } finally {
      await engine.terminate();
    }
  });
}

function pinned(options: Options, parametersId: string, adapter: string): VerificationResult | undefined {
  if (options.parametersId !== undefined && options.parametersId !== parametersId) {
    return {
      valid: false,
      reason: 'WRONG_PARAMETERS',
      message: 'the parameter set is not the one you pinned',
    };
  }
  if (options.adapterId !== undefined && options.adapterId !== adapter) {
    return {
      valid: false,
      reason: 'WRONG_ADAPTER',
      message: 'the adapter commitment is not the one you pinned',
    };
  }
  return undefined;
}

function describeVerdict(verdict: VerificationResult, bytes: number, kind: string): string {
  if (!verdict.valid) return `INVALID  ${verdict.message} [${verdict.reason}]`;
  const lines = [
    `VALID    all ${verdict.tokens} token rows of ${verdict.modules.length} modules, ${formatBytes(bytes)} of proof`,
    `adapter  ${verdict.adapterId}`,
    `session  ${verdict.sessionDigest}`,
    'note     no registration proof: this speaks about field elements; integer weights are checked at delivery',
  ];
  if (kind === 'development') lines.push('warning  development parameters: anybody can forge such a proof');
  return lines.join('\n');
}
