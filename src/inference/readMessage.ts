import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { ZkLoraError } from '../errors.js';
import { MAX_MESSAGE_FIELDS } from './limits.js';

/**
 * Reads a message of a stranger. Fields are counted first: each takes an object of some 200 bytes, and one of two
 * bytes may be a field. Unknown fields are dropped, for the same reason.
 *
 * @throws ZkLoraError `SESSION_MALFORMED` for too many fields, and the parser's own errors
 */
export function readMessage<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  const reader = new BinaryReader(bytes);
  for (let fields = 0; reader.pos < reader.len; fields += 1) {
    if (fields === MAX_MESSAGE_FIELDS) {
      throw new ZkLoraError('SESSION_MALFORMED', `a message has more than ${MAX_MESSAGE_FIELDS} fields`);
    }
    const [number, wireType] = reader.tag();
    reader.skip(wireType, number);
  }
  return fromBinary(schema, bytes, { readUnknownFields: false });
}
