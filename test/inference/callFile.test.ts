import { describe, expect, it } from 'vitest';
import { parseSafetensors, serializeSafetensors, type Tensor } from '../../src/adapter/safetensors.js';
import { bytesToHex, concatBytes, labelledSha256, sha256, u32 } from '../../src/bytes.js';
import { CALL_START_BYTES, decodeCall, decodeOwnCall, statedTokens } from '../../src/inference/callFile.js';
import { parseSessionClosing, parseSessionHeader } from '../../src/inference/sessionHeader.js';
import { toBytes } from '../../src/littleEndian.js';
import type { SessionCall, SessionHeader } from '../../src/protocol/index.js';
import { headerDigest } from '../../src/protocol/sessionDigest.js';
import { expectRefused } from '../protocol/refused.js';
import { encodeCall } from '../support/recordCall.js';

const header: SessionHeader = {
  format: 'zklora/session/v1',
  adapterId: '01'.repeat(32),
  contributorKey: '02'.repeat(32),
  userKey: '03'.repeat(32),
  nonce: '04'.repeat(32),
  inputs: [[0, 5], [2]],
};

function call(tokens: number): SessionCall {
  const input = (width: number) => ({
    x: Int16Array.from({ length: tokens * width }, (_, i) => i - 7),
    exponents: new Int16Array(tokens).fill(-3),
  });
  const y = (width: number) => BigInt64Array.from({ length: tokens * width }, (_, i) => BigInt(i) << 33n);
  return { tokens, inputs: [input(3), input(2)], outputs: [y(1), y(2), y(3)] };
}

const shapes = [1, 0, 2, 0, 0, 3].map((outFeatures, module) => ({
  inFeatures: module === 2 ? 2 : 3,
  outFeatures,
}));

const NAME = 'call file 000000.safetensors';
const encoded = (index: number, tokens: number) => encodeCall(header, shapes, index, call(tokens));
const decode = (bytes: Uint8Array) => decodeCall(header, bytes, NAME);

/** The checksum that call files had before. */
function versionOne(index: number, { tokens, inputs, outputs }: SessionCall): Uint8Array {
  const parts = [...inputs.flatMap(({ x, exponents }) => [x, exponents]), ...outputs].flatMap((values) => [
    u32(values.byteLength),
    toBytes(values),
  ]);
  return labelledSha256('zklora/call/v1', headerDigest(header), u32(index), u32(tokens), ...parts);
}

/** The file of a call with its tensors edited. */
function edited(edit: (tensors: Map<string, Tensor>) => void, tokens = 2): Uint8Array {
  const { tensors } = parseSafetensors(encoded(0, tokens));
  const copy = new Map(
    [...tensors].map(([name, tensor]) => [name, { ...tensor, data: new Uint8Array(tensor.data) }]),
  );
  edit(copy);
  return serializeSafetensors(copy);
}

describe('a call file', () => {
  it('comes back as it was, from any place in memory', () => {
    const bytes = encoded(0, 2);
    expect(decode(bytes)).toEqual(call(2));
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decode(shifted.subarray(3))).toEqual(call(2));
  });

  it('has the checksum that docs/formats.md describes, which holds at its own place only', async () => {
    const bytes = encoded(3, 2);
    const { inputs, outputs } = call(2);
    const parts = [
      ...inputs.map(({ x, exponents }) => sha256(concatBytes(toBytes(x), toBytes(exponents)))),
      ...outputs.map((y) => sha256(toBytes(y))),
    ];
    const digest = labelledSha256('zklora/call/v2', headerDigest(header), u32(3), u32(2), ...parts);
    expect(parseSafetensors(bytes).metadata).toEqual({ sha256: bytesToHex(digest) });
    expect(decodeOwnCall(header, 3, bytes, NAME)).toEqual(call(2));
    await expectRefused(() => decodeOwnCall(header, 2, bytes, NAME), 'SESSION_MALFORMED', /fit its checksum/);
    expect(decode(bytes)).toEqual(call(2));
    const { tensors } = parseSafetensors(bytes);
    const earlier = serializeSafetensors(tensors, { sha256: bytesToHex(versionOne(3, call(2))) });
    await expectRefused(
      () => decodeOwnCall(header, 3, earlier, NAME),
      'SESSION_MALFORMED',
      /fit its checksum/,
    );
  });

  it('has the tensors of its session, named by input and module', () => {
    const { tensors } = parseSafetensors(encoded(0, 2));
    const shapes = [...tensors].map(([name, { dtype, shape }]) => `${name} ${dtype} ${shape}`).sort();
    expect(shapes).toEqual([
      'input.0.exponents I16 2',
      'input.0.x I16 2,3',
      'input.1.exponents I16 2',
      'input.1.x I16 2,2',
      'module.0.y I64 2,1',
      'module.2.y I64 2,2',
      'module.5.y I64 2,3',
    ]);
  });

  const whole =
    /^call file 000000\.safetensors does not hold the tensors of its session; the session was edited or is incomplete$/;
  it.each<[string, (tensors: Map<string, Tensor>) => void]>([
    ['no exponents', (tensors) => tensors.delete('input.0.exponents')],
    ['a module missing', (tensors) => tensors.delete('module.5.y')],
    ['nothing', (tensors) => tensors.clear()],
  ])('is refused with %s', async (_, edit) => {
    await expectRefused(() => decode(edited(edit)), 'SESSION_MALFORMED', whole);
  });

  it('is refused with a tensor more', async () => {
    const more = edited((tensors) => tensors.set('more', tensors.get('module.0.y')!));
    await expectRefused(() => decode(more), 'SAFETENSORS_MALFORMED', /more than 7 tensors/);
  });

  it('states its tokens at its start, however it was written', () => {
    const start = (bytes: Uint8Array) => bytes.subarray(0, CALL_START_BYTES);
    expect([1, 32_768].map((tokens) => statedTokens(start(encoded(0, tokens))))).toEqual([1, 32_768]);
    const spaced = new TextEncoder().encode('{ "input.0.exponents": { "dtype": "I16", "shape": [ 17 ], ');
    expect(statedTokens(spaced)).toBe(17);
    for (const none of [
      '',
      '"shape":[]',
      '"shape":[123456,1]',
      '"shape":[-1]',
      '"shape":["1"]',
      '"shape":[1',
    ])
      expect(statedTokens(new TextEncoder().encode(none))).toBeUndefined();
  });

  it('takes 1 to 2^15 tokens', async () => {
    expect(decode(encoded(0, 32_768)).tokens).toBe(32_768);
    await expectRefused(() => decode(encoded(0, 32_769)), 'SESSION_MALFORMED', whole);
    const none = edited((tensors) => {
      for (const [name, { dtype, shape }] of tensors) {
        tensors.set(name, { dtype, shape: [0, ...shape.slice(1)], data: new Uint8Array() });
      }
    });
    await expectRefused(() => decode(none), 'SESSION_MALFORMED', whole);
  });

  const named = (name: string) =>
    new RegExp(`^${NAME} has no tensor ${name} of the right type and shape; the session`);
  it.each<[string, string, (tensor: Tensor) => Tensor]>([
    ['input.0.x', 'of another type', (tensor) => ({ ...tensor, dtype: 'U16' })],
    ['input.1.exponents', 'of another type', (tensor) => ({ ...tensor, dtype: 'BF16' })],
    ['module.2.y', 'of another type', (tensor) => ({ ...tensor, dtype: 'U64' })],
    ['module.2.y', 'of another number of tokens', ({ dtype, data }) => ({ dtype, data, shape: [4, 1] })],
    ['module.0.y', 'of one dimension', ({ dtype, data }) => ({ dtype, data, shape: [2] })],
    ['module.0.y', 'of three dimensions', ({ dtype, data }) => ({ dtype, data, shape: [2, 1, 1] })],
    ['input.1.exponents', 'of two dimensions', ({ dtype, data }) => ({ dtype, data, shape: [2, 1] })],
    ['input.0.x', 'of one dimension', ({ dtype, data }) => ({ dtype, data: data.slice(0, 4), shape: [2] })],
  ])('is refused with %s %s', async (name, _, change) => {
    const bytes = edited((tensors) => tensors.set(name, change(tensors.get(name)!)));
    await expectRefused(() => decode(bytes), 'SESSION_MALFORMED', named(name));
  });

  it('is refused with a tensor of another name', async () => {
    const bytes = edited((tensors) => {
      tensors.set('module.4.y', tensors.get('module.5.y')!);
      tensors.delete('module.5.y');
    });
    await expectRefused(() => decode(bytes), 'SESSION_MALFORMED', named('module.5.y'));
  });
});

describe('session files say what is wrong', () => {
  it('modules out of order', async () => {
    const json = JSON.stringify({ ...header, inputs: [[1], [0]] });
    const says = /^session\.json names its modules twice or out of order$/;
    await expectRefused(() => parseSessionHeader(json), 'SESSION_MALFORMED', says);
  });

  it('a field, with its place', async () => {
    const at = (path: string) =>
      new RegExp(`^(session|close)\\.json is not a session file of this version \\(at ${path}\\)$`);
    await expectRefused(() => parseSessionHeader('[]'), 'SESSION_MALFORMED', at('top level'));
    const nested = JSON.stringify({ ...header, inputs: [[0], ['1']] });
    await expectRefused(() => parseSessionHeader(nested), 'SESSION_MALFORMED', at('inputs\\.1\\.0'));
    await expectRefused(() => parseSessionClosing('{}'), 'SESSION_MALFORMED', at('format'));
    await expectRefused(
      () => parseSessionClosing('{'),
      'SESSION_MALFORMED',
      /^close\.json is not valid JSON; write it again/,
    );
  });

  it('hex strings have their length and nothing around them', async () => {
    for (const nonce of [`x${'0'.repeat(64)}`, `${'0'.repeat(64)}x`, `${'0'.repeat(64)}0`]) {
      await expectRefused(
        () => parseSessionHeader(JSON.stringify({ ...header, nonce })),
        'SESSION_MALFORMED',
        /at nonce/,
      );
    }
  });

  it('modules up to 4095, inputs and closings up to their maxima', () => {
    const largest = { ...header, inputs: [[4095]] };
    expect(parseSessionHeader(JSON.stringify(largest))).toEqual(largest);
    const many = { ...header, inputs: Array.from({ length: 4096 }, (_, i) => [i]) };
    expect(parseSessionHeader(JSON.stringify(many)).inputs).toHaveLength(4096);
    const one = { ...header, inputs: [Array.from({ length: 4096 }, (_, i) => i)] };
    expect(parseSessionHeader(JSON.stringify(one)).inputs[0]).toHaveLength(4096);
    const closing = {
      format: 'zklora/close/v1',
      calls: 2 ** 20,
      digest: '00'.repeat(32),
      userSignature: '00'.repeat(64),
      contributorSignature: '00'.repeat(64),
    };
    for (const calls of [0, 2 ** 20]) {
      expect(parseSessionClosing(JSON.stringify({ ...closing, calls })).calls).toBe(calls);
    }
    for (const calls of [-1, 2 ** 20 + 1, 1.5]) {
      expect(() => parseSessionClosing(JSON.stringify({ ...closing, calls }))).toThrow('at calls');
    }
  });
});
