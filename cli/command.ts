import { type Command, InvalidArgumentError } from 'commander';
import { ZkLoraError } from '../src/errors.js';
import { EXIT_BUG, exitCodeOf } from './exitCodes.js';
import { Terminal } from './terminal.js';

/** Body of a command; returns the exit code. */
export type Action<Options> = (options: Options, terminal: Terminal) => Promise<number>;

/** Completes a command: adds `--json`, runs the body, turns errors into messages and exit codes. */
export function runs<Options extends object>(command: Command, body: Action<Options>): Command {
  return command.option('--json', 'print one JSON object to stdout').action(async () => {
    const options = command.opts<Options & { json?: boolean }>();
    const terminal = new Terminal(options.json === true);
    try {
      process.exitCode = await body(options, terminal);
    } catch (error) {
      process.exitCode = reportError(error, terminal);
    }
  });
}

/** Prints an error and returns its exit code. */
export function reportError(error: unknown, terminal: Terminal): number {
  terminal.done();
  if (error instanceof ZkLoraError) {
    if (terminal.json) {
      terminal.result('', { error: { code: error.code, message: error.message, details: error.details } });
    }
    process.stderr.write(`zklora: ${error.message} [${error.code}]\n`);
    return exitCodeOf(error.code);
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`zklora: this is a bug, please report it: ${text}\n`);
  return EXIT_BUG;
}

/** Option parser for a positive integer up to `max`. */
export function positiveInteger(max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < 1 || value > max) {
      throw new InvalidArgumentError(`expected a whole number from 1 to ${max}`);
    }
    return value;
  };
}

/** Option parser for a 32-byte digest in hex. */
export function digestOption(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text)) throw new InvalidArgumentError('expected 64 hex digits in lower case');
  return text;
}
