import { ZkLoraError } from '../errors.js';
import { openGraphModel } from '../inference/graphModel.js';
import { ModelWorker } from '../inference/modelWorker.js';

/** What a classifier makes of samples. */
export interface Judgement {
  /** Mean of the largest class probability. */
  readonly confidence: number;
  /** Share of samples with a largest probability above 0.9. */
  readonly certain: number;
  /** Share of samples whose class is the label that was asked for; null without labels. */
  readonly asked: number | null;
  /** Samples by class. */
  readonly classes: readonly number[];
}

/** A classifier in ONNX: `x` `[batch, values]` to logits `[batch, classes]`. */
export interface Judge {
  /**
   * @param frames `[count, values]`
   * @param labels one for each frame
   */
  judge(frames: Float32Array, count: number, labels: readonly number[] | null): Promise<Judgement>;
  close(): Promise<void>;
}

/** @throws ZkLoraError as `openGraphModel` */
export async function openJudge(path: string): Promise<Judge> {
  const worker = new ModelWorker();
  try {
    const model = await openGraphModel(worker, path, []);
    return {
      judge: async (frames, count, labels) => {
        const { values, dims } = await model.forwardBase([
          { name: 'x', data: frames, dims: [count, frames.length / count] },
        ]);
        const classes = dims.at(-1) ?? 0;
        if (classes === 0 || values.length !== count * classes) {
          throw new ZkLoraError('BASE_MODEL_MISMATCH', 'the judge does not give logits for each sample');
        }
        return summarise(values, count, classes, labels);
      },
      close: () => worker.terminate(),
    };
  } catch (error) {
    await worker.terminate();
    throw error;
  }
}

function summarise(
  logits: Float32Array,
  count: number,
  classes: number,
  labels: readonly number[] | null,
): Judgement {
  const found = Array.from({ length: classes }, () => 0);
  let confidence = 0;
  let certain = 0;
  let asked = 0;
  for (let row = 0; row < count; row += 1) {
    const own = logits.subarray(row * classes, (row + 1) * classes);
    const max = own.reduce((a, b) => Math.max(a, b));
    const sum = own.reduce((total, logit) => total + Math.exp(logit - max), 0);
    const winner = own.indexOf(max);
    found[winner]! += 1;
    confidence += 1 / sum;
    if (1 / sum > 0.9) certain += 1;
    if (labels?.[row] === winner) asked += 1;
  }
  return {
    confidence: confidence / count,
    certain: certain / count,
    asked: labels && asked / count,
    classes: found,
  };
}
