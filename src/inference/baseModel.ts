import { ZkLoraError } from '../errors.js';
import { type LanguageInputs, languageFeeds, languageInputs } from './feeds.js';
import { type ApplyStage, type CutModel, type GraphModel, openGraphModel } from './graphModel.js';
import { ModelWorker } from './modelWorker.js';
import type { ModelOutput } from './stageRunner.js';
import type { ModuleShape } from './targets.js';

/** Output of a language model, row-major `[batch * sequence, vocabulary]`. */
export interface Logits {
  readonly values: Float32Array<ArrayBuffer>;
  readonly vocabulary: number;
}

/** A causal language model, cut at the adapter's modules and running in a worker thread of its own. */
export interface BaseModel extends CutModel {
  /**
   * One forward pass with deltas. Passes of one model run one after the other.
   *
   * @param ids token ids `[batch, sequence]`
   * @throws ZkLoraError `USAGE`, `BASE_MODEL_MISMATCH`, and what `applyStage` throws.
   */
  forward(ids: BigInt64Array, batch: number, sequence: number, applyStage: ApplyStage): Promise<Logits>;
  /** One forward pass of the uncut model. */
  forwardBase(ids: BigInt64Array, batch: number, sequence: number): Promise<Logits>;
  close(): Promise<void>;
}

/**
 * Opens a causal language model (token ids in, logits out) for the given modules of an adapter, in the adapter's order.
 *
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `ONNX_MALFORMED`, `MODULE_NOT_FOUND`,
 * `SHAPE_MISMATCH`, `BASE_MODEL_MISMATCH`.
 */
export async function openBaseModel(path: string, modules: readonly ModuleShape[]): Promise<BaseModel> {
  const worker = new ModelWorker();
  try {
    const model = await openGraphModel(worker, path, modules);
    return new LanguageModel(worker, model, languageInputs(model.feedTypes));
  } catch (error) {
    await worker.terminate();
    throw error;
  }
}

class LanguageModel implements BaseModel {
  readonly digest: string;
  readonly feeds: readonly string[];
  readonly inputs: readonly (readonly number[])[];
  readonly stages: readonly (readonly number[])[];
  readonly modules: readonly ModuleShape[];

  constructor(
    private readonly worker: ModelWorker,
    private readonly model: GraphModel,
    private readonly language: LanguageInputs,
  ) {
    this.digest = model.digest;
    this.feeds = model.feeds;
    this.inputs = model.inputs;
    this.stages = model.stages;
    this.modules = model.modules;
  }

  async forward(ids: BigInt64Array, batch: number, sequence: number, applyStage: ApplyStage) {
    const output = await this.model.forward(languageFeeds(this.language, ids, batch, sequence), applyStage);
    return readLogits(output, batch * sequence);
  }

  async forwardBase(ids: BigInt64Array, batch: number, sequence: number) {
    return readLogits(
      await this.model.forwardBase(languageFeeds(this.language, ids, batch, sequence)),
      batch * sequence,
    );
  }

  async close(): Promise<void> {
    await this.model.close();
    await this.worker.terminate();
  }
}

/** @throws ZkLoraError `BASE_MODEL_MISMATCH` */
export function readLogits({ values, dims }: ModelOutput, rows: number): Logits {
  const vocabulary = dims.at(-1) ?? 0;
  if (vocabulary === 0 || values.length !== rows * vocabulary) {
    throw new ZkLoraError('BASE_MODEL_MISMATCH', 'the output of the model is not logits for each token');
  }
  return { values, vocabulary };
}
