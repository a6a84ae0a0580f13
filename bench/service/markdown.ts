/** Tables of docs/operations.md. */
import { machineText, markdown, megabytes } from '../report.js';
import type { LoopDelay } from './contributor.js';
import type { Overhead } from './overhead.js';
import { type Measured, REMOTE, type ServiceFile } from './result.js';
import type { Distribution } from './stats.js';

/** Tables by name, of the sections that were measured. */
export function serviceTables({ overhead, load, responsiveness, soak }: ServiceFile): Record<string, string> {
  const tables: Record<string, string> = {};
  if (overhead) {
    tables['service-overhead'] = withMachine(overheadMarkdown(overhead.models), overhead);
    tables['service-parts'] = withMachine(partsMarkdown(overhead.models), overhead);
  }
  if (load) tables['service-load'] = withMachine(loadMarkdown(load), load);
  if (responsiveness) {
    tables['service-responsiveness'] = withMachine(loopMarkdown(responsiveness), responsiveness);
  }
  if (soak) tables['service-soak'] = withMachine(soakMarkdown(soak), soak);
  return tables;
}

function withMachine(text: string, { machine, date }: Measured): string {
  return `${text}\n\nMeasured on ${machineText(machine)}, ${date}.`;
}

/** A remote pass over one of the uncut model, at 96 tokens on loopback, without proofs. */
const TARGET = 3;

const ms = (value: number): string => `${value < 10 ? value.toFixed(2) : value.toFixed(1)} ms`;
const share = ({ p50, p99 }: Distribution | LoopDelay): string => `${ms(p50)} / ${ms(p99)}`;

function overheadMarkdown(models: readonly Overhead[]): string {
  const tables = models.map((one) =>
    [
      `${one.model}: ${one.modules} modules in ${one.stages} stages, ${one.tokens} tokens a pass, ${megabytes(one.activationBytes)} of activations and ${megabytes(one.deltaBytes)} of deltas in a call. With deltas of zero the cut model differs by ${one.cutDifference.toExponential(0)} of the largest logit at most; contributors give the logits of the adapter in this process, bit for bit.`,
      '',
      markdown(
        [
          'forward pass',
          'passes',
          'median',
          'p90',
          'over the uncut model',
          'processor time: user',
          'processor time: contributor',
        ],
        one.variants.map(({ name, passes, medianMs, p90Ms, ratio, userCpuMs, contributorCpuMs }) => [
          name,
          passes,
          ms(medianMs),
          ms(p90Ms),
          `${ratio.toFixed(2)} x`,
          ms(userCpuMs),
          contributorCpuMs === 0 ? '' : ms(contributorCpuMs),
        ]),
      ),
    ].join('\n'),
  );
  return [...tables, targetMarkdown(models)].join('\n\n');
}

/** Which models are below the target, and which are not. */
function targetMarkdown(models: readonly Overhead[]): string {
  const lines = models.map(({ model, variants }) => {
    const ratio = variants.find(({ name }) => name === REMOTE)?.ratio ?? Number.NaN;
    return `* ${model}: ${ratio.toFixed(2)} x, ${ratio < TARGET ? 'below the target' : 'misses the target'}`;
  });
  return [`Against the target of under ${TARGET} x (${REMOTE}):`, '', ...lines].join('\n');
}

function partsMarkdown(models: readonly Overhead[]): string {
  const names = models[0]?.parts ?? [];
  return markdown(
    ['part', 'done by', ...models.map(({ model }) => `${model}, a call`)],
    names.map(({ name, side }) => [
      name,
      side,
      ...models.map(({ parts }) => ms(parts.find((one) => one.name === name)?.ms ?? Number.NaN)),
    ]),
  );
}

function loadMarkdown({ model, rows }: NonNullable<ServiceFile['load']>): string {
  const table = markdown(
    [
      'sessions',
      'driven by',
      'calls/s',
      'tokens/s',
      'stage p50 / p99',
      'call p50 / p99',
      'cores: contributor',
      'cores: clients',
      'peak memory',
      'event loop p50 / p99',
    ],
    rows.map((row) => [
      row.sessions,
      row.client,
      row.callsPerSecond.toFixed(1),
      Math.round(row.tokensPerSecond),
      row.stageMs.count === 0 ? '' : share(row.stageMs),
      share(row.callMs),
      row.contributorCores.toFixed(2),
      row.clientCores.toFixed(2),
      megabytes(row.contributorPeakRssBytes),
      share(row.contributorLoopDelayMs),
    ]),
  );
  return `${table}\n\n${model}; memory and event loop are the contributor's.`;
}

function loopMarkdown({
  rows,
  provenCalls,
  proveSeconds,
}: NonNullable<ServiceFile['responsiveness']>): string {
  const table = markdown(
    ['state', 'stage p50 / p99', "contributor's event loop p50 / p99", 'max', "user's p50 / p99", 'max'],
    rows.map(({ state, stageMs, contributorLoopDelayMs, userLoopDelayMs }) => [
      state,
      share(stageMs),
      share(contributorLoopDelayMs),
      ms(contributorLoopDelayMs.max),
      share(userLoopDelayMs),
      ms(userLoopDelayMs.max),
    ]),
  );
  return `${table}\n\nThe proof is of ${provenCalls} calls and took ${proveSeconds.toFixed(2)} s beside the load.`;
}

function soakMarkdown(soak: NonNullable<ServiceFile['soak']>): string {
  const { samples, rssSlope, heapSlope } = soak;
  // about ten rows, the first and the last among them
  const every = Math.max(1, Math.floor((samples.length - 1) / 10));
  const shown = samples.filter((_, i) => i % every === 0 || i === samples.length - 1);
  const table = markdown(
    ['after', 'memory', 'heap', 'outside the heap', 'handles', 'open files', 'calls', 'sessions closed'],
    shown.map((one) => [
      `${Math.round(one.seconds)} s`,
      megabytes(one.rssBytes),
      megabytes(one.heapBytes),
      megabytes(one.externalBytes),
      one.handles,
      one.files ?? '',
      one.calls,
      one.sessionsClosed,
    ]),
  );
  const line = ({ bytesPerMinute, standardError }: typeof rssSlope) =>
    `${(bytesPerMinute / 1e3).toFixed(0)} kB a minute (standard error ${(standardError / 1e3).toFixed(0)})`;
  return `${table}\n\n${soak.minutes} minutes, ${soak.sessionsAtATime} sessions at a time of ${soak.callsPerSession} calls; ${soak.calls} calls, ${soak.sessionsClosed} sessions closed, ${soak.proofs} proofs. Slope over the second half, least squares: memory ${line(rssSlope)}, heap ${line(heapSlope)}.`;
}
