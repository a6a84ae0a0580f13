import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { exitCodeOf } from '../cli/exitCodes.js';
import { deriveBlinder } from '../src/adapter/blinders.js';
import { parseAdapterCommitment } from '../src/adapter/index.js';
import type { ErrorCode } from '../src/errors.js';
import { file_zklora } from '../src/inference/gen/zklora_pb.js';
import {
  MAX_CALLS_PER_PEER,
  MAX_CONNECTIONS,
  MAX_CONNECTIONS_PER_PEER,
  MAX_MESSAGE_BYTES,
  MAX_METADATA_BYTES,
  MAX_METADATA_ENTRIES,
  MAX_OPEN_CALLS,
  MAX_OPEN_SESSIONS,
  MAX_RECEIVING_BYTES,
  MAX_SESSIONS_PER_USER,
  MAX_SMALL_REQUEST_BYTES,
  MESSAGE_MS,
  REQUESTS_BURST,
  REQUESTS_PER_SECOND,
  SHUTDOWN_MS,
  STREAM_IDLE_MS,
  TLS_HANDSHAKE_MS,
} from '../src/inference/limits.js';

describe('docs/formats.md', () => {
  it('lists every error code with its exit code, and no other', async () => {
    const source = await readFile('src/errors.ts', 'utf8');
    const union = source.slice(source.indexOf('export type ErrorCode'), source.indexOf("'INTERNAL'") + 10);
    const codes = [...union.matchAll(/'([A-Z_0-9]+)'/g)].map(([, code]) => code as ErrorCode);
    const page = await readFile('docs/formats.md', 'utf8');
    const table = page.slice(page.indexOf('| code | exit | when |'));
    const rows = [...table.matchAll(/^\| `([A-Z_0-9]+)` \| (\d+) \|/gm)].map(([, code, exit]) => [
      code,
      Number(exit),
    ]);
    expect(Object.fromEntries(rows)).toEqual(
      Object.fromEntries(codes.map((code) => [code, exitCodeOf(code)])),
    );
  });
});

describe('docs/formats-example.md', () => {
  it('is what scripts/formats-example.mjs reads in the bundled files', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      'scripts/formats-example.mjs',
      '--print',
    ]);
    expect(stdout).toBe(await readFile('docs/formats-example.md', 'utf8'));
  });

  it('has the blinder that the library derives', async () => {
    const page = await readFile('docs/formats-example.md', 'utf8');
    const adapter = parseAdapterCommitment(await readFile('fixtures/example/adapter.zkl.json', 'utf8'));
    const secret = Uint8Array.from({ length: 32 }, (_, i) => i);
    const salt = new Uint8Array(Buffer.from(adapter.salt, 'hex'));
    const blinder = deriveBlinder(secret, salt, adapter.modules[0]!.name, 'A', 0);
    const printed = /^ {4}mod R +([0-9a-f ]+)$/m.exec(page)![1]!.replaceAll(' ', '');
    expect(BigInt(`0x${printed}`)).toBe(blinder);
  });
});

describe('docs/wire.md', () => {
  it('names every method, message and field of proto/zklora.proto', async () => {
    const page = await readFile('docs/wire.md', 'utf8');
    const named = new Set([...page.matchAll(/`([^`\n]+)`/g)].flatMap(([, text]) => text!.split(/[.\s]/)));
    const headings = new Set([...page.matchAll(/^### (.+)$/gm)].map(([, text]) => text));
    const methods = file_zklora.services.flatMap((service) => service.methods);
    expect(methods.map(({ name }) => name).filter((name) => !headings.has(name))).toEqual([]);
    const names = file_zklora.messages.flatMap(({ name, fields }) => [
      name,
      ...fields.map((field) => field.name),
    ]);
    expect(names.length).toBeGreaterThan(40);
    expect(names.filter((name) => !named.has(name))).toEqual([]);
  });

  it('has every status of a refusal, and every code that goes out', async () => {
    const source = await readFile('src/inference/refusal.ts', 'utf8');
    const statuses = source.slice(
      source.indexOf('type RefusalStatus'),
      source.indexOf('export function refusal'),
    );
    const codes = source.slice(source.indexOf('PUBLIC_STATUS'), source.indexOf('export interface WireError'));
    const page = await readFile('docs/wire.md', 'utf8');
    const rows = page.slice(page.indexOf('| status | `zklora-code`'), page.indexOf('## Retries'));
    const sent = [
      ...[...statuses.matchAll(/'([A-Z_]+)'/g)].map(([, name]) => name!),
      ...[...codes.matchAll(/^ {2}([A-Z_]+):/gm)].map(([, name]) => name!),
    ];
    expect(sent.length).toBeGreaterThan(12);
    expect(sent.filter((name) => !rows.includes(`\`${name}\``))).toEqual([]);
  });

  it('gives the limits that hold', async () => {
    const page = await readFile('docs/wire.md', 'utf8');
    const limits = page.slice(page.indexOf('## Limits'), page.indexOf('## Versions'));
    for (const text of [
      `${MAX_MESSAGE_BYTES / 2 ** 20} MiB`,
      `${MAX_SMALL_REQUEST_BYTES / 1024} KiB`,
      `${MAX_RECEIVING_BYTES / 2 ** 20} MiB`,
      `${MAX_METADATA_ENTRIES} entries, ${MAX_METADATA_BYTES / 1024} KiB`,
      `${MAX_OPEN_SESSIONS}, and ${MAX_SESSIONS_PER_USER} of one user key`,
      `${MAX_OPEN_CALLS}, and ${MAX_CALLS_PER_PEER} of one peer`,
      `${MAX_CONNECTIONS}, and ${MAX_CONNECTIONS_PER_PEER} of one peer`,
      `${REQUESTS_PER_SECOND} a second, ${REQUESTS_BURST} at once`,
      `${MESSAGE_MS / 60_000} minutes`,
      `${STREAM_IDLE_MS / 60_000} minutes`,
      `${TLS_HANDSHAKE_MS / 1000} seconds`,
      `at most ${SHUTDOWN_MS / 1000} seconds`,
    ]) {
      expect(limits).toContain(text);
    }
  });
});
