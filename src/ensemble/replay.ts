import { scaleDelta } from '../adapter/forward.js';
import { quantizeActivations } from '../adapter/quantize.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { ZkLoraError } from '../errors.js';
import type { ApplyStage, GraphModel } from '../inference/graphModel.js';
import { type ActivationRows, type Session, sessionModules } from '../protocol/session.js';
import { SMALLEST_WEIGHT } from './routing.js';
import type { ExpertCall } from './sampler.js';

/**
 * How far a value may be from the recorded one, as a share of the largest of its row. The same build of the runtime on the
 * same kind of CPU gives the same bits; others add in another order, about 1e-6 of relative difference a step.
 */
export const REPLAY_TOLERANCE = 1e-3;

/** A recorded run that does not follow from its plan. */
export class ReplayMismatch extends Error {
  override readonly name = 'ReplayMismatch';

  constructor(
    readonly reason: 'ACTIVATIONS_DIFFER' | 'ROUTING_DIFFERS',
    message: string,
  ) {
    super(message);
  }
}

/**
 * Answers one forward pass from a recorded call: the recorded deltas, once the model's own activations are those that the
 * contributor was sent.
 *
 * @throws ReplayMismatch, ZkLoraError `SESSION_MALFORMED`
 */
export function replayPass(
  model: GraphModel,
  commitment: AdapterCommitment,
  session: Session,
  index: number,
): ApplyStage {
  const positions = new Map(sessionModules(session.header).map((module, i) => [module, i]));
  const recorded = session.readCall(index);
  // a failure is met by the first stage that waits for the call
  recorded.catch(() => undefined);
  return async (_stage, inputs) => {
    const call = await recorded;
    const deltas = new Map<number, Float32Array>();
    for (const { input, tokens, values } of inputs) {
      const users = model.inputs[input]!;
      const { inFeatures, name } = commitment.modules[users[0]!]!;
      const theirs = call.inputs[input];
      if (theirs === undefined || call.tokens !== tokens) {
        throw new ReplayMismatch(
          'ACTIVATIONS_DIFFER',
          `call ${index} was made with ${call.tokens} token rows`,
        );
      }
      const ours = quantizeActivations(values, tokens, inFeatures);
      if (!isClose(ours, theirs, inFeatures)) {
        throw new ReplayMismatch('ACTIVATIONS_DIFFER', `call ${index} sent other activations to ${name}`);
      }
      for (const module of users) {
        const y = call.outputs[positions.get(module)!]!;
        deltas.set(module, scaleDelta(y, theirs.exponents, commitment.modules[module]!));
      }
    }
    return deltas;
  };
}

function isClose(ours: ActivationRows, theirs: ActivationRows, features: number): boolean {
  for (const [row, exponent] of ours.exponents.entries()) {
    const theirExponent = theirs.exponents[row]!;
    let largest = 0;
    let difference = 0;
    for (let i = row * features; i < (row + 1) * features; i += 1) {
      const value = ours.x[i]! * 2 ** exponent;
      largest = Math.max(largest, Math.abs(value));
      difference = Math.max(difference, Math.abs(value - theirs.x[i]! * 2 ** theirExponent));
    }
    if (difference > REPLAY_TOLERANCE * largest) return false;
  }
  return true;
}

/**
 * Checks recorded routing decisions against the router's shares. Experts whose shares are closer than the tolerance may
 * stand for each other, since another machine may have ordered them otherwise.
 *
 * @param shares `[samples, experts]`
 * @throws ReplayMismatch, ZkLoraError `ENSEMBLE_MALFORMED` for samples or experts that are not there
 */
export function checkRouting(
  calls: readonly ExpertCall[],
  shares: Float64Array,
  experts: number,
  top: number,
): void {
  const samples = shares.length / experts;
  const weights = new Float64Array(shares.length);
  for (const { expert, rows, weights: given } of calls) {
    for (const [i, row] of rows.entries()) {
      if (expert >= experts || row >= samples) {
        throw new ZkLoraError(
          'ENSEMBLE_MALFORMED',
          `trace.json names expert ${expert} or sample ${row}: there is none`,
        );
      }
      weights[row * experts + expert] = given[i]!;
    }
  }
  for (let row = 0; row < samples; row += 1) {
    const own = shares.subarray(row * experts, (row + 1) * experts);
    const given = weights.subarray(row * experts, (row + 1) * experts);
    if (!followsShares(own, given, top)) {
      throw new ReplayMismatch('ROUTING_DIFFERS', `sample ${row} was not routed as the router says`);
    }
  }
}

function followsShares(shares: Float64Array, weights: Float64Array, top: number): boolean {
  const chosen = [...weights.keys()].filter((k) => weights[k]! > 0);
  if (chosen.length === 0 || chosen.length > top) return false;
  const sum = chosen.reduce((total, k) => total + shares[k]!, 0);
  if (chosen.some((k) => Math.abs(weights[k]! - shares[k]! / sum) > REPLAY_TOLERANCE)) return false;
  // who was left out has too small a share to be among the largest, or to count at all
  const smallest = Math.min(...chosen.map((k) => shares[k]!));
  const bound = chosen.length < top ? SMALLEST_WEIGHT : smallest;
  return weights.every((weight, k) => weight > 0 || shares[k]! <= bound + REPLAY_TOLERANCE);
}
