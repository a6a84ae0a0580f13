import { CallFile } from '../../src/inference/callFile.js';
import type { SessionWriter } from '../../src/inference/record.js';
import { type SessionCall, type SessionHeader, sessionModules } from '../../src/protocol/session.js';
import type { ModuleShape } from '../../src/protocol/sessionDigest.js';

/** Records a whole call. */
export async function recordCall(
  record: SessionWriter,
  { tokens, inputs, outputs }: SessionCall,
): Promise<void> {
  const call = record.begin(tokens);
  for (const [input, rows] of inputs.entries()) call.input(input, rows);
  for (const [i, module] of sessionModules(record.header).entries()) call.output(module, outputs[i]!);
  await call.finish();
}

/** The file of a whole call, its parts written in the order of their coming. */
export function encodeCall(
  header: SessionHeader,
  modules: readonly ModuleShape[],
  index: number,
  call: SessionCall,
): Uint8Array {
  const file = new CallFile(header, modules, index, call.tokens);
  const parts = [
    ...call.inputs.flatMap((rows, input) => file.input(input, rows)),
    ...sessionModules(header).map((module, i) => file.output(module, call.outputs[i]!)),
    file.head(),
  ];
  const bytes = new Uint8Array(Math.max(...parts.map((part) => part.position + part.bytes.length)));
  for (const part of parts) bytes.set(part.bytes, part.position);
  return bytes;
}
