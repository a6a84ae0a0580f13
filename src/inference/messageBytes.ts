import {
  type DescField,
  type DescMessage,
  type MessageShape,
  ScalarType,
  toBinary,
} from '@bufbuild/protobuf';

/** Wire types of protobuf. */
const VARINT = 0;
const LENGTH_DELIMITED = 2;

type Fields = Readonly<Record<string, unknown>>;

/** From here on it pays that a field's bytes can be looked at as numbers where they lie. */
const LARGE_BYTES = 2 ** 16;

/** Alignment of int64. */
const ALIGNMENT = 8;

/** Bytes of the longest varint that parsers have to take. */
const MAX_VARINT_BYTES = 10;

/**
 * Bytes of a message, such as `toBinary` gives. Large `bytes` fields inside the parts of a list begin at a multiple of
 * 8 bytes, where a number stands before them: it gets more bytes than it needs, which every parser takes. They are copied
 * once, into an array of the right size; `toBinary` copies them some five times while its buffer grows.
 */
export function messageBytes<D extends DescMessage>(schema: D, message: MessageShape<D>): Buffer {
  const parts = partsOf(schema, message, 0);
  if (parts !== undefined) return Buffer.concat(parts);
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Parts of a message in the order of its field numbers; undefined where it has a kind of field not handled here.
 *
 * @param start where the message begins in the outermost one
 */
function partsOf(
  schema: DescMessage,
  message: MessageShape<DescMessage>,
  start: number,
): Uint8Array[] | undefined {
  if (message.$unknown !== undefined && message.$unknown.length > 0) return undefined;
  const fields = message as unknown as Fields;
  const parts: Uint8Array[] = [];
  for (const field of [...schema.fields].sort((a, b) => a.number - b.number)) {
    const more = fieldParts(field, fields[field.localName], start + bytesOf(parts));
    if (more === undefined) return undefined;
    parts.push(...more);
  }
  return parts;
}

function fieldParts(field: DescField, value: unknown, start: number): Uint8Array[] | undefined {
  if (field.oneof !== undefined || field.proto.proto3Optional) return undefined;
  if (field.fieldKind === 'scalar' && field.scalar === ScalarType.UINT32) {
    const number = value as number;
    // what does not fit is left to `toBinary`, which refuses it
    if (number !== number >>> 0) return undefined;
    return number === 0 ? [] : [varint(tag(field, VARINT)), varint(number)];
  }
  if (field.fieldKind === 'scalar' && field.scalar === ScalarType.BYTES) {
    const bytes = value as Uint8Array;
    return bytes.length === 0 ? [] : [varint(tag(field, LENGTH_DELIMITED)), varint(bytes.length), bytes];
  }
  if (field.fieldKind === 'list' && field.listKind === 'message' && !field.delimitedEncoding) {
    const parts: Uint8Array[] = [];
    for (const item of value as readonly MessageShape<DescMessage>[]) {
      const own = partsOf(field.message, item, 0);
      if (own === undefined) return undefined;
      const framed = (inner: readonly Uint8Array[]): Uint8Array[] => [
        varint(tag(field, LENGTH_DELIMITED)),
        varint(bytesOf(inner)),
        ...inner,
      ];
      parts.push(...aligned(framed, own, start + bytesOf(parts)));
    }
    return parts;
  }
  return undefined;
}

function tag(field: DescField, wireType: number): number {
  return field.number * 8 + wireType;
}

function bytesOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

/**
 * A part of a list with its first large field at a multiple of 8 bytes, if its first field is a number that is not 0
 * and has bytes enough to spare, as those below 2^14 nearly always have.
 *
 * @param own fields of the part
 * @param start where the part begins in the message
 */
function aligned(
  framed: (own: readonly Uint8Array[]) => Uint8Array[],
  own: readonly Uint8Array[],
  start: number,
): Uint8Array[] {
  const [key, number, ...rest] = own;
  const large = rest.findIndex(({ length }) => length >= LARGE_BYTES);
  if (large < 0 || (key![0]! & 7) !== VARINT) return framed(own);
  for (let length = number!.length; length <= MAX_VARINT_BYTES; length += 1) {
    const wide = framed([key!, padded(number!, length), ...rest]);
    const before = bytesOf(wide) - bytesOf(rest.slice(large));
    if ((start + before) % ALIGNMENT === 0) return wide;
  }
  return framed(own);
}

/** An unsigned number below 2^32: seven bits a byte, lowest first. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

/** The same number in so many bytes: more digits, all 0. */
function padded(number: Uint8Array, length: number): Uint8Array {
  if (length === number.length) return number;
  const bytes = new Uint8Array(length).fill(0x80, 0, length - 1);
  bytes.set(number);
  bytes[number.length - 1]! |= 0x80;
  return bytes;
}
