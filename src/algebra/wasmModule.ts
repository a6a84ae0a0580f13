/**
 * WebAssembly modules of our own, apart from ffjavascript's: functions of {@link WasmFunction} and a memory.
 *
 * Sections: WebAssembly Core Specification 2.0, section 5.5 (binary format of modules).
 */
import { utf8ToBytes } from '../bytes.js';
import { unsigned as leb, type ModuleBuilder, type WasmFunction } from './wasmCode.js';

const MAGIC = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const SECTION = { type: 1, function: 3, memory: 5, export: 7, code: 10 } as const;
const FUNCTION_TYPE = 0x60;
const I32 = 0x7f;

/** Bytes of a page of memory. */
export const PAGE_BYTES = 65_536;

/** A memory that can grow; its buffer is another one afterwards. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

export interface WasmInstance<Name extends string> {
  readonly memory: WasmMemory;
  readonly functions: Readonly<Record<Name, (...args: readonly number[]) => void>>;
}

/** Node's; the type library has no declaration of it. */
const { WebAssembly } = globalThis as unknown as {
  WebAssembly: {
    Module: new (code: Uint8Array) => object;
    Instance: new (module: object) => { readonly exports: Readonly<Record<string, unknown>> };
  };
};

/** Compiles functions into a module with a memory of one page. */
export function instantiate<Name extends string>(
  functions: Readonly<Record<Name, WasmFunction>>,
): WasmInstance<Name> {
  const builder = new Builder();
  for (const [name, code] of Object.entries<WasmFunction>(functions)) code.addTo(builder, name);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(builder.module())));
  return {
    memory: exports.memory as WasmMemory,
    functions: exports as WasmInstance<Name>['functions'],
  };
}

class Builder implements ModuleBuilder {
  readonly functions: { params: number; addParam(): void; getBody(): number[] }[] = [];
  readonly functionIdxByName: Record<string, number> = {};
  readonly #exported: string[] = [];

  addFunction(name: string) {
    const added = {
      params: 0,
      addParam: () => {
        added.params += 1;
      },
      getBody: (): number[] => [],
    };
    this.functionIdxByName[name] = this.functions.length;
    this.functions.push(added);
    return added;
  }

  exportFunction(name: string): void {
    this.#exported.push(name);
  }

  /** The whole memory is the caller's. */
  alloc(): number {
    throw new Error('this module allocates nothing');
  }

  module(): number[] {
    const types = this.functions.map(({ params }) => [
      ...[FUNCTION_TYPE, ...leb(params)],
      ...new Array<number>(params).fill(I32),
      0,
    ]);
    const exports = this.#exported.map((name) => [...text(name), 0, ...leb(this.functionIdxByName[name]!)]);
    return [
      ...MAGIC,
      ...section(SECTION.type, types),
      ...section(SECTION.function, [...types.keys()].map(leb)),
      ...section(SECTION.memory, [[0, 1]]),
      ...section(SECTION.export, [[...text('memory'), 2, 0], ...exports]),
      ...section(
        SECTION.code,
        this.functions.map((one) => one.getBody()),
      ),
    ];
  }
}

function section(id: number, entries: readonly (readonly number[])[]): number[] {
  const content = [...leb(entries.length), ...entries.flat()];
  return [id, ...leb(content.length), ...content];
}

function text(ascii: string): number[] {
  return [...leb(ascii.length), ...utf8ToBytes(ascii)];
}
