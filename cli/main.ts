#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { ZkLoraError } from '../src/errors.js';
import { checkpointCommand } from './checkpoint.js';
import { reportError } from './command.js';
import { deliverCommand } from './deliver.js';
import { demoCommand } from './demo.js';
import { evaluateCommand } from './evaluate.js';
import { EXIT_OK, EXIT_USAGE } from './exitCodes.js';
import { inspectCommand } from './inspect.js';
import { lineageCommand } from './lineage.js';
import { openCommand } from './open.js';
import { paramsCommand } from './params.js';
import { proveCommand } from './prove.js';
import { registerCommand } from './register.js';
import { serveCommand } from './serve.js';
import { sessionCommand } from './session.js';
import { settleCommand } from './settle.js';
import { Terminal } from './terminal.js';
import { verifyCommand } from './verify.js';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('zklora')
  .description('zero-knowledge verification of LoRA adapters')
  .version(version)
  .addCommand(demoCommand())
  .addCommand(registerCommand())
  .addCommand(serveCommand())
  .addCommand(evaluateCommand())
  .addCommand(proveCommand())
  .addCommand(verifyCommand())
  .addCommand(sessionCommand())
  .addCommand(deliverCommand())
  .addCommand(openCommand())
  .addCommand(settleCommand())
  .addCommand(inspectCommand())
  .addCommand(paramsCommand())
  .addCommand(checkpointCommand())
  .addCommand(lineageCommand())
  .addHelpText(
    'after',
    '\nExample:\n  zklora demo\n\nExit code 0: done or valid; 1: invalid; 2: usage or malformed input; 3: file missing, no connection; 70: bug.',
  );

/** Errors of the parser are thrown, and printed below like all others. */
function throwErrors(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => undefined });
  for (const child of command.commands) throwErrors(child);
}
throwErrors(program);

// a reader that has seen enough, as in `zklora inspect proof.zkl | head -1`, is no failure
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportParserError(error);
}

/** Help and --version are no errors; help in place of a missing command is one, already printed. */
function reportParserError(error: unknown): number {
  const terminal = new Terminal(process.argv.includes('--json'));
  if (!(error instanceof CommanderError)) return reportError(error, terminal);
  if (error.exitCode === 0) return EXIT_OK;
  if (error.code === 'commander.help') return EXIT_USAGE;
  const problem = error.message.replace(/^error: /, '').replace(/\.$/, '');
  return reportError(new ZkLoraError('USAGE', `${problem}; --help shows the usage`), terminal);
}
