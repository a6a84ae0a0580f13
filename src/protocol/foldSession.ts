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
import { type Session, type SessionCall, type SessionHeader, sessionModules } from './session.js';
import { checkCall, type ModuleShape } from './sessionDigest.js';
import type { Statement } from './statement.js';

/** A statement with its challenges on tokens and outputs. */
export interface Folding {
  readonly statement: Statement;
  readonly u: bigint;
  readonly v: bigint;
}

/** A session seen through the challenges u and v. docs/protocol.md, "Folding the session". */
export interface FoldedSession {
  /** For each input of the header that the statement uses: a = sum_t u^t X[t], `[inFeatures]`; others undefined. */
  readonly inputs: readonly (FieldVector | undefined)[];
  /** For each module of the statement: sum_t u^t sum_o v^o Y[t, o]. */
  readonly outputs: readonly bigint[];
}

/** 16-bit pieces of an int64. */
const PIECES = 4;

/** Largest int16; one more wraps around in an Int16Array, as it should. */
const LARGEST_DIGIT = 32767;

/**
 * Folds all tokens and outputs of a session for some statements; one pass, one call in memory at a time.
 *
 * Token rows are numbered through all calls: row t of the session has weight u^t.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export async function foldSession(
  engine: Engine,
  session: Session,
  foldings: readonly Folding[],
  moduleShapes: readonly ModuleShape[],
): Promise<FoldedSession[]> {
  const folders = foldings.map((folding) => new Folder(engine, session.header, folding, moduleShapes));
  for (let index = 0; index < session.callCount; index++) {
    const call = await session.readCall(index);
    checkCall(session.header, moduleShapes, call);
    for (const folder of folders) folder.add(call);
  }
  return folders;
}

/** Sums of one folding over the calls so far. */
class Folder implements FoldedSession {
  readonly inputs: (FieldVector | undefined)[];
  readonly outputs: bigint[];
  readonly #members: readonly number[];
  readonly #vLimbs: LimbPlanes;
  /** u to the number of rows so far. */
  #weight = 1n;

  constructor(
    private readonly engine: Engine,
    header: SessionHeader,
    private readonly folding: Folding,
    moduleShapes: readonly ModuleShape[],
  ) {
    const { modules } = folding.statement;
    const used = new Set(modules.map(({ input }) => input));
    const widest = Math.max(...modules.map(({ outFeatures }) => outFeatures));
    this.#members = sessionModules(header);
    this.#vLimbs = toLimbs(engine, powersVector(engine, folding.v, widest));
    this.inputs = header.inputs.map((users, i) =>
      used.has(i) ? zeroVector(moduleShapes[users[0]!]!.inFeatures) : undefined,
    );
    this.outputs = modules.map(() => 0n);
  }

  add(call: SessionCall): void {
    const { engine } = this;
    const { u, statement } = this.folding;
    const weights = powersVector(engine, u, call.tokens, this.#weight);
    call.inputs.forEach(({ x }, i) => {
      const sum = this.inputs[i];
      if (!sum) return;
      const cols = x.length / call.tokens;
      this.inputs[i] = addVectors(engine, sum, combineRows(engine, weights, x, cols));
    });
    statement.modules.forEach((module, position) => {
      const y = call.outputs[this.#members.indexOf(module.index)]!;
      const folded = foldOutputs(engine, y, call.tokens, module.outFeatures, this.#vLimbs, weights);
      this.outputs[position] = Fr.add(this.outputs[position]!, folded);
    });
    this.#weight = Fr.mul(this.#weight, Fr.pow(u, BigInt(call.tokens)));
  }
}

/** sum_t weights[t] sum_o v^o y[t, o] */
function foldOutputs(
  engine: Engine,
  y: BigInt64Array,
  tokens: number,
  cols: number,
  vLimbs: LimbPlanes,
  weights: FieldVector,
): bigint {
  let sum = 0n;
  for (const digits of signedDigits(y).reverse()) {
    const rows = multiplyRows(engine, digits, tokens, cols, vLimbs);
    sum = Fr.add(Fr.mul(sum, 65536n), dotVectors(engine, rows, weights));
  }
  return sum;
}

/**
 * y = sum_k digits[k] 2^(16 k) with digits of 16 bits and a sign; a fifth one only where an entry comes within 2^47
 * of 2^63.
 */
function signedDigits(y: BigInt64Array): Int16Array[] {
  const pieces = new Int16Array(y.buffer, y.byteOffset, y.length * PIECES);
  const digits = Array.from({ length: PIECES }, () => new Int16Array(y.length));
  const [d0, d1, d2, d3] = digits as [Int16Array, Int16Array, Int16Array, Int16Array];
  let top: Int16Array | undefined;
  for (let i = 0; i < y.length; i++) {
    const at = i * PIECES;
    // a negative piece stands 2^16 too low, and so does a digit that wraps: the next one makes up for it
    const first = pieces[at]!;
    const second = pieces[at + 1]! + (first < 0 ? 1 : 0);
    const third = pieces[at + 2]! + (pieces[at + 1]! < 0 || second > LARGEST_DIGIT ? 1 : 0);
    const fourth = pieces[at + 3]! + (pieces[at + 2]! < 0 || third > LARGEST_DIGIT ? 1 : 0);
    d0[i] = first;
    d1[i] = second;
    d2[i] = third;
    d3[i] = fourth;
    if (fourth > LARGEST_DIGIT) {
      top ??= new Int16Array(y.length);
      top[i] = 1;
    }
  }
  return top ? [...digits, top] : digits;
}
