import type { Engine } from './engine.js';
import type { WorkerPool } from './poolGuard.js';

/**
 * Starts a computation whose tasks go ahead of all that wait for a worker thread: for steps of a chain, each of which
 * needs the one before, beside work that can be done in any order.
 *
 * Holds for what `start` queues before it first waits for something; a multi-scalar multiplication queues all of it.
 */
export function ahead<T>(engine: Engine, start: () => Promise<T>): Promise<T> {
  const { actionQueue } = engine.curve.tm as WorkerPool;
  // tasks only wait while no worker is free, so that none of these is taken meanwhile
  const waiting = actionQueue.length;
  const result = start();
  actionQueue.unshift(...actionQueue.splice(waiting));
  return result;
}
