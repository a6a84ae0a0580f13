import { Worker } from 'node:worker_threads';
import { ZkLoraError } from '../errors.js';
import { MAX_TOKENIZER_BYTES, malformed } from './tokenizerFile.js';
import type { TokenText } from './windows.js';
import { workerEntry } from './workerEntry.js';
import { fromPlainError, type PlainError } from './workerMessages.js';

/** A tokenizer has so long for all texts, in milliseconds; 64 MB of English take GPT-2's about a minute. */
export const TOKENIZER_TIMEOUT_MS = 300_000;

/** Heap of the thread, in MiB: merges, vocabulary and the tokens of a 64 MB text as strings. */
const MAX_HEAP_MIB = 4096;

/** A text to be tokenised. */
export interface PlainText {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface TokenizerRequest {
  /** tokenizer.json */
  readonly file: Uint8Array;
  readonly texts: readonly { readonly name: string; readonly text: string }[];
}

export type TokenizerResponse =
  | { readonly ok: true; readonly ids: readonly Uint32Array[]; readonly vocabulary: number }
  | { readonly ok: false; readonly error: PlainError };

export interface Tokenized {
  readonly texts: readonly TokenText[];
  /** Largest id that the tokenizer gives and one. */
  readonly vocabulary: number;
}

/** One token a byte; the id of a byte is its value. */
export function tokenizeBytes(texts: readonly PlainText[]): Tokenized {
  return {
    texts: texts.map(({ name, bytes }) => ({ name, ids: Uint32Array.from(bytes) })),
    vocabulary: 256,
  };
}

/**
 * Tokens of texts under a Hugging Face tokenizer.json, without special tokens around them. The file is hostile: it is
 * read, and its patterns run, in a thread of its own with bounds on time and memory.
 *
 * @param file bytes of tokenizer.json
 * @param timeoutMs for all texts together
 * @throws ZkLoraError `TOKENIZER_MALFORMED`, also for one that takes too long or too much memory; `TEXT_INVALID` for a
 * text that is not UTF-8 or has no tokens for a part.
 */
export async function tokenizeTexts(
  file: Uint8Array,
  texts: readonly PlainText[],
  timeoutMs = TOKENIZER_TIMEOUT_MS,
): Promise<Tokenized> {
  if (file.length > MAX_TOKENIZER_BYTES) throw malformed(`is larger than ${MAX_TOKENIZER_BYTES} bytes`);
  const request: TokenizerRequest = {
    file,
    texts: texts.map(({ name, bytes }) => ({ name, text: decodeText(name, bytes) })),
  };
  const response = await ask(request, timeoutMs);
  if (!response.ok) throw fromPlainError(response.error);
  return {
    texts: texts.map(({ name }, i) => ({ name, ids: response.ids[i]! })),
    vocabulary: response.vocabulary,
  };
}

function ask(request: TokenizerRequest, timeoutMs: number): Promise<TokenizerResponse> {
  const worker = new Worker(workerEntry('tokenizerWorker'), {
    workerData: request,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    // The library warns on the console.
    stdout: true,
    stderr: true,
  });
  let timer: NodeJS.Timeout | undefined;
  return new Promise<TokenizerResponse>((resolve, reject) => {
    timer = setTimeout(
      () => reject(malformed(`takes more than ${timeoutMs / 1000} s for this text`)),
      timeoutMs,
    );
    worker.once('message', resolve);
    worker.once('error', (error: NodeJS.ErrnoException) => {
      const full = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      reject(
        full
          ? malformed(`takes more than ${MAX_HEAP_MIB} MiB for this text`)
          : new ZkLoraError('INTERNAL', 'the tokenizer thread failed', { cause: error }),
      );
    });
    worker.once('exit', () => reject(new ZkLoraError('INTERNAL', 'the tokenizer thread ended')));
  }).finally(() => {
    clearTimeout(timer);
    return worker.terminate();
  });
}

/** Strict UTF-8: a replaced byte would be another text. A byte-order mark is left out. */
function decodeText(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ZkLoraError('TEXT_INVALID', `${name} is not UTF-8 text; convert it first`);
  }
}
