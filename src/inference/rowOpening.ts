import { z } from 'zod';
import { MAX_FEATURES } from '../adapter/limits.js';
import { bytesToHex, hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonText } from '../jsonText.js';
import { int16FromBytes, int64FromBytes, toBytes } from '../littleEndian.js';
import { MAX_EXPONENT, MAX_SESSION_CALLS } from '../protocol/sessionDigest.js';
import type { RowOpening } from '../protocol/sessionOpening.js';
import { MAX_TOKENS } from '../protocol/statement.js';
import { headerSchema, hex, moduleIndex, requireOrdered } from './sessionHeader.js';

const FORMAT = 'zklora/row-opening/v1';

/** An opening file: two hex digits for each byte of the widest row (2 + 8 bytes a feature), and 1 MiB around it. */
export const MAX_OPENING_BYTES = 2 * 10 * MAX_FEATURES + 2 ** 20;

/** Levels of the tree: 2^31 token rows of 2^12 modules have 43. */
const MAX_OPENING_PATH = 43;

const count = (below: number) =>
  z
    .number()
    .int()
    .min(0)
    .max(below - 1);
const entries = (bytes: number) =>
  z
    .string()
    .max(2 * bytes * MAX_FEATURES)
    .regex(/^[0-9a-f]*$/)
    .refine(({ length }) => length > 0 && length % (2 * bytes) === 0);

const schema = z.strictObject({
  format: z.literal(FORMAT),
  header: headerSchema,
  calls: count(MAX_SESSION_CALLS + 1),
  tokens: count(MAX_TOKENS + 1),
  row: count(MAX_TOKENS),
  call: count(MAX_SESSION_CALLS),
  module: moduleIndex,
  exponent: z.number().int().min(-MAX_EXPONENT).max(MAX_EXPONENT),
  x: entries(2),
  y: entries(8),
  salt: hex(32),
  path: z.array(hex(32)).max(MAX_OPENING_PATH),
});

/** An opening as one JSON file, with a newline at its end. */
export function serializeRowOpening(opening: RowOpening): string {
  const { header, calls, tokens, row, call, module, exponent, x, y, salt, path } = opening;
  const file: z.infer<typeof schema> = {
    format: FORMAT,
    header: { ...header, inputs: header.inputs.map((users) => [...users]) },
    calls,
    tokens,
    row,
    call,
    module,
    exponent,
    x: bytesToHex(toBytes(x)),
    y: bytesToHex(toBytes(y)),
    salt: bytesToHex(salt),
    path: path.map(bytesToHex),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/**
 * Reads an opening file. What it says is for `verifyRow` to judge.
 *
 * @throws ZkLoraError `SESSION_MALFORMED`
 */
export function parseRowOpening(json: string): RowOpening {
  if (json.length > MAX_OPENING_BYTES) throw malformed(`it is larger than ${MAX_OPENING_BYTES} bytes`);
  const parsed = schema.safeParse(parseJsonText(json, 'SESSION_MALFORMED', 'the row opening'));
  if (!parsed.success) {
    const at = parsed.error.issues[0]?.path.join('.') || 'the top level';
    throw malformed(`${at.slice(0, 80)} is missing, unknown or out of range`);
  }
  const { format: _, x, y, salt, path, header, ...rest } = parsed.data;
  return {
    ...rest,
    header: requireOrdered(header),
    x: int16FromBytes(hexToBytes(x), x.length / 4, 'x'),
    y: int64FromBytes(hexToBytes(y), y.length / 16, 'y'),
    salt: hexToBytes(salt),
    path: path.map(hexToBytes),
  };
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError('SESSION_MALFORMED', `not a row opening: ${problem}; ask for it again`);
}
