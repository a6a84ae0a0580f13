import type { TensorDigest } from './digest.js';
import { digestOpened, openCheckpoint } from './openCheckpoint.js';
import type { EdgeToAttest } from './statement.js';
import { transposedDigest } from './transposedDigest.js';

/** An initializer and the checkpoint's tensors that have its content; more than one where weights are tied. */
export interface MatchedTensor {
  readonly initializer: string;
  readonly tensors: readonly string[];
}

/** How the initializers of an ONNX model and the tensors of a checkpoint account for each other. */
export interface ExportCheck {
  /** Whether both lists of unmatched names are empty but for the allowed ones. */
  readonly valid: boolean;
  /** Checkpoint digests of both. */
  readonly onnx: string;
  readonly checkpoint: string;
  /** Same dtype, shape and data. */
  readonly copied: readonly MatchedTensor[];
  /** Same after a transpose of the matrix. */
  readonly transposed: readonly MatchedTensor[];
  /** Initializers that no tensor accounts for: folded constants, or other weights. */
  readonly unmatchedInitializers: readonly string[];
  /** Tensors that no initializer has. */
  readonly unmatchedTensors: readonly string[];
  /** Unmatched names that the caller allowed. */
  readonly allowed: readonly string[];
}

/** Progress: what is being read, and how much of it. */
export type ExportProgress = (stage: string, done: number, total: number) => void;

/**
 * Checks that an ONNX model holds exactly the weights of a checkpoint: each initializer against all tensors, by
 * digest, as it is or transposed (exporters store the weight of a linear layer as `[in, out]` under a name of their
 * own). Tensors are streamed; names do not matter and are reported.
 *
 * @param onnxPath ONNX model, `.onnx` or its folder
 * @param checkpointPath see `openCheckpoint`
 * @param allowed names on either side that may stay unmatched: folded constants, buffers that are no weights
 * @throws ZkLoraError as `openCheckpoint`
 */
export async function checkExport(
  onnxPath: string,
  checkpointPath: string,
  allowed: ReadonlySet<string> = new Set(),
  onProgress?: ExportProgress,
): Promise<ExportCheck> {
  const source = await openCheckpoint(checkpointPath);
  const { digest: checkpoint, tensors } = await digestOpened(source, (done, total) =>
    onProgress?.('hashing the checkpoint', done, total),
  ).finally(source.close);
  const model = await openCheckpoint(onnxPath);
  try {
    const own = await digestOpened(model, (done, total) => onProgress?.('hashing the model', done, total));
    const index = new ContentIndex(tensors);
    const copied: MatchedTensor[] = [];
    const transposed: MatchedTensor[] = [];
    const unmatched: string[] = [];
    for (const [i, initializer] of own.tensors.entries()) {
      const { name, dtype, shape } = initializer;
      const same = index.take(initializer);
      if (same.length > 0) {
        copied.push({ initializer: name, tensors: same });
        continue;
      }
      onProgress?.('transposing', i, own.tensors.length);
      const turned = [...shape].reverse();
      // a transposed digest costs another pass: only where some tensor has the shape
      const candidate = shape.length === 2 && index.hasShape(dtype, turned);
      const sha256 = candidate ? await transposedDigest(model.tensors[i]!) : undefined;
      const found = sha256 === undefined ? [] : index.take({ name, dtype, shape: turned, sha256 });
      if (found.length > 0) transposed.push({ initializer: name, tensors: found });
      else unmatched.push(name);
    }
    const left = index.untaken();
    const open = [...unmatched, ...left];
    return {
      valid: open.every((name) => allowed.has(name)),
      onnx: own.digest,
      checkpoint,
      copied,
      transposed,
      unmatchedInitializers: unmatched,
      unmatchedTensors: left,
      allowed: open.filter((name) => allowed.has(name)),
    };
  } finally {
    await model.close();
  }
}

/** Initializers that were copied from a tensor of another name. */
export function renamedTensors({ copied }: ExportCheck): readonly MatchedTensor[] {
  return copied.filter(({ initializer, tensors }) => !tensors.includes(initializer));
}

/**
 * The edge to sign after a check: its step names every transpose as `transpose INITIALIZER TENSOR`, and every copy under
 * another name as `rename INITIALIZER TENSOR`.
 */
export function exportEdge(check: ExportCheck, version: string | null): EdgeToAttest {
  return {
    subject: { kind: 'checkpoint', digest: check.onnx },
    relation: 'exported-from',
    parents: [{ kind: 'checkpoint', digest: check.checkpoint }],
    step: {
      tool: 'zklora checkpoint check-export',
      version,
      arguments: [
        ...check.transposed.map(({ initializer, tensors }) => `transpose ${initializer} ${tensors[0]}`),
        ...renamedTensors(check).map(({ initializer, tensors }) => `rename ${initializer} ${tensors[0]}`),
        ...check.allowed.map((name) => `unmatched ${name}`),
      ],
      tensorsUnchanged: false,
    },
  };
}

/** Tensors by their content. */
class ContentIndex {
  readonly #byContent = new Map<string, string[]>();
  readonly #shapes = new Set<string>();
  readonly #untaken: Set<string>;

  constructor(tensors: readonly TensorDigest[]) {
    this.#untaken = new Set(tensors.map(({ name }) => name));
    for (const tensor of tensors) {
      const key = contentKey(tensor);
      const names = this.#byContent.get(key);
      if (names) names.push(tensor.name);
      else this.#byContent.set(key, [tensor.name]);
      this.#shapes.add(shapeKey(tensor.dtype, tensor.shape));
    }
  }

  /** Names of the tensors with this content, the one of the same name first. */
  take(tensor: TensorDigest): string[] {
    const names = this.#byContent.get(contentKey(tensor)) ?? [];
    for (const name of names) this.#untaken.delete(name);
    return [...names].sort((a, b) => Number(b === tensor.name) - Number(a === tensor.name));
  }

  hasShape(dtype: TensorDigest['dtype'], shape: readonly number[]): boolean {
    return this.#shapes.has(shapeKey(dtype, shape));
  }

  untaken(): string[] {
    return [...this.#untaken];
  }
}

function contentKey({ dtype, shape, sha256 }: Omit<TensorDigest, 'name'>): string {
  return `${shapeKey(dtype, shape)}|${sha256}`;
}

function shapeKey(dtype: TensorDigest['dtype'], shape: readonly number[]): string {
  return `${dtype}|${shape.join(',')}`;
}
