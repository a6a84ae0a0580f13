import { createHash } from 'node:crypto';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { tensorToFloat32 } from '../adapter/dtype.js';
import { ZkLoraError } from '../errors.js';
import { readFileBounded } from '../files.js';
import { cutTypes } from './cutTypes.js';
import { type ExternalData, openExternalData } from './externalData.js';
import { type FeedType, feedTypes, type ModelFeed } from './feeds.js';
import { TensorProto_DataType as DataType } from './gen/onnx_pb.js';
import { printable } from './graph.js';
import { decodeModel, encodeModel, MAX_MODEL_BYTES, type Model } from './onnx.js';
import { planSplit, type SplitPlan, stageModel } from './split.js';
import type { ModuleShape } from './targets.js';

/** External weights up to this size are copied into the order in which products read them, which makes a pass faster. */
const MAX_PREPACKED_BYTES = 2 ** 30;

const SESSION_OPTIONS: InferenceSession.SessionOptions = {
  executionProviders: ['cpu'],
  executionMode: 'sequential',
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  // Errors come back as exceptions; warnings would go to stderr past every logger.
  logSeverityLevel: 4,
};

/** Structure of an opened base model; plain data. */
export interface BaseModelInfo {
  /** SHA-256 of the model file, with external data of all its files; docs/formats.md. Hex. */
  readonly digest: string;
  /** Names of the graph's inputs, in its order. */
  readonly feeds: readonly string[];
  /** `inputs[i]`: modules that share input i, as in the session header. */
  readonly inputs: readonly (readonly number[])[];
  /** `stages[s]`: inputs asked after stage s, ascending. The last part of the model is not listed. */
  readonly stages: readonly (readonly number[])[];
}

/** {@link BaseModelInfo} with what the graph says of its inputs, in their order. */
export interface GraphModelInfo extends BaseModelInfo {
  readonly feedTypes: readonly FeedType[];
}

/** Activations of one input, row-major `[tokens, inFeatures]`. */
export interface StageInput {
  readonly input: number;
  readonly tokens: number;
  readonly values: Float32Array<ArrayBuffer>;
}

/** Output of the base model, row-major. */
export interface ModelOutput {
  readonly values: Float32Array<ArrayBuffer>;
  readonly dims: readonly number[];
}

/** What a step of a forward pass ends with. */
export type StepResult =
  | { readonly kind: 'ask'; readonly stage: number; readonly inputs: readonly StageInput[] }
  | { readonly kind: 'done'; readonly output: ModelOutput };

/**
 * A base model cut into stages. One forward pass at a time; calls block the thread that makes them. A pass ends with
 * `BASE_MODEL_MISMATCH` when external data changed since it was hashed.
 */
export interface StageRunner {
  readonly info: GraphModelInfo;
  /** Begins a forward pass. */
  start(feeds: readonly ModelFeed[]): Promise<StepResult>;
  /** Goes on with the deltas of the stage just asked, by module, `[tokens, outFeatures]`. */
  resume(deltas: ReadonlyMap<number, Float32Array>): Promise<StepResult>;
  /** Forward pass of the uncut model. */
  base(feeds: readonly ModelFeed[]): Promise<ModelOutput>;
  close(): Promise<void>;
}

/**
 * Reads, cuts and loads a base model. Weights in external data are mapped from their files, once for all stages.
 *
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `ONNX_MALFORMED`, `CHECKPOINT_MALFORMED` (a data file
 * outside the model's folder), `MODULE_NOT_FOUND`, `SHAPE_MISMATCH`, `BASE_MODEL_MISMATCH`.
 */
export async function openStageRunner(path: string, modules: readonly ModuleShape[]): Promise<StageRunner> {
  const bytes = await readModel(path);
  const fileDigest = sha256Hex(bytes);
  const model = decodeModel(bytes);
  keepOneOutput(model);
  const external = await openExternalData(model, path, fileDigest);
  const sessions: InferenceSession[] = [];
  try {
    const plan = planSplit(model, modules, external?.sameData);
    const output = singleOutput(plan);
    const types = await cutTypes(
      model,
      plan,
      (probe) => openProbe(model, probe, externalOptions(external)),
      encodeModel,
    );
    for (const stage of plan.stages.keys()) {
      sessions.push(
        await openSession(encodeModel(stageModel(model, plan, stage, types)), externalOptions(external)),
      );
    }
    await external?.checkUnchanged();
    const info = {
      digest: external?.digest ?? fileDigest,
      feeds: plan.graph.inputs,
      feedTypes: feedTypes(model.graph, plan.graph.inputs),
      inputs: plan.inputs,
      stages: plan.stageInputs.slice(0, -1),
    };
    const source = external === undefined ? { path, fileDigest } : undefined;
    const checkWeights = async (): Promise<void> => external?.checkUnchanged();
    return new SplitModel(source, info, modules, withoutWeights(plan), sessions, output, checkWeights);
  } catch (error) {
    for (const session of sessions) await session.release();
    throw error;
  } finally {
    await external?.close();
  }
}

/** @throws ZkLoraError `ONNX_MALFORMED`, `BASE_MODEL_MISMATCH` for a model in bfloat16 */
async function openProbe(
  { graph }: Model,
  probe: Uint8Array<ArrayBuffer>,
  options: InferenceSession.SessionOptions,
): Promise<InferenceSession> {
  try {
    return await openSession(probe, { ...options, graphOptimizationLevel: 'disabled' });
  } catch (error) {
    // only the runtime knows which operators it has in bfloat16: a Cast of stored weights, but no product
    if (!graph.initializer.some(({ dataType }) => dataType === DataType.BFLOAT16)) throw error;
    throw new ZkLoraError(
      'BASE_MODEL_MISMATCH',
      'the model computes in bfloat16, which the ONNX runtime cannot do on this processor; export it in float32 or float16',
      { cause: error },
    );
  }
}

function externalOptions(external: ExternalData | undefined): InferenceSession.SessionOptions {
  if (external === undefined) return {};
  return {
    extra: {
      session: {
        model_external_initializers_file_folder_path: external.folder,
        // Without prepacking the mapped weights are used in place instead of being copied.
        disable_prepacking: external.bytes > MAX_PREPACKED_BYTES ? '1' : '0',
      },
    },
  };
}

/** Drops what a language model gives besides its logits, such as the keys and values of a cache. */
function keepOneOutput({ graph }: Model): void {
  const logits = graph.output.filter(({ name }) => name === 'logits');
  if (graph.output.length > 1 && logits.length === 1) graph.output = logits;
}

/** @throws ZkLoraError `BASE_MODEL_MISMATCH` */
function singleOutput(plan: SplitPlan): string {
  const { inputs, outputs, producers } = plan.graph;
  const [output] = outputs;
  if (outputs.length !== 1 || output === undefined || !producers.has(output)) {
    throw new ZkLoraError(
      'BASE_MODEL_MISMATCH',
      `the model has ${inputs.length} inputs and ${outputs.length} outputs; export it with one computed output, or one that is called "logits"`,
    );
  }
  return output;
}

/** The part of the plan that is needed to run, so that the decoded weights can be freed. */
type RunPlan = Pick<SplitPlan, 'targets' | 'inputs' | 'stageInputs'> & {
  /** Tensors of the targets' inputs that nobody reads once they were asked about. */
  readonly asked: ReadonlySet<string>;
  readonly stages: readonly {
    inputs: readonly string[];
    outputs: readonly string[];
    release: readonly string[];
  }[];
};

function withoutWeights(plan: SplitPlan): RunPlan {
  const stages = plan.stages.map(({ inputs, outputs, release }) => ({ inputs, outputs, release }));
  const later = (stage: number): string[] => plan.stages.slice(stage + 1).flatMap(({ inputs }) => inputs);
  const asked = plan.targets.filter(
    ({ input, stage }) =>
      ![...later(stage), ...plan.graph.inputs, ...plan.graph.outputs].includes(input) &&
      plan.targets.every((other) => other.base !== input && (other.input !== input || other.stage === stage)),
  );
  return {
    asked: new Set(asked.map(({ input }) => input)),
    targets: plan.targets,
    inputs: plan.inputs,
    stageInputs: plan.stageInputs,
    stages,
  };
}

interface Pass {
  stage: number;
  tokens: number;
  readonly values: Map<string, Tensor>;
}

class SplitModel implements StageRunner {
  private pass: Pass | undefined;
  private uncut: InferenceSession | undefined;

  constructor(
    /** Where the uncut model is read again; absent with external data, which is loaded once only. */
    private readonly source: { readonly path: string; readonly fileDigest: string } | undefined,
    readonly info: GraphModelInfo,
    private readonly modules: readonly ModuleShape[],
    private readonly plan: RunPlan,
    private readonly sessions: readonly InferenceSession[],
    private readonly output: string,
    /** At the end of every pass: weights in data files are mapped, and change with them. */
    private readonly checkWeights: () => Promise<void>,
  ) {}

  async start(feeds: readonly ModelFeed[]): Promise<StepResult> {
    this.pass = { stage: 0, tokens: 0, values: new Map(Object.entries(this.tensors(feeds))) };
    return this.step(this.pass);
  }

  async resume(deltas: ReadonlyMap<number, Float32Array>): Promise<StepResult> {
    const { pass } = this;
    if (pass === undefined) throw new ZkLoraError('INTERNAL', 'no forward pass is under way');
    for (const target of this.plan.targets) {
      if (target.stage !== pass.stage) continue;
      const delta = deltas.get(target.module);
      const base = pass.values.get(target.base);
      if (delta === undefined || base === undefined || delta.length !== base.size) {
        this.pass = undefined;
        throw new ZkLoraError(
          'STATEMENT_INVALID',
          `stage ${pass.stage} needs a whole delta for each of its modules`,
        );
      }
      pass.values.set(target.delta, new Tensor('float32', delta, base.dims));
    }
    pass.stage += 1;
    return this.step(pass);
  }

  async base(feeds: readonly ModelFeed[]): Promise<ModelOutput> {
    if (this.source === undefined) return this.withoutDeltas(feeds);
    this.uncut ??= await this.openUncut(this.source);
    const outputs = await runSession(this.uncut, this.tensors(feeds), [this.output]);
    return readOutput(outputs[this.output]);
  }

  /** The stages with deltas of zero: the uncut model up to rounding, without its weights a second time. */
  private async withoutDeltas(feeds: readonly ModelFeed[]): Promise<ModelOutput> {
    let step = await this.start(feeds);
    while (step.kind === 'ask') {
      const { stage, values } = this.pass!;
      const asked = this.plan.targets.filter((target) => target.stage === stage);
      step = await this.resume(
        new Map(asked.map(({ module, base }) => [module, new Float32Array(values.get(base)!.size)])),
      );
    }
    return step.output;
  }

  async close(): Promise<void> {
    this.pass = undefined;
    for (const session of this.sessions) await session.release();
    await this.uncut?.release();
  }

  private tensors(feeds: readonly ModelFeed[]): Record<string, Tensor> {
    const names = this.info.feeds;
    if (feeds.length !== names.length || feeds.some(({ name }) => !names.includes(name))) {
      throw new ZkLoraError(
        'BASE_MODEL_MISMATCH',
        `the model takes the ${names.length} inputs ${names.map(printable).join(', ')}; feed these`,
      );
    }
    return Object.fromEntries(feeds.map((feed) => [feed.name, feedTensor(feed)]));
  }

  private async openUncut({ path, fileDigest }: NonNullable<typeof this.source>): Promise<InferenceSession> {
    const bytes = await readModel(path);
    if (sha256Hex(bytes) !== fileDigest) {
      throw new ZkLoraError('BASE_MODEL_MISMATCH', 'the model file changed while it was in use; start again');
    }
    return openSession(bytes);
  }

  private async step(pass: Pass): Promise<StepResult> {
    try {
      const plan = this.plan.stages[pass.stage]!;
      const feeds: Record<string, Tensor> = {};
      for (const name of plan.inputs) feeds[name] = pass.values.get(name)!;
      const outputs = await runSession(this.sessions[pass.stage]!, feeds, plan.outputs);
      for (const name of plan.outputs) pass.values.set(name, outputs[name]!);
      for (const target of this.plan.targets) {
        if (target.stage === pass.stage - 1) pass.values.delete(target.delta);
      }
      const result = this.result(pass);
      for (const name of plan.release) pass.values.delete(name);
      if (result.kind === 'done') {
        this.pass = undefined;
        await this.checkWeights();
      }
      return result;
    } catch (error) {
      this.pass = undefined;
      throw error;
    }
  }

  private result(pass: Pass): StepResult {
    if (pass.stage === this.sessions.length - 1) {
      return { kind: 'done', output: readOutput(pass.values.get(this.output)) };
    }
    const inputs = this.plan.stageInputs[pass.stage]!.map((input) => {
      const module = this.plan.inputs[input]![0]!;
      const source = this.plan.targets[module]!.input;
      const tensor = pass.values.get(source)!;
      const { inFeatures, name } = this.modules[module]!;
      const tokens = tensor.size / inFeatures;
      if (tensor.dims.at(-1) !== inFeatures) {
        throw new ZkLoraError('SHAPE_MISMATCH', `module ${name} is not fed rows of ${inFeatures} features`);
      }
      pass.tokens ||= tokens;
      if (tokens !== pass.tokens || tokens === 0) {
        throw new ZkLoraError('BASE_MODEL_MISMATCH', `module ${name} does not see one row for each token`);
      }
      if (!this.plan.asked.has(source)) return { input, tokens, values: float32Of(tensor) };
      pass.values.delete(source);
      return { input, tokens, values: lastFloat32Of(tensor) };
    });
    return { kind: 'ask', stage: pass.stage, inputs };
  }
}

function feedTensor({ data, dims }: ModelFeed): Tensor {
  if (data instanceof BigInt64Array) return new Tensor('int64', data, [...dims]);
  if (data instanceof Int32Array) return new Tensor('int32', data, [...dims]);
  if (data instanceof Uint8Array) return new Tensor('bool', data, [...dims]);
  return new Tensor('float32', data, [...dims]);
}

function readOutput(tensor: Tensor | undefined): ModelOutput {
  if (tensor?.type !== 'float32' && tensor?.type !== 'float16') {
    throw new ZkLoraError('BASE_MODEL_MISMATCH', 'the output of the model is neither float32 nor float16');
  }
  // the pass is over
  return { values: lastFloat32Of(tensor), dims: [...tensor.dims] };
}

/** Values of a tensor that nobody uses any more, without a copy where they have a buffer of their own. */
function lastFloat32Of(tensor: Tensor): Float32Array<ArrayBuffer> {
  const { data } = tensor;
  if (!(data instanceof Float32Array) || !(data.buffer instanceof ArrayBuffer)) return float32Of(tensor);
  return data.byteLength === data.buffer.byteLength ? new Float32Array(data.buffer) : float32Of(tensor);
}

/** A copy of a float32 or float16 tensor: the runtime owns the tensor, the result travels to another thread. */
function float32Of(tensor: Tensor): Float32Array<ArrayBuffer> {
  if (tensor.type === 'float32') return new Float32Array(tensor.data as Float32Array);
  const { buffer, byteOffset, byteLength } = tensor.data as Uint16Array;
  return tensorToFloat32({
    dtype: 'F16',
    shape: tensor.dims,
    data: new Uint8Array(buffer, byteOffset, byteLength),
  });
}

async function openSession(
  model: Uint8Array<ArrayBuffer>,
  extra: InferenceSession.SessionOptions = {},
): Promise<InferenceSession> {
  try {
    return await InferenceSession.create(model, { ...SESSION_OPTIONS, ...extra });
  } catch (error) {
    throw new ZkLoraError('ONNX_MALFORMED', 'the ONNX runtime refuses the model; does it run unsplit?', {
      cause: error,
    });
  }
}

async function runSession(
  session: InferenceSession,
  feeds: Record<string, Tensor>,
  fetches: readonly string[],
): Promise<InferenceSession.ReturnType & Record<string, Tensor>> {
  try {
    return (await session.run(feeds, fetches)) as InferenceSession.ReturnType & Record<string, Tensor>;
  } catch (error) {
    throw new ZkLoraError(
      'BASE_MODEL_MISMATCH',
      'the model does not run on these inputs; check vocabulary, sequence length and shapes',
      { cause: error },
    );
  }
}

async function readModel(path: string): Promise<Uint8Array<ArrayBuffer>> {
  return (await readFileBounded(path, MAX_MODEL_BYTES, 'base model')) as Uint8Array<ArrayBuffer>;
}

/** Node's own SHA-256: model files are large. */
function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
