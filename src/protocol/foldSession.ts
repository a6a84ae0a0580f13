import {
  addVectors,
  combineRows,
  dotVectors,
  type Engine,
  type FieldVector,
  Fr,
  type LimbPlanes,
  multiplyLongRows,
  multiplyRows,
  powersVector,
  subVector,
  toLimbs,
  zeroVector,
} from '../algebra/index.js';
import { placeOf } from './lanes.js';
import { type Session, type SessionCall, type SessionHeader, sessionModules } from './session.js';
import { checkCall, type ModuleShape } from './sessionDigest.js';
import type { Statement, StatementModule } from './statement.js';

/** A statement with its challenges on tokens and outputs. */
export interface Folding {
  readonly statement: Statement;
  readonly u: bigint;
  readonly v: bigint;
}

/** {@link Folding} with the Lagrange basis of the domain at the point where the input polynomials are wanted. */
export interface PointFolding extends Folding {
  readonly basis: FieldVector;
}

/** A session seen through the challenges u and v. docs/protocol.md, "Folding the session". */
export interface FoldedSession {
  /** For each input of the header that the statement uses: a = sum_t u^t X[t], `[inFeatures]`; others undefined. */
  readonly inputs: readonly (FieldVector | undefined)[];
  /** For each module of the statement: sum_t u^t sum_o v^o Y[t, o]. */
  readonly outputs: readonly bigint[];
}

/** The inputs of {@link FoldedAtPoint}. */
export interface InputsFolded {
  /** For each module of the statement: a(z), the input's a placed at the module's column offset. */
  readonly inputsAtPoint: readonly bigint[];
}

/** {@link FoldedSession} of a verifier, which needs one value of each input polynomial and never the polynomial. */
export interface FoldedAtPoint extends InputsFolded {
  readonly outputs: readonly bigint[];
}

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
  const folders = foldings.map((folding) => new VectorFolder(engine, session.header, folding, moduleShapes));
  await foldCalls(session, folders, moduleShapes);
  return folders;
}

/**
 * {@link foldSession} with every input polynomial at one point only: u^T (X L(z)), L the Lagrange basis of the domain,
 * so that no vector as long as an input is ever made.
 *
 * @param onInputs called once when the inputs of all calls are folded and the outputs of the last call, most of its
 * bytes, are not: what can be started then runs meanwhile
 * @throws ZkLoraError `SESSION_MALFORMED`, and what `onInputs` throws
 */
export async function foldSessionAtPoint(
  engine: Engine,
  session: Session,
  foldings: readonly PointFolding[],
  moduleShapes: readonly ModuleShape[],
  onInputs: (folded: readonly InputsFolded[]) => void,
): Promise<FoldedAtPoint[]> {
  const folders = foldings.map((folding) => new PointFolder(engine, session.header, folding));
  await foldCalls(session, folders, moduleShapes, () => onInputs(folders));
  return folders;
}

/**
 * a(z) for each module of a statement, as in {@link FoldedAtPoint}, without the outputs.
 *
 * @param basis Lagrange basis of the domain at z
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export async function foldInputsAt(
  engine: Engine,
  session: Session,
  { statement, u }: Pick<Folding, 'statement' | 'u'>,
  basis: FieldVector,
): Promise<readonly bigint[]> {
  const inputs = new InputsAtPoint(engine, statement.modules, basis);
  let weight = 1n;
  for (let index = 0; index < session.callCount; index++) {
    const call = await session.readCall(index);
    inputs.add(call, powersVector(engine, u, call.tokens, weight));
    weight = Fr.mul(weight, Fr.pow(u, BigInt(call.tokens)));
  }
  return inputs.values;
}

async function foldCalls(
  session: Session,
  folders: readonly Folder[],
  moduleShapes: readonly ModuleShape[],
  onInputs?: () => void,
): Promise<void> {
  for (let index = 0; index < session.callCount; index++) {
    const call = await session.readCall(index);
    checkCall(session.header, moduleShapes, call);
    const weights = folders.map((folder) => folder.nextWeights(call));
    folders.forEach((folder, i) => {
      folder.addInputs(call, weights[i]!);
    });
    if (index === session.callCount - 1) onInputs?.();
    folders.forEach((folder, i) => {
      folder.addOutputs(call, weights[i]!);
    });
  }
}

/** Sums of one folding over the calls so far. */
abstract class Folder {
  readonly outputs: bigint[];
  readonly #members: ReadonlyMap<number, number>;
  readonly #vLimbs: LimbPlanes;
  /** u to the number of rows so far. */
  #weight = 1n;

  constructor(
    protected readonly engine: Engine,
    header: SessionHeader,
    private readonly folding: Folding,
  ) {
    const { modules } = folding.statement;
    const widest = Math.max(...modules.map(({ outFeatures }) => outFeatures));
    this.#members = new Map(sessionModules(header).map((index, member) => [index, member]));
    this.#vLimbs = toLimbs(engine, powersVector(engine, folding.v, widest));
    this.outputs = modules.map(() => 0n);
  }

  /** u^t for the rows of the next call. */
  nextWeights({ tokens }: SessionCall): FieldVector {
    const { u } = this.folding;
    const weights = powersVector(this.engine, u, tokens, this.#weight);
    this.#weight = Fr.mul(this.#weight, Fr.pow(u, BigInt(tokens)));
    return weights;
  }

  /** @param weights u^t for the rows of this call */
  abstract addInputs(call: SessionCall, weights: FieldVector): void;

  /** @param weights u^t for the rows of this call */
  addOutputs(call: SessionCall, weights: FieldVector): void {
    const { engine } = this;
    this.folding.statement.modules.forEach(({ index, outFeatures }, position) => {
      const y = call.outputs[this.#members.get(index)!]!;
      const rows = multiplyLongRows(engine, y, call.tokens, outFeatures, this.#vLimbs);
      this.outputs[position] = Fr.add(this.outputs[position]!, dotVectors(engine, rows, weights));
    });
  }
}

class VectorFolder extends Folder implements FoldedSession {
  readonly inputs: (FieldVector | undefined)[];

  constructor(engine: Engine, header: SessionHeader, folding: Folding, moduleShapes: readonly ModuleShape[]) {
    super(engine, header, folding);
    const used = new Set(folding.statement.modules.map(({ input }) => input));
    this.inputs = header.inputs.map((users, i) =>
      used.has(i) ? zeroVector(moduleShapes[users[0]!]!.inFeatures) : undefined,
    );
  }

  addInputs({ inputs, tokens }: SessionCall, weights: FieldVector): void {
    inputs.forEach(({ x }, i) => {
      const sum = this.inputs[i];
      if (!sum) return;
      const combined = combineRows(this.engine, weights, x, x.length / tokens);
      this.inputs[i] = addVectors(this.engine, sum, combined);
    });
  }
}

class PointFolder extends Folder implements FoldedAtPoint {
  readonly #inputs: InputsAtPoint;

  constructor(engine: Engine, header: SessionHeader, folding: PointFolding) {
    super(engine, header, folding);
    this.#inputs = new InputsAtPoint(engine, folding.statement.modules, folding.basis);
  }

  get inputsAtPoint(): readonly bigint[] {
    return this.#inputs.values;
  }

  addInputs(call: SessionCall, weights: FieldVector): void {
    this.#inputs.add(call, weights);
  }
}

/** Values of the input polynomials at one point, over the calls so far. */
class InputsAtPoint {
  /** Limbs of the basis from a column offset on. */
  readonly #limbs = new Map<number, LimbPlanes>();
  /** By input and column offset. */
  readonly #values = new Map<string, bigint>();

  constructor(
    private readonly engine: Engine,
    private readonly modules: readonly StatementModule[],
    basis: FieldVector,
  ) {
    // no longer than the widest input at an offset: otherwise many offsets would take as many whole domains of memory
    const widths = new Map<number, number>();
    for (const { columnOffset, inFeatures } of modules) {
      widths.set(columnOffset, Math.max(inFeatures, widths.get(columnOffset) ?? 0));
    }
    for (const [offset, width] of widths) {
      this.#limbs.set(offset, toLimbs(engine, subVector(basis, offset, width)));
    }
  }

  /** By position of the module. */
  get values(): readonly bigint[] {
    return this.modules.map((module) => this.#values.get(placeOf(module))!);
  }

  add({ inputs, tokens }: SessionCall, weights: FieldVector): void {
    const places = new Map(this.modules.map((module) => [placeOf(module), module]));
    for (const [place, { input, inFeatures, columnOffset }] of places) {
      const limbs = this.#limbs.get(columnOffset)!;
      const rows = multiplyRows(this.engine, inputs[input]!.x, tokens, inFeatures, limbs);
      const sum = this.#values.get(place) ?? 0n;
      this.#values.set(place, Fr.add(sum, dotVectors(this.engine, rows, weights)));
    }
  }
}
