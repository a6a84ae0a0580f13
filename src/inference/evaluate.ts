import { measureLoss, type Windows } from './loss.js';
import { reserveSessionFolder } from './record.js';
import {
  checkBaseModel,
  openRecordedSession,
  type RecordedSession,
  type RecordedSessionOptions,
} from './recordedSession.js';
import type { SessionClosing } from './sessionHeader.js';

export interface EvaluateOptions extends RecordedSessionOptions {
  readonly windows: Windows;
  /** Windows in one forward pass; one pass is one recorded call. */
  readonly batch: number;
  readonly onProgress?: (progress: EvaluationProgress) => void;
}

export interface EvaluationProgress {
  readonly part: 'base' | 'adapter';
  /** Windows. */
  readonly done: number;
  readonly total: number;
}

/** What an evaluation found. */
export interface Evaluation {
  readonly baseLoss: number;
  readonly adapterLoss: number;
  readonly predictions: number;
  /** Token rows of the session: all of them are recorded, none is a sample. */
  readonly tokens: number;
  readonly calls: number;
  readonly closing: SessionClosing;
  /** The closed session, for its proof. */
  readonly session: RecordedSession;
}

/**
 * Runs a text through the base model alone and with the contributor's adapter, records the session and closes it.
 * The session is opened when the base model has been measured: it does not wait idle, and a base model that fails
 * costs the contributor none.
 *
 * @throws ZkLoraError as {@link openRecordedSession} and {@link measureLoss}. A contributor that dies on the way
 * leaves the record at its last whole call, without close.json.
 */
export async function evaluateAdapter(options: EvaluateOptions): Promise<Evaluation> {
  const { model, windows, batch, onProgress } = options;
  const report = (part: EvaluationProgress['part']) => (done: number, total: number) =>
    onProgress?.({ part, done, total });
  checkBaseModel(options);
  await reserveSessionFolder(options.dir);
  const base = await measureLoss(model.forwardBase.bind(model), windows, {
    batch,
    onProgress: report('base'),
  });
  const session = await openRecordedSession(options);
  try {
    const adapter = await measureLoss(session.forward.bind(session), windows, {
      batch,
      onProgress: report('adapter'),
    });
    const closing = await session.close();
    return {
      baseLoss: base.loss,
      adapterLoss: adapter.loss,
      predictions: adapter.predictions,
      tokens: adapter.tokens,
      calls: closing.calls,
      closing,
      session,
    };
  } catch (error) {
    session.abandon();
    throw error;
  }
}
