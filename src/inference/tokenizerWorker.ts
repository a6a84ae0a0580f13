/** Entry of the thread that tokenises: its patterns come with the tokenizer, and can take for ever. */
import { parentPort, workerData } from 'node:worker_threads';
import { Tokenizer } from '@huggingface/tokenizers';
import { ZkLoraError } from '../errors.js';
import type { TokenizerRequest, TokenizerResponse } from './tokenizer.js';
import { malformed, parseTokenizerFile, vocabularySize } from './tokenizerFile.js';
import { toPlainError } from './workerMessages.js';

if (parentPort === null) throw new ZkLoraError('INTERNAL', 'tokenizerWorker runs as a worker thread only');
const port = parentPort;

function tokenize({ file, texts }: TokenizerRequest): TokenizerResponse {
  const parsed = parseTokenizerFile(file);
  const vocabulary = vocabularySize(parsed);
  const tokenizer = build(parsed);
  const ids = texts.map(({ name, text }) => {
    let encoded: unknown[];
    try {
      encoded = tokenizer.encode(text, { add_special_tokens: false }).ids;
    } catch {
      // Its message may quote the text.
      throw malformed(`fails on ${name}`);
    }
    return Uint32Array.from(encoded, (id) => {
      if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabulary) return id;
      throw new ZkLoraError('TEXT_INVALID', `the tokenizer has no token for a part of ${name}`);
    });
  });
  return { ok: true, ids, vocabulary };
}

function build(parsed: object): Tokenizer {
  try {
    return new Tokenizer(parsed, {});
  } catch {
    throw malformed('uses parts that this version of @huggingface/tokenizers does not know');
  }
}

function answer(): TokenizerResponse {
  try {
    return tokenize(workerData as TokenizerRequest);
  } catch (error) {
    return { ok: false, error: toPlainError(error) };
  }
}

port.postMessage(answer());
