import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { ZkLoraError } from '../errors.js';
import type { BaseModelInfo, Logits, StageInput } from './stageRunner.js';
import type { ModuleShape } from './targets.js';
import {
  fromPlainError,
  type WorkerOperation,
  type WorkerOperations,
  type WorkerRequest,
  type WorkerResponse,
} from './workerMessages.js';

/**
 * Answers the activations of one stage with a delta for each module of its inputs, float32
 * `[tokens, outFeatures]`, by module index.
 */
export type ApplyStage = (
  stage: number,
  inputs: readonly StageInput[],
) => Promise<ReadonlyMap<number, Float32Array>>;

/** A base model, cut at the adapter's modules and running in a worker thread. */
export interface BaseModel extends BaseModelInfo {
  readonly modules: readonly ModuleShape[];
  /**
   * One forward pass with deltas. Passes of one model run one after the other.
   *
   * @param ids token ids `[batch, sequence]`
   * @throws ZkLoraError `BASE_MODEL_MISMATCH`, and what `applyStage` throws.
   */
  forward(ids: BigInt64Array, batch: number, sequence: number, applyStage: ApplyStage): Promise<Logits>;
  /** One forward pass of the uncut model. */
  forwardBase(ids: BigInt64Array, batch: number, sequence: number): Promise<Logits>;
  close(): Promise<void>;
}

/**
 * Opens a base model for the given modules of an adapter, in the adapter's order.
 *
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `ONNX_MALFORMED`, `MODULE_NOT_FOUND`,
 * `SHAPE_MISMATCH`, `BASE_MODEL_MISMATCH`.
 */
export async function openBaseModel(path: string, modules: readonly ModuleShape[]): Promise<BaseModel> {
  const shapes = modules.map(({ name, inFeatures, outFeatures }) => ({ name, inFeatures, outFeatures }));
  const worker = new ModelWorker();
  try {
    const info = await worker.call('open', { path, modules: shapes });
    return new WorkerBaseModel(worker, info, shapes);
  } catch (error) {
    await worker.terminate();
    throw error;
  }
}

class WorkerBaseModel implements BaseModel {
  readonly digest: string;
  readonly inputs: readonly (readonly number[])[];
  readonly stages: readonly (readonly number[])[];
  /** The end of the pass before: one pass at a time. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly worker: ModelWorker,
    info: BaseModelInfo,
    readonly modules: readonly ModuleShape[],
  ) {
    this.digest = info.digest;
    this.inputs = info.inputs;
    this.stages = info.stages;
  }

  forward(ids: BigInt64Array, batch: number, sequence: number, applyStage: ApplyStage): Promise<Logits> {
    return this.queue(async () => {
      let step = await this.worker.call('start', { ids, batch, sequence });
      while (step.kind === 'ask') {
        const deltas = await applyStage(step.stage, step.inputs);
        step = await this.worker.call('resume', { deltas });
      }
      return step.logits;
    });
  }

  forwardBase(ids: BigInt64Array, batch: number, sequence: number): Promise<Logits> {
    return this.queue(() => this.worker.call('base', { ids, batch, sequence }));
  }

  async close(): Promise<void> {
    await this.last.catch(() => undefined);
    await this.worker.call('close', {}).catch(() => undefined);
    await this.worker.terminate();
  }

  private queue<T>(work: () => Promise<T>): Promise<T> {
    const result = this.last.then(work, work);
    this.last = result;
    return result;
  }
}

interface Pending {
  readonly resolve: (body: never) => void;
  readonly reject: (error: ZkLoraError) => void;
}

/** Requests and responses over a worker's port, matched by number. */
class ModelWorker {
  private readonly worker: Worker;
  private readonly pending = new Map<number, Pending>();
  private next = 0;
  private failure: ZkLoraError | undefined;

  constructor() {
    this.worker = new Worker(workerEntry());
    this.worker.on('message', (response: WorkerResponse) => {
      const pending = this.pending.get(response.id);
      this.pending.delete(response.id);
      if (response.ok) pending?.resolve(response.body as never);
      else pending?.reject(fromPlainError(response.error));
    });
    this.worker.on('error', (error) => this.fail('the base-model worker failed', error));
    this.worker.on('exit', () => this.fail('the base-model worker ended'));
  }

  call<O extends WorkerOperation>(
    operation: O,
    body: WorkerOperations[O]['request'],
  ): Promise<WorkerOperations[O]['response']> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    this.next += 1;
    const id = this.next;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      this.worker.postMessage({ id, operation, body } as WorkerRequest);
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

/** The compiled worker: beside this file, or in dist/ when this file runs uncompiled (tests). */
function workerEntry(): URL {
  const compiled = import.meta.url.endsWith('.ts')
    ? new URL('../../dist/src/inference/onnxWorker.js', import.meta.url)
    : new URL('./onnxWorker.js', import.meta.url);
  if (!existsSync(fileURLToPath(compiled))) {
    throw new ZkLoraError('INTERNAL', 'the compiled worker is missing; run `npm run build` first');
  }
  return compiled;
}
