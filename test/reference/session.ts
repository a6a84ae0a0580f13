import { hkdf } from '@noble/hashes/hkdf.js';
import { ascii, concatBytes, fromHex, labelled, sha256, u32 } from './bytes.js';
import { canonicalJson } from './canonicalJson.js';
import type { ReferenceModule } from './commitment.js';
import { integerIn, listOf, membersOf } from './members.js';
import { demand } from './refusal.js';

/** One forward pass: int16 `x [tokens, n]` and `exponents [tokens]` by input, int64 `y [tokens, k]` by module. */
export interface ReferenceCall {
  readonly tokens: number;
  readonly inputs: readonly { readonly x: Int16Array; readonly exponents: Int16Array }[];
  readonly outputs: readonly BigInt64Array[];
}

/** A session after its checks. */
export interface ReferenceSession {
  readonly digest: Uint8Array;
  readonly adapterId: string;
  readonly contributorKey: string;
  /** Input of each module that the session names. */
  readonly inputOf: ReadonlyMap<number, number>;
  /** Indices of the session's modules, ascending: the order of `outputs`. */
  readonly modules: readonly number[];
  readonly calls: readonly ReferenceCall[];
  /** T: token rows of all calls. */
  readonly tokens: number;
}

const SMALLEST = -(2n ** 63n);

/** Checks a session and computes its digest (docs/protocol.md section 4). */
export function readSession(
  header: unknown,
  secret: unknown,
  calls: readonly ReferenceCall[],
  modules: readonly ReferenceModule[],
): ReferenceSession {
  const all = membersOf(
    header,
    ['format', 'adapterId', 'contributorKey', 'userKey', 'nonce', 'inputs'],
    'the session header',
  );
  demand(all.format === 'zklora/session/v1', 'the session is of another format');
  for (const name of ['adapterId', 'contributorKey', 'userKey', 'nonce'] as const)
    fromHex(all[name], 32, name);
  const opened = membersOf(secret, ['format', 'seed'], 'the session secret');
  demand(opened.format === 'zklora/session-secret/v1', 'the session secret is of another format');
  const seed = fromHex(opened.seed, 32, 'seed');
  const inputs = readInputs(all.inputs, modules);
  const inputOf = new Map(inputs.flatMap((users, input) => users.map((module) => [module, input] as const)));
  const members = [...inputOf.keys()].sort((a, b) => a - b);
  demand(calls.length <= 2 ** 20, 'a session has at most 2^20 calls');
  for (const call of calls) checkCall(call, inputs, members, modules);
  const tokens = calls.reduce((sum, call) => sum + call.tokens, 0);
  const headerDigest = labelled('zklora/session/header/v1', new TextEncoder().encode(canonicalJson(header)));
  return {
    digest: labelled(
      'zklora/session/v1',
      headerDigest,
      u32(calls.length),
      u32(tokens),
      headOf(leavesOf(seed, calls, members, inputOf)),
    ),
    adapterId: String(all.adapterId),
    contributorKey: String(all.contributorKey),
    inputOf,
    modules: members,
    calls,
    tokens,
  };
}

function readInputs(value: unknown, modules: readonly ReferenceModule[]): number[][] {
  const seen = new Set<number>();
  let previousFirst = -1;
  return listOf(value, 1, modules.length, 'inputs').map((item) => {
    let previous = -1;
    const users = listOf(item, 1, modules.length, 'an input').map((index) => {
      previous = integerIn(index, previous + 1, modules.length - 1, 'module of an input');
      demand(!seen.has(previous), 'a module has two inputs');
      seen.add(previous);
      return previous;
    });
    demand(users[0]! > previousFirst, 'inputs are not ordered by their first module');
    previousFirst = users[0]!;
    const widths = new Set(users.map((module) => modules[module]!.inFeatures));
    demand(widths.size === 1, 'modules of one input are not equally wide');
    return users;
  });
}

function checkCall(
  call: ReferenceCall,
  inputs: readonly (readonly number[])[],
  members: readonly number[],
  modules: readonly ReferenceModule[],
): void {
  const { tokens } = call;
  integerIn(tokens, 1, 2 ** 15, 'number of tokens');
  demand(call.inputs.length === inputs.length, 'a call has another number of inputs');
  demand(call.outputs.length === members.length, 'a call has another number of outputs');
  call.inputs.forEach(({ x, exponents }, i) => {
    demand(x.length === tokens * modules[inputs[i]![0]!]!.inFeatures, 'X has another size');
    demand(exponents.length === tokens, 'another number of exponents');
    demand(
      exponents.every((exponent) => Math.abs(exponent) <= 512),
      'an exponent is out of range',
    );
  });
  call.outputs.forEach((y, i) => {
    demand(y.length === tokens * modules[members[i]!]!.outFeatures, 'Y has another size');
    demand(!y.includes(SMALLEST), 'Y contains -2^63');
  });
}

/** The entries, little-endian. */
function encoded(array: Int16Array | BigInt64Array): Uint8Array {
  const bytes = new Uint8Array(array.length * array.BYTES_PER_ELEMENT);
  const view = new DataView(bytes.buffer);
  array.forEach((entry: number | bigint, i: number) => {
    if (typeof entry === 'bigint') view.setBigInt64(8 * i, entry, true);
    else view.setInt16(2 * i, entry, true);
  });
  return bytes;
}

/** Leaves of the tree: token rows in order, and in each the modules, ascending. */
function leavesOf(
  seed: Uint8Array,
  calls: readonly ReferenceCall[],
  members: readonly number[],
  inputOf: ReadonlyMap<number, number>,
): Uint8Array[] {
  const leaves: Uint8Array[] = [];
  let salts: Uint8Array = new Uint8Array();
  let row = 0;
  calls.forEach(({ tokens, inputs, outputs }, call) => {
    for (let token = 0; token < tokens; token++) {
      members.forEach((module, member) => {
        const place = leaves.length % 128;
        if (place === 0) salts = saltsOf(seed, leaves.length / 128);
        const { x, exponents } = inputs[inputOf.get(module)!]!;
        const y = outputs[member]!;
        const rowOf = <T extends Int16Array | BigInt64Array>(array: T) => {
          const width = array.length / tokens;
          return encoded(array.subarray(width * token, width * (token + 1)));
        };
        const [xBytes, yBytes] = [rowOf(x), rowOf(y)];
        leaves.push(
          labelled(
            'zklora/session/row/v1',
            salts.slice(32 * place, 32 * place + 32),
            u32(row),
            u32(call),
            u32(module),
            i16(exponents[token]!),
            u32(xBytes.length),
            u32(yBytes.length),
            xBytes,
            yBytes,
          ),
        );
      });
      row += 1;
    }
  });
  return leaves;
}

/** Salts of 128 leaves. */
function saltsOf(seed: Uint8Array, block: number): Uint8Array {
  const info = concatBytes(ascii('zklora/session/salt/v1'), Uint8Array.of(0), u32(block));
  return hkdf(sha256, seed, undefined, info, 4096);
}

/** Level by level; the odd node at a level's end moves up as it is. */
function headOf(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return labelled('zklora/session/empty/v1');
  let level = [...leaves];
  while (level.length > 1) {
    const above: Uint8Array[] = [];
    for (let i = 0; i + 1 < level.length; i += 2) {
      above.push(labelled('zklora/session/node/v1', level[i]!, level[i + 1]!));
    }
    level = level.length % 2 === 1 ? [...above, level.at(-1)!] : above;
  }
  return level[0]!;
}

function i16(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  new DataView(bytes.buffer).setInt16(0, value);
  return bytes;
}
