#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { ZkLoraError } from '../src/errors.js';
import { reportError } from './command.js';
import { EXIT_OK, EXIT_USAGE } from './exitCodes.js';
import { Terminal } from './terminal.js';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Each is loaded when it is asked for: a command needs a fraction of what all of them import. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  demo: async () => (await import('./demo.js')).demoCommand(),
  register: async () => (await import('./register.js')).registerCommand(),
  serve: async () => (await import('./serve.js')).serveCommand(),
  evaluate: async () => (await import('./evaluate.js')).evaluateCommand(),
  prove: async () => (await import('./prove.js')).proveCommand(),
  verify: async () => (await import('./verify.js')).verifyCommand(),
  session: async () => (await import('./session.js')).sessionCommand(),
  deliver: async () => (await import('./deliver.js')).deliverCommand(),
  open: async () => (await import('./open.js')).openCommand(),
  settle: async () => (await import('./settle.js')).settleCommand(),
  leakage: async () => (await import('./leakage.js')).leakageCommand(),
  inspect: async () => (await import('./inspect.js')).inspectCommand(),
  params: async () => (await import('./params.js')).paramsCommand(),
  checkpoint: async () => (await import('./checkpoint.js')).checkpointCommand(),
  lineage: async () => (await import('./lineage.js')).lineageCommand(),
};

const program = new Command('zklora')
  .description('zero-knowledge verification of LoRA adapters')
  .version(version)
  .addHelpText(
    'after',
    '\nExample:\n  zklora demo\n\nExit code 0: done or valid; 1: invalid; 2: usage or malformed input; 3: file missing, no connection; 70: bug.',
  );
for (const load of loadersFor(process.argv[2] ?? '')) program.addCommand(await load());

/** The help and the answer to an unknown name list all of them. */
function loadersFor(asked: string): (() => Promise<Command>)[] {
  if (asked === '--version' || asked === '-V') return [];
  return Object.hasOwn(COMMANDS, asked) ? [COMMANDS[asked]!] : Object.values(COMMANDS);
}

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
  const problem = error.message
    .replace(/^error: /, '')
    .replaceAll('\n', ' ')
    .replace(/\.$/, '');
  return reportError(new ZkLoraError('USAGE', `${problem}; --help shows the usage`), terminal);
}
