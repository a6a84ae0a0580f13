import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AdapterCommitment } from '../../src/adapter/index.js';
import {
  parseSafetensors,
  quantizeModule,
  readPeftAdapter,
  serializeSafetensors,
} from '../../src/adapter/index.js';
import { bytesToHex } from '../../src/bytes.js';
import {
  decodeProofFile,
  encodeProofFile,
  type Session,
  type SessionCall,
  sessionDigest,
} from '../../src/protocol/index.js';

/** Copies a session folder and changes one byte of the first delta tensor on disk. */
export async function tamperSessionFolder(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true });
  const [name] = (await readdir(join(to, 'calls'))).sort();
  const path = join(to, 'calls', name!);
  const bytes = new Uint8Array(await readFile(path));
  const { tensors } = parseSafetensors(bytes);
  const [, y] = [...tensors].find(([tensor]) => tensor.endsWith('.y'))!;
  // the tensor's data is a view into the file's bytes
  y.data[0]! ^= 1;
  await writeFile(path, y.data.buffer === bytes.buffer ? bytes : serializeSafetensors(tensors));
}

/** The same change in memory, for the cheat who also fixes every digest. */
export function tamperSession(session: Session): Session {
  return {
    header: session.header,
    seed: session.seed,
    callCount: session.callCount,
    readCall: async (index): Promise<SessionCall> => {
      const call = await session.readCall(index);
      if (index > 0) return call;
      const outputs = call.outputs.map((y) => y.slice());
      outputs[0]![0]! ^= 1n;
      return { ...call, outputs };
    },
  };
}

/** Rewrites the session digest in a proof so that it names another session. */
export async function retargetProof(
  proof: Uint8Array,
  session: Session,
  adapter: AdapterCommitment,
): Promise<Uint8Array> {
  const digest = bytesToHex(await sessionDigest(session, adapter.modules));
  return encodeProofFile({ ...decodeProofFile(proof), sessionDigest: digest });
}

/** Copies a PEFT adapter and moves one weight by one quantisation step. */
export async function changeOneWeight(from: string, to: string): Promise<string> {
  await mkdir(to, { recursive: true });
  await cp(join(from, 'adapter_config.json'), join(to, 'adapter_config.json'));
  const { modules } = await readPeftAdapter(from);
  const module = modules[0]!;
  const quantized = quantizeModule(module);
  const { tensors, metadata } = parseSafetensors(
    new Uint8Array(await readFile(join(from, 'adapter_model.safetensors'))),
  );
  const [name, tensor] = [...tensors].find(
    ([key]) => key.includes(`${module.name}.`) && key.includes('lora_A'),
  )!;
  const values = new Float32Array(tensor.data.slice().buffer);
  // an entry well inside the range, so that the matrix keeps its exponent
  const index = quantized.a.findIndex((entry) => Math.abs(entry) < 8192);
  values[index]! += 2 ** quantized.aExponent;
  const changed = new Map(tensors).set(name, { ...tensor, data: new Uint8Array(values.buffer) });
  await writeFile(join(to, 'adapter_model.safetensors'), serializeSafetensors(changed, metadata));
  return `${name}[${index}]`;
}
