import { percent } from '../leakageChart.js';
import { formatBytes, formatSeconds, formatTable } from '../terminal.js';

/** What the demo measured; the object that `--json` prints. */
export interface DemoSummary {
  /** Mean next-byte cross entropy of the held-out text, nats. */
  readonly baseLoss: number;
  /** With the adapter in floating point, computed locally for comparison. */
  readonly floatLoraLoss: number;
  /** With the remote adapter in exact integers. */
  readonly protocolLoss: number;
  readonly modules: number;
  /** Token rows recorded and proven. */
  readonly tokens: number;
  /** Share of the adapter that these rows give away, 0 to 1; see docs/leakage.md. */
  readonly revealed: number;
  readonly proofBytes: number;
  /** Size of a proof of one module alone. */
  readonly moduleProofBytes: number;
  readonly sessionBytes: number;
  readonly registerSeconds: number;
  readonly evaluateSeconds: number;
  readonly proveSeconds: number;
  readonly verifySeconds: number;
  /** The larger of the two parties. */
  readonly peakRssBytes: number;
  readonly tamperedSessionRejected: boolean;
  readonly wrongWeightRejected: boolean;
  /** Always true: the bundled parameters come from a known secret. */
  readonly developmentParameters: true;
}

/** The closing table. */
export function describeDemo(summary: DemoSummary, out: string): string {
  const refused = (rejected: boolean) => (rejected ? 'refused' : 'ACCEPTED (bug)');
  const row = (name: string, value: string) => [name, value];
  return [
    '',
    formatTable([
      row('held-out loss, base model', `${summary.baseLoss.toFixed(4)} nats/byte`),
      row('held-out loss, adapter in floating point', `${summary.floatLoraLoss.toFixed(4)} nats/byte`),
      row('held-out loss, remote adapter (proven)', `${summary.protocolLoss.toFixed(4)} nats/byte`),
      row('modules x token rows', `${summary.modules} x ${summary.tokens}`),
      row('adapter revealed to the user by these rows', percent(summary.revealed)),
      row('register', formatSeconds(summary.registerSeconds)),
      row('evaluate (base twice, deltas over gRPC)', formatSeconds(summary.evaluateSeconds)),
      row('prove every delta', formatSeconds(summary.proveSeconds)),
      row('verify', formatSeconds(summary.verifySeconds)),
      row('proof, whole adapter', formatBytes(summary.proofBytes)),
      row('proof, one module alone', formatBytes(summary.moduleProofBytes)),
      row('session record', formatBytes(summary.sessionBytes)),
      row('peak memory of a party', formatBytes(summary.peakRssBytes)),
      row('session with one changed byte of Y', refused(summary.tamperedSessionRejected)),
      row('proof made with one changed weight', refused(summary.wrongWeightRejected)),
    ]),
    '',
    'The parameters are development parameters (their secret is known): this run shows the mechanics, not security.',
    'The budget of what answers may reveal was off (--max-revealed 1): so many rows give these small modules away (docs/leakage.md).',
    `Everything is in ${out}: try  zklora inspect ${out}/user/proof.zkl`,
  ].join('\n');
}
