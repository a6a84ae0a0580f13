/** Files of one bench row: weights, commitment and session, each written by one process and read by the next. */
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { QuantizedModule } from '../src/adapter/index.js';
import type { Session, SessionCall, SessionHeader } from '../src/protocol/index.js';

type WeightIndex = Omit<QuantizedModule, 'a' | 'bT'>[];

/** Writes the modules of an adapter: index.json and weights.bin (A then transposed B of each, int16). */
export async function writeModules(dir: string, modules: Iterable<QuantizedModule>): Promise<void> {
  await mkdir(dir, { recursive: true });
  const file = await open(join(dir, 'weights.bin'), 'w');
  const index: WeightIndex = [];
  for (const { a, bT, ...rest } of modules) {
    index.push(rest);
    await file.write(new Uint8Array(a.buffer, a.byteOffset, a.byteLength));
    await file.write(new Uint8Array(bT.buffer, bT.byteOffset, bT.byteLength));
  }
  await file.close();
  await writeFile(join(dir, 'index.json'), JSON.stringify(index));
}

/** Reads what {@link writeModules} wrote. */
export async function readModules(dir: string): Promise<QuantizedModule[]> {
  const index = JSON.parse(await readFile(join(dir, 'index.json'), 'utf8')) as WeightIndex;
  const { buffer, byteOffset } = await readFile(join(dir, 'weights.bin'));
  let at = byteOffset;
  const take = (count: number) => {
    const values = new Int16Array(buffer, at, count);
    at += values.byteLength;
    return values;
  };
  return index.map((module) => ({
    ...module,
    a: take(module.rank * module.inFeatures),
    bT: take(module.rank * module.outFeatures),
  }));
}

interface CallShape {
  readonly tokens: number;
  readonly offset: number;
  /** Entries of each input's x, then of each module's Y. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** Writes a session: session.json and session.bin (per call: x and exponents of each input, Y of each module). */
export async function writeSession(
  dir: string,
  header: SessionHeader,
  calls: Iterable<SessionCall>,
): Promise<void> {
  const file = await open(join(dir, 'session.bin'), 'w');
  const shapes: CallShape[] = [];
  let offset = 0;
  for (const { tokens, inputs, outputs } of calls) {
    shapes.push({
      tokens,
      offset,
      inputs: inputs.map(({ x }) => x.length),
      outputs: outputs.map((y) => y.length),
    });
    // eight-byte entries first, so that every array is aligned
    for (const array of [...outputs, ...inputs.flatMap(({ x, exponents }) => [x, exponents])]) {
      await file.write(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
      offset += array.byteLength;
    }
  }
  await file.close();
  await writeFile(join(dir, 'session.json'), JSON.stringify({ header, shapes }));
}

/**
 * Opens what {@link writeSession} wrote; one call is in memory at a time.
 *
 * @param repeat times that the written calls follow one another; each is read from the file anew
 */
export async function openSession(dir: string, repeat: number): Promise<Session> {
  const { header, shapes } = JSON.parse(await readFile(join(dir, 'session.json'), 'utf8')) as {
    header: SessionHeader;
    shapes: CallShape[];
  };
  const memory = new WeakMap<SessionCall, Uint8Array<ArrayBuffer>>();
  let spare: Uint8Array<ArrayBuffer> | undefined;
  const readCall = async (index: number): Promise<SessionCall> => {
    const { tokens, offset, inputs, outputs } = shapes[index % shapes.length]!;
    const sum = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);
    const length = 8 * sum(outputs) + 2 * (sum(inputs) + tokens * inputs.length);
    const bytes = spare?.length === length ? spare : new Uint8Array(length);
    spare = undefined;
    const file = await open(join(dir, 'session.bin'), 'r');
    await file.read(bytes, 0, bytes.length, offset);
    await file.close();
    let at = 0;
    const take = (count: number) => {
      at += 2 * count;
      return new Int16Array(bytes.buffer, at - 2 * count, count);
    };
    const y = outputs.map((count) => {
      at += 8 * count;
      return new BigInt64Array(bytes.buffer, at - 8 * count, count);
    });
    const call = {
      tokens,
      inputs: inputs.map((count) => ({ x: take(count), exponents: take(tokens) })),
      outputs: y,
    };
    memory.set(call, bytes);
    return call;
  };
  const recycle = (call: SessionCall) => {
    spare = memory.get(call);
  };
  const statedTokens = async (index: number) => shapes[index % shapes.length]!.tokens;
  return {
    header,
    seed: new Uint8Array(32),
    callCount: shapes.length * repeat,
    readCall,
    statedTokens,
    recycle,
  };
}
