import { formatBytes, formatSeconds, formatTable } from '../terminal.js';
import type { EnsembleTask } from './ensembleParts.js';
import type { RoutingVariant, VariantQuality } from './ensembleQuality.js';

/** What one ensemble's part of the demo measured. */
export interface EnsemblePart {
  readonly experts: number;
  readonly adaptedExperts: readonly number[];
  readonly samples: number;
  /** Times at which the models were asked: Euler steps and the final x0. */
  readonly steps: number;
  /** Recorded expert calls and their token rows; all of them are proven. */
  readonly calls: number;
  readonly tokens: number;
  readonly proofBytes: number;
  readonly sampleSeconds: number;
  readonly proveSeconds: number;
  readonly verifySeconds: number;
  /** The user runs the plan again on the recorded deltas. */
  readonly replaySeconds: number;
  /** Largest change of a value of an adapted sample, and mean over the samples that an adapter took part in. */
  readonly largestChange: number;
  readonly meanChange: number;
  readonly lineageEdges: number;
  readonly swappedExpertRejected: boolean;
  readonly tamperedEdgeRejected: boolean;
  readonly pictures: readonly string[];
  readonly quality: Record<RoutingVariant, VariantQuality>;
}

/** The object that `demo --ensemble --json` prints: sums over both ensembles, and each by itself. */
export interface EnsembleSummary {
  readonly experts: number;
  readonly steps: number;
  readonly proofBytes: number;
  readonly proveSeconds: number;
  readonly verifySeconds: number;
  readonly lineageEdges: number;
  readonly swappedExpertRejected: boolean;
  readonly tamperedEdgeRejected: boolean;
  /** Mean confidence of the judge by ensemble and routing variant. */
  readonly quality: Record<EnsembleTask['name'], Record<RoutingVariant, number>>;
  readonly ensembles: Record<EnsembleTask['name'], EnsemblePart>;
  /** Always true: the bundled parameters come from a known secret. */
  readonly developmentParameters: true;
}

const VARIANTS = ['top-1', 'top-2', 'full'] as const;

export function summarise(ensembles: EnsembleSummary['ensembles']): EnsembleSummary {
  const parts = Object.values(ensembles);
  const sum = (value: (part: EnsemblePart) => number) =>
    parts.reduce((total, part) => total + value(part), 0);
  const confidence = ({ quality }: EnsemblePart) => ({
    'top-1': quality['top-1'].judgement.confidence,
    'top-2': quality['top-2'].judgement.confidence,
    full: quality.full.judgement.confidence,
  });
  return {
    experts: sum(({ experts }) => experts),
    steps: sum(({ steps }) => steps),
    proofBytes: sum(({ proofBytes }) => proofBytes),
    proveSeconds: sum(({ proveSeconds }) => proveSeconds),
    verifySeconds: sum(({ verifySeconds }) => verifySeconds),
    lineageEdges: sum(({ lineageEdges }) => lineageEdges),
    swappedExpertRejected: parts.every((part) => part.swappedExpertRejected),
    tamperedEdgeRejected: parts.every((part) => part.tamperedEdgeRejected),
    quality: { image: confidence(ensembles.image), video: confidence(ensembles.video) },
    ensembles,
    developmentParameters: true,
  };
}

/** The closing tables. */
export function describeEnsembles({ ensembles }: EnsembleSummary, out: string): string {
  const { image, video } = ensembles;
  const refused = (rejected: boolean) => (rejected ? 'refused' : 'ACCEPTED (bug)');
  const row = (name: string, value: (part: EnsemblePart) => string) => [name, value(image), value(video)];
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  return [
    '',
    formatTable([
      ['', 'image', 'video'],
      row('experts, with adapters', (part) => `${part.experts}, ${part.adaptedExperts.length}`),
      row('samples x steps', (part) => `${part.samples} x ${part.steps}`),
      row('recorded calls, token rows', (part) => `${part.calls}, ${part.tokens}`),
      row('sampling with adapters', (part) => formatSeconds(part.sampleSeconds)),
      row('prove every delta', (part) => formatSeconds(part.proveSeconds)),
      row('verify', (part) => formatSeconds(part.verifySeconds)),
      row('replay plan on recorded deltas', (part) => formatSeconds(part.replaySeconds)),
      row('proofs', (part) => formatBytes(part.proofBytes)),
      row('mean change by the adapters (of 2)', (part) => part.meanChange.toFixed(3)),
      row('verified lineage edges', (part) => String(part.lineageEdges)),
      row('swapped expert', (part) => refused(part.swappedExpertRejected)),
      row('tampered edge', (part) => refused(part.tamperedEdgeRejected)),
      ...VARIANTS.map((variant) =>
        row(`judge's confidence, ${variant}`, ({ quality }) =>
          percent(quality[variant].judgement.confidence),
        ),
      ),
      ...VARIANTS.map((variant) =>
        row(`steps at the nearest cluster, ${variant}`, ({ quality }) =>
          percent(quality[variant].alignment.nearestToSample),
        ),
      ),
    ]),
    '',
    'The parameters are development parameters (their secret is known): this run shows the mechanics, not security.',
    ...[...image.pictures, ...video.pictures].map((path) => `picture ${path}`),
    `Everything is in ${out}.`,
  ].join('\n');
}
