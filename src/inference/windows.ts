import { createHash } from 'node:crypto';
import { u32 } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import { toBytes } from '../littleEndian.js';

/** Windows of one evaluation; their activations are recorded and proven. */
export const MAX_WINDOWS = 2 ** 20;

/** Tokens in all windows together: their ids take 1 GiB. */
const MAX_WINDOW_TOKENS = 2 ** 27;

/** Texts cut into sequences of equal length. */
export interface Windows {
  /** Token ids, `[count, sequence]`. */
  readonly ids: BigInt64Array;
  readonly count: number;
  readonly sequence: number;
  /** How many of its last tokens are predicted and scored in each window, 1 to `sequence - 1`. */
  readonly scored: Uint32Array;
}

export interface WindowOptions {
  /** Tokens of one window. */
  readonly sequence: number;
  /** Tokens from one window's start to the next one's; `sequence` without it. What overlaps is scored once. */
  readonly stride?: number;
  /** Score only so many of the last tokens of each window. */
  readonly scoreLast?: number;
  /** Only the first so many windows of all texts. */
  readonly maxWindows?: number;
}

/** A text as tokens. */
export interface TokenText {
  readonly name: string;
  readonly ids: Uint32Array;
}

/** The windows of several texts, one after the other. */
export interface CutTexts {
  readonly windows: Windows;
  /** In the order of the texts; a text that `maxWindows` leaves nothing of has 0 windows. */
  readonly texts: readonly { readonly name: string; readonly count: number; readonly unusedTokens: number }[];
}

/**
 * Cuts a text into windows of `sequence` bytes that do not overlap; the token id of a byte is its value. A shorter
 * rest is not used.
 *
 * @param maxWindows only the first so many
 * @throws ZkLoraError `TEXT_INVALID` for a text shorter than one window, `USAGE`.
 */
export function byteWindows(text: Uint8Array, sequence: number, maxWindows: number = MAX_WINDOWS): Windows {
  return cutTexts([{ name: 'the text', ids: Uint32Array.from(text) }], { sequence, maxWindows }).windows;
}

/**
 * Cuts texts into windows; none reaches from one text into the next, and a rest shorter than a window is not used.
 *
 * The first window of a text scores all of its tokens but the first. With a stride below `sequence` each later window
 * scores the `stride` tokens that are new in it, with the others as their context; without overlap it scores all but
 * its first.
 *
 * @throws ZkLoraError `TEXT_INVALID` for a text shorter than one window, `USAGE`.
 */
export function cutTexts(texts: readonly TokenText[], options: WindowOptions): CutTexts {
  const { sequence, stride = sequence, scoreLast = sequence, maxWindows = MAX_WINDOWS } = options;
  if (!Number.isInteger(sequence) || sequence < 2) {
    throw new ZkLoraError('USAGE', 'a sequence has at least 2 tokens: one to read and one to predict');
  }
  if (!Number.isInteger(maxWindows) || maxWindows < 1 || maxWindows > MAX_WINDOWS) {
    throw new ZkLoraError('USAGE', `the number of sequences is an integer from 1 to ${MAX_WINDOWS}`);
  }
  if (!Number.isInteger(stride) || stride < 1 || stride > sequence) {
    throw new ZkLoraError('USAGE', `the stride is an integer from 1 to the sequence length ${sequence}`);
  }
  if (!Number.isInteger(scoreLast) || scoreLast < 1) {
    throw new ZkLoraError('USAGE', 'at least the last token of each sequence is scored');
  }
  if (texts.length === 0) throw new ZkLoraError('USAGE', 'an evaluation needs a text');
  let left = maxWindows;
  const cut = texts.map(({ name, ids }) => {
    if (ids.length < sequence) {
      throw new ZkLoraError(
        'TEXT_INVALID',
        `${name} has ${ids.length} tokens, less than one sequence of ${sequence}; use a longer text or shorter sequences`,
      );
    }
    const count = Math.min(Math.floor((ids.length - sequence) / stride) + 1, left);
    left -= count;
    const used = count === 0 ? 0 : (count - 1) * stride + sequence;
    return { name, ids, count, unusedTokens: ids.length - used };
  });
  const count = maxWindows - left;
  if (count * sequence > MAX_WINDOW_TOKENS) {
    throw new ZkLoraError(
      'USAGE',
      `an evaluation takes at most ${MAX_WINDOW_TOKENS} tokens; use fewer sequences or a larger stride`,
    );
  }
  const ids = new BigInt64Array(count * sequence);
  const scored = new Uint32Array(count);
  let window = 0;
  for (const text of cut) {
    for (let i = 0; i < text.count; i += 1, window += 1) {
      const fresh = i === 0 ? sequence - 1 : Math.min(stride, sequence - 1);
      scored[window] = Math.min(fresh, scoreLast);
      for (let t = 0; t < sequence; t += 1) ids[window * sequence + t] = BigInt(text.ids[i * stride + t]!);
    }
  }
  return {
    windows: { ids, count, sequence, scored },
    texts: cut.map(({ name, count: own, unusedTokens }) => ({ name, count: own, unusedTokens })),
  };
}

/** SHA-256, hex, of what is read and scored: u32 count and sequence (big-endian), scored as u32 and ids as i64, little-endian. */
export function windowsDigest({ ids, count, sequence, scored }: Windows): string {
  // Node's own SHA-256: ids are 8 bytes each.
  const hash = createHash('sha256').update(u32(count)).update(u32(sequence));
  return hash.update(toBytes(scored)).update(toBytes(ids)).digest('hex');
}
