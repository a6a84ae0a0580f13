import { bytesToHex, sha256 } from '../src/bytes.js';
import {
  type CutTexts,
  type Estimate,
  estimateMean,
  type PlainText,
  type SetEvaluation,
} from '../src/inference/index.js';
import { formatTable } from './terminal.js';

/** A loss in nats, with its perplexity; ends of 95 % intervals, null for a single sequence. */
export interface LossReport {
  readonly loss: number;
  readonly lossInterval: readonly [number, number] | null;
  readonly perplexity: number;
  readonly perplexityInterval: readonly [number, number] | null;
}

/** Losses over some sequences, and their paired difference: adapter minus base. */
export interface PartReport {
  readonly sequences: number;
  readonly predictions: number;
  readonly base: LossReport;
  readonly adapter: LossReport;
  readonly difference: Pick<LossReport, 'loss' | 'lossInterval'>;
}

export interface FileReport {
  readonly name: string;
  readonly sha256: string;
  readonly unusedTokens: number;
  /** Null for a file that the limits on sequences and tokens left nothing of. */
  readonly losses: PartReport | null;
}

/** Losses of an evaluation over all sequences, and of each file. */
export interface LossesReport {
  readonly all: PartReport;
  readonly files: readonly FileReport[];
}

export function reportLosses(
  { baseSums, adapterSums }: Pick<SetEvaluation, 'baseSums' | 'adapterSums'>,
  { windows: { scored }, texts }: CutTexts,
  files: readonly PlainText[],
): LossesReport {
  const part = (first: number, count: number): PartReport => {
    const counts = scored.subarray(first, first + count);
    const base = baseSums.subarray(first, first + count);
    const adapter = adapterSums.subarray(first, first + count);
    const paired = estimateMean(
      adapter.map((sum, i) => sum - base[i]!),
      counts,
    );
    return {
      sequences: count,
      predictions: counts.reduce((a, b) => a + b, 0),
      base: lossReport(estimateMean(base, counts)),
      adapter: lossReport(estimateMean(adapter, counts)),
      difference: { loss: paired.mean, lossInterval: paired.interval },
    };
  };
  let first = 0;
  return {
    all: part(0, scored.length),
    files: texts.map(({ name, count, unusedTokens }, i) => {
      const losses = count === 0 ? null : part(first, count);
      first += count;
      return { name, sha256: bytesToHex(sha256(files[i]!.bytes)), unusedTokens, losses };
    }),
  };
}

function lossReport({ mean, interval }: Estimate): LossReport {
  return {
    loss: mean,
    lossInterval: interval,
    perplexity: Math.exp(mean),
    perplexityInterval: interval && [Math.exp(interval[0]), Math.exp(interval[1])],
  };
}

/** Tables for people. */
export function describeLosses({ all, files }: LossesReport): string[] {
  const row = (name: string, { loss, lossInterval, perplexity, perplexityInterval }: LossReport) => [
    name,
    loss.toFixed(4),
    range(lossInterval, 4),
    perplexity.toFixed(3),
    range(perplexityInterval, 3),
  ];
  const { loss, lossInterval } = all.difference;
  const lines = [
    formatTable([
      ['', 'loss (nats)', '95 %', 'perplexity', '95 %'],
      row('base model', all.base),
      row('with adapter', all.adapter),
      ['difference', signed(loss), range(lossInterval, 4)],
    ]),
  ];
  if (files.length > 1) {
    lines.push(
      '',
      formatTable([
        ['file', 'sequences', 'base', 'with adapter', 'difference', '95 %'],
        ...files.map(({ name, losses }) =>
          losses === null
            ? [name, '0', '-', '-', '-', '-']
            : [
                name,
                String(losses.sequences),
                losses.base.loss.toFixed(4),
                losses.adapter.loss.toFixed(4),
                signed(losses.difference.loss),
                range(losses.difference.lossInterval, 4),
              ],
        ),
      ]),
      '',
    );
  }
  return lines;
}

function range(interval: readonly [number, number] | null, digits: number): string {
  return interval === null ? '-' : `${interval[0].toFixed(digits)} .. ${interval[1].toFixed(digits)}`;
}

function signed(value: number): string {
  return `${value > 0 ? '+' : ''}${value.toFixed(4)}`;
}
