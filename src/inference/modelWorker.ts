import { Worker } from 'node:worker_threads';
import { ZkLoraError } from '../errors.js';
import { workerEntry } from './workerEntry.js';
import {
  fromPlainError,
  type WorkerOperation,
  type WorkerOperations,
  type WorkerRequest,
  type WorkerResponse,
} from './workerMessages.js';

interface Pending {
  readonly resolve: (body: never) => void;
  readonly reject: (error: ZkLoraError) => void;
}

/** A thread that runs ONNX models; requests and responses over its port, matched by number. */
export class ModelWorker {
  private readonly worker: Worker;
  private readonly pending = new Map<number, Pending>();
  private next = 0;
  private failure: ZkLoraError | undefined;

  constructor() {
    this.worker = new Worker(workerEntry('onnxWorker'));
    this.worker.on('message', (response: WorkerResponse) => {
      const pending = this.pending.get(response.id);
      this.pending.delete(response.id);
      if (response.ok) pending?.resolve(response.body as never);
      else pending?.reject(fromPlainError(response.error));
    });
    this.worker.on('error', (error) => this.fail('the base-model worker failed', error));
    this.worker.on('exit', () => this.fail('the base-model worker ended'));
  }

  /** @param transfer buffers of the body that move instead of being copied */
  call<O extends WorkerOperation>(
    operation: O,
    body: WorkerOperations[O]['request'],
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<WorkerOperations[O]['response']> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    this.next += 1;
    const id = this.next;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      this.worker.postMessage({ id, operation, body } as WorkerRequest, transfer);
    });
  }

  async terminate(): Promise<void> {
    await this.worker.terminate();
  }

  private fail(message: string, cause?: unknown): void {
    this.failure ??= new ZkLoraError('INTERNAL', message, { cause });
    for (const { reject } of this.pending.values()) reject(this.failure);
    this.pending.clear();
  }
}
