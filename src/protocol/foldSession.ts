import {
  addVectors,
  combineRows,
  dotVectors,
  type Engine,
  type FieldVector,
  Fr,
  type LimbPlanes,
  multiplyRows,
  powersVector,
  toLimbs,
  zeroVector,
} from '../algebra/index.js';
import { type Session, sessionModules } from './session.js';
import { checkCall } from './sessionDigest.js';
import type { Statement } from './statement.js';

/** A session seen through the challenges u and v. docs/protocol.md, "Folding the session". */
export interface FoldedSession {
  /** For each input of the header that the statement uses: a = sum_t u^t X[t], `[inFeatures]`; others undefined. */
  readonly inputs: readonly (FieldVector | undefined)[];
  /** For each module of the statement: sum_t u^t sum_o v^o Y[t, o]. */
  readonly outputs: readonly bigint[];
}

/** 16-bit pieces of an int64. */
const PIECES = 4;

/**
 * Folds all tokens and outputs of a session; one pass, one call in memory at a time.
 *
 * Token rows are numbered through all calls: row t of the session has weight u^t.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export async function foldSession(
  engine: Engine,
  session: Session,
  statement: Statement,
  moduleShapes: readonly { inFeatures: number; outFeatures: number }[],
  u: bigint,
  v: bigint,
): Promise<FoldedSession> {
  const { header } = session;
  const members = sessionModules(header);
  const used = new Set(statement.modules.map(({ input }) => input));
  const widest = Math.max(...statement.modules.map(({ outFeatures }) => outFeatures));
  const vLimbs = toLimbs(engine, powersVector(engine, v, widest));
  const inputs = header.inputs.map((users, i) =>
    used.has(i) ? zeroVector(moduleShapes[users[0]!]!.inFeatures) : undefined,
  );
  const outputs = statement.modules.map(() => 0n);
  let weight = 1n;
  for (let index = 0; index < session.callCount; index++) {
    const call = await session.readCall(index);
    checkCall(header, moduleShapes, call);
    const weights = powersVector(engine, u, call.tokens, weight);
    call.inputs.forEach(({ x }, i) => {
      const sum = inputs[i];
      if (sum) {
        const cols = x.length / call.tokens;
        inputs[i] = addVectors(engine, sum, combineRows(engine, weights, x, cols));
      }
    });
    statement.modules.forEach((module, position) => {
      const y = call.outputs[members.indexOf(module.index)]!;
      const folded = foldOutputs(engine, y, call.tokens, module.outFeatures, vLimbs, weights);
      outputs[position] = Fr.add(outputs[position]!, folded);
    });
    weight = Fr.mul(weight, Fr.pow(u, BigInt(call.tokens)));
  }
  return { inputs, outputs };
}

/** sum_t weights[t] sum_o v^o y[t, o], with y cut into 16-bit pieces (the top one signed). */
function foldOutputs(
  engine: Engine,
  y: BigInt64Array,
  tokens: number,
  cols: number,
  vLimbs: LimbPlanes,
  weights: FieldVector,
): bigint {
  const unsigned = new Uint16Array(y.buffer, y.byteOffset, y.length * PIECES);
  const signed = new Int16Array(y.buffer, y.byteOffset, y.length * PIECES);
  let sum = 0n;
  const piece = new Float64Array(y.length);
  for (let k = PIECES - 1; k >= 0; k--) {
    const source = k === PIECES - 1 ? signed : unsigned;
    for (let i = 0; i < piece.length; i++) piece[i] = source[i * PIECES + k]!;
    const rows = multiplyRows(engine, piece, tokens, cols, vLimbs);
    sum = Fr.add(Fr.mul(sum, 65536n), dotVectors(engine, rows, weights));
  }
  return sum;
}
