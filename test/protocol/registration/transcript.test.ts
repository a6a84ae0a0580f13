import { describe, expect, it } from 'vitest';
import { hashToG1 } from '../../../src/algebra/index.js';
import { bytesToHex } from '../../../src/bytes.js';
import { drawBatch, drawOpening, drawPoint } from '../../../src/protocol/challenges.js';
import { drawSeed, drawSum } from '../../../src/protocol/registration/challenges.js';
import { registrationStatement } from '../../../src/protocol/registration/statement.js';
import { refusal } from '../../adapter/refusal.js';
import { sampleCommitment, sampleModule } from '../../adapter/sample.js';
import { statementOf } from './statements.js';

const points = ['1', '2', '3', '4', '5', '6'].map((label) => hashToG1(label));

/** All challenges of a proof made of the given items, in order. */
function draws(change: Partial<ReturnType<typeof items>> = {}): string[] {
  const { statement, masks, sketches, runningSum, quotient, shifted, opening, shiftedOpening } = {
    ...items(),
    ...change,
  };
  const { transcript, seed } = drawSeed(statement, masks);
  const { lambda, sigma, nu } = drawSum(transcript, sketches);
  const z = drawPoint(transcript, statement.domainSize, { runningSum, quotient });
  drawOpening(transcript, shifted, []);
  const batch = drawBatch(transcript, { opening, shiftedOpening });
  return [bytesToHex(seed), ...[lambda, sigma, nu, z, batch].map((scalar) => scalar.toString(16))];
}

function items() {
  return {
    statement: statementOf([
      { rank: 2, offset: 0, length: 3 },
      { rank: 2, offset: 0, length: 4 },
    ]),
    masks: points[0]!,
    sketches: Array.from({ length: 465 }, (_, i) => BigInt(i) - 200n),
    runningSum: points[1]!,
    quotient: points[2]!,
    shifted: 5n,
    opening: points[3]!,
    shiftedOpening: points[4]!,
  };
}

describe('transcript of a registration proof', () => {
  it('has not changed: vector', () => {
    expect(draws()).toMatchInlineSnapshot(`
      [
        "238df64fecb5116f97798ef25d56d77bfe1d3f619ddb68de9108bffd3f893f09",
        "3b8c0d86a39f207660658e33edc7fdcb9ae639d667c5f50373d3654f04a2631",
        "28a010852a7f89611ba9935bf71225de87bbed600a14a6fbfbc2a9d8cb3415bf",
        "230e769260a97d22f62cf1c5bbc5803fc4be24bad15d75a3af760326b967bbcf",
        "22081a87f19e39e17b74d0119d4fc648a1d2d924300319e6bfc5bc40edbd5b01",
        "2663534fac7fc8db9714ef8847339de9d6e619304a0913cff42b718555b4f684",
      ]
    `);
  });

  it('every item changes every later challenge', () => {
    const base = items();
    const { statement } = base;
    const other = points[5]!;
    const changes: [number, Partial<ReturnType<typeof items>>][] = [
      [0, { statement: { ...statement, parametersId: new Uint8Array(32) } }],
      [0, { statement: { ...statement, adapterId: new Uint8Array(32) } }],
      [0, { statement: { ...statement, domainSize: 1024 } }],
      [0, { statement: { ...statement, rowCount: 5 } }],
      [0, { statement: { ...statement, matrices: statement.matrices.toReversed() } }],
      [0, { masks: other }],
      [1, { sketches: base.sketches.with(464, 0n) }],
      [4, { runningSum: other }],
      [4, { quotient: other }],
      [5, { shifted: 6n }],
      [5, { opening: other }],
      [5, { shiftedOpening: other }],
    ];
    const before = draws();
    for (const [first, change] of changes) {
      const after = draws(change);
      expect(after.slice(0, first)).toEqual(before.slice(0, first));
      after.slice(first).forEach((challenge, i) => {
        expect(challenge).not.toBe(before[first + i]);
      });
    }
  });
});

describe('statement', () => {
  it('lists A, then B, of each module in order', () => {
    const commitment = sampleCommitment({
      modules: [sampleModule(), sampleModule({ name: 'h.1', inFeatures: 7, columnOffset: 3 })],
    });
    const { matrices, rowCount, domainSize } = registrationStatement(commitment);
    expect(matrices).toEqual([
      { rank: 2, offset: 0, length: 512 },
      { rank: 2, offset: 0, length: 3 },
      { rank: 2, offset: 3, length: 7 },
      { rank: 2, offset: 0, length: 3 },
    ]);
    expect([rowCount, domainSize]).toEqual([8, 512]);
  });

  it('refuses what the argument cannot cover', () => {
    const codeFor = (change: object) =>
      refusal(() => registrationStatement({ ...sampleCommitment(), ...change })).code;
    expect(codeFor({ domainSize: 256 })).toBe('STATEMENT_INVALID');
    const wide = { inFeatures: 2 ** 20, rank: 2 ** 11 };
    expect(codeFor({ domainSize: 2 ** 20, modules: [sampleModule(wide)] })).toBe('STATEMENT_INVALID');
    const fits = { ...wide, rank: 2 ** 11 - 1 };
    expect(() =>
      registrationStatement(sampleCommitment({ domainSize: 2 ** 20, modules: [sampleModule(fits)] })),
    ).not.toThrow();
  });
});
