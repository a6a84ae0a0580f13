/**
 * Preloaded into a process that is measured (`node --import probe.mjs ...`): answers each message of its parent with what the
 * process holds and how late its event loop was since the message before.
 */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';

const RESOLUTION_MS = 1;
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();

process.on('message', (request) => {
  if (request?.collect) globalThis.gc?.();
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
  const ms = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  const { user, system } = process.cpuUsage();
  process.send({
    cpuSeconds: (user + system) / 1e6,
    rssBytes: rss,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    heapBytes: heapUsed,
    externalBytes: external + arrayBuffers,
    contexts: getHeapStatistics().number_of_native_contexts,
    handles: process.getActiveResourcesInfo().length,
    loopDelayMs: { p50: ms(delay.percentile(50)), p99: ms(delay.percentile(99)), max: ms(delay.max) },
  });
  delay.reset();
});
// the channel to the parent keeps no process alive
process.channel?.unref();
