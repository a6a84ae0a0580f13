import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  GPT2_ADAPTER,
  GPT2_BASE,
  GPT2_TEXT,
  type JsonObject,
  lastObject,
  PARAMETERS,
  refused,
  serving,
  temporaryFolder,
  zklora,
  zkloraJson,
} from './cli.js';

/** Eight rows of a module of 128 inputs count 3 * 8 / 128 = 0.1875. */
const TOKENS = '8';

let root: string;
let remove: () => Promise<void>;
let contributor: Awaited<ReturnType<typeof serving>>;
let keys: string[];
const at = (...names: string[]) => join(root, ...names);

const served = (...budget: string[]) =>
  serving([
    ...['--adapter', GPT2_ADAPTER, '--parameters', PARAMETERS, '--sessions', at('sessions')],
    ...['--commitment', at('registered', 'adapter.zkl.json'), '--secret', at('registered', 'adapter.secret')],
    ...budget,
  ]);
/** Each key has a text of its own, so that their rows differ. */
const evaluateArgs = (session: string, key: string, tokens: string) => [
  ...['evaluate', '--base', GPT2_BASE, '--text', at(`${key}.txt`), '--contributor', contributor.address],
  ...['--commitment', at('registered', 'adapter.zkl.json'), '--session', at(session)],
  ...['--user-key', at(key), '--sequence-length', tokens, '--sequences', '1'],
];
const leakage = (...others: string[]) =>
  zkloraJson(
    ...['leakage', '--adapter', GPT2_ADAPTER, '--commitment', at('registered', 'adapter.zkl.json')],
    ...['--sessions', at('sessions'), ...others],
  );
const stop = async () => {
  contributor.process.kill('SIGTERM');
  return lastObject(await contributor.ended);
};
/** An evaluation that the budget ends; the message comes from the contributor. */
const overBudget = async (session: string, key: string, tokens: string, whose: string) => {
  const said = await refused('CONTRIBUTOR_REFUSED', 3, evaluateArgs(session, key, tokens));
  expect(said).toContain(`the budget of what ${whose} may learn`);
};

beforeAll(async () => {
  ({ dir: root, remove } = await temporaryFolder());
  await zkloraJson(
    ...['register', '--adapter', GPT2_ADAPTER, '--base', GPT2_BASE],
    ...['--parameters', PARAMETERS, '--out', at('registered')],
  );
  const text = await readFile(GPT2_TEXT);
  for (const [i, key] of ['a.key', 'b.key', 'c.key', 'd.key'].entries()) {
    await writeFile(at(`${key}.txt`), text.subarray(3000 * i, 3000 * i + 200));
  }
  contributor = await served('--max-revealed', '0.25', '--max-revealed-total', '0.5');
  await zkloraJson(...evaluateArgs('first', 'a.key', TOKENS));
  await overBudget('second', 'a.key', '16', 'one user key');
  await zkloraJson(...evaluateArgs('third', 'b.key', '10'));
  const { publicKeys } = await usersOf();
  keys = publicKeys;
}, 300_000);
afterAll(async () => {
  contributor.process.kill('SIGKILL');
  await remove();
});

async function usersOf(): Promise<{ users: JsonObject[]; publicKeys: string[] }> {
  const users = (await leakage()).users as JsonObject[];
  return { users, publicKeys: users.map(({ user }) => user as string) };
}

describe('a budget on the command line', () => {
  it('is of a key that its user keeps, in a file for itself alone', async () => {
    expect((await stat(at('a.key'))).mode & 0o777).toBe(0o600);
    expect(JSON.parse(await readFile(at('a.key'), 'utf8'))).toMatchObject({ format: 'zklora/user-key/v1' });
    const { users } = await usersOf();
    expect(users).toHaveLength(2);
    // Refused for the number of its rows, which says nothing about the weights: the key may go on.
    expect(users.map(({ refused: was }) => was)).toEqual([false, false]);
    expect(users.every(({ counted }) => (counted as number) <= 0.25)).toBe(true);
  });

  it('is shown by module, by user and in all, as text, JSON and picture', async () => {
    const shown = await leakage('--svg', at('leakage.svg'));
    const total = shown.total as { modules: JsonObject[]; counted: number; measured: number };
    expect(total.modules).toHaveLength(16);
    const wide = total.modules.find(({ inFeatures }) => inFeatures === 512)!;
    expect(wide.tokens).toBeGreaterThanOrEqual(16);
    expect(total.counted).toBeGreaterThan(0.25);
    expect(total.counted).toBeLessThanOrEqual(0.5);
    expect(total.measured).toBeGreaterThan(0.02);
    expect(shown.stagesMissingInLedger).toBe(0);
    const own = await leakage('--user', keys[0]!);
    expect((own as { counted: number }).counted).toBeLessThan(total.counted);
    const svg = await readFile(at('leakage.svg'), 'utf8');
    expect(svg.match(/<rect/g)!.length).toBeGreaterThan(32);
    const { stdout } = await zklora(
      ...['leakage', '--adapter', GPT2_ADAPTER, '--commitment', at('registered', 'adapter.zkl.json')],
      ...['--sessions', at('sessions')],
    );
    expect(stdout).toContain('transformer.h.0.attn.c_attn');
    expect(stdout).toContain('####');
    for (const key of keys) expect(stdout).toContain(key);
  });

  it('outlives restart and ledger', async () => {
    expect(await stop()).toMatchObject({ event: 'stopped', revealed: { counted: expect.any(Number) } });
    await rm(at('sessions.ledger'), { recursive: true });
    contributor = await served('--max-revealed', '0.25', '--max-revealed-total', '0.5');
    await overBudget('fourth', 'b.key', '16', 'one user key');
    // A third key: not beyond what one may have, but beyond what is left for all.
    await overBudget('fifth', 'c.key', '10', 'all users together');
  });

  it('lets in only those on the list', async () => {
    await stop();
    const list = at('users.txt');
    await writeFile(list, `# friends\n${keys[0]!.toUpperCase()}  # the first\n`);
    contributor = await served('--max-revealed', '1', '--allow-users', list);
    const stranger = await refused('CONTRIBUTOR_REFUSED', 3, evaluateArgs('stranger', 'd.key', TOKENS));
    expect(stranger).toContain('not on the list');
    await writeFile(at('bad.txt'), 'no key\n');
    await refused('USAGE', 2, [
      ...['serve', '--adapter', GPT2_ADAPTER, '--parameters', PARAMETERS, '--sessions', at('other')],
      ...['--commitment', at('registered', 'adapter.zkl.json')],
      ...['--secret', at('registered', 'adapter.secret'), '--allow-users', at('bad.txt')],
    ]);
  });
});
