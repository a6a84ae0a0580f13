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

/**
 * Bytes of a message, the same as `toBinary` gives. Large `bytes` fields are copied once, into an array of the right
 * size; `toBinary` copies them some five times while its buffer grows.
 */
export function messageBytes<D extends DescMessage>(schema: D, message: MessageShape<D>): Buffer {
  const parts = partsOf(schema, message);
  if (parts !== undefined) return Buffer.concat(parts);
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Parts of a message in the order of its field numbers; undefined where it has a kind of field not handled here. */
function partsOf(schema: DescMessage, message: MessageShape<DescMessage>): Uint8Array[] | undefined {
  if (message.$unknown !== undefined && message.$unknown.length > 0) return undefined;
  const fields = message as unknown as Fields;
  const parts: Uint8Array[] = [];
  for (const field of [...schema.fields].sort((a, b) => a.number - b.number)) {
    const more = fieldParts(field, fields[field.localName]);
    if (more === undefined) return undefined;
    parts.push(...more);
  }
  return parts;
}

function fieldParts(field: DescField, value: unknown): Uint8Array[] | undefined {
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
      const own = partsOf(field.message, item);
      if (own === undefined) return undefined;
      const length = own.reduce((sum, part) => sum + part.length, 0);
      parts.push(varint(tag(field, LENGTH_DELIMITED)), varint(length), ...own);
    }
    return parts;
  }
  return undefined;
}

function tag(field: DescField, wireType: number): number {
  return field.number * 8 + wireType;
}

/** An unsigned number below 2^32: seven bits a byte, lowest first. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
