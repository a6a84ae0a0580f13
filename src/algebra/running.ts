import type { Engine } from './engine.js';

let running: Engine | undefined;

/** The engine if it is loaded; for work that is faster with it and does not need it. */
export function runningEngine(): Engine | undefined {
  return running;
}

/** Called by the engine when it is loaded and when it is terminated. */
export function setRunningEngine(engine: Engine | undefined): void {
  running = engine;
}
