import {
  appendFile,
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseSafetensors, serializeSafetensors, type Tensor } from '../../src/adapter/safetensors.js';
import { bytesToHex } from '../../src/bytes.js';
import {
  checkClosing,
  createSessionRecord,
  openSessionRecord,
  reopenSessionRecord,
  type SessionWriter,
} from '../../src/inference/record.js';
import type { SessionClosing } from '../../src/inference/sessionHeader.js';
import { closingMessage, sign } from '../../src/inference/signatures.js';
import type { SessionCall } from '../../src/protocol/session.js';
import { sessionDigest } from '../../src/protocol/sessionPass.js';
import { recordCall } from '../support/recordCall.js';
import { temporaryFolder } from './fixtures.js';
import { CONTRIBUTOR, header, MODULES, randomCall, SEED, USER } from './parties.js';

const HEAD = header();
const OPENED = { header: HEAD, seed: SEED };
const CALLS = [randomCall(HEAD, 3, 1), randomCall(HEAD, 1, 2)];
const malformed = (message: RegExp) =>
  expect.objectContaining({ code: 'SESSION_MALFORMED', message: expect.stringMatching(message) });

async function closingFor(record: SessionWriter): Promise<SessionClosing> {
  const digest = await sessionDigest(record, MODULES);
  const message = closingMessage(digest);
  return {
    format: 'zklora/close/v1',
    calls: record.callCount,
    digest: bytesToHex(digest),
    userSignature: bytesToHex(sign(message, USER.secretKey)),
    contributorSignature: bytesToHex(sign(message, CONTRIBUTOR.secretKey)),
  };
}

async function recorded(close = true): Promise<string> {
  const dir = join(await temporaryFolder(), 'session');
  const record = await createSessionRecord(dir, OPENED, MODULES);
  for (const call of CALLS) await recordCall(record, call);
  if (close) await record.finish(await closingFor(record));
  return dir;
}

const first = (dir: string) => join(dir, 'calls', '000000.safetensors');

async function editTensors(dir: string, edit: (tensors: Map<string, Tensor>) => void): Promise<void> {
  const { tensors } = parseSafetensors(await readFile(first(dir)));
  edit(tensors);
  await writeFile(first(dir), serializeSafetensors(tensors));
}

describe('session record', () => {
  it('comes back as it was written', async () => {
    const dir = await recorded();
    expect((await readdir(dir)).sort()).toEqual(['calls', 'close.json', 'session.json', 'session.secret']);
    const record = await openSessionRecord(dir);
    expect(record.header).toEqual(HEAD);
    expect(record.seed).toEqual(SEED);
    expect(record.callCount).toBe(2);
    for (const [i, call] of CALLS.entries()) {
      expect(await record.readCall(i)).toEqual(call);
      expect(await record.statedTokens?.(i)).toBe(call.tokens);
    }
    expect(record.closing?.calls).toBe(2);
    expect(await checkClosing(record, MODULES)).toEqual(await sessionDigest(record, MODULES));
  });

  it('reads a call into the memory of one that it was given back, unless that is twice as long', async () => {
    const dir = join(await temporaryFolder(), 'session');
    const record = await createSessionRecord(dir, OPENED, MODULES);
    const calls = [30, 30, 29, 1].map((tokens, i) => randomCall(HEAD, tokens, i));
    for (const call of calls) await recordCall(record, call);
    let last: SessionCall | undefined;
    const reused: boolean[] = [];
    for (const [index, call] of calls.entries()) {
      if (last) record.recycle?.(last);
      const read = await record.readCall(index);
      expect(read).toEqual(call);
      reused.push(read.outputs[0]?.buffer === last?.outputs[0]?.buffer);
      last = read;
    }
    expect(reused).toEqual([false, true, true, false]);
    // nobody else's memory
    record.recycle?.(calls[0]!);
    expect((await record.readCall(0)).outputs[0]!.buffer).not.toBe(calls[0]!.outputs[0]!.buffer);
  });

  it('names its tensors as documented', async () => {
    const dir = await recorded();
    const { tensors } = parseSafetensors(await readFile(first(dir)));
    const described = [...tensors].map(([name, { dtype, shape }]) => `${name} ${dtype} ${shape}`).sort();
    expect(described).toEqual([
      'input.0.exponents I16 3',
      'input.0.x I16 3,4',
      'input.1.exponents I16 3',
      'input.1.x I16 3,5',
      'module.0.y I64 3,6',
      'module.1.y I64 3,3',
      'module.2.y I64 3,2',
    ]);
  });

  it('refuses a folder that holds something', async () => {
    const dir = await recorded();
    await expect(createSessionRecord(dir, OPENED, MODULES)).rejects.toMatchObject({ code: 'FILE_EXISTS' });
  });

  it('refuses a header or a call that does not fit the adapter, and writes nothing', async () => {
    const dir = join(await temporaryFolder(), 'session');
    await expect(
      createSessionRecord(dir, { ...OPENED, header: { ...HEAD, inputs: [[0, 1]] } }, MODULES),
    ).rejects.toEqual(malformed(/width/));
    await expect(readdir(dir)).rejects.toThrow('ENOENT');
    const record = await createSessionRecord(dir, OPENED, MODULES);
    const call = randomCall(HEAD, 2);
    await expect(recordCall(record, { ...call, tokens: 3 })).rejects.toEqual(malformed(/size/));
    await expect(recordCall(record, { ...call, outputs: call.outputs.toReversed() })).rejects.toEqual(
      malformed(/size/),
    );
    await expect(record.begin(1).finish()).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(await readdir(join(dir, 'calls'))).toEqual([]);
    expect(record.callCount).toBe(0);
  });

  it('takes nothing after its closing', async () => {
    const dir = join(await temporaryFolder(), 'session');
    const record = await createSessionRecord(dir, OPENED, MODULES);
    await recordCall(record, CALLS[0]!);
    const closing = await closingFor(record);
    await record.finish(closing);
    await expect(recordCall(record, CALLS[1]!)).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(record.finish(closing)).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  it('is rid of what a killed process left behind when it goes on', async () => {
    const dir = await recorded(false);
    await writeFile(join(dir, 'calls', '.000002.safetensors.0011223344556677.tmp'), 'half');
    const seen: number[] = [];
    const visit = { call: (_: unknown, index: number) => seen.push(index), torn: () => undefined };
    const record = await reopenSessionRecord(dir, MODULES, visit);
    expect(seen).toEqual([0, 1]);
    expect((await readdir(join(dir, 'calls'))).sort()).toEqual(['000000.safetensors', '000001.safetensors']);
    await recordCall(record, CALLS[0]!);
    expect(record.callCount).toBe(3);
  });

  it('records the call that was begun last, and nothing of one that was dropped', async () => {
    const dir = join(await temporaryFolder(), 'session');
    const record = await createSessionRecord(dir, OPENED, MODULES);
    const first = record.begin(3);
    const large = record.begin(3);
    await recordCall(record, CALLS[1]!);
    for (const begun of [first, large]) {
      for (const [input, rows] of CALLS[0]!.inputs.entries()) begun.input(input, rows);
      for (const [module, y] of CALLS[0]!.outputs.entries()) begun.output(module, y);
      await expect(begun.finish()).rejects.toMatchObject({ code: 'INTERNAL' });
    }
    record.begin(1);
    await record.drop();
    expect(record.callCount).toBe(1);
    expect(await readdir(join(dir, 'calls'))).toEqual(['000000.safetensors']);
    expect(await record.readCall(0)).toEqual(CALLS[1]);
  });

  it('waits for a call that is being finished when it lets go', async () => {
    const dir = join(await temporaryFolder(), 'session');
    const record = await createSessionRecord(dir, OPENED, MODULES);
    const finishing = recordCall(record, CALLS[0]!);
    await record.drop();
    expect(record.callCount).toBe(1);
    await finishing;
  });

  it('ignores what a killed process left behind', async () => {
    const dir = await recorded(false);
    await writeFile(join(dir, 'calls', '.000002.safetensors.0011223344556677.tmp'), 'half');
    expect((await openSessionRecord(dir)).callCount).toBe(2);
  });

  it('opens without a closing, which then does not check', async () => {
    const record = await openSessionRecord(await recorded(false));
    expect(record.closing).toBeNull();
    await expect(checkClosing(record, MODULES)).rejects.toMatchObject({ code: 'SESSION_MISMATCH' });
  });
});

describe('edited session', () => {
  it.each([
    ['one byte of Y', (t: Map<string, Tensor>) => flip(t, 'module.1.y', 9)],
    ['one byte of X', (t: Map<string, Tensor>) => flip(t, 'input.0.x', 3)],
    ['one exponent', (t: Map<string, Tensor>) => flip(t, 'input.1.exponents', 0)],
  ])('is noticed: %s', async (_, edit) => {
    const dir = await recorded();
    await editTensors(dir, edit);
    await expect(checkClosing(await openSessionRecord(dir), MODULES)).rejects.toMatchObject({
      code: 'SESSION_MISMATCH',
      message: expect.stringMatching(/edited/),
    });
  });

  it('is noticed: calls exchanged', async () => {
    const dir = await recorded();
    const second = join(dir, 'calls', '000001.safetensors');
    await rename(first(dir), join(dir, 'x'));
    await rename(second, first(dir));
    await rename(join(dir, 'x'), second);
    await expect(checkClosing(await openSessionRecord(dir), MODULES)).rejects.toMatchObject({
      code: 'SESSION_MISMATCH',
    });
  });

  it.each(['nonce', 'userKey', 'adapterId', 'contributorKey'] as const)('is noticed: %s', async (field) => {
    const dir = await recorded();
    await writeFile(join(dir, 'session.json'), JSON.stringify({ ...HEAD, [field]: 'ab'.repeat(32) }));
    await expect(checkClosing(await openSessionRecord(dir), MODULES)).rejects.toMatchObject({
      code: 'SESSION_MISMATCH',
    });
  });

  it.each(['userSignature', 'contributorSignature'] as const)('is noticed: %s', async (field) => {
    const dir = await recorded();
    const path = join(dir, 'close.json');
    const closing = JSON.parse(await readFile(path, 'utf8')) as SessionClosing;
    const other = field === 'userSignature' ? closing.contributorSignature : closing.userSignature;
    await writeFile(path, JSON.stringify({ ...closing, [field]: other }));
    await expect(checkClosing(await openSessionRecord(dir), MODULES)).rejects.toMatchObject({
      code: 'SESSION_MISMATCH',
      message: expect.stringMatching(/signature/),
    });
  });

  it('is refused at opening: a call missing, added or misnamed', async () => {
    for (const edit of [
      (dir: string) => rm(first(dir)),
      (dir: string) => rm(join(dir, 'calls', '000001.safetensors')),
      (dir: string) => copyFile(first(dir), join(dir, 'calls', '000002.safetensors')),
      (dir: string) => copyFile(first(dir), join(dir, 'calls', '000003.safetensors')),
      (dir: string) => copyFile(first(dir), join(dir, 'calls', '0000002.safetensors')),
      (dir: string) => writeFile(join(dir, 'calls', 'notes.txt'), ''),
      (dir: string) => rm(join(dir, 'calls'), { recursive: true }),
    ]) {
      const dir = await recorded();
      await edit(dir);
      await expect(openSessionRecord(dir)).rejects.toEqual(malformed(/./));
    }
  });

  it('is refused at reading: tensors missing, added, of another type or shape', async () => {
    const edits: ((tensors: Map<string, Tensor>) => void)[] = [
      (t) => t.delete('module.2.y'),
      (t) => t.delete('input.0.exponents'),
      (t) => t.set('extra', t.get('module.2.y')!),
      (t) => t.set('module.2.y', { ...t.get('module.2.y')!, dtype: 'U64' }),
      (t) => t.set('module.2.y', { ...t.get('module.2.y')!, shape: [2, 3] }),
      (t) => t.set('module.2.y', { ...t.get('module.2.y')!, shape: [6] }),
      (t) => t.set('input.0.exponents', { dtype: 'I16', shape: [0], data: new Uint8Array() }),
    ];
    for (const edit of edits) {
      const dir = await recorded();
      await editTensors(dir, edit);
      const record = await openSessionRecord(dir);
      await expect(record.readCall(0)).rejects.toMatchObject({
        code: expect.stringMatching(/^(SESSION|SAFETENSORS)_MALFORMED$/),
      });
      expect(await record.readCall(1)).toEqual(CALLS[1]);
    }
  });

  it('is refused at reading: a file cut short or made longer', async () => {
    for (const edit of [
      (dir: string) => truncate(first(dir), 100),
      (dir: string) => appendFile(first(dir), 'x'),
    ]) {
      const dir = await recorded();
      await edit(dir);
      await expect((await openSessionRecord(dir)).readCall(0)).rejects.toMatchObject({
        code: 'SAFETENSORS_MALFORMED',
      });
    }
  });

  it('is refused at reading: a call that does not exist', async () => {
    const record = await openSessionRecord(await recorded());
    for (const index of [-1, 2, 0.5, Number.NaN]) {
      await expect(record.readCall(index)).rejects.toMatchObject({ code: 'SESSION_MALFORMED' });
    }
  });

  it('is refused at opening: no session at all', async () => {
    const dir = await temporaryFolder();
    await expect(openSessionRecord(dir)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await mkdir(join(dir, 'session.json'));
    await expect(openSessionRecord(dir)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });
});

function flip(tensors: Map<string, Tensor>, name: string, at: number): void {
  const tensor = tensors.get(name)!;
  const data = Uint8Array.from(tensor.data);
  data[at]! ^= 1;
  tensors.set(name, { ...tensor, data });
}
