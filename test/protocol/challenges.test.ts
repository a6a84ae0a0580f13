import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  decodeG1,
  decodeG2,
  encodeG1Compressed,
  encodeG2Compressed,
  type G1Point,
  type G2Point,
  hashToG1,
  loadEngine,
  R,
  vectorToScalars,
} from '../../src/algebra/index.js';
import { hexToBytes } from '../../src/bytes.js';
import {
  absorbFinal,
  drawBatch,
  drawFold,
  drawForm,
  drawGroupWeight,
  drawOpening,
  drawPairs,
  drawPoint,
  drawResponse,
} from '../../src/protocol/challenges.js';
import { foldingRounds, formPoint, formVector } from '../../src/protocol/linearForm.js';
import { Transcript } from '../../src/protocol/transcript.js';
import { formCoefficients } from '../support/formCoefficients.js';

/** docs/protocol.md, "Transcript", on Node's SHA-256. */
class Written {
  #state = this.hash(Buffer.of(0), Buffer.from('p'));
  hash(...parts: Uint8Array[]): Buffer {
    return createHash('sha256').update(Buffer.concat(parts)).digest();
  }
  #frame(kind: number, label: string): Buffer {
    return Buffer.concat([Buffer.of(kind), this.#state, Buffer.of(label.length), Buffer.from(label)]);
  }
  absorb(label: string, data: Uint8Array): this {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(data.length);
    this.#state = this.hash(this.#frame(1, label), length, data);
    return this;
  }
  challenge(label: string): bigint {
    const frame = this.#frame(2, label);
    const wide = Buffer.concat([0, 1].map((half) => this.hash(frame, Buffer.of(half))));
    this.#state = this.hash(this.#frame(3, label));
    return BigInt(`0x${wide.toString('hex')}`) % R;
  }
}

const scalar = (value: bigint) => Buffer.from(value.toString(16).padStart(64, '0'), 'hex');
const points: G1Point[] = [];
const compressed: Uint8Array[] = [];
let pointB: G2Point;
beforeAll(() => {
  for (let i = 0; i < 4; i++) points.push(hashToG1(`test point ${i}`));
  points.push(decodeG1(hexToBytes(`${'00'.repeat(31)}01${'00'.repeat(31)}02`)));
  compressed.push(...points.map(encodeG1Compressed));
  const generator = [
    '198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2',
    '1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed',
    '090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b',
    '12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa',
  ];
  pointB = decodeG2(hexToBytes(generator.join('')));
});

describe('what is absorbed and drawn, item by item', () => {
  it('D, R, A, B, C of every group; rho', () => {
    const [d, r, a, c, other] = points as [G1Point, G1Point, G1Point, G1Point, G1Point];
    const group = { committed: d, mask: r, groth16: { a, b: pointB, c } };
    const second = { ...group, mask: other };
    const written = new Written();
    for (const mask of [compressed[1]!, compressed[4]!]) {
      written.absorb('D', compressed[0]!).absorb('R', mask).absorb('A', compressed[2]!);
      written.absorb('B', encodeG2Compressed(pointB)).absorb('C', compressed[3]!);
    }
    expect(drawForm(new Transcript('p'), [group, second])).toBe(written.challenge('rho'));
  });

  it('S of every group; kappa', () => {
    const written = new Written().absorb('S', scalar(5n)).absorb('S', scalar(R - 1n));
    expect(drawGroupWeight(new Transcript('p'), [5n, R - 1n])).toBe(written.challenge('kappa'));
  });

  it('D_r and s_r; x, then c', () => {
    const written = new Written().absorb('Dr', compressed[2]!).absorb('sr', scalar(7n));
    const drawn = drawResponse(new Transcript('p'), { mask: points[2]!, maskValue: 7n });
    expect(drawn).toEqual({ x: written.challenge('x'), c: written.challenge('c') });
  });

  it('left and right; the fold; the last scalar', () => {
    const transcript = new Transcript('p');
    const written = new Written().absorb('left', compressed[0]!).absorb('right', compressed[1]!);
    expect(drawFold(transcript, points[0]!, points[1]!)).toBe(written.challenge('fold'));
    absorbFinal(transcript, 9n);
    expect(transcript.challenge('next')).toBe(written.absorb('final', scalar(9n)).challenge('next'));
  });

  it('phi and Q; z', () => {
    const written = new Written().absorb('phi', compressed[0]!).absorb('Q', compressed[3]!);
    const drawn = drawPoint(new Transcript('p'), 512, { runningSum: points[0]!, quotient: points[3]! });
    expect(drawn).toBe(written.challenge('z'));
  });

  it('z is neither zero nor in the domain', () => {
    const root =
      19_103_219_067_921_713_944_291_392_827_692_070_036_145_651_957_329_286_315_305_642_004_821_462_161_904n;
    const draws = [0n, 1n, R - 1n, root, 5n];
    const seen: bigint[] = [];
    const transcript = Object.assign(new Transcript('p'), {
      challengeWhere: (_: string, accept: (value: bigint) => boolean) => {
        for (const value of draws) {
          seen.push(value);
          if (accept(value)) return value;
        }
        throw new Error('none was accepted');
      },
    });
    const proof = { runningSum: points[0]!, quotient: points[1]! };
    // -1 is a square root of one; the fourth is a root of order 2^28
    expect(drawPoint(transcript, 2, proof)).toBe(root);
    expect(seen).toEqual([0n, 1n, R - 1n, root]);
    draws.splice(0, 4);
    expect(drawPoint(transcript, 2, proof)).toBe(5n);
  });

  it("e, W, W'; the weights of the equations", () => {
    const written = new Written().absorb('e', scalar(3n)).absorb('W', compressed[1]!);
    written.absorb('Wshifted', compressed[2]!);
    const transcript = new Transcript('p');
    expect(drawOpening(transcript, 3n, [])).toBe(0n);
    const proof = { opening: points[1]!, shiftedOpening: points[2]! };
    expect(drawBatch(transcript, proof)).toBe(written.challenge('batch'));
  });

  it('p and q of the blocks; rho', () => {
    const written = new Written();
    for (const [i, label] of ['p', 'q', 'p', 'q'].entries()) written.absorb(label, compressed[i]!);
    const [a, b, c, d] = points as [G1Point, G1Point, G1Point, G1Point];
    const blocks = [
      { p: a, q: b },
      { p: c, q: d },
    ];
    expect(drawPairs(new Transcript('p'), blocks)).toBe(written.challenge('rho'));
  });

  it('e and the values of q; nu', () => {
    const written = new Written().absorb('e', scalar(3n)).absorb('qz', scalar(4n)).absorb('qz', scalar(5n));
    expect(drawOpening(new Transcript('p'), 3n, [4n, 5n])).toBe(written.challenge('nu'));
  });
});

describe('a challenge that must not be zero', () => {
  it('is drawn again', () => {
    const draws = [0n, 0n, 8n];
    const transcript = Object.assign(new Transcript('p'), { challenge: () => draws.shift()! });
    expect(transcript.nonZeroChallenge('c')).toBe(8n);
    expect(draws).toEqual([]);
  });
});

describe('the linear form', () => {
  it('is the same as a vector', async () => {
    const engine = await loadEngine();
    for (const [rho, pairs] of [[3n, 3] as const, [R - 1n, 1] as const]) {
      expect(vectorToScalars(engine, formVector(engine, rho, pairs))).toEqual(formCoefficients(rho, pairs));
    }
    await engine.terminate();
  });

  it('has 1 for mu, 0 for b, and the powers of rho for p and q', () => {
    expect(formCoefficients(3n, 3)).toEqual([1n, 0n, 3n, 9n, 27n, 81n, 243n, 729n]);
    expect(formCoefficients(R - 1n, 1)).toEqual([1n, 0n, R - 1n, 1n]);
  });

  it('folds 2P + 2 values in the rounds of the next power of two', () => {
    expect([1, 2, 3, 4, 15, 16, 63, 64, 4094, 4095].map(foldingRounds)).toEqual([
      2, 3, 3, 4, 5, 6, 7, 8, 13, 13,
    ]);
  });

  it('has a point U of its own, one in a process', () => {
    expect(formPoint()).toEqual(hashToG1('zklora/linear-form/U/v1'));
    expect(formPoint()).toBe(formPoint());
  });
});
