import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { ErrorCode } from '../../src/errors.js';

/** The compiled command: `npm test` builds it first. */
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export const fixture = (path: string) => fileURLToPath(new URL(`../../fixtures/${path}`, import.meta.url));

export const GPT2_ADAPTER = fixture('gpt2-tiny/adapter');
export const GPT2_BASE = fixture('gpt2-tiny/base/model.onnx');
export const GPT2_TEXT = fixture('gpt2-tiny/text/heldout.txt');
export const LLAMA_ADAPTER = fixture('llama-tiny/adapter');
export const LLAMA_BASE = fixture('llama-tiny/base/model.onnx');
export const PARAMETERS = fixture('params/development');

/** What a command printed, and how it ended. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type JsonObject = Record<string, unknown>;

/** A `zklora` command, or another script, as a process of its own. */
export class Running {
  readonly process: ChildProcess;
  readonly ended: Promise<Ran>;
  #stdout = '';
  #stderr = '';

  constructor(args: readonly string[], script: string = MAIN) {
    this.process = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.process.stdout!.on('data', (part: Buffer) => {
      this.#stdout += part.toString();
    });
    this.process.stderr!.on('data', (part: Buffer) => {
      this.#stderr += part.toString();
    });
    this.ended = new Promise((resolve) => {
      this.process.once('close', (code) => resolve({ code, stdout: this.#stdout, stderr: this.#stderr }));
    });
  }

  /** The first line on a stream that starts so; fails when the process ends without it. */
  async line(stream: 'stdout' | 'stderr', start: string): Promise<string> {
    const lines = createInterface({ input: this.process[stream]! });
    for await (const line of lines) if (line.startsWith(start)) return line;
    const { code, stderr } = await this.ended;
    throw new Error(`no line "${start}" before the end with code ${code}: ${stderr}`);
  }
}

/** Runs a command to its end. */
export function zklora(...args: readonly string[]): Promise<Ran> {
  return new Running(args).ended;
}

/** Runs a command with `--json` and returns its last line's object; it has to end with code 0. */
export async function zkloraJson(...args: readonly string[]): Promise<JsonObject> {
  const ran = await zklora(...args, '--json');
  expect(ran, args.join(' ')).toMatchObject({ code: 0 });
  return lastObject(ran);
}

export function lastObject({ stdout }: Ran): JsonObject {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as JsonObject;
}

/**
 * Runs a command that has to refuse: exit code, error code in JSON and in one line on stderr that says what to
 * do. Returns that line.
 */
export async function refused(code: ErrorCode, exitCode: number, args: readonly string[]): Promise<string> {
  const ran = await zklora(...args, '--json');
  expect(ran.stdout.trimEnd().split('\n')).toHaveLength(1);
  const { error } = lastObject(ran) as { error: { code: string; message: string } };
  expect({ exit: ran.code, code: error.code }, error.message).toEqual({ exit: exitCode, code });
  expect(error.message).not.toContain('\n');
  const said = ran.stderr.trimEnd().split('\n').at(-1)!;
  expect(said).toBe(`zklora: ${error.message} [${code}]`);
  return error.message;
}

/** Runs `verify`, which has to say no for this reason. */
export async function invalid(reason: string, args: readonly string[]): Promise<JsonObject> {
  const ran = await zklora('verify', ...args, '--json');
  expect(ran).toMatchObject({ code: 1 });
  const verdict = lastObject(ran);
  expect(verdict).toMatchObject({ valid: false, reason });
  return verdict;
}

/** Tests of other things than the budget: a few hundred rows reveal the small fixtures whole. */
const ALL_REVEALED = ['--max-revealed', '1'];

/** A contributor that serves on a free port of this machine. */
export async function serving(
  args: readonly string[],
): Promise<Running & { address: string; fingerprint?: string }> {
  const running = new Running(['serve', '--listen', '127.0.0.1:0', ...ALL_REVEALED, ...args, '--json']);
  const listening = JSON.parse(await running.line('stdout', '{')) as {
    address: string;
    fingerprint?: string;
  };
  return Object.assign(running, listening);
}

/** An empty folder; remove it with the returned function. */
export async function temporaryFolder(): Promise<{ dir: string; remove: () => Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'zklora-e2e-'));
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}

/** All files below a folder, sorted, with `/` between names. */
export async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
