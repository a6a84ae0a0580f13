import { describe, expect, it } from 'vitest';
import { adapterId } from '../../src/adapter/commitment.js';
import type { AdapterCommitment } from '../../src/adapter/types.js';
import { bytesToHex, sha256, u32 } from '../../src/bytes.js';
import type { SessionCall, SessionHeader } from '../../src/protocol/session.js';
import {
  openRow,
  type RowInvalidReason,
  type RowOpening,
  verifyRow,
} from '../../src/protocol/sessionOpening.js';
import { sessionDigest } from '../../src/protocol/sessionPass.js';
import { rowHash } from '../../src/protocol/sessionTree.js';
import { commitTo, header as headerOf, MODULES, randomCall } from '../inference/parties.js';
import { MemorySession } from '../support/scenario.js';
import { expectRefused } from './refused.js';

const adapter: AdapterCommitment = commitTo(MODULES);
const header: SessionHeader = headerOf(adapterId(adapter));
const CALLS = [randomCall(header, 3, 1), randomCall(header, 1, 2), randomCall(header, 5, 3)];
const session = new MemorySession(header, CALLS);
const TOKENS = 9;
const digestOf = async (tested: MemorySession) => bytesToHex(await sessionDigest(tested, MODULES));

const open = (row: number, module: number) => openRow(session, MODULES, { row, module });

async function expectInvalid(opening: RowOpening, reason: RowInvalidReason, what = ''): Promise<void> {
  const verdict = verifyRow(opening, adapter, await digestOf(session));
  expect(verdict.valid ? 'valid' : verdict.reason, what).toBe(reason);
}

describe('an opened row', () => {
  it('of every module and token is the recorded one and leads to the session digest', async () => {
    const digest = await digestOf(session);
    let row = 0;
    for (const [index, call] of CALLS.entries()) {
      for (let token = 0; token < call.tokens; token++, row++) {
        for (const [module, input] of [0, 1, 0].entries()) {
          const opening = await open(row, module);
          const { inFeatures: n, outFeatures: k } = MODULES[module]!;
          expect(opening).toMatchObject({ header, calls: 3, tokens: TOKENS, row, call: index, module });
          expect(opening.x).toEqual(call.inputs[input]!.x.slice(token * n, token * n + n));
          expect(opening.exponent).toBe(call.inputs[input]!.exponents[token]);
          expect(opening.y).toEqual(call.outputs[module]!.slice(token * k, token * k + k));
          expect(verifyRow(opening, adapter, digest)).toEqual({ valid: true });
        }
      }
    }
  });

  it('of a session of one leaf has an empty path', async () => {
    const one: SessionHeader = { ...header, inputs: [[1]] };
    const call: SessionCall = {
      tokens: 1,
      inputs: [{ x: new Int16Array(5), exponents: new Int16Array(1) }],
      outputs: [new BigInt64Array(3)],
    };
    const small = new MemorySession(one, [call]);
    const opening = await openRow(small, MODULES, { row: 0, module: 1 });
    expect(opening.path).toEqual([]);
    expect(verifyRow(opening, adapter, await digestOf(small))).toEqual({ valid: true });
  });

  it('is there for rows and modules of the session only', async () => {
    for (const row of [TOKENS, -1, 0.5]) {
      await expectRefused(() => open(row, 0), 'USAGE', /has 9 token rows, numbered from 0/);
    }
    await expectRefused(() => open(0, 3), 'USAGE', /no such module/);
  });

  it('shows the salt of its own row alone', async () => {
    const openings = await Promise.all([open(0, 0), open(0, 1), open(1, 0)]);
    expect(new Set(openings.map(({ salt }) => bytesToHex(salt))).size).toBe(3);
    expect(openings.every(({ salt }) => bytesToHex(salt) !== bytesToHex(session.seed))).toBe(true);
  });

  it('has siblings that confirm no guess at their rows without their salts', async () => {
    const opening = await open(2, 1);
    const beside = await open(2, 0);
    const sibling = bytesToHex(opening.path[0]!);
    expect(bytesToHex(rowHash(beside.salt, beside))).toBe(sibling);
    for (const salt of [new Uint8Array(32), opening.salt]) {
      expect(bytesToHex(rowHash(salt, beside))).not.toBe(sibling);
    }
  });
});

describe('an opening is refused', () => {
  it('at another token, module or call', async () => {
    const opening = await open(4, 0);
    await expectInvalid({ ...opening, row: 5 }, 'WRONG_SESSION', 'row');
    await expectInvalid({ ...opening, call: 1 }, 'WRONG_SESSION', 'call');
    // module 2 has another width: the widths alone tell
    await expectInvalid({ ...opening, module: 2 }, 'ROW_INVALID', 'module');
    const other = await open(4, 2);
    await expectInvalid({ ...other, path: opening.path }, 'WRONG_SESSION', 'path of another module');
    await expectInvalid(
      { ...opening, path: (await open(5, 0)).path },
      'WRONG_SESSION',
      'path of another token',
    );
  });

  it('with two tokens swapped, each with the path of the other', async () => {
    const [one, two] = [await open(4, 0), await open(6, 0)];
    const swapped = { ...one, x: two.x, y: two.y, exponent: two.exponent };
    await expectInvalid(swapped, 'WRONG_SESSION');
    await expectInvalid({ ...swapped, salt: two.salt }, 'WRONG_SESSION');
    await expectInvalid({ ...swapped, salt: two.salt, path: two.path }, 'WRONG_SESSION');
  });

  it('with equally wide modules swapped', async () => {
    const shapes = [0, 1].map(() => ({ ...adapter.modules[0]! }));
    const twin: AdapterCommitment = {
      ...adapter,
      modules: shapes.map((shape, i) => ({ ...shape, name: `twin.${i}` })),
    };
    const head: SessionHeader = { ...header, adapterId: adapterId(twin), inputs: [[0, 1]] };
    const made = randomCall({ ...head, inputs: [[0]] }, 4, 9);
    const call: SessionCall = { ...made, outputs: [made.outputs[0]!, made.outputs[0]!.slice().reverse()] };
    const held = new MemorySession(head, [call]);
    const digest = bytesToHex(await sessionDigest(held, twin.modules));
    const openings = await Promise.all(
      [0, 1].map((module) => openRow(held, twin.modules, { row: 1, module })),
    );
    for (const [i, opening] of openings.entries()) {
      expect(verifyRow(opening, twin, digest)).toEqual({ valid: true });
      const { y, salt, path } = openings[1 - i]!;
      for (const mutant of [{ y }, { y, salt }, { y, salt, path }, { module: 1 - i }]) {
        expect(verifyRow({ ...opening, ...mutant }, twin, digest)).toMatchObject({ reason: 'WRONG_SESSION' });
      }
    }
  });

  it('with one value changed', async () => {
    const opening = await open(3, 1);
    const x = opening.x.slice();
    x[0]! ^= 1;
    const y = opening.y.slice();
    y[2]! += 1n;
    const salt = opening.salt.slice();
    salt[31]! ^= 1;
    const { exponent } = opening;
    const exponents = [exponent + 1, 512, -512].map((changed) => ({ exponent: changed }));
    for (const change of [{ x }, { y }, { salt }, ...exponents]) {
      await expectInvalid({ ...opening, ...change }, 'WRONG_SESSION', Object.keys(change)[0]);
    }
  });

  it('with a path that is cut, prolonged, turned or has one bit changed', async () => {
    const opening = await open(8, 2);
    const { path } = opening;
    const flipped = path.map((hash, i) =>
      i === 1 ? hash.map((byte, at) => (at === 0 ? byte ^ 1 : byte)) : hash,
    );
    const mutants = [
      path.slice(1),
      path.slice(0, -1),
      [],
      [...path, new Uint8Array(32)],
      path.toReversed(),
      flipped,
    ];
    for (const [i, mutant] of mutants.entries()) {
      await expectInvalid({ ...opening, path: mutant }, 'WRONG_SESSION', `mutant ${i}`);
    }
  });

  it('when an inner node is offered as a leaf', async () => {
    // the two leaves below are the row: what a tree without labels would take
    const opening = await open(0, 0);
    const [sibling, ...above] = opening.path;
    const leaf = rowHash(opening.salt, opening);
    const node = new Uint8Array([...leaf, ...sibling!]);
    const x = new Int16Array(4);
    new Uint8Array(x.buffer).set(node.subarray(0, 8));
    const y = new BigInt64Array(6);
    new Uint8Array(y.buffer).set(node.subarray(8, 56));
    await expectInvalid({ ...opening, x, y, path: above }, 'WRONG_SESSION');
    // a session that has half the rows: the counts are in the digest
    await expectInvalid({ ...opening, x, y, path: above, tokens: 5 }, 'WRONG_SESSION');
    expect(bytesToHex(sha256(node))).not.toBe(bytesToHex(leaf));
  });

  it('for other counts of calls or tokens', async () => {
    const opening = await open(3, 1);
    for (const change of [{ tokens: TOKENS + 1 }, { tokens: TOKENS - 1 }, { calls: 4 }, { calls: 2 }]) {
      await expectInvalid({ ...opening, ...change }, 'WRONG_SESSION', JSON.stringify(change));
    }
    for (const change of [{ tokens: 3 }, { calls: 1 }, { row: -1 }, { row: 0.5 }, { calls: 2 ** 21 }]) {
      await expectInvalid({ ...opening, ...change }, 'ROW_INVALID', JSON.stringify(change));
    }
  });

  it('for another session or header', async () => {
    const opening = await open(3, 1);
    const others = [
      new MemorySession(header, CALLS.toReversed()),
      new MemorySession(header, CALLS, new Uint8Array(32).fill(6)),
      new MemorySession({ ...header, nonce: '45'.repeat(32) }, CALLS),
    ];
    for (const other of others) {
      expect(verifyRow(opening, adapter, await digestOf(other))).toMatchObject({ reason: 'WRONG_SESSION' });
    }
    await expectInvalid({ ...opening, header: { ...header, userKey: '46'.repeat(32) } }, 'WRONG_SESSION');
    await expectInvalid({ ...opening, header: { ...header, inputs: [[0], [1], [2]] } }, 'WRONG_SESSION');
  });

  it('for another adapter or contributor', async () => {
    const opening = await open(3, 1);
    const other = { ...adapter, lineageDigest: '01'.repeat(32) };
    expect(verifyRow(opening, other, await digestOf(session))).toMatchObject({ reason: 'WRONG_ADAPTER' });
    await expectInvalid(
      { ...opening, header: { ...header, contributorKey: '01'.repeat(32) } },
      'WRONG_ADAPTER',
    );
  });

  it('for what no row of the adapter can be', async () => {
    const opening = await open(3, 1);
    const low = opening.y.slice();
    low[0] = -(2n ** 63n);
    const mutants: Partial<RowOpening>[] = [
      { x: opening.x.slice(1) },
      { y: opening.y.slice(1) },
      { y: low },
      { exponent: 513 },
      { exponent: 0.5 },
      { salt: opening.salt.slice(1) },
      { module: 3 },
      { path: opening.path.map((hash, i) => (i === 1 ? hash.slice(1) : hash)) },
      { path: opening.path.map((hash, i) => (i === 0 ? new Uint8Array([...hash, 0]) : hash)) },
      // the bytes of two siblings in one
      { path: [new Uint8Array([...opening.path[0]!, ...opening.path[1]!]), ...opening.path.slice(2)] },
      { header: { ...header, inputs: [[0, 2]] } },
    ];
    for (const mutant of mutants) {
      await expectInvalid({ ...opening, ...mutant }, 'ROW_INVALID', Object.keys(mutant)[0]);
    }
    await expectRefused(
      async () => verifyRow({ ...opening, header: { ...header, inputs: [[9]] } }, adapter, '00'.repeat(32)),
      'SESSION_MALFORMED',
      /module 9/,
    );
  });
});

describe('sizes', () => {
  it('are part of a row: bytes cannot move from x to y', () => {
    const salt = new Uint8Array(32);
    const place = { row: 0, call: 0, module: 0, exponent: 0 };
    const long = { ...place, x: new Int16Array(8), y: new BigInt64Array(1) };
    const short = { ...place, x: new Int16Array(4), y: new BigInt64Array(2) };
    expect(rowHash(salt, long)).not.toEqual(rowHash(salt, short));
    expect(u32(16)).toEqual(Uint8Array.of(0, 0, 0, 16));
  });
});
