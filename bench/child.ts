/** Runs one step in a fresh process and reads the JSON line that it prints. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * @param script file beside this one
 * @param flags options of Node itself
 * @throws Error when the process fails; its messages go to the terminal.
 */
export async function runChild<T>(
  script: string,
  args: readonly string[],
  flags: readonly string[] = [],
): Promise<T> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [...flags, path, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (text: string) => {
    output += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${script} ${args[0] ?? ''} failed with code ${code}`);
  return JSON.parse(output.trim().split('\n').at(-1)!) as T;
}

/** The run with the middle value of a measure, of an odd number of them. */
export function median<T>(runs: readonly T[], measure: (run: T) => number): T {
  return [...runs].sort((a, b) => measure(a) - measure(b))[Math.floor(runs.length / 2)]!;
}
