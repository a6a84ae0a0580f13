/** Names of the functions that a WebAssembly module exports, by function index: profiles show indices only. */

const EXPORT_SECTION = 7;
const FUNCTION = 0;

/** @param code a binary module */
export function exportedFunctions(code: Uint8Array): Map<number, string> {
  let at = 8;
  // LEB128
  const u32 = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = code[at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  };
  const names = new Map<number, string>();
  while (at < code.length) {
    const section = code[at++]!;
    const end = u32() + at;
    if (section === EXPORT_SECTION) {
      for (let count = u32(); count > 0; count--) {
        const length = u32();
        const name = new TextDecoder().decode(code.subarray(at, at + length));
        at += length;
        const kind = code[at++]!;
        const index = u32();
        // several names of one function: the first
        if (kind === FUNCTION && !names.has(index)) names.set(index, name);
      }
    }
    at = end;
  }
  return names;
}
