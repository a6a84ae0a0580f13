import {
  BlockQueue,
  type Engine,
  type FieldVector,
  FoldVector,
  Fr,
  powersVector,
  RowStacks,
  RowSums,
  subVector,
} from '../algebra/index.js';
import { callBytes } from './callReader.js';
import { placeOf } from './lanes.js';
import { type CallSource, type SessionCall, sessionModules } from './session.js';
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
  outputs(): Promise<readonly bigint[]>;
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
 * Folds all tokens of a session, one call in memory at a time.
 *
 * Token rows are numbered through all calls: row t of the session has weight u^t.
 *
 * @param session its calls are checked by whoever reads them (sessionPass.ts)
 * @param inMemory whether the session is: its outputs are folded when they are asked for, in pieces that let other work
 * through. Otherwise they are folded with the inputs, in one pass.
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export async function foldSession(
  engine: Engine,
  session: CallSource,
  folding: Folding,
  inMemory: boolean,
): Promise<FoldedSession> {
  const queue = new BlockQueue(engine);
  const inputs = new VectorFolder(engine, queue, session, folding);
  const early = inMemory ? undefined : new OutputFolder(engine, queue, session, folding);
  const outputs = early ? [early] : [];
  await foldCalls(queue, session, { inputs: [inputs], outputs, shared: !inMemory });
  return {
    inputs: inputs.inputs,
    outputs: async () => {
      if (early) return early.outputs;
      const own = new BlockQueue(engine);
      const folder = new OutputFolder(engine, own, session, folding);
      await foldCalls(own, session, { inputs: [], outputs: [folder], shared: false });
      return folder.outputs;
    },
  };
}

/**
 * {@link foldSession} for some statements in one pass, with every input polynomial at one point only: u^T (X L(z)), L the
 * Lagrange basis of the domain, so that no vector as long as an input is ever made.
 *
 * @param session its calls are checked by whoever reads them (sessionPass.ts)
 * @param onInputs called once when the inputs of all calls are folded and the outputs of the last call, most of its
 * bytes, are not: what can be started then runs meanwhile
 * @throws ZkLoraError `SESSION_MALFORMED`, and what `onInputs` throws
 */
export async function foldSessionAtPoint(
  engine: Engine,
  session: CallSource,
  foldings: readonly PointFolding[],
  onInputs: (folded: readonly InputsFolded[]) => void,
): Promise<FoldedAtPoint[]> {
  const queue = new BlockQueue(engine);
  const inputs = foldings.map((folding) => new PointFolder(engine, queue, folding));
  const outputs = foldings.map((folding) => new OutputFolder(engine, queue, session, folding));
  await foldCalls(queue, session, { inputs, outputs, shared: true }, () => onInputs(inputs));
  return foldings.map((_, i) => ({
    inputsAtPoint: inputs[i]!.inputsAtPoint,
    outputs: outputs[i]!.outputs,
  }));
}

/**
 * a(z) for each module of a statement, as in {@link FoldedAtPoint}, without the outputs.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export async function foldInputsAt(
  engine: Engine,
  session: CallSource,
  folding: Omit<PointFolding, 'v'>,
): Promise<readonly bigint[]> {
  const queue = new BlockQueue(engine);
  const folder = new PointFolder(engine, queue, folding);
  await foldCalls(queue, session, { inputs: [folder], outputs: [], shared: false });
  return folder.inputsAtPoint;
}

/** A sum over calls, which come one after the other. */
interface Folder {
  /** Has a queue add what a call has to the sum; nothing of the queue waits when the next one comes. */
  add(call: SessionCall): void;
  /** Has it add what was held back. */
  end?(): void;
}

/** A call's inputs come before its outputs. */
interface Folders {
  readonly inputs: readonly Folder[];
  readonly outputs: readonly Folder[];
  /** Whether worker threads fold as well, if the session is long. */
  readonly shared: boolean;
}

/**
 * Bytes of a session from which on worker threads fold it as well. Copies, messages and memory that is touched for the
 * first time take as much processor time as a short one needs for its folds.
 */
const MIN_SHARED_BYTES = 2 ** 26;

async function foldCalls(
  queue: BlockQueue,
  session: CallSource,
  { inputs, outputs, shared }: Folders,
  onInputs?: () => void,
): Promise<void> {
  try {
    for (let index = 0; index < session.callCount; index++) {
      const call = await session.readCall(index);
      if (shared && callBytes(call) * session.callCount >= MIN_SHARED_BYTES) queue.share();
      const last = index === session.callCount - 1;
      for (const folder of inputs) {
        folder.add(call);
        if (last) folder.end?.();
      }
      if (last && onInputs) {
        await queue.finish();
        onInputs();
      }
      for (const folder of outputs) folder.add(call);
      await session.digested?.();
      await queue.help();
    }
    await queue.finish();
  } finally {
    await Promise.allSettled([queue.stop(), session.digested?.()]);
  }
}

/** u^t for the rows of one call after the other. */
class RowWeights {
  /** u to the number of rows so far. */
  #next = 1n;

  constructor(
    private readonly engine: Engine,
    private readonly u: bigint,
  ) {}

  /** `[tokens]` */
  take(tokens: number): FieldVector {
    const weights = powersVector(this.engine, this.u, tokens, this.#next);
    this.#next = Fr.mul(this.#next, Fr.pow(this.u, BigInt(tokens)));
    return weights;
  }
}

/** sum_t u^t sum_o v^o Y[t, o] of each module of a statement, over the calls so far. */
class OutputFolder implements Folder {
  readonly outputs: bigint[];
  readonly #modules: readonly StatementModule[];
  /** Positions by the width of their modules. */
  readonly #byWidth = new Map<number, number[]>();
  readonly #members: ReadonlyMap<number, number>;
  readonly #vPowers: FoldVector;
  readonly #weights: RowWeights;

  constructor(
    engine: Engine,
    private readonly queue: BlockQueue,
    { header }: CallSource,
    { statement, u, v }: Folding,
  ) {
    this.#modules = statement.modules;
    const widest = Math.max(...this.#modules.map(({ outFeatures }) => outFeatures));
    this.#members = new Map(sessionModules(header).map((index, member) => [index, member]));
    this.#vPowers = new FoldVector(engine, powersVector(engine, v, widest));
    this.#weights = new RowWeights(engine, u);
    this.outputs = this.#modules.map(() => 0n);
    for (const [position, { outFeatures }] of this.#modules.entries()) {
      this.#byWidth.set(outFeatures, [...(this.#byWidth.get(outFeatures) ?? []), position]);
    }
  }

  add(call: SessionCall): void {
    const weights = this.#weights.take(call.tokens);
    for (const [width, positions] of this.#byWidth) {
      const stacks = new RowStacks(this.queue, this.#vPowers, width, 'int64');
      for (const position of positions) {
        const y = call.outputs[this.#members.get(this.#modules[position]!.index)!]!;
        stacks.add(y, weights, (sum) => {
          this.outputs[position] = Fr.add(this.outputs[position]!, sum);
        });
      }
      stacks.flush();
    }
  }
}

/** a = sum_t u^t X[t] of each input that the statement uses, over the calls so far. */
class VectorFolder implements Folder {
  readonly #used: readonly number[];
  readonly #sums: RowSums;
  readonly #weights: RowWeights;

  constructor(
    engine: Engine,
    queue: BlockQueue,
    private readonly session: CallSource,
    { statement: { modules }, u }: Folding,
  ) {
    const widths = new Map(modules.map(({ input, inFeatures }) => [input, inFeatures]));
    this.#used = [...widths.keys()];
    this.#sums = new RowSums(engine, queue, [...widths.values()]);
    this.#weights = new RowWeights(engine, u);
  }

  /** By input. */
  get inputs(): (FieldVector | undefined)[] {
    return this.session.header.inputs.map((_, i) => this.#sums.sums[this.#used.indexOf(i)]);
  }

  add({ inputs, tokens }: SessionCall): void {
    const weights = this.#weights.take(tokens);
    for (const [matrix, input] of this.#used.entries()) this.#sums.add(matrix, inputs[input]!.x, weights);
    this.#sums.flush();
  }

  end(): void {
    this.#sums.end();
  }
}

/** a(z) for each module of a statement, over the calls so far. */
class PointFolder implements Folder, InputsFolded {
  /** The basis from a column offset on. */
  readonly #bases = new Map<number, FoldVector>();
  /** One module of each place, by column offset and width. */
  readonly #places = new Map<string, StatementModule[]>();
  /** By place. */
  readonly #values = new Map<string, bigint>();

  readonly #modules: readonly StatementModule[];
  readonly #weights: RowWeights;

  constructor(
    engine: Engine,
    private readonly queue: BlockQueue,
    { statement, u, basis }: Omit<PointFolding, 'v'>,
  ) {
    this.#modules = statement.modules;
    this.#weights = new RowWeights(engine, u);
    // no longer than the widest input at an offset: otherwise many offsets would take as many whole domains of memory
    const widths = new Map<number, number>();
    for (const module of this.#modules) {
      const { columnOffset, inFeatures } = module;
      widths.set(columnOffset, Math.max(inFeatures, widths.get(columnOffset) ?? 0));
      if (this.#values.has(placeOf(module))) continue;
      this.#values.set(placeOf(module), 0n);
      const key = `${columnOffset}:${inFeatures}`;
      this.#places.set(key, [...(this.#places.get(key) ?? []), module]);
    }
    for (const [offset, width] of widths) {
      this.#bases.set(offset, new FoldVector(engine, subVector(basis, offset, width)));
    }
  }

  /** By position of the module. */
  get inputsAtPoint(): readonly bigint[] {
    return this.#modules.map((module) => this.#values.get(placeOf(module))!);
  }

  add({ inputs, tokens }: SessionCall): void {
    const weights = this.#weights.take(tokens);
    for (const modules of this.#places.values()) {
      const { columnOffset, inFeatures } = modules[0]!;
      const stacks = new RowStacks(this.queue, this.#bases.get(columnOffset)!, inFeatures, 'int16');
      for (const module of modules) {
        const place = placeOf(module);
        stacks.add(inputs[module.input]!.x, weights, (sum) => {
          this.#values.set(place, Fr.add(this.#values.get(place)!, sum));
        });
      }
      stacks.flush();
    }
  }
}
