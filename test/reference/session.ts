import { concatBytes, fromHex, labelled, u32 } from './bytes.js';
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
  const inputs = readInputs(all.inputs, modules);
  const inputOf = new Map(inputs.flatMap((users, input) => users.map((module) => [module, input] as const)));
  const members = [...inputOf.keys()].sort((a, b) => a - b);
  demand(calls.length <= 2 ** 20, 'a session has at most 2^20 calls');
  const digests = calls.map((call, index) => {
    checkCall(call, inputs, members, modules);
    return callDigest(call, index);
  });
  const headerDigest = labelled('zklora/session/header/v1', new TextEncoder().encode(canonicalJson(header)));
  return {
    digest: labelled('zklora/session/v1', headerDigest, u32(calls.length), ...digests),
    adapterId: String(all.adapterId),
    contributorKey: String(all.contributorKey),
    inputOf,
    modules: members,
    calls,
    tokens: calls.reduce((sum, { tokens }) => sum + tokens, 0),
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

/** u32 byte length and the entries, little-endian. */
function encoded(array: Int16Array | BigInt64Array): Uint8Array {
  const bytes = new Uint8Array(array.length * array.BYTES_PER_ELEMENT);
  const view = new DataView(bytes.buffer);
  array.forEach((entry: number | bigint, i: number) => {
    if (typeof entry === 'bigint') view.setBigInt64(8 * i, entry, true);
    else view.setInt16(2 * i, entry, true);
  });
  return concatBytes(u32(bytes.length), bytes);
}

function callDigest(call: ReferenceCall, index: number): Uint8Array {
  return labelled(
    'zklora/session/call/v1',
    u32(index),
    u32(call.tokens),
    ...call.inputs.flatMap(({ x, exponents }) => [encoded(x), encoded(exponents)]),
    ...call.outputs.map(encoded),
  );
}
