import { createHash, hkdfSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bytesToHex, canonicalJson } from '../../src/bytes.js';
import type { SessionCall, SessionHeader } from '../../src/protocol/session.js';
import {
  checkCall,
  checkHeader,
  headerDigest,
  MAX_CALL_TOKENS,
  MAX_EXPONENT,
  MAX_SESSION_CALLS,
} from '../../src/protocol/sessionDigest.js';
import { readSession, sessionDigest } from '../../src/protocol/sessionPass.js';
import { SessionTree } from '../../src/protocol/sessionTree.js';
import { MemorySession, SESSION_SEED } from '../support/scenario.js';
import { expectRefused } from './refused.js';

const modules = [
  { inFeatures: 3, outFeatures: 2 },
  { inFeatures: 1, outFeatures: 1 },
  { inFeatures: 3, outFeatures: 4 },
];

const header: SessionHeader = {
  format: 'zklora/session/v1',
  adapterId: '01'.repeat(32),
  contributorKey: '02'.repeat(32),
  userKey: '03'.repeat(32),
  nonce: '04'.repeat(32),
  inputs: [[0, 2], [1]],
};

function call(tokens: number, change: Partial<SessionCall> = {}): SessionCall {
  const of = (width: number) => ({
    x: Int16Array.from({ length: tokens * width }, (_, i) => 300 * i - 500),
    exponents: Int16Array.from({ length: tokens }, (_, i) => -(i % 500)),
  });
  const y = (width: number) => BigInt64Array.from({ length: tokens * width }, (_, i) => BigInt(i) - 2n);
  return { tokens, inputs: [of(3), of(1)], outputs: [y(2), y(1), y(4)], ...change };
}

const check = (tested: SessionCall) => checkCall(header, modules, tested);

describe('a call', () => {
  it('fits with every value in range', () => {
    const edges = call(2);
    edges.inputs[0]!.exponents.set([-MAX_EXPONENT, MAX_EXPONENT]);
    edges.outputs[0]!.set([-(2n ** 63n) + 1n, 2n ** 63n - 1n]);
    expect(() => check(edges)).not.toThrow();
    expect(() => check(call(1))).not.toThrow();
  });

  it('takes up to 2^15 tokens', async () => {
    expect([MAX_CALL_TOKENS, MAX_EXPONENT, MAX_SESSION_CALLS]).toEqual([32_768, 512, 1_048_576]);
    expect(() => check(call(MAX_CALL_TOKENS))).not.toThrow();
    for (const tokens of [0, -1, 1.5, Number.NaN, MAX_CALL_TOKENS + 1]) {
      const tested = call(1, { tokens });
      await expectRefused(() => check(tested), 'SESSION_MALFORMED', /^a call takes 1 to 32768 tokens, not /);
    }
  });

  it.each<[string, SessionCall]>([
    ['an input missing', { ...call(1), inputs: call(1).inputs.slice(1) }],
    ['an input more', { ...call(1), inputs: [...call(1).inputs, call(1).inputs[0]!] }],
    ['an output missing', { ...call(1), outputs: call(1).outputs.slice(1) }],
    ['an output more', { ...call(1), outputs: [...call(1).outputs, call(1).outputs[0]!] }],
  ])('has what its session names: %s', async (_, tested) => {
    await expectRefused(
      () => check(tested),
      'SESSION_MALFORMED',
      /^a call does not have the inputs and outputs/,
    );
  });

  it.each<[string, SessionCall, RegExp]>([
    [
      'x too short',
      { ...call(2), inputs: [{ ...call(2).inputs[0]!, x: new Int16Array(5) }, call(2).inputs[1]!] },
      /^activations of input 0 do not have the size/,
    ],
    [
      'x too long',
      { ...call(2), inputs: [call(2).inputs[0]!, { ...call(2).inputs[1]!, x: new Int16Array(3) }] },
      /^activations of input 1 do not have the size/,
    ],
    [
      'an exponent missing',
      { ...call(2), inputs: [{ ...call(2).inputs[0]!, exponents: new Int16Array(1) }, call(2).inputs[1]!] },
      /^activations of input 0 do not have the size/,
    ],
    [
      'an exponent too low',
      { ...call(1), inputs: [call(1).inputs[0]!, { ...call(1).inputs[1]!, exponents: Int16Array.of(-513) }] },
      /^an exponent of input 1 is outside \[-512, 512\]$/,
    ],
    [
      'an exponent too high',
      { ...call(1), inputs: [{ ...call(1).inputs[0]!, exponents: Int16Array.of(513) }, call(1).inputs[1]!] },
      /^an exponent of input 0 is outside/,
    ],
    [
      'an exponent above 512 among others',
      {
        ...call(2),
        inputs: [{ ...call(2).inputs[0]!, exponents: Int16Array.of(0, 513) }, call(2).inputs[1]!],
      },
      /^an exponent of input 0 is outside/,
    ],
    [
      'y too short',
      { ...call(2), outputs: [call(2).outputs[0]!, new BigInt64Array(1), call(2).outputs[2]!] },
      /^deltas of module 1 do not have the size/,
    ],
    [
      'y too long',
      { ...call(2), outputs: [new BigInt64Array(5), ...call(2).outputs.slice(1)] },
      /^deltas of module 0 do not have the size/,
    ],
    [
      'y at -2^63',
      { ...call(1), outputs: [...call(1).outputs.slice(0, 2), BigInt64Array.of(0n, 0n, 0n, -(2n ** 63n))] },
      /^a delta of module 2 is -2\^63$/,
    ],
  ])('is refused with %s', async (_, tested, says) => {
    await expectRefused(() => check(tested), 'SESSION_MALFORMED', says);
  });

  it('is refused when an array is too large, before its size is compared', async () => {
    // no memory behind it: only the length is looked at
    const long = (kind: Int16ArrayConstructor | BigInt64ArrayConstructor, length: number) =>
      Object.defineProperty(new kind(1), 'length', { value: length });
    const tooLong = 2 ** 28 + 1;
    const x = {
      ...call(1),
      inputs: [
        { x: long(Int16Array, tooLong) as Int16Array, exponents: new Int16Array(1) },
        call(1).inputs[1]!,
      ],
    };
    const y = {
      ...call(1),
      outputs: [long(BigInt64Array, tooLong) as BigInt64Array, ...call(1).outputs.slice(1)],
    };
    for (const tested of [x, y])
      await expectRefused(() => check(tested), 'SESSION_MALFORMED', /^a call is too large: use fewer tokens/);
    const largest = {
      ...x,
      inputs: [
        { x: long(Int16Array, 2 ** 28) as Int16Array, exponents: new Int16Array(1) },
        call(1).inputs[1]!,
      ],
    };
    await expectRefused(() => check(largest), 'SESSION_MALFORMED', /^activations of input 0/);
    const largestY = {
      ...call(1),
      outputs: [long(BigInt64Array, 2 ** 28) as BigInt64Array, ...call(1).outputs.slice(1)],
    };
    await expectRefused(() => check(largestY), 'SESSION_MALFORMED', /^deltas of module 0/);
  });
});

describe('a header', () => {
  const withInputs = (inputs: number[][]) => ({ ...header, inputs });

  it.each<[number[][]]>([[[[0]]], [[[1], [2]]], [[[0, 2], [1]]], [[[0], [1], [2]]]])(
    '%j names its modules in order',
    (inputs) => {
      expect(() => checkHeader(withInputs(inputs), modules)).not.toThrow();
    },
  );

  it.each<[number[][], RegExp]>([
    [[], /^session names no module$/],
    [[[]], /^session inputs are out of order$/],
    [[[0], []], /^session inputs are out of order$/],
    [[[3]], /^session names module 3, which the adapter does not have$/],
    [[[-1]], /^session names module -1, which the adapter does not have$/],
    [[[0.5]], /^session names module 0\.5, which the adapter does not have$/],
    [[[2, 0]], /^session names its modules out of order$/],
    [[[0, 0]], /^session names its modules out of order$/],
    [[[0], [0]], /^session names its modules out of order$/],
    [[[0, 2], [1], [2]], /^session names its modules out of order$/],
    [[[1], [0]], /^session inputs are out of order$/],
    [[[0, 1]], /^modules of one input differ in width$/],
  ])('%j is refused', async (inputs, says) => {
    await expectRefused(() => checkHeader(withInputs(inputs), modules), 'SESSION_MALFORMED', says);
  });
});

/** docs/formats.md, "Session digest", on Node's SHA-256. */
function sha(...parts: (string | Uint8Array)[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
const be = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const le = (array: Int16Array | BigInt64Array) =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength);

/** Head of a tree of leaves: the left subtree is the largest full one (RFC 9162, section 2.1.1). */
function head(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return sha('zklora/session/empty/v1\0');
  if (leaves.length === 1) return leaves[0]!;
  let left = 1;
  while (2 * left < leaves.length) left *= 2;
  return sha('zklora/session/node/v1\0', head(leaves.slice(0, left)), head(leaves.slice(left)));
}

/** Digest of a session with the modules above, from its definition. */
function expectedDigest(calls: readonly SessionCall[], seed: Uint8Array): string {
  const leaves: Buffer[] = [];
  let row = 0;
  for (const [index, { tokens, inputs, outputs }] of calls.entries()) {
    for (let token = 0; token < tokens; token++, row++) {
      for (const [module, input] of [0, 1, 0].entries()) {
        const block = Buffer.from(
          hkdfSync(
            'sha256',
            seed,
            '',
            Buffer.concat([Buffer.from('zklora/session/salt/v1\0'), be(leaves.length >> 7)]),
            4096,
          ),
        );
        const salt = block.subarray(32 * (leaves.length % 128)).subarray(0, 32);
        const { x, exponents } = inputs[input]!;
        const n = modules[module]!.inFeatures;
        const k = modules[module]!.outFeatures;
        const exponent = Buffer.alloc(2);
        exponent.writeInt16BE(exponents[token]!);
        const data = [
          le(x.slice(n * token, n * token + n)),
          le(outputs[module]!.slice(k * token, k * token + k)),
        ];
        leaves.push(
          sha(
            'zklora/session/row/v1\0',
            salt,
            be(row),
            be(index),
            be(module),
            exponent,
            ...data.map(({ length }) => be(length)),
            ...data,
          ),
        );
      }
    }
  }
  const headerHash = sha('zklora/session/header/v1\0', canonicalJson(header));
  return sha('zklora/session/v1\0', headerHash, be(calls.length), be(row), head(leaves)).toString('hex');
}

const digestOf = async (calls: readonly SessionCall[], seed = SESSION_SEED) =>
  bytesToHex(await sessionDigest(new MemorySession(header, calls, seed), modules));

describe('digests', () => {
  it.each([[[]], [[1]], [[2, 1]], [[1, 2]], [[3]], [[40, 4]]])(
    'follow their definition: calls of %j tokens',
    async (tokens) => {
      const calls = tokens.map((count) => call(count));
      expect(await digestOf(calls)).toBe(expectedDigest(calls, SESSION_SEED));
    },
  );

  it('differ for another division into calls, and another seed', async () => {
    const split = [call(1), call(1)];
    const joined: SessionCall = {
      tokens: 2,
      inputs: split[0]!.inputs.map(({ x, exponents }, i) => ({
        x: Int16Array.of(...x, ...split[1]!.inputs[i]!.x),
        exponents: Int16Array.of(...exponents, ...split[1]!.inputs[i]!.exponents),
      })),
      outputs: split[0]!.outputs.map((y, i) => BigInt64Array.of(...y, ...split[1]!.outputs[i]!)),
    };
    expect(await digestOf(split)).not.toBe(await digestOf([joined]));
    expect(await digestOf(split, new Uint8Array(32).fill(6))).not.toBe(await digestOf(split));
    expect(bytesToHex(headerDigest(header))).toBe(
      sha('zklora/session/header/v1\0', canonicalJson(header)).toString('hex'),
    );
  });

  it('read views into larger buffers', async () => {
    const one = call(1);
    const roomy = new Int16Array([7, 7, ...one.inputs[0]!.x, 7]).subarray(2, 5);
    const viewed = { ...one, inputs: [{ ...one.inputs[0]!, x: roomy }, one.inputs[1]!] };
    expect(await digestOf([viewed])).toBe(await digestOf([one]));
  });

  it('are not made of calls that do not fit, nor with a seed of another length', async () => {
    const tree = new SessionTree({ header, seed: SESSION_SEED }, modules);
    const short = call(1, { outputs: [] });
    await expectRefused(() => tree.add(short), 'SESSION_MALFORMED', /inputs and outputs/);
    const place = { call: 0, row: 0 };
    await expectRefused(() => tree.fingerprint(short, place), 'SESSION_MALFORMED', /inputs and outputs/);
    expect(tree.tokens).toBe(0);
    await expectRefused(
      () => digestOf([call(1)], new Uint8Array(31)),
      'SESSION_MALFORMED',
      /^the seed of a session has 32 bytes$/,
    );
  });

  it('of a growing session can be taken at any time', async () => {
    const calls = [call(2), call(1), call(3)];
    const tree = new SessionTree({ header, seed: SESSION_SEED }, modules);
    for (const [i, one] of calls.entries()) {
      expect(bytesToHex(tree.digest())).toBe(await digestOf(calls.slice(0, i)));
      tree.add(one);
    }
    expect(bytesToHex(tree.digest())).toBe(await digestOf(calls));
  });
});

describe('reading a session', () => {
  it('counts its token rows and gives its calls again', async () => {
    const calls = [call(2), call(3)];
    const { tokens, stable } = await readSession(new MemorySession(header, calls), modules);
    expect([tokens, stable.callCount, stable.header]).toEqual([5, 2, header]);
    expect(await stable.readCall(1)).toBe(calls[1]);
  });

  it('of no calls has a digest, too', async () => {
    const { tokens, digest } = await readSession(new MemorySession(header, []), modules);
    expect([tokens, digest.length]).toEqual([0, 32]);
  });

  it('checks the header first, and the number of calls', async () => {
    const wrong = new MemorySession({ ...header, inputs: [[9]] }, []);
    await expectRefused(() => readSession(wrong, modules), 'SESSION_MALFORMED', /module 9/);
    const readCall = () => Promise.reject(new Error('read'));
    const long = { header, seed: SESSION_SEED, callCount: MAX_SESSION_CALLS + 1, readCall };
    for (const callCount of [MAX_SESSION_CALLS + 1, -1, 1.5, Number.NaN]) {
      await expectRefused(
        () => readSession({ ...long, callCount }, modules),
        'SESSION_MALFORMED',
        /^a session has 0 to 1048576 calls$/,
      );
    }
    await expect(readSession({ ...long, callCount: MAX_SESSION_CALLS }, modules)).rejects.toThrow('read');
  });

  it('keeps 64 MiB; what lies beyond is read again, and must be the same', async () => {
    const wide = [{ inFeatures: 1, outFeatures: 2 ** 20 }];
    const one: SessionHeader = { ...header, inputs: [[0]] };
    const large = (first: bigint): SessionCall => {
      const y = new BigInt64Array(5 * 2 ** 20);
      y[0] = first;
      return { tokens: 5, inputs: [{ x: new Int16Array(5), exponents: new Int16Array(5) }], outputs: [y] };
    };
    const calls = [large(1n), large(2n)];
    let reads = 0;
    const readCall = async (index: number) => {
      reads += 1;
      return calls[index]!;
    };
    const { stable } = await readSession({ header: one, seed: SESSION_SEED, callCount: 2, readCall }, wide);
    expect((await stable.readCall(0)).outputs[0]![0]).toBe(1n);
    expect(reads).toBe(2);
    expect((await stable.readCall(1)).outputs[0]![0]).toBe(2n);
    expect(reads).toBe(3);
    calls[0] = large(3n);
    calls[1] = large(3n);
    expect((await stable.readCall(0)).outputs[0]![0]).toBe(1n);
    await expectRefused(
      () => stable.readCall(1),
      'SESSION_MALFORMED',
      /^the session changed while it was read/,
    );
  });

  it('keeps a call that is the only one, however large', async () => {
    const wide = [{ inFeatures: 1, outFeatures: 2 ** 23 + 1 }];
    const y = new BigInt64Array(2 ** 23 + 1);
    let reads = 0;
    const readCall = async (): Promise<SessionCall> => {
      reads += 1;
      return { tokens: 1, inputs: [{ x: new Int16Array(1), exponents: new Int16Array(1) }], outputs: [y] };
    };
    const one: SessionHeader = { ...header, inputs: [[0]] };
    const { stable } = await readSession({ header: one, seed: SESSION_SEED, callCount: 1, readCall }, wide);
    expect((await stable.readCall(0)).outputs[0]).toBe(y);
    expect(reads).toBe(1);
  });
});
