import {
  create,
  type DescMessage,
  equals,
  fromBinary,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ApplyRequestSchema,
  ApplyResponseSchema,
  OpenSessionRequestSchema,
  ProveResponseSchema,
} from '../../src/inference/gen/zklora_pb.js';
import { messageBytes } from '../../src/inference/messageBytes.js';

const uint32 = fc.oneof(fc.constantFrom(0, 1, 127, 128, 2 ** 31, 2 ** 32 - 1), fc.nat(2 ** 31));
const bytes = fc.uint8Array({ maxLength: 300 });

function expectSame<D extends DescMessage>(schema: D, message: MessageShape<D>): void {
  expect([...messageBytes(schema, message)]).toEqual([...toBinary(schema, message)]);
}

describe('bytes of a message', () => {
  it('are those of the library for the questions and answers of a stage', () => {
    const inputs = fc.array(fc.record({ input: uint32, rows: bytes, exponents: bytes }), { maxLength: 4 });
    const requests = fc.record({ sessionId: bytes, call: uint32, stage: uint32, tokens: uint32, inputs });
    fc.assert(
      fc.property(requests, (request) => expectSame(ApplyRequestSchema, create(ApplyRequestSchema, request))),
    );
    const deltas = fc.array(fc.record({ module: uint32, values: bytes }), { maxLength: 4 });
    fc.assert(
      fc.property(fc.record({ call: uint32, stage: uint32, deltas }), (response) =>
        expectSame(ApplyResponseSchema, create(ApplyResponseSchema, response)),
      ),
    );
  });

  it('have large fields of a list at multiples of 8 bytes, where a number stands before them', () => {
    for (let shift = 0; shift < 20; shift += 1) {
      const message = create(ApplyResponseSchema, {
        call: 1,
        stage: 2,
        deltas: [
          { module: 5, values: new Uint8Array(2 ** 16 + shift).fill(1) },
          { module: 4095, values: new Uint8Array(2 ** 16).fill(2) },
          { module: 0, values: new Uint8Array(2 ** 16).fill(3) },
          { module: 300, values: new Uint8Array(2 ** 21 - 6 + shift).fill(4) },
          { module: 7, values: new Uint8Array(shift).fill(5) },
          { module: 8, values: new Uint8Array(2 ** 17).fill(6) },
        ],
      });
      const bytes = messageBytes(ApplyResponseSchema, message);
      const read = fromBinary(ApplyResponseSchema, bytes);
      expect(equals(ApplyResponseSchema, read, message)).toBe(true);
      const places = read.deltas.map(({ values }) => (values.byteOffset - bytes.byteOffset) % 8);
      // a part whose length needs a byte more on the way may miss the place
      for (const i of [0, 1, 5]) expect(places[i]).toBe(0);
      expect(bytes.length - toBinary(ApplyResponseSchema, message).length).toBeLessThan(4 * 10);
    }
  });

  it('are those of the library for messages with lists of numbers and with choices', () => {
    expectSame(
      OpenSessionRequestSchema,
      create(OpenSessionRequestSchema, { nonce: Uint8Array.of(1), inputs: [{ modules: [0, 300] }] }),
    );
    for (const event of [
      { case: 'progress', value: { step: 'fold', done: 1, total: 2 } },
      { case: 'chunk', value: Uint8Array.of(1, 2) },
    ] as const) {
      expectSame(ProveResponseSchema, create(ProveResponseSchema, { event }));
    }
  });

  it('keep fields of a later version, in the message and inside its parts', () => {
    const unknown = Uint8Array.of(0xf8, 7, 1); // field 127, a number
    const response = create(ApplyResponseSchema, { deltas: [{ module: 1, values: Uint8Array.of(2) }] });
    const later = fromBinary(
      ApplyResponseSchema,
      Uint8Array.of(...toBinary(ApplyResponseSchema, response), ...unknown),
    );
    expectSame(ApplyResponseSchema, later);
    const inner = create(ApplyResponseSchema, { deltas: [{ module: 1 }] });
    inner.deltas[0]!.$unknown = [{ no: 127, wireType: 0, data: Uint8Array.of(1) }];
    expectSame(ApplyResponseSchema, inner);
    expect(messageBytes(ApplyResponseSchema, inner)).toHaveLength(7);
  });

  it('refuse a number that does not fit, as the library does', () => {
    for (const call of [-1, 2 ** 32, 0.5]) {
      const message = create(ApplyRequestSchema, { call });
      expect(() => messageBytes(ApplyRequestSchema, message)).toThrow(/uint32/);
    }
  });
});
