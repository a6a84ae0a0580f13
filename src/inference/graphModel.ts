import type { ModelFeed } from './feeds.js';
import type { ModelWorker } from './modelWorker.js';
import type { BaseModelInfo, GraphModelInfo, ModelOutput, StageInput } from './stageRunner.js';
import type { ModuleShape } from './targets.js';

/**
 * Answers the activations of one stage with a delta for each module of its inputs, float32
 * `[tokens, outFeatures]`, by module index. The deltas move to another thread: their arrays are empty afterwards.
 */
export type ApplyStage = (
  stage: number,
  inputs: readonly StageInput[],
) => Promise<ReadonlyMap<number, Float32Array>>;

/** What a session with a contributor needs to know of a base model that was cut at the adapter's modules. */
export interface CutModel extends BaseModelInfo {
  readonly modules: readonly ModuleShape[];
}

/** An ONNX model with any inputs and one float32 output, cut at an adapter's modules, in a worker thread. */
export interface GraphModel extends CutModel {
  readonly feedTypes: GraphModelInfo['feedTypes'];
  /**
   * One forward pass with deltas. Passes of one model run one after the other.
   *
   * @throws ZkLoraError `BASE_MODEL_MISMATCH`, and what `applyStage` throws.
   */
  forward(feeds: readonly ModelFeed[], applyStage: ApplyStage): Promise<ModelOutput>;
  /** One forward pass of the uncut model. */
  forwardBase(feeds: readonly ModelFeed[]): Promise<ModelOutput>;
  /** Frees the model; the thread goes on. */
  close(): Promise<void>;
}

/**
 * Opens a model for the given modules of an adapter, in the adapter's order; without modules it is not cut.
 *
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `ONNX_MALFORMED`, `MODULE_NOT_FOUND`,
 * `SHAPE_MISMATCH`, `BASE_MODEL_MISMATCH`.
 */
export async function openGraphModel(
  worker: ModelWorker,
  path: string,
  modules: readonly ModuleShape[],
): Promise<GraphModel> {
  const shapes = modules.map(({ name, inFeatures, outFeatures }) => ({ name, inFeatures, outFeatures }));
  const { model, info } = await worker.call('open', { path, modules: shapes });
  return new WorkerModel(worker, model, info, shapes);
}

class WorkerModel implements GraphModel {
  readonly digest: string;
  readonly feeds: readonly string[];
  readonly feedTypes: GraphModelInfo['feedTypes'];
  readonly inputs: readonly (readonly number[])[];
  readonly stages: readonly (readonly number[])[];
  /** The end of the pass before: one pass at a time. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly worker: ModelWorker,
    private readonly model: number,
    info: GraphModelInfo,
    readonly modules: readonly ModuleShape[],
  ) {
    this.digest = info.digest;
    this.feeds = info.feeds;
    this.feedTypes = info.feedTypes;
    this.inputs = info.inputs;
    this.stages = info.stages;
  }

  forward(feeds: readonly ModelFeed[], applyStage: ApplyStage): Promise<ModelOutput> {
    const { model } = this;
    return this.queue(async () => {
      let step = await this.worker.call('start', { model, feeds });
      while (step.kind === 'ask') {
        const deltas = await applyStage(step.stage, step.inputs);
        step = await this.worker.call('resume', { model, deltas }, wholeBuffers(deltas));
      }
      return step.output;
    });
  }

  forwardBase(feeds: readonly ModelFeed[]): Promise<ModelOutput> {
    return this.queue(() => this.worker.call('base', { model: this.model, feeds }));
  }

  async close(): Promise<void> {
    await this.last.catch(() => undefined);
    await this.worker.call('close', { model: this.model }).catch(() => undefined);
  }

  private queue<T>(work: () => Promise<T>): Promise<T> {
    const result = this.last.then(work, work);
    this.last = result;
    return result;
  }
}

/** Buffers that belong to one delta alone; what shares its buffer with others is copied. */
function wholeBuffers(deltas: ReadonlyMap<number, Float32Array>): ArrayBuffer[] {
  const uses = new Map<ArrayBufferLike, number>();
  for (const { buffer } of deltas.values()) uses.set(buffer, (uses.get(buffer) ?? 0) + 1);
  const whole = [...deltas.values()].filter(
    ({ buffer, byteLength }) => byteLength === buffer.byteLength && uses.get(buffer) === 1,
  );
  return whole.map(({ buffer }) => buffer).filter((buffer) => buffer instanceof ArrayBuffer);
}
