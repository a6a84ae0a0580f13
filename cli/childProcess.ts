import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ZkLoraError } from '../src/errors.js';

/** Last lines of a child's stderr that go into an error message. */
const KEPT_LINES = 5;

/** A `zklora` command running as its own process with `--json`; each line of its stdout is one object. */
export class ZkloraProcess {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #objects: Record<string, unknown>[] = [];
  readonly #errors: string[] = [];
  readonly #exit: Promise<number>;
  #wake: () => void = () => undefined;

  /**
   * @param environment variables on top of this process's own
   * @param script another program than `zklora`
   */
  constructor(
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    script?: { readonly path: string },
  ) {
    this.#name = args[0]!;
    const main = fileURLToPath(new URL('./main.js', import.meta.url));
    const command = script ? [script.path, ...args] : [main, ...args, '--json'];
    this.#child = spawn(process.execPath, command, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.#objects.push(JSON.parse(line) as Record<string, unknown>);
      this.#wake();
    });
    createInterface({ input: this.#child.stderr! }).on('line', (line) => {
      this.#errors.push(line);
      if (this.#errors.length > KEPT_LINES) this.#errors.shift();
    });
    this.#exit = new Promise((resolve) => {
      this.#child.on('close', (code) => {
        resolve(code ?? -1);
        this.#wake();
      });
    });
  }

  /**
   * The next object that the process prints.
   *
   * @throws ZkLoraError `INTERNAL` when it ends without one.
   */
  async next(): Promise<Record<string, unknown>> {
    let ended = false;
    void this.#exit.then(() => {
      ended = true;
    });
    for (;;) {
      const object = this.#objects.shift();
      if (object) return object;
      if (ended) {
        throw new ZkLoraError('INTERNAL', `zklora ${this.#name} failed: ${this.#errors.join(' / ')}`);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Waits for the end and returns the exit code. */
  exitCode(): Promise<number> {
    return this.#exit;
  }

  /** Asks the process to stop. */
  stop(): void {
    this.#child.kill('SIGTERM');
  }
}

/** Runs a command to its end and returns its result object; it has to end with the given exit code. */
export async function runZklora(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  expectedCode = 0,
): Promise<Record<string, unknown>> {
  const child = new ZkloraProcess(args, environment);
  const result = await child.next();
  const code = await child.exitCode();
  if (code !== expectedCode) {
    const { message } = (result.error ?? {}) as { message?: string };
    throw new ZkLoraError('INTERNAL', `zklora ${args[0]} ended with exit code ${code}: ${message ?? ''}`);
  }
  return result;
}
