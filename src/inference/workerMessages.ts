import { type ErrorCode, ZkLoraError } from '../errors.js';
import type { ModelFeed } from './feeds.js';
import type { GraphModelInfo, ModelOutput, StepResult } from './stageRunner.js';
import type { ModuleShape } from './targets.js';

/** What each operation of the base-model worker takes and gives; `model` is the number that `open` gave. */
export interface WorkerOperations {
  open: {
    request: { path: string; modules: readonly ModuleShape[] };
    response: { model: number; info: GraphModelInfo };
  };
  start: { request: { model: number; feeds: readonly ModelFeed[] }; response: StepResult };
  resume: { request: { model: number; deltas: ReadonlyMap<number, Float32Array> }; response: StepResult };
  base: { request: { model: number; feeds: readonly ModelFeed[] }; response: ModelOutput };
  close: { request: { model: number }; response: null };
}

export type WorkerOperation = keyof WorkerOperations;

export type WorkerRequest = {
  [O in WorkerOperation]: {
    readonly id: number;
    readonly operation: O;
    readonly body: WorkerOperations[O]['request'];
  };
}[WorkerOperation];

export type WorkerResponse =
  | { readonly id: number; readonly ok: true; readonly body: WorkerOperations[WorkerOperation]['response'] }
  | { readonly id: number; readonly ok: false; readonly error: PlainError };

/** A {@link ZkLoraError} as plain data; classes do not survive the way between threads. */
export interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: Readonly<Record<string, string | number | boolean>>;
}

export function toPlainError(error: unknown): PlainError {
  if (error instanceof ZkLoraError)
    return { code: error.code, message: error.message, details: error.details };
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'INTERNAL', message: `a worker failed: ${message}`, details: {} };
}

export function fromPlainError(error: PlainError): ZkLoraError {
  return new ZkLoraError(error.code, error.message, { details: error.details });
}
