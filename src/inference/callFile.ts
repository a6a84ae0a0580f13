import {
  parseSafetensors,
  type SafetensorsFile,
  safetensorsParts,
  type Tensor,
} from '../adapter/safetensors.js';
import { bytesToHex, u32, utf8ToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { int16FromBytes, int64FromBytes, toBytes } from '../littleEndian.js';
import { type SessionCall, type SessionHeader, sessionModules } from '../protocol/session.js';
import { headerDigest, MAX_CALL_TOKENS } from '../protocol/sessionDigest.js';
import { createSha256 } from '../sha256.js';
import { MAX_CALL_FILE_BYTES } from './limits.js';

const LABEL = 'zklora/call/v1';
const CHECKSUM = 'sha256';

/**
 * One call as safetensors: `input.I.x` I16 `[tokens, inFeatures]` and `input.I.exponents` I16 `[tokens]` for
 * each input I of the header, `module.M.y` I64 `[tokens, outFeatures]` for each module M; its metadata hold a
 * checksum.
 *
 * @param index of the call in its session
 * @returns the file's parts, one after the other; those of the call's rows are no copies
 * @throws ZkLoraError `SESSION_MALFORMED` for a call larger than {@link MAX_CALL_FILE_BYTES}.
 */
export function encodeCall(header: SessionHeader, index: number, call: SessionCall): Uint8Array[] {
  const { tokens } = call;
  const tensors = new Map<string, Tensor>();
  for (const [i, { x, exponents }] of call.inputs.entries()) {
    tensors.set(`input.${i}.x`, { dtype: 'I16', shape: [tokens, x.length / tokens], data: toBytes(x) });
    tensors.set(`input.${i}.exponents`, { dtype: 'I16', shape: [tokens], data: toBytes(exponents) });
  }
  for (const [i, module] of sessionModules(header).entries()) {
    const y = call.outputs[i]!;
    tensors.set(`module.${module}.y`, { dtype: 'I64', shape: [tokens, y.length / tokens], data: toBytes(y) });
  }
  const parts = safetensorsParts(tensors, { [CHECKSUM]: callChecksum(header, index, call) });
  if (parts.reduce((sum, { length }) => sum + length, 0) > MAX_CALL_FILE_BYTES) {
    throw new ZkLoraError('SESSION_MALFORMED', 'one call is too large to be recorded; use a smaller batch');
  }
  return parts;
}

/**
 * Reads a call file: exactly the tensors that the header asks for, all with the same number of tokens. Its checksum
 * is not looked at: the session digest covers what it covers.
 *
 * @param what names the file in messages
 * @throws ZkLoraError `SESSION_MALFORMED`, `SAFETENSORS_MALFORMED`
 */
export function decodeCall(header: SessionHeader, bytes: Uint8Array, what: string): SessionCall {
  return parseCall(header, bytes, what).call;
}

/**
 * The same for a session that is to go on, which no digest covers yet: the checksum has to fit.
 *
 * @param index of the call in its session
 * @throws ZkLoraError `SESSION_MALFORMED`, `SAFETENSORS_MALFORMED`
 */
export function decodeOwnCall(
  header: SessionHeader,
  index: number,
  bytes: Uint8Array,
  what: string,
): SessionCall {
  const { call, checksum } = parseCall(header, bytes, what);
  if (checksum !== callChecksum(header, index, call)) throw malformed(what, 'does not fit its checksum');
  return call;
}

/** Bytes of a call file that reach beyond the shape of its first tensor: length, checksum, name, type. */
export const CALL_START_BYTES = 512;

/**
 * Token rows that a call file states in the shape of its first tensor; undefined where the start of the file does not
 * show them. To be held against the call when it is read.
 *
 * @param start the first {@link CALL_START_BYTES} of the file
 */
export function statedTokens(start: Uint8Array): number | undefined {
  const [, tokens] = /"shape":\s*\[\s*(\d{1,5})\s*[,\]]/.exec(new TextDecoder('latin1').decode(start)) ?? [];
  return tokens === undefined ? undefined : Number(tokens);
}

/** Hex; docs/formats.md, `zklora/call/v1`. */
function callChecksum(
  header: SessionHeader,
  index: number,
  { tokens, inputs, outputs }: SessionCall,
): string {
  const hash = createSha256()
    .update(utf8ToBytes(`${LABEL}\0`))
    .update(headerDigest(header))
    .update(u32(index))
    .update(u32(tokens));
  for (const values of [...inputs.flatMap(({ x, exponents }) => [x, exponents]), ...outputs]) {
    hash.update(u32(values.byteLength)).update(toBytes(values));
  }
  return bytesToHex(hash.digest());
}

function parseCall(
  header: SessionHeader,
  bytes: Uint8Array,
  what: string,
): { call: SessionCall; checksum: string | undefined } {
  const modules = sessionModules(header);
  const expected = 2 * header.inputs.length + modules.length;
  const { tensors, metadata } = parseTensors(bytes, expected, what);
  const tokens = tensors.get('input.0.exponents')?.shape[0] ?? 0;
  if (tensors.size !== expected || tokens < 1 || tokens > MAX_CALL_TOKENS) {
    throw malformed(what, 'does not hold the tensors of its session');
  }
  const find = (
    name: string,
    dtype: Tensor['dtype'],
    dimensions: number,
  ): { data: Uint8Array; size: number } => {
    const tensor = tensors.get(name);
    if (tensor?.dtype !== dtype || tensor.shape.length !== dimensions || tensor.shape[0] !== tokens) {
      throw malformed(what, `has no tensor ${name} of the right type and shape`);
    }
    return { data: tensor.data, size: tokens * (tensor.shape[1] ?? 1) };
  };
  const int16 = (name: string, dimensions: number): Int16Array => {
    const { data, size } = find(name, 'I16', dimensions);
    return int16FromBytes(data, size, name);
  };
  const inputs = header.inputs.map((_, i) => ({
    x: int16(`input.${i}.x`, 2),
    exponents: int16(`input.${i}.exponents`, 1),
  }));
  const outputs = modules.map((module) => {
    const name = `module.${module}.y`;
    const { data, size } = find(name, 'I64', 2);
    return int64FromBytes(data, size, name);
  });
  return { call: { tokens, inputs, outputs }, checksum: metadata[CHECKSUM] };
}

/** The message names the file, as all others do. */
function parseTensors(bytes: Uint8Array, maxTensors: number, what: string): SafetensorsFile {
  try {
    return parseSafetensors(bytes, { maxTensors });
  } catch (error) {
    if (!(error instanceof ZkLoraError)) throw error;
    throw new ZkLoraError(error.code, `${what}: ${error.message}`, { details: error.details, cause: error });
  }
}

function malformed(what: string, problem: string): ZkLoraError {
  return new ZkLoraError('SESSION_MALFORMED', `${what} ${problem}; the session was edited or is incomplete`);
}
