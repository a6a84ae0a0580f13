import { toBytes } from '../littleEndian.js';
import type { SessionCall, SessionHeader } from '../protocol/session.js';
import { type AnsweredStage, edited, requestDigest } from './answeredJournal.js';

/**
 * Stages of a journal by call.
 *
 * @throws ZkLoraError `SESSION_MALFORMED` for an order in which no contributor answers
 */
export function answeredCalls(header: SessionHeader, stages: readonly AnsweredStage[]): AnsweredStage[][] {
  const calls: AnsweredStage[][] = [];
  for (const entry of stages) {
    const last = calls.at(-1);
    if (last === undefined || isWhole(header, last)) calls.push([entry]);
    else last.push(entry);
    const place = { call: calls.length - 1, stage: calls.at(-1)!.length - 1 };
    if (entry.call !== place.call || entry.stage !== place.stage) throw edited();
    if (entry.tokens !== calls.at(-1)![0]!.tokens) throw edited();
  }
  return calls;
}

/**
 * Holds a recorded call against the journal's account of what was asked.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function requireAsAnswered(
  call: SessionCall,
  index: number,
  stages: readonly AnsweredStage[] | undefined,
  header: SessionHeader,
): void {
  if (stages === undefined || !isWhole(header, stages)) throw edited();
  for (const { stage, inputs, request } of stages) {
    const content = inputs.map((input) => {
      const { x, exponents } = call.inputs[input]!;
      return { input, rows: toBytes(x), exponents: toBytes(exponents) };
    });
    const digest = requestDigest({ call: index, stage, tokens: call.tokens, inputs: content });
    if (digest !== request) throw edited();
  }
}

/** Whether every input of the session has come in, none of them twice. */
function isWhole(header: SessionHeader, stages: readonly AnsweredStage[]): boolean {
  const inputs = stages.flatMap((stage) => stage.inputs);
  if (new Set(inputs).size !== inputs.length) throw edited();
  return inputs.length === header.inputs.length;
}
