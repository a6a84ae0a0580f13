import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { AdapterCommitment } from '../../src/adapter/types.js';
import { R } from '../../src/algebra/index.js';
import type { SessionHeader } from '../../src/protocol/session.js';
import {
  buildStatement,
  groupPairs,
  MAX_TOKENS,
  openTranscript,
  partition,
  type StatementSource,
} from '../../src/protocol/statement.js';
import { expectRefused } from './refused.js';

const module = (rank: number, inFeatures = 4, outFeatures = 5) => ({
  name: `m${rank}`,
  rank,
  inFeatures,
  outFeatures,
  aExponent: 0,
  bExponent: 0,
  scaling: 1,
  columnOffset: 0 as const,
  aRows: [],
  bColumns: [],
});

const adapter: AdapterCommitment = {
  format: 'zklora/adapter/v1',
  parametersId: '01'.repeat(32),
  contributorKey: '02'.repeat(32),
  baseDigest: '03'.repeat(32),
  lineageDigest: '00'.repeat(32),
  salt: '04'.repeat(32),
  domainSize: 512,
  modules: [module(2), module(15, 7), module(1), module(3, 4, 9)],
  registrationProof: null,
};

const header: SessionHeader = {
  format: 'zklora/session/v1',
  adapterId: '05'.repeat(32),
  contributorKey: adapter.contributorKey,
  userKey: '06'.repeat(32),
  nonce: '07'.repeat(32),
  inputs: [[0, 3], [1]],
};

const source = (change: Partial<StatementSource> = {}): StatementSource => ({
  rankCheck: 'groth16',
  parametersId: adapter.parametersId,
  circuits: [7, 15],
  adapterId: header.adapterId,
  adapter,
  header,
  sessionDigest: new Uint8Array(32).fill(8),
  tokens: 11,
  moduleIndices: [0, 1, 3],
  ...change,
});

describe('groups', () => {
  it.each<[number[], number[], { circuit: number; members: number[] }[]]>([
    [[1], [15], [{ circuit: 15, members: [0] }]],
    [[15], [15, 63], [{ circuit: 15, members: [0] }]],
    [[16], [15, 63], [{ circuit: 63, members: [0] }]],
    [[10, 5], [15], [{ circuit: 15, members: [0, 1] }]],
    [
      [10, 6],
      [15],
      [
        { circuit: 15, members: [0] },
        { circuit: 15, members: [1] },
      ],
    ],
    [
      [60, 4, 3],
      [15, 63],
      [
        { circuit: 63, members: [0] },
        { circuit: 15, members: [1, 2] },
      ],
    ],
    [
      [1, 63, 1, 1],
      [15, 63],
      [
        { circuit: 15, members: [0] },
        { circuit: 63, members: [1] },
        { circuit: 15, members: [2, 3] },
      ],
    ],
    [[10, 10], [15, 31], [{ circuit: 31, members: [0, 1] }]],
    [
      [8, 7, 1],
      [15],
      [
        { circuit: 15, members: [0, 1] },
        { circuit: 15, members: [2] },
      ],
    ],
    [[], [15], []],
  ])('ranks %j in circuits %j', (ranks, circuits, groups) => {
    const sum = (members: readonly number[]) => members.reduce((total, member) => total + ranks[member]!, 0);
    const expected = groups.map((group) => ({ ...group, pairs: sum(group.members) }));
    expect(partition(ranks, circuits)).toEqual(expected);
  });

  it('refuse a rank above every circuit, and any without circuits', async () => {
    const says =
      /^a module of rank 16 exceeds the parameter set's largest circuit \(15 pairs\): use a larger set$/;
    await expectRefused(() => partition([1, 16], [15]), 'STATEMENT_INVALID', says);
    await expectRefused(() => partition([1], []), 'STATEMENT_INVALID', /\(0 pairs\)/);
  });
});

describe('a statement', () => {
  it('lists modules with their inputs, and groups them', () => {
    const statement = buildStatement(source());
    expect(statement.modules).toEqual([
      { index: 0, rank: 2, inFeatures: 4, outFeatures: 5, columnOffset: 0, input: 0 },
      { index: 1, rank: 15, inFeatures: 7, outFeatures: 5, columnOffset: 0, input: 1 },
      { index: 3, rank: 3, inFeatures: 4, outFeatures: 9, columnOffset: 0, input: 0 },
    ]);
    expect(statement.groups).toEqual([
      { circuit: 7, pairs: 2, members: [0] },
      { circuit: 15, pairs: 15, members: [1] },
      { circuit: 7, pairs: 3, members: [2] },
    ]);
    expect([statement.domainSize, statement.tokens]).toEqual([512, 11]);
    expect(statement.parametersId).toEqual(new Uint8Array(32).fill(1));
    expect(statement.adapterId).toEqual(new Uint8Array(32).fill(5));
    expect(statement.sessionDigest).toEqual(new Uint8Array(32).fill(8));
  });

  it('has one group of all modules without circuits, whatever the ranks', () => {
    const { groups } = buildStatement(source({ rankCheck: 'kzg', circuits: [] }));
    expect(groups).toEqual([{ circuit: 0, pairs: 20, members: [0, 1, 2] }]);
  });

  it('numbers the pairs of a group module by module', () => {
    const statement = buildStatement(source({ circuits: [31], moduleIndices: [0, 3] }));
    expect(groupPairs(statement, statement.groups[0]!)).toEqual([
      { position: 0, row: 0 },
      { position: 0, row: 1 },
      { position: 1, row: 0 },
      { position: 1, row: 1 },
      { position: 1, row: 2 },
    ]);
  });

  it('takes 1 to 2^31 token rows', async () => {
    expect(MAX_TOKENS).toBe(2_147_483_648);
    expect(buildStatement(source({ tokens: 1 })).tokens).toBe(1);
    expect(buildStatement(source({ tokens: MAX_TOKENS })).tokens).toBe(MAX_TOKENS);
    for (const tokens of [0, -1, MAX_TOKENS + 1]) {
      await expectRefused(
        () => buildStatement(source({ tokens })),
        'STATEMENT_INVALID',
        /^a proof needs at least one token row/,
      );
    }
  });

  it.each<[number[], RegExp]>([
    [[], /^a proof needs at least one module$/],
    [[0, 0], /^module 0 is not one of the session's$/],
    [[1, 0], /^module 0 is not one of the session's$/],
    [[2], /^module 2 is not one of the session's$/],
    [[4], /^module 4 is not one of the session's$/],
    [[-1], /^module -1 is not one of the session's$/],
  ])('of modules %j is refused', async (moduleIndices, says) => {
    await expectRefused(() => buildStatement(source({ moduleIndices })), 'STATEMENT_INVALID', says);
  });

  it('of a module that the header has but the adapter has not is refused', async () => {
    const wide = { ...header, inputs: [[0, 9]] };
    await expectRefused(
      () => buildStatement(source({ header: wide, moduleIndices: [9] })),
      'STATEMENT_INVALID',
      /module 9/,
    );
  });
});

describe('the transcript opens with every part of the statement, in one order', () => {
  const sha = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest();
  const u32 = (...values: number[]) =>
    Buffer.concat(values.map((value) => Buffer.from(value.toString(16).padStart(8, '0'), 'hex')));

  it.each<[string, Partial<StatementSource>, string, Buffer]>([
    ['zklora/proof/v1', {}, 'groups', u32(7, 1, 15, 1, 7, 1)],
    ['zklora/proof/v2', { rankCheck: 'kzg', circuits: [] }, 'pairs', u32(20)],
  ])('of %s', (protocol, change, last, structure) => {
    let state = sha(Buffer.of(0), Buffer.from(protocol));
    const frame = (kind: number, label: string) =>
      Buffer.concat([Buffer.of(kind), state, Buffer.of(label.length), Buffer.from(label)]);
    const absorb = (label: string, data: Buffer) => {
      state = sha(frame(1, label), u32(data.length), data);
    };
    absorb('parameters', Buffer.alloc(32, 1));
    absorb('adapter', Buffer.alloc(32, 5));
    absorb('session', Buffer.alloc(32, 8));
    absorb('sizes', u32(512, 11));
    absorb('modules', u32(0, 0, 2, 4, 5, 0, 1, 1, 15, 7, 5, 0, 3, 0, 3, 4, 9, 0));
    absorb(last, structure);
    const wide = Buffer.concat([0, 1].map((half) => sha(frame(2, 'u'), Buffer.of(half))));
    const expected = BigInt(`0x${wide.toString('hex')}`) % R;
    expect(openTranscript(buildStatement(source(change))).challenge('u')).toBe(expected);
  });
});
