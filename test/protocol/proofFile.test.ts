import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, encodeG1Compressed, encodeScalar, loadEngine } from '../../src/algebra/index.js';
import { bytesToHex, concatBytes, utf8ToBytes } from '../../src/bytes.js';
import {
  type BlockProof,
  decodeProofFile,
  encodeProofFile,
  outlineProofFile,
  type Proof,
  type ProofFile,
  proveSession,
} from '../../src/protocol/index.js';
import { developmentParameters, makeScenario } from '../support/scenario.js';
import { expectRefused } from './refused.js';

let engine: Engine;
let bytes: Uint8Array;
let file: ProofFile;
/** Of version 2. */
let ofPairs: Uint8Array;
beforeAll(async () => {
  engine = await loadEngine();
  const scenario = await makeScenario(engine, await developmentParameters(), {
    shapes: [1, 1].map((rank) => ({ rank, inFeatures: 2, outFeatures: 2 })),
    calls: [1],
  });
  bytes = await proveSession({ ...scenario, mode: 'per-module', rankCheck: 'groth16' });
  file = decodeProofFile(bytes);
  ofPairs = await proveSession({ ...scenario });
});
afterAll(() => engine.terminate());

/** magic (14) | three ids (96). */
const COUNT_AT = 110;
const ROUNDS_AT = COUNT_AT + 2 + 2 + 2 + 2 + 9 * 32;

function changed(at: number, ...values: number[]): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy.set(values, at);
  return copy;
}

const both = [decodeProofFile, outlineProofFile];

describe('a proof file', () => {
  it('starts with its name and the ids', () => {
    expect(bytes.slice(0, 14)).toEqual(concatBytes(utf8ToBytes('zklora-proof'), Uint8Array.of(0, 1)));
    const id = (i: number) => bytesToHex(bytes.slice(14 + 32 * i, 46 + 32 * i));
    expect([file.parametersId, file.adapterId, file.sessionDigest]).toEqual([id(0), id(1), id(2)]);
    expect([...bytes.slice(COUNT_AT, COUNT_AT + 8)]).toEqual([0, 2, 0, 1, 0, 0, 0, 1]);
    expect(bytes[ROUNDS_AT]).toBe(2);
  });

  it('has an outline that costs no point', () => {
    const { rankCheck, parametersId, adapterId, sessionDigest } = file;
    const proofs = [0, 1].map((index) => ({ modules: [index], rounds: [2], blocks: 0 }));
    expect(rankCheck).toBe('groth16');
    expect(outlineProofFile(bytes)).toEqual({ rankCheck, parametersId, adapterId, sessionDigest, proofs });
    // a point that is none
    const outline = outlineProofFile(changed(COUNT_AT + 8, 0));
    expect(outline.proofs).toEqual(proofs);
  });

  it('writes and reads module indices of two bytes, ascending', () => {
    const [first] = file.proofs;
    const wide = { ...file, proofs: [{ ...first!, modules: [1, 255, 256, 65_534] }] };
    expect(decodeProofFile(encodeProofFile(wide))).toEqual(wide);
  });

  it('has at most as many groups as modules, and as many rounds as circuits have', () => {
    const [first] = file.proofs;
    const [group] = first!.groups;
    const [round] = group!.linearForm.rounds;
    const withRounds = (count: number) => ({
      ...group!,
      linearForm: { ...group!.linearForm, rounds: Array(count).fill(round) },
    });
    for (const count of [2, 20]) {
      const other = {
        ...file,
        proofs: [{ ...first!, modules: [3, 4], groups: [withRounds(count), group!] }],
      };
      expect(decodeProofFile(encodeProofFile(other))).toEqual(other);
    }
  });

  it.each<[string, () => Uint8Array, RegExp]>([
    ['another name', () => changed(0, 0), /^not a zklora proof file of version 1 or 2$/],
    ['another version', () => changed(13, 3), /^not a zklora proof file of version 1 or 2$/],
    ['nothing', () => new Uint8Array(), /^proof file is truncated: ask the prover for it again$/],
    ['an end in the name', () => bytes.slice(0, 13), /truncated/],
    ['an end before the last byte', () => bytes.slice(0, -1), /truncated/],
    ['a byte more', () => concatBytes(bytes, Uint8Array.of(0)), /^proof file has bytes after its end$/],
    ['no proof', () => changed(COUNT_AT, 0, 0), /^proof file: number of proofs 0 is outside \[1, 65535\]$/],
    [
      'no module',
      () => changed(COUNT_AT + 2, 0, 0),
      /^proof file: number of modules 0 is outside \[1, 65535\]$/,
    ],
    [
      'a module index without successor',
      () => changed(COUNT_AT + 4, 255, 255),
      /^proof file: module index 65535 is outside \[0, 65534\]$/,
    ],
    ['no group', () => changed(COUNT_AT + 6, 0, 0), /^proof file: number of groups 0 is outside \[1, 1\]$/],
    [
      'more groups than modules',
      () => changed(COUNT_AT + 6, 0, 2),
      /^proof file: number of groups 2 is outside \[1, 1\]$/,
    ],
    ['one round', () => changed(ROUNDS_AT, 1), /^proof file: 1 folding rounds are outside \[2, 20\]$/],
    ['21 rounds', () => changed(ROUNDS_AT, 21), /^proof file: 21 folding rounds are outside \[2, 20\]$/],
    [
      'modules out of order',
      () => encodeProofFile({ ...file, proofs: [{ ...file.proofs[0]!, modules: [5, 4] }] }),
      /^proof file: module indices are not ascending$/,
    ],
    [
      'a module twice',
      () => encodeProofFile({ ...file, proofs: [{ ...file.proofs[0]!, modules: [4, 5, 5] }] }),
      /not ascending$/,
    ],
    [
      'many modules and 4097 groups',
      () =>
        concatBytes(
          bytes.slice(0, COUNT_AT + 2),
          Uint8Array.of(0x20, 0),
          Uint8Array.from({ length: 0x4000 }, (_, i) => (i % 2 === 0 ? i >> 9 : (i >> 1) & 255)),
          Uint8Array.of(0x10, 1),
        ),
      /^proof file: number of groups 4097 is outside \[1, 4096\]$/,
    ],
  ])('is refused with %s', async (_, make, says) => {
    const input = make();
    for (const read of both) await expectRefused(() => read(input), 'PROOF_MALFORMED', says);
  });

  it('is refused with a point or scalar that is none', async () => {
    await expectRefused(
      () => decodeProofFile(changed(COUNT_AT + 8, 0)),
      'PROOF_MALFORMED',
      /^proof file: point refused: unknown compression flag$/,
    );
    const formValueAt = COUNT_AT + 8 + 6 * 32;
    const notReduced = changed(formValueAt, ...new Uint8Array(32).fill(255));
    await expectRefused(() => decodeProofFile(notReduced), 'PROOF_MALFORMED', /^proof file: scalar/);
  });
});

describe('a proof file of version 2', () => {
  const BLOCKS_AT = COUNT_AT + 2 + 2 + 4;
  const withBlocks = (count: number) => {
    const { proofs, ...rest } = decodeProofFile(ofPairs);
    const [proof] = proofs as [Proof];
    const blocks = Array<BlockProof>(count).fill(proof.blocks[0]!);
    return { ...rest, proofs: [{ ...proof, blocks }] };
  };

  it('holds blocks of three elements, then the sum', () => {
    expect(ofPairs.slice(0, 14)).toEqual(concatBytes(utf8ToBytes('zklora-proof'), Uint8Array.of(0, 2)));
    expect([...ofPairs.slice(COUNT_AT, BLOCKS_AT + 2)]).toEqual([0, 1, 0, 2, 0, 0, 0, 1, 0, 1]);
    expect(ofPairs).toHaveLength(BLOCKS_AT + 2 + 3 * 32 + 5 * 32);
    const { rankCheck, proofs } = decodeProofFile(ofPairs);
    const [{ blocks, groups, sum }] = proofs as [Proof];
    expect([rankCheck, groups]).toEqual(['kzg', []]);
    const [{ p, q, qAtPoint }] = blocks as [BlockProof];
    const elements = [
      encodeG1Compressed(p),
      encodeG1Compressed(q),
      encodeScalar(qAtPoint),
      encodeG1Compressed(sum.runningSum),
    ];
    expect(ofPairs.slice(BLOCKS_AT + 2, BLOCKS_AT + 2 + 4 * 32)).toEqual(concatBytes(...elements));
  });

  it('has an outline that costs no point', () => {
    const copy = ofPairs.slice();
    copy.fill(0, BLOCKS_AT + 2);
    expect(outlineProofFile(copy)).toMatchObject({
      rankCheck: 'kzg',
      proofs: [{ modules: [0, 1], rounds: [], blocks: 1 }],
    });
  });

  it('has up to 129 blocks', async () => {
    const most = withBlocks(129);
    expect(decodeProofFile(encodeProofFile(most))).toEqual(most);
    for (const count of [0, 130]) {
      const says = new RegExp(`^proof file: number of blocks ${count} is outside \\[1, 129\\]$`);
      await expectRefused(() => decodeProofFile(encodeProofFile(withBlocks(count))), 'PROOF_MALFORMED', says);
    }
  });

  it('ends with its sum, and holds points and reduced scalars alone', async () => {
    const filled = (element: number, byte: number) => {
      const at = BLOCKS_AT + 2 + 32 * element;
      return ofPairs.slice().fill(byte, at, at + 32);
    };
    for (const [input, says] of [
      [ofPairs.slice(0, -1), /truncated/],
      // a block less than it says it has
      [concatBytes(ofPairs.slice(0, BLOCKS_AT + 2), ofPairs.slice(BLOCKS_AT + 2 + 96)), /truncated/],
      [concatBytes(ofPairs, Uint8Array.of(0)), /^proof file has bytes after its end$/],
      [filled(0, 0), /^proof file: point refused/],
      [filled(1, 255), /^proof file: point refused/],
      [filled(2, 255), /^proof file: scalar/],
    ] as const) {
      await expectRefused(() => decodeProofFile(input), 'PROOF_MALFORMED', says);
    }
  });

  it('is refused where the version is not its own', async () => {
    for (const [input, version] of [
      [ofPairs, 1],
      [bytes, 2],
    ] as const) {
      const copy = input.slice();
      copy[13] = version;
      await expectRefused(() => decodeProofFile(copy), 'PROOF_MALFORMED', /^proof file/);
    }
  });
});
