/** Entry of the worker thread that runs the base model: `session.run` blocks its thread. */
import { parentPort } from 'node:worker_threads';
import { ZkLoraError } from '../errors.js';
import { openStageRunner, type StageRunner } from './stageRunner.js';
import { toPlainError, type WorkerRequest, type WorkerResponse } from './workerMessages.js';

if (parentPort === null) throw new ZkLoraError('INTERNAL', 'onnxWorker runs as a worker thread only');
const port = parentPort;

let runner: StageRunner | undefined;

function opened(): StageRunner {
  if (runner === undefined) throw new ZkLoraError('INTERNAL', 'no base model is open');
  return runner;
}

async function handle(request: WorkerRequest) {
  switch (request.operation) {
    case 'open':
      runner = await openStageRunner(request.body.path, request.body.modules);
      return runner.info;
    case 'start':
      return opened().start(request.body.ids, request.body.batch, request.body.sequence);
    case 'resume':
      return opened().resume(request.body.deltas);
    case 'base':
      return opened().base(request.body.ids, request.body.batch, request.body.sequence);
    case 'close':
      await runner?.close();
      runner = undefined;
      return null;
  }
}

/** Large results move between threads instead of being copied. */
function transfers(body: Awaited<ReturnType<typeof handle>>): ArrayBuffer[] {
  if (body === null || !('kind' in body || 'values' in body)) return [];
  if ('values' in body) return [body.values.buffer];
  return body.kind === 'ask' ? body.inputs.map((input) => input.values.buffer) : [body.logits.values.buffer];
}

port.on('message', (request: WorkerRequest) => {
  handle(request).then(
    (body) => port.postMessage({ id: request.id, ok: true, body } satisfies WorkerResponse, transfers(body)),
    (error: unknown) =>
      port.postMessage({ id: request.id, ok: false, error: toPlainError(error) } satisfies WorkerResponse),
  );
});
