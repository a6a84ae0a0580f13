import { formatTable } from '../terminal.js';
import { formatGain } from './settleChain.js';
import type { Act, SettleSummary } from './settleStory.js';

/** The closing tables. */
export function describeSettlement(summary: SettleSummary, out: string): string {
  const { acts, deployGas, evaluatedLoss, openedLoss, wrongWeight } = summary;
  const calls = [...new Set(acts.flatMap((act) => act.calls.map(({ call }) => call)))];
  const gasOf = (act: Act, call: string) => act.calls.find((entry) => entry.call === call)?.gas ?? '';
  const gas = [
    ['gas', ...acts.map(({ name }) => name)],
    ...calls.map((call) => [call, ...acts.map((act) => String(gasOf(act, call)))]),
  ];
  const money = [
    ['money, ether', 'contributor before', 'after', 'change', 'buyer before', 'after', 'change'],
    ...acts.map(({ name, before, after }) => [
      name,
      ...[before.contributor, after.contributor].map((wei) => (Number(wei) / 1e18).toFixed(4)),
      formatGain(after.contributor - before.contributor),
      ...[before.buyer, after.buyer].map((wei) => (Number(wei) / 1e18).toFixed(4)),
      formatGain(after.buyer - before.buyer),
    ]),
  ];
  return [
    '',
    formatTable(gas),
    `deployment, once: ${deployGas} gas`,
    '',
    formatTable(money),
    '',
    `loss as evaluated ${evaluatedLoss}, with the opened PEFT adapter ${openedLoss}`,
    `wrong weight ${wrongWeight}: ${summary.fraudFound ? 'found, proven, stake lost' : 'NOT FOUND (bug)'}`,
    `no key: ${summary.refunded ? 'price refunded' : 'NOT REFUNDED (bug)'}`,
    '',
    'Development parameters and a chain of this process: this run shows the mechanics, not security.',
    `Everything is in ${out}: ${out}/honest/adapter is a PEFT adapter`,
  ].join('\n');
}

/** The object that `--json` prints: amounts in wei as decimal text. */
export function settlementJson(summary: SettleSummary): object {
  const amounts = ({ contributor, buyer }: Act['before']) => ({
    contributor: String(contributor),
    buyer: String(buyer),
  });
  return {
    ...summary,
    acts: summary.acts.map((act) => ({ ...act, before: amounts(act.before), after: amounts(act.after) })),
    developmentParameters: true,
  };
}
