/** The base model as it is used without this toolkit: its file, run whole by onnxruntime. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Logits } from '../../src/inference/index.js';

export interface Unsplit {
  forward(ids: BigInt64Array): Promise<Logits>;
  close(): Promise<void>;
}

/** With the runtime's defaults, on one thread as the cut model. @param path of a model that takes `input_ids` alone */
export async function openUnsplit(path: string): Promise<Unsplit> {
  const session = await InferenceSession.create(path, {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
  });
  const [output] = session.outputNames;
  return {
    forward: async (ids) => {
      const { [output!]: logits } = await session.run({
        input_ids: new Tensor('int64', ids, [1, ids.length]),
      });
      return { values: logits!.data as Float32Array<ArrayBuffer>, vocabulary: logits!.dims.at(-1)! };
    },
    close: () => session.release(),
  };
}
