import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readPeftAdapter } from '../../src/adapter/peft.js';
import { bytesToHex } from '../../src/bytes.js';
import { readAnswered } from '../../src/inference/answeredJournal.js';
import { checkClosing, openSessionRecord } from '../../src/inference/record.js';
import { temporaryFolder } from './fixtures.js';
import { sessionFolders } from './parties.js';

const ADAPTER = 'fixtures/llama-tiny/adapter';
const CALLS = 2;
/** Flushes of the contributor until a session is open: two folders, two files and their names. */
const OPENING_FLUSHES = 6;

function start(script: string, args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [`test/inference/${script}.mjs`, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** Standard output of a process that ends; undefined for one that was killed or lost its contributor. */
async function outputOf(child: ChildProcess): Promise<string | undefined> {
  let [out, err] = ['', ''];
  child.stdout!.on('data', (part: Buffer) => (out += part.toString()));
  child.stderr!.on('data', (part: Buffer) => (err += part.toString()));
  const [code, signal] = await once(child, 'close');
  if (signal === 'SIGKILL' || err.includes('CONTRIBUTOR_UNREACHABLE')) return undefined;
  expect([code, err]).toEqual([0, '']);
  return out;
}

async function contributor(dir: string, port = '0', killAt: readonly string[] = []) {
  const args = [ADAPTER, '00'.repeat(32), join(dir, 'contributor'), port, ...killAt];
  const child = start('contributorProcess', args);
  const [line] = await once(child.stdout!, 'data');
  return { child, port: String(line).trim() };
}

const user = (dir: string, port: string, killAt: readonly string[] = []) =>
  outputOf(start('userProcess', [port, join(dir, 'user'), String(CALLS), ...killAt]));

/** What both sides hold at the end, and what the user got. */
async function settled(dir: string, output: string | undefined) {
  const { modules } = await readPeftAdapter(ADAPTER);
  const mine = await openSessionRecord(join(dir, 'user'));
  const folders = await sessionFolders(join(dir, 'contributor'));
  const records = await Promise.all(folders.map((folder) => openSessionRecord(folder).catch(() => null)));
  // An opening whose answer was lost leaves a folder without a call.
  const held = records.filter((record) => record !== null && record.callCount > 0);
  expect(held).toHaveLength(1);
  const theirs = held[0]!;
  expect([mine.callCount, theirs.callCount]).toEqual([CALLS, CALLS]);
  expect(mine.closing).toEqual(theirs.closing);
  expect(bytesToHex(await checkClosing(mine, modules))).toBe(bytesToHex(await checkClosing(theirs, modules)));
  const answered = await readAnswered(theirs.dir, theirs.header);
  const expected = Array.from({ length: CALLS }, (_, call) => modules.map((_module, stage) => [call, stage]));
  expect(answered.map(({ call, stage }) => [call, stage])).toEqual(expected.flat());
  return JSON.parse(output!) as { sums: number[]; proof: number };
}

/** Sums and proof of a session that nobody kills. */
async function undisturbed() {
  const dir = await temporaryFolder();
  const { port, child } = await contributor(dir);
  const result = await settled(dir, await user(dir, port));
  child.kill('SIGKILL');
  expect(result.proof).toBe(CALLS);
  return result;
}

let reference: Promise<{ sums: number[]; proof: number }> | undefined;
const expectedResult = () => {
  reference ??= undisturbed();
  return reference;
};

/**
 * Where to kill: right before or after the N-th flush to disk, whatever it is of. Some of them, or with the variable
 * KILL_POINTS=every all up to the last.
 */
function points(some: readonly string[], last: number): readonly string[] {
  if (process.env.KILL_POINTS !== 'every') return some;
  return Array.from({ length: last }, (_, i) => [`before:${i + 1}`, `after:${i + 1}`]).flat();
}

describe('kill -9 and a new start', () => {
  it.each(points(['before:7', 'after:14', 'after:19'], 23))('of the contributor, %s', async (killAt) => {
    const expected = await expectedResult();
    const dir = await temporaryFolder();
    const first = await contributor(dir, '0', [killAt]);
    const output = user(dir, first.port);
    await once(first.child, 'close');
    expect(first.child.signalCode).toBe('SIGKILL');
    await contributor(dir, first.port);
    // The user is still there and asks again by itself, unless its session was not open yet.
    const finished = await output;
    if (Number(killAt.split(':')[1]) > OPENING_FLUSHES) expect(finished).toBeDefined();
    expect(await settled(dir, finished ?? (await user(dir, first.port)))).toEqual(expected);
  });

  it.each(points(['after:8', 'before:13'], 17))('of the user, %s', async (killAt) => {
    const expected = await expectedResult();
    const dir = await temporaryFolder();
    const { port } = await contributor(dir);
    expect(await user(dir, port, [killAt])).toBeUndefined();
    expect(await settled(dir, await user(dir, port))).toEqual(expected);
  });
});
