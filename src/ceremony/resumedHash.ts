import { _BLAKE2b } from '@noble/hashes/blake2.js';

/** Bytes of a state that snarkjs writes: block 128 | h, 8 u64 | bytes compressed u64 | bytes in the block u64 | 8. */
export const HASH_STATE_BYTES = 216;

const BLOCK_BYTES = 128;
const STATE_WORDS = 16;

/** BLAKE2b-512 that goes on from a state that another program wrote; all integers are little-endian. */
class ResumedBlake2b extends _BLAKE2b {
  constructor(state: Uint8Array) {
    super({ dkLen: 64 });
    const view = new DataView(state.buffer, state.byteOffset, state.byteLength);
    const word = (i: number) => view.getUint32(BLOCK_BYTES + 4 * i, true);
    const words = Array.from({ length: STATE_WORDS }, (_, i) => word(i));
    this.buffer.set(state.subarray(0, BLOCK_BYTES));
    this.set(...(words as Parameters<_BLAKE2b['set']>));
    this.pos = filling(state);
    this.length = word(STATE_WORDS) + word(STATE_WORDS + 1) * 2 ** 32 + this.pos;
  }
}

/** Bytes that wait in the block of a state. */
function filling(state: Uint8Array): number {
  const view = new DataView(state.buffer, state.byteOffset, state.byteLength);
  const at = BLOCK_BYTES + 4 * (STATE_WORDS + 2);
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

/** Whether a state can be gone on from. */
export function isHashState(state: Uint8Array): boolean {
  return state.length === HASH_STATE_BYTES && filling(state) <= BLOCK_BYTES;
}

/** BLAKE2b-512 of what the state has absorbed, followed by `rest`. */
export function resumeHash(state: Uint8Array, rest: Uint8Array): Uint8Array {
  return new ResumedBlake2b(state).update(rest).digest();
}
