import {
  parseSafetensors,
  type SafetensorsFile,
  safetensorsLayout,
  type Tensor,
} from '../adapter/safetensors.js';
import { bytesToHex, labelledSha256, u32 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { int16Within, int64Within, toBytes } from '../littleEndian.js';
import {
  type ActivationRows,
  type SessionCall,
  type SessionHeader,
  sessionModules,
} from '../protocol/session.js';
import { headerDigest, MAX_CALL_TOKENS, type ModuleShape } from '../protocol/sessionDigest.js';
import { sha256OfParts } from '../sha256.js';
import { contentDigest } from './contentDigest.js';
import { MAX_CALL_FILE_BYTES } from './limits.js';

const LABEL = 'zklora/call/v2';
const CHECKSUM = 'sha256';
const NO_CHECKSUM = '0'.repeat(64);

/** Bytes at a place of a file. */
export interface FilePart {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/**
 * The file of one call while its parts come in, as safetensors: `input.I.x` I16 `[tokens, inFeatures]` and
 * `input.I.exponents` I16 `[tokens]` for each input I of the header, `module.M.y` I64 `[tokens, outFeatures]` for each
 * module M; its metadata hold a checksum.
 */
export class CallFile {
  readonly #header: SessionHeader;
  readonly #index: number;
  readonly #tokens: number;
  readonly #shapes: ReadonlyMap<string, Omit<Tensor, 'data'>>;
  readonly #positions: ReadonlyMap<string, number>;
  readonly #digests = new Map<string, Uint8Array>();

  /**
   * @param index of the call in its session
   * @param modules shapes of all modules of the adapter, in its order
   * @throws ZkLoraError `SESSION_MALFORMED` for a call larger than {@link MAX_CALL_FILE_BYTES}.
   */
  constructor(header: SessionHeader, modules: readonly ModuleShape[], index: number, tokens: number) {
    this.#header = header;
    this.#index = index;
    this.#tokens = tokens;
    const shapes = new Map<string, Omit<Tensor, 'data'>>();
    for (const [i, users] of header.inputs.entries()) {
      shapes.set(`input.${i}.x`, { dtype: 'I16', shape: [tokens, modules[users[0]!]!.inFeatures] });
      shapes.set(`input.${i}.exponents`, { dtype: 'I16', shape: [tokens] });
      for (const module of users) {
        const { outFeatures } = modules[module]!;
        shapes.set(`module.${module}.y`, { dtype: 'I64', shape: [tokens, outFeatures] });
      }
    }
    this.#shapes = shapes;
    // the checksum has one length, and so has the header
    const { positions, bytes } = safetensorsLayout(shapes, { [CHECKSUM]: NO_CHECKSUM });
    if (bytes > MAX_CALL_FILE_BYTES) {
      throw new ZkLoraError('SESSION_MALFORMED', 'one call is too large to be recorded; use a smaller batch');
    }
    this.#positions = positions;
  }

  /**
   * Parts of one input; views of its rows.
   *
   * @throws ZkLoraError `SESSION_MALFORMED` for rows of another size
   */
  input(index: number, rows: ActivationRows): FilePart[] {
    const parts = [
      this.#part(`input.${index}.x`, rows.x),
      this.#part(`input.${index}.exponents`, rows.exponents),
    ];
    this.#digests.set(`input.${index}`, inputDigest(rows));
    return parts;
  }

  /**
   * The part of one module; a view of its rows.
   *
   * @throws ZkLoraError `SESSION_MALFORMED` for rows of another size
   */
  output(module: number, y: BigInt64Array): FilePart {
    const name = `module.${module}.y`;
    const part = this.#part(name, y);
    this.#digests.set(name, contentDigest(y));
    return part;
  }

  #part(name: string, values: Int16Array | BigInt64Array): FilePart {
    const shape = this.#shapes.get(name)?.shape;
    if (shape?.reduce((product, size) => product * size, 1) !== values.length) {
      throw new ZkLoraError('SESSION_MALFORMED', `${name} of a call does not have the size of its module`);
    }
    return { position: this.#positions.get(name)!, bytes: toBytes(values) };
  }

  /** The last part, once all others came in. */
  head(): FilePart {
    const checksum = checksumOf(this.#header, this.#index, this.#tokens, (name) => {
      const digest = this.#digests.get(name);
      if (digest === undefined) throw new ZkLoraError('INTERNAL', `a call is recorded without ${name}`);
      return digest;
    });
    return { position: 0, bytes: safetensorsLayout(this.#shapes, { [CHECKSUM]: checksum }).head };
  }
}

/**
 * Reads a call file: exactly the tensors that the header asks for, all with the same number of tokens. Its checksum
 * is not looked at: the session digest covers what it covers. Rows are views into the bytes where these are aligned, as
 * in the files that {@link encodeCall} makes.
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

function callChecksum(
  header: SessionHeader,
  index: number,
  { tokens, inputs, outputs }: SessionCall,
): string {
  const digests = new Map<string, Uint8Array>([
    ...inputs.map((rows, i) => [`input.${i}`, inputDigest(rows)] as const),
    ...sessionModules(header).map((module, i) => [`module.${module}.y`, contentDigest(outputs[i]!)] as const),
  ]);
  return checksumOf(header, index, tokens, (name) => digests.get(name)!);
}

/** Hex; docs/formats.md, `zklora/call/v2`. */
function checksumOf(
  header: SessionHeader,
  index: number,
  tokens: number,
  digestOf: (name: string) => Uint8Array,
): string {
  const names = [
    ...header.inputs.map((_, i) => `input.${i}`),
    ...sessionModules(header).map((module) => `module.${module}.y`),
  ];
  return bytesToHex(
    labelledSha256(LABEL, headerDigest(header), u32(index), u32(tokens), ...names.map(digestOf)),
  );
}

function inputDigest({ x, exponents }: ActivationRows): Uint8Array {
  return sha256OfParts(toBytes(x), toBytes(exponents));
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
    return int16Within(data, size, name);
  };
  const inputs = header.inputs.map((_, i) => ({
    x: int16(`input.${i}.x`, 2),
    exponents: int16(`input.${i}.exponents`, 1),
  }));
  const outputs = modules.map((module) => {
    const name = `module.${module}.y`;
    const { data, size } = find(name, 'I64', 2);
    return int64Within(data, size, name);
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
