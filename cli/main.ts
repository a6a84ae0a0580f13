#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { demoCommand } from './demo.js';
import { evaluateCommand } from './evaluate.js';
import { EXIT_OK, EXIT_USAGE } from './exitCodes.js';
import { inspectCommand } from './inspect.js';
import { paramsCommand } from './params.js';
import { proveCommand } from './prove.js';
import { registerCommand } from './register.js';
import { serveCommand } from './serve.js';
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
  .addCommand(inspectCommand())
  .addCommand(paramsCommand());

for (const command of program.commands.flatMap((child) => [child, ...child.commands])) command.exitOverride();
program.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  // commander has printed its message; help and --version are no errors
  const { exitCode } = error as { exitCode?: number };
  if (exitCode === undefined) throw error;
  process.exitCode = exitCode === 0 ? EXIT_OK : EXIT_USAGE;
}
