import {
  decodeG1Compressed,
  decodeG2Compressed,
  decodeScalar,
  G1_COMPRESSED_BYTES,
  type G1Point,
  G2_COMPRESSED_BYTES,
  type G2Point,
  SCALAR_BYTES,
} from '../algebra/index.js';
import { bytesToHex, equalBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';

const DIGEST_BYTES = 32;

/** `PROOF_MALFORMED` */
export function malformed(message: string, cause?: unknown): ZkLoraError {
  return new ZkLoraError('PROOF_MALFORMED', message, cause === undefined ? {} : { cause });
}

/** Reads the parts of a binary proof one after the other; throws `PROOF_MALFORMED`, `POINT_INVALID`, `SCALAR_INVALID`. */
export class ProofReader {
  #at = 0;
  readonly #bytes: Uint8Array;
  /** Names the proof in messages. */
  readonly #what: string;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  take(count: number): Uint8Array {
    const end = this.#at + count;
    if (end > this.#bytes.length) throw malformed(`${this.#what} is truncated: ask the prover for it again`);
    const part = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return part;
  }

  /**
   * Reads the name and format version at the start.
   *
   * @param versions the bytes of each version, equally many
   */
  magic<T extends string>(versions: Readonly<Record<T, Uint8Array>>): T {
    const known = Object.entries<Uint8Array>(versions) as [T, Uint8Array][];
    const found = this.take(known[0]![1].length);
    const version = known.find(([, expected]) => equalBytes(found, expected));
    if (version === undefined) {
      const numbers = known.map(([, bytes]) => bytes.at(-1)).join(' or ');
      throw malformed(`not a zklora ${this.#what} of version ${numbers}`);
    }
    return version[0];
  }

  u8(): number {
    return this.take(1)[0]!;
  }

  u16(name: string, min: number, max: number): number {
    const [high, low] = this.take(2) as unknown as [number, number];
    const value = high * 256 + low;
    if (value < min || value > max)
      throw malformed(`${this.#what}: ${name} ${value} is outside [${min}, ${max}]`);
    return value;
  }

  digest(): string {
    return bytesToHex(this.take(DIGEST_BYTES));
  }

  g1(): G1Point {
    return decodeG1Compressed(this.take(G1_COMPRESSED_BYTES));
  }

  g2(): G2Point {
    return decodeG2Compressed(this.take(G2_COMPRESSED_BYTES));
  }

  scalar(): bigint {
    return decodeScalar(this.take(SCALAR_BYTES));
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw malformed(`${this.#what} has bytes after its end`);
  }
}

/** Steps over points and scalars without looking at them; what it returns in their place must not be used. */
export class OutlineReader extends ProofReader {
  override g1(): G1Point {
    return this.take(G1_COMPRESSED_BYTES) as G1Point;
  }

  override g2(): G2Point {
    return this.take(G2_COMPRESSED_BYTES) as G2Point;
  }

  override scalar(): bigint {
    this.take(SCALAR_BYTES);
    return 0n;
  }
}

/** Runs a decoder; whatever it finds wrong becomes `PROOF_MALFORMED`. */
export function decodeWhole<T>(
  bytes: Uint8Array,
  what: string,
  decode: (reader: ProofReader) => T,
  Reader: typeof ProofReader = ProofReader,
): T {
  const reader = new Reader(bytes, what);
  try {
    const value = decode(reader);
    reader.end();
    return value;
  } catch (error) {
    if (error instanceof ZkLoraError && error.code !== 'PROOF_MALFORMED') {
      throw malformed(`${what}: ${error.message}`, error);
    }
    throw error;
  }
}
