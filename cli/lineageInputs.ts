import { type AdapterCommitment, adapterId } from '../src/adapter/index.js';
import { baseModelDigest } from '../src/checkpoint/baseModelDigest.js';
import {
  type AdapterLineageQuestion,
  digestCheckpoint,
  type LineageNode,
  type LineagePolicy,
  type LineageReason,
  type ModelAtHand,
  parseLineagePolicy,
  readLineageHead,
  readSigningKey,
  readStore,
  type SigningKey,
} from '../src/checkpoint/index.js';
import { MAX_MANIFEST_BYTES } from '../src/checkpoint/limits.js';
import { nodeSchema } from '../src/checkpoint/vocabulary.js';
import { ZkLoraError } from '../src/errors.js';
import { readFileBounded } from '../src/files.js';
import { loadCommitment } from './inputs.js';
import type { Terminal } from './terminal.js';

/** Reads a signing key and warns when others may read it. */
export async function loadSigningKey(path: string, terminal: Terminal): Promise<SigningKey> {
  const key = await readSigningKey(path);
  if (key.exposed) terminal.note(`warning: ${path} is readable by others: run chmod 600 on it`);
  return key;
}

export async function loadLineagePolicy(path: string): Promise<LineagePolicy> {
  return parseLineagePolicy(await readFileBounded(path, MAX_MANIFEST_BYTES, 'lineage policy'));
}

/** A node from `kind:digest`, the path of an adapter commitment (`.json`), or the path of a checkpoint. */
export async function loadNode(text: string, terminal: Terminal): Promise<LineageNode> {
  const [kind, digest, ...rest] = text.split(':');
  const parsed = nodeSchema.safeParse({ kind, digest });
  if (parsed.success && rest.length === 0) return parsed.data;
  if (text.endsWith('.json') && !text.endsWith('.safetensors.index.json')) {
    return { kind: 'adapter', digest: adapterId(await loadCommitment(text)) };
  }
  terminal.progress(`hashing ${text}`);
  return { kind: 'checkpoint', digest: (await digestCheckpoint(text)).digest };
}

/** Checkpoint digest of 64 hex digits, or of the checkpoint at a path. */
export async function loadCheckpointDigest(text: string, terminal: Terminal): Promise<string> {
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  terminal.progress(`hashing ${text}`);
  return (await digestCheckpoint(text)).digest;
}

/** The ONNX model that a session ran on. */
export async function loadModelAtHand(path: string, terminal: Terminal): Promise<ModelAtHand> {
  const { container, tensors } = await digestCheckpoint(path, (done, total) =>
    terminal.progress('hashing the model', done, total),
  );
  if (container !== 'onnx') throw new ZkLoraError('USAGE', 'the model of a session is an .onnx file');
  return { sha256: await baseModelDigest(path), tensors };
}

/** What a store says of an adapter now, and the policy to judge it by. */
export async function adapterQuestion(
  store: string,
  policy: LineagePolicy,
  { lineageDigest }: AdapterCommitment,
  model?: ModelAtHand,
): Promise<Omit<AdapterLineageQuestion, 'adapter'>> {
  return {
    policy,
    files: await readStore(store),
    head: readLineageHead(store, lineageDigest),
    now: Date.now(),
    ...(model === undefined ? {} : { model }),
  };
}

/** Text of others for a terminal: one line without control and direction characters. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?');
}

/** A reason in one line. */
export function describeReason({ code, message, node, envelope }: LineageReason): string {
  const place = node === undefined ? '' : ` ${node.kind} ${node.digest.slice(0, 16)}`;
  const file = envelope === undefined ? '' : ` (envelope ${envelope.slice(0, 16)})`;
  return `${code}:${place} ${printable(message)}${file}`;
}
