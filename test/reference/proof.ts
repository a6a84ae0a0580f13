import { int } from './bytes.js';
import { R } from './field.js';
import { type G1Point, type G2Point, g1FromCompressed, g2FromCompressed } from './points.js';
import { demand } from './refusal.js';

/** An element together with the bytes that the transcript absorbs. */
export interface Element<T> {
  readonly value: T;
  readonly bytes: Uint8Array;
}

/** One group of a proof. */
export interface ReferenceGroupProof {
  readonly d: Element<G1Point>;
  readonly r: Element<G1Point>;
  readonly a: Element<G1Point>;
  readonly b: Element<G2Point>;
  readonly c: Element<G1Point>;
  readonly s: Element<bigint>;
  readonly dr: Element<G1Point>;
  readonly sr: Element<bigint>;
  readonly rounds: readonly { readonly left: Element<G1Point>; readonly right: Element<G1Point> }[];
  readonly final: Element<bigint>;
}

/** One block of pairs of a version 2 proof: [p_g], [q_g] and q_g(z). */
export interface ReferenceBlockProof {
  readonly p: Element<G1Point>;
  readonly q: Element<G1Point>;
  readonly qAtZ: Element<bigint>;
}

/** One proof of a file. */
export interface ReferenceProof {
  readonly modules: readonly number[];
  /** Of version 1; none in version 2. */
  readonly groups: readonly ReferenceGroupProof[];
  /** Of version 2; none in version 1. */
  readonly blocks: readonly ReferenceBlockProof[];
  readonly phi: Element<G1Point>;
  readonly q: Element<G1Point>;
  readonly e: Element<bigint>;
  readonly w: Element<G1Point>;
  readonly wShifted: Element<G1Point>;
}

/** How pairs are checked: by RankCheck and a linear form (1), or on H (2). */
export type ProofVersion = 1 | 2;

/** proof.zkl. */
export interface ReferenceProofFile {
  readonly version: ProofVersion;
  readonly parametersId: Uint8Array;
  readonly adapterId: Uint8Array;
  readonly sessionDigest: Uint8Array;
  readonly proofs: readonly ReferenceProof[];
}

/** Reads front to back; refuses to read beyond the end. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  take(length: number): Uint8Array {
    demand(this.#at + length <= this.#bytes.length, 'the proof is cut');
    this.#at += length;
    return this.#bytes.slice(this.#at - length, this.#at);
  }

  count(bytes: number, least: number, most: number, what: string): number {
    const value = Number(int(this.take(bytes)));
    demand(value >= least && value <= most, `${what} is out of range`);
    return value;
  }

  scalar(what: string): Element<bigint> {
    const bytes = this.take(32);
    const value = int(bytes);
    demand(value < R, `${what} is not below R`);
    return { value, bytes };
  }

  g1(what: string): Element<G1Point> {
    const bytes = this.take(32);
    return { value: g1FromCompressed(bytes, what), bytes };
  }

  g2(what: string): Element<G2Point> {
    const bytes = this.take(64);
    return { value: g2FromCompressed(bytes, what), bytes };
  }

  end(): void {
    demand(this.#at === this.#bytes.length, 'there are bytes behind the proof');
  }
}

/** Reads proof.zkl (docs/formats.md, "Proof"). */
export function parseProof(bytes: Uint8Array): ReferenceProofFile {
  const reader = new Reader(bytes);
  const magic = String.fromCharCode(...reader.take(14));
  demand(magic === 'zklora-proof\0\x01' || magic === 'zklora-proof\0\x02', 'this is no proof file');
  const version = magic.endsWith('\x01') ? 1 : 2;
  const [parametersId, adapterId, sessionDigest] = [reader.take(32), reader.take(32), reader.take(32)];
  const count = reader.count(2, 1, 65_535, 'number of proofs');
  const proofs = Array.from({ length: count }, () => parseOne(reader, version));
  reader.end();
  return { version, parametersId, adapterId, sessionDigest, proofs };
}

function parseOne(reader: Reader, version: ProofVersion): ReferenceProof {
  const moduleCount = reader.count(2, 1, 65_535, 'number of modules');
  const modules: number[] = [];
  for (let i = 0; i < moduleCount; i++) {
    modules.push(reader.count(2, (modules[i - 1] ?? -1) + 1, 65_534, 'module index'));
  }
  const groups: ReferenceGroupProof[] = [];
  const blocks: ReferenceBlockProof[] = [];
  if (version === 1) {
    const count = reader.count(2, 1, Math.min(moduleCount, 4096), 'number of groups');
    while (groups.length < count) groups.push(parseGroup(reader));
  } else {
    const count = reader.count(2, 1, 32_768, 'number of blocks');
    while (blocks.length < count) blocks.push(parseBlock(reader));
  }
  return {
    modules,
    groups,
    blocks,
    phi: reader.g1('phi'),
    q: reader.g1('Q'),
    e: reader.scalar('e'),
    w: reader.g1('W'),
    wShifted: reader.g1("W'"),
  };
}

function parseBlock(reader: Reader): ReferenceBlockProof {
  return { p: reader.g1('p'), q: reader.g1('q'), qAtZ: reader.scalar('q(z)') };
}

function parseGroup(reader: Reader): ReferenceGroupProof {
  const d = reader.g1('D');
  const r = reader.g1('R');
  const a = reader.g1('A');
  const b = reader.g2('B');
  const c = reader.g1('C');
  const s = reader.scalar('S');
  const dr = reader.g1('D_r');
  const sr = reader.scalar('s_r');
  const roundCount = reader.count(1, 2, 20, 'number of rounds');
  const rounds = Array.from({ length: roundCount }, () => ({
    left: reader.g1('left'),
    right: reader.g1('right'),
  }));
  return { d, r, a, b, c, s, dr, sr, rounds, final: reader.scalar('final') };
}
