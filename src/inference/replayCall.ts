import { scaleDelta } from '../adapter/forward.js';
import { quantizeActivations } from '../adapter/quantize.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { ZkLoraError } from '../errors.js';
import { type SessionCall, sessionModules } from '../protocol/session.js';
import type { ApplyStage, CutModel } from './graphModel.js';
import { ofOwnRecord } from './origin.js';
import type { SessionRecord } from './record.js';

/**
 * Deltas of one forward pass from the record: what the contributor answered when the pass was first made. The
 * contributor is not asked.
 *
 * @throws ZkLoraError `EVALUATION_MISMATCH` from the pass for activations that are not those of the recorded call.
 */
export function replayPass(
  model: CutModel,
  commitment: AdapterCommitment,
  record: SessionRecord,
  index: number,
): ApplyStage {
  let call: Promise<SessionCall> | undefined;
  const modules = sessionModules(record.header);
  return async (_stage, inputs) => {
    call ??= ofOwnRecord(record.dir, () => record.readCall(index));
    const { tokens, inputs: rows, outputs } = await call;
    const deltas = new Map<number, Float32Array>();
    for (const { input, tokens: asked, values } of inputs) {
      const recorded = rows[input]!;
      const users = model.inputs[input]!;
      const { inFeatures } = commitment.modules[users[0]!]!;
      const now = asked === tokens ? quantizeActivations(values, tokens, inFeatures) : undefined;
      if (!now || !sameNumbers(now.x, recorded.x) || !sameNumbers(now.exponents, recorded.exponents)) {
        throw new ZkLoraError(
          'EVALUATION_MISMATCH',
          `call ${index} of the record in ${record.dir} holds other activations than this evaluation gives; begin ` +
            'another one in a new folder',
        );
      }
      for (const module of users) {
        const y = outputs[modules.indexOf(module)]!;
        deltas.set(module, scaleDelta(y, recorded.exponents, commitment.modules[module]!));
      }
    }
    return deltas;
  };
}

function sameNumbers(a: Int16Array, b: Int16Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
