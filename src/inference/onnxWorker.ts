/** Entry of the worker thread that runs base models: `session.run` blocks its thread. */
import { parentPort } from 'node:worker_threads';
import { ZkLoraError } from '../errors.js';
import { openStageRunner, type StageRunner } from './stageRunner.js';
import { toPlainError, type WorkerRequest, type WorkerResponse } from './workerMessages.js';

if (parentPort === null) throw new ZkLoraError('INTERNAL', 'onnxWorker runs as a worker thread only');
const port = parentPort;

/** Open models by number. */
const runners = new Map<number, StageRunner>();
let opened = 0;

function runnerOf(model: number): StageRunner {
  const runner = runners.get(model);
  if (runner === undefined) throw new ZkLoraError('INTERNAL', 'no base model is open');
  return runner;
}

async function handle(request: WorkerRequest) {
  switch (request.operation) {
    case 'open': {
      const runner = await openStageRunner(request.body.path, request.body.modules);
      const model = opened++;
      runners.set(model, runner);
      return { model, info: runner.info };
    }
    case 'start':
      return runnerOf(request.body.model).start(request.body.feeds);
    case 'resume':
      return runnerOf(request.body.model).resume(request.body.deltas);
    case 'base':
      return runnerOf(request.body.model).base(request.body.feeds);
    case 'close':
      await runnerOf(request.body.model).close();
      runners.delete(request.body.model);
      return null;
  }
}

/** Large results move between threads instead of being copied. */
function transfers(body: Awaited<ReturnType<typeof handle>>): ArrayBuffer[] {
  if (body === null || !('kind' in body || 'values' in body)) return [];
  if ('values' in body) return [body.values.buffer];
  return body.kind === 'ask' ? body.inputs.map((input) => input.values.buffer) : [body.output.values.buffer];
}

port.on('message', (request: WorkerRequest) => {
  handle(request).then(
    (body) => port.postMessage({ id: request.id, ok: true, body } satisfies WorkerResponse, transfers(body)),
    (error: unknown) =>
      port.postMessage({ id: request.id, ok: false, error: toPlainError(error) } satisfies WorkerResponse),
  );
});
