import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type ConnectionFlags, connectionOf, withConnection } from '../../cli/connection.js';
import { loadContributors } from '../../cli/contributors.js';
import { Terminal } from '../../cli/terminal.js';
import { temporaryFolder } from '../inference/fixtures.js';
import { commitTo, MODULES } from '../inference/parties.js';

const ADDRESS = '127.0.0.1:7321';

function flags(...args: string[]): ConnectionFlags {
  const command = withConnection(new Command().exitOverride().configureOutput({ writeErr: () => undefined }));
  return command.parse(args, { from: 'user' }).opts<ConnectionFlags>();
}

describe('--timeout', () => {
  it('is the longest wait for an answer, in seconds', async () => {
    const terminal = new Terminal(true);
    const connection = await connectionOf(ADDRESS, flags('--timeout', '5'), terminal);
    expect(connection.timeouts).toEqual({ answer: 5000 });
    expect((await connectionOf(ADDRESS, flags(), terminal)).timeouts).toBeUndefined();
  });

  it('of room is told on stderr', async () => {
    const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    onTestFinished(() => stderr.mockRestore());
    const { retry } = await connectionOf(ADDRESS, flags(), new Terminal(true));
    retry!.onWait!(59_500);
    const written = stderr.mock.calls.map(([text]) => String(text)).join('');
    expect(written).toContain('127.0.0.1:7321 has no room; asking again for 60 s at most');
  });

  it('holds for all contributors of a set', async () => {
    const dir = await temporaryFolder();
    await writeFile(join(dir, 'adapter.zkl.json'), JSON.stringify(commitTo(MODULES)));
    const contributors = ['a', 'b'].map((name) => ({
      name,
      commitment: 'adapter.zkl.json',
      address: ADDRESS,
    }));
    const path = join(dir, 'contributors.json');
    await writeFile(path, JSON.stringify({ format: 'zklora/contributors/v1', contributors }));
    const timed = await loadContributors(path, dir, 7);
    expect(timed.map(({ connection }) => connection)).toEqual([{ timeout: 7 }, { timeout: 7 }]);
    expect((await loadContributors(path, dir)).map(({ connection }) => connection)).toEqual([{}, {}]);
  });

  it.each(['0', '-1', '1.5', 'soon', '86401'])('refuses %s', (given) => {
    expect(() => flags(`--timeout=${given}`)).toThrow(/from 1 to 86400/);
  });
});
