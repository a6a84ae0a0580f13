/**
 * Cost of lineages and checkpoint digests: `npm run bench:lineage [-- megabytes of the test file]`.
 *
 * Prints JSON and writes it to bench/results/lineage.json: seconds to read and verify a lineage of 10,000 edges, signed one by one and in statements of 100, and
 * the rate of the checkpoint digest beside that of `sha256sum` on the same file, cached, alternating, best of three.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ed25519 } from '@noble/curves/ed25519.js';
import { bytesToHex, sha256, utf8ToBytes } from '../src/bytes.js';
import {
  checkLineagePolicy,
  digestCheckpoint,
  type EdgeToAttest,
  edgesStatement,
  envelopeId,
  type LineageNode,
  RELATIONS,
  readStore,
  serializeEnvelope,
  serializeStatement,
  signEnvelope,
  verifyLineage,
} from '../src/checkpoint/index.js';
import { machine } from './report.js';
import { writeResult } from './results.js';

const EDGES = 10_000;
const TENSORS = 16;
const ISSUED = '2026-01-01T00:00:00Z';

const secret = sha256(utf8ToBytes('bench key'));

function node(index: number): LineageNode {
  return { kind: 'checkpoint', digest: bytesToHex(sha256(utf8ToBytes(`node ${index}`))) };
}

/** A chain of fine-tunings with a merge at every tenth node: `EDGES` parent links in all. */
function lineage(): { edges: EdgeToAttest[]; depth: number } {
  const edges: EdgeToAttest[] = [];
  const step = { tool: 'train.py', version: '1.0', arguments: ['--lr', '1e-4'], tensorsUnchanged: false };
  for (let links = 0, i = 1; links < EDGES; i++) {
    const merge = i % 10 === 0 && links + 2 <= EDGES;
    const parents = merge ? [node(i - 1), node(i - 2)] : [node(i - 1)];
    edges.push({ subject: node(i), relation: merge ? 'merged-from' : 'finetuned-from', parents, step });
    links += parents.length;
  }
  return { edges: edges.reverse(), depth: edges.length };
}

async function measureVerify(folder: string, perStatement: number): Promise<object> {
  const store = join(folder, `store-${perStatement}`);
  await mkdir(store);
  const { edges, depth } = lineage();
  for (let at = 0; at < edges.length; at += perStatement) {
    const statement = edgesStatement(edges.slice(at, at + perStatement), ISSUED);
    const bytes = serializeEnvelope(signEnvelope(serializeStatement(statement), [secret]));
    await writeFile(join(store, `${envelopeId(bytes)}.dsse.json`), bytes);
  }
  const key = bytesToHex(ed25519.getPublicKey(secret));
  const policy = checkLineagePolicy({
    format: 'zklora/lineage-policy/v1',
    expires: null,
    roles: { all: [...RELATIONS] },
    keys: [{ name: 'bench', key, roles: ['all'], expires: null, revoked: false }],
    allowedRoots: [node(0)],
    requiredRelations: ['merged-from'],
    maximumDepth: 100_000,
    requireManifests: false,
    forbiddenObjectives: [],
    forbiddenLicences: [],
  });
  const cpu = process.cpuUsage();
  const started = performance.now();
  const files = await readStore(store);
  const read = performance.now();
  const verdict = await verifyLineage({ subject: node(depth), files, policy, now: Date.parse(ISSUED) });
  const done = performance.now();
  const { user, system } = process.cpuUsage(cpu);
  if (!verdict.valid) throw new Error(`the lineage failed: ${verdict.failures[0]?.message}`);
  return {
    edges: EDGES,
    envelopes: files.length,
    readSeconds: (read - started) / 1000,
    verifySeconds: (done - read) / 1000,
    totalSeconds: (done - started) / 1000,
    cpuSeconds: (user + system) / 1e6,
  };
}

async function measureDigest(folder: string, megabytes: number): Promise<object> {
  const path = join(folder, 'model.safetensors');
  const size = Math.floor((megabytes * 1e6) / TENSORS / 4) * 4;
  const header = Object.fromEntries(
    Array.from({ length: TENSORS }, (_, i) => [
      `layer.${i}.weight`,
      { dtype: 'F32', shape: [size / 4], data_offsets: [i * size, (i + 1) * size] },
    ]),
  );
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const file = await open(path, 'w');
  await file.write(Buffer.concat([length, text]));
  const data = Buffer.alloc(size);
  for (let i = 0; i < TENSORS; i++) {
    data.fill(sha256(utf8ToBytes(`tensor ${i}`)));
    await file.write(data);
  }
  await file.close();
  const run = promisify(execFile);
  const rates = { digest: 0, sha256sum: 0 };
  await run('sha256sum', [path]);
  for (let turn = 0; turn < 3; turn++) {
    const start = performance.now();
    await digestCheckpoint(path);
    const middle = performance.now();
    await run('sha256sum', [path]);
    const end = performance.now();
    rates.digest = Math.max(rates.digest, megabytes / ((middle - start) / 1000));
    rates.sha256sum = Math.max(rates.sha256sum, megabytes / ((end - middle) / 1000));
  }
  return {
    megabytes,
    megabytesPerSecond: rates.digest,
    sha256sumMegabytesPerSecond: rates.sha256sum,
    ratio: rates.digest / rates.sha256sum,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  };
}

const folder = await mkdtemp(join(tmpdir(), 'zklora-bench-lineage-'));
try {
  const results = {
    date: new Date().toISOString().slice(0, 10),
    machine: machine(),
    digest: await measureDigest(folder, Number(process.argv[2] ?? 512)),
    verify: [await measureVerify(folder, 1), await measureVerify(folder, 100)],
  };
  process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
  await writeResult('lineage', results);
} finally {
  await rm(folder, { recursive: true, force: true });
}
