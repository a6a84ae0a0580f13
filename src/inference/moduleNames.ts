import type { NodeProto } from './gen/onnx_pb.js';

/** What a node says about the module it belongs to. */
export interface NodeScope {
  /** One call of the module, e.g. `/transformer/h.0/attn/c_attn`: nodes of one call share it. */
  readonly scope: string;
  /** Paths of the module, e.g. `transformer.h.0.attn.c_attn`; two where a container repeats its own name. */
  readonly paths: readonly string[];
}

/** Metadata of torch's exporter on `torch.export` graphs: module paths from the root on, the operation last. */
const NAME_SCOPES = 'pkg.torch.onnx.name_scopes';

/** Characters of that metadata: a dozen nested paths; longer ones are left alone. */
const MAX_NAME_SCOPES = 16_384;

/**
 * Module of a node as `torch.onnx.export` recorded it: in the metadata (the exporter on `torch.export` graphs,
 * torch's default since 2.9), else in the node's name (the one on TorchScript).
 */
export function nodeScope(node: Pick<NodeProto, 'name' | 'metadataProps'>): NodeScope | undefined {
  const scopes = node.metadataProps.find(({ key }) => key === NAME_SCOPES)?.value;
  if (scopes === undefined || scopes.length > MAX_NAME_SCOPES) return parseNodeName(node.name);
  // a Python list of strings: ['', 'model', 'model.layers.0', 'linear_3']
  const path = [...scopes.matchAll(/'([^']*)'/g)].at(-2)?.[1];
  return path === undefined || path === '' ? undefined : { scope: scopes, paths: [path] };
}

/**
 * Reads a node name written by `torch.onnx.export`: scopes joined by slashes, the operator last.
 *
 * A called container repeats its own name in the names of its children (`/mlp/mlp.0/Gemm` is module `mlp.0`,
 * or `mlp.mlp.0` of a module that is really called so), hence both readings.
 */
export function parseNodeName(name: string): NodeScope | undefined {
  if (!name.startsWith('/')) return undefined;
  const parts = name.slice(1).split('/');
  parts.pop();
  if (parts.length === 0 || parts.some((part) => part === '')) return undefined;
  const collapsed = parts.filter((part, i) => !parts[i + 1]?.startsWith(`${part}.`));
  const literal = parts.join('.');
  const short = collapsed.join('.');
  return { scope: `/${parts.join('/')}`, paths: literal === short ? [literal] : [short, literal] };
}

/** The `count` candidates that look most like `wanted`: most equal path parts at the end, then fewest edits. */
export function nearestNames(wanted: string, candidates: Iterable<string>, count: number): string[] {
  const scored = [...candidates].map((name) => ({
    name,
    shared: sharedTail(wanted, name),
    edits: editDistance(wanted, name),
  }));
  scored.sort((a, b) => b.shared - a.shared || a.edits - b.edits || (a.name < b.name ? -1 : 1));
  return scored.slice(0, count).map((entry) => entry.name);
}

function sharedTail(a: string, b: string): number {
  const left = a.split('.').reverse();
  const right = b.split('.').reverse();
  let shared = 0;
  while (shared < left.length && left[shared] === right[shared]) shared += 1;
  return shared;
}

/** Levenshtein distance; names are cut at 200 characters, which bounds the work. */
function editDistance(a: string, b: string): number {
  const left = a.slice(0, 200);
  const right = b.slice(0, 200);
  let previous = Array.from({ length: right.length + 1 }, (_, j) => j);
  for (let i = 1; i <= left.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const change = left[i - 1] === right[j - 1] ? 0 : 1;
      row.push(Math.min(row[j - 1]! + 1, previous[j]! + 1, previous[j - 1]! + change));
    }
    previous = row;
  }
  return previous[right.length]!;
}
