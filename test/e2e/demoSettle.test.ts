import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lastObject, type Ran, temporaryFolder, zklora } from './cli.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let ran: Ran;

beforeAll(async () => {
  folder = await temporaryFolder();
  const out = join(folder.dir, 'demo');
  ran = await zklora('demo', '--settle', '--sequences', '1', '--json', '--out', out);
}, 300_000);
afterAll(() => folder.remove());

interface Act {
  readonly name: string;
  readonly calls: readonly { readonly call: string; readonly gas: number }[];
  readonly before: { readonly contributor: string; readonly buyer: string };
  readonly after: { readonly contributor: string; readonly buyer: string };
}

describe('zklora demo --settle --json', () => {
  it('ends well: the evaluated loss was bought, the wrong weight found, the price refunded', () => {
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stdout.trimEnd().split('\n')).toHaveLength(1);
    const summary = lastObject(ran);
    expect(summary).toMatchObject({ fraudFound: true, refunded: true, developmentParameters: true });
    expect(summary.openedLoss).toBe(summary.evaluatedLoss);
    expect(summary.evaluatedLoss).toBeGreaterThan(0);
    expect(ran.stderr).toMatch(/^using development parameters/m);
  });

  it('moves the money as the game tree says, but for gas', () => {
    const { acts } = lastObject(ran) as unknown as { acts: readonly Act[] };
    expect(acts.map(({ calls }) => calls.map(({ call }) => call))).toEqual([
      ['deposit', 'fund', 'reveal', 'withdraw'],
      ['deposit', 'fund', 'reveal', 'dispute', 'collect'],
      ['deposit', 'fund', 'refund', 'collect'],
    ]);
    // ether, to a hundredth
    const gains = acts.map(({ before, after }) =>
      (['contributor', 'buyer'] as const).map(
        (party) =>
          // no negative zero
          Math.round(Number(BigInt(after[party]) - BigInt(before[party])) / 1e16) + 0,
      ),
    );
    expect(gains).toEqual([
      [150, -150],
      [-50, 50],
      [0, 0],
    ]);
  });
});
