import { randomBytes } from 'node:crypto';

/** Primes are drawn from [2^25, 2^26): there are 1.9 million, and products of two residues stay below 2^52. */
const PRIME_BITS = 25;

/** Trial division up to the root of the largest candidate. */
const MAX_DIVISOR = 2 ** 13;

/** A prime that nobody outside knows, from the randomness of the operating system. */
export function secretPrime(): number {
  for (;;) {
    const candidate = 2 ** PRIME_BITS + ((randomBytes(4).readUInt32LE() % 2 ** PRIME_BITS) | 1);
    if (isPrime(candidate)) return candidate;
  }
}

function isPrime(odd: number): boolean {
  for (let divisor = 3; divisor <= MAX_DIVISOR; divisor += 2) {
    if (odd % divisor === 0) return odd === divisor;
  }
  return true;
}

/**
 * Independence of integer rows over the rationals, decided modulo a secret random prime.
 *
 * Rows that are dependent over the rationals are dependent modulo every prime. Independent ones look dependent only
 * where the prime divides every minor that shows it: a minor of t int16 rows has at most 16 t + (t log2 t) / 2 bits, so fewer than
 * t primes of the range divide it. Whoever does not know the prime meets one with a chance below t / 1.9 million.
 */
export class ModularRank {
  /** Echelon form: the entry at the pivot is 1, those of earlier pivots are 0. */
  private readonly rows: { readonly pivot: number; readonly values: Float64Array; readonly place: number }[] =
    [];

  constructor(private readonly prime: number = secretPrime()) {}

  /** Rows that were added, independent or not. */
  taken = 0;

  isIndependent(row: Int16Array): boolean {
    return this.reduce(row).pivot >= 0;
  }

  /** Adds a row; one that depends on the rows before changes nothing. */
  add(row: Int16Array): void {
    const place = this.taken++;
    const { pivot, values } = this.reduce(row);
    if (pivot < 0) return;
    const inverse = this.inverse(values[pivot]!);
    for (let i = pivot; i < values.length; i++) values[i] = this.remainder(values[i]! * inverse);
    this.rows.push({ pivot, values, place });
  }

  /** Takes the latest rows off again. */
  truncate(taken: number): void {
    this.taken = Math.min(taken, this.taken);
    while ((this.rows.at(-1)?.place ?? -1) >= taken) this.rows.pop();
  }

  /** float64 numbers held. */
  get entries(): number {
    return this.rows.length * (this.rows[0]?.values.length ?? 0);
  }

  private reduce(row: Int16Array): { pivot: number; values: Float64Array } {
    const values = Float64Array.from(row, (value) => (value < 0 ? value + this.prime : value));
    for (const { pivot, values: known } of this.rows) {
      const factor = values[pivot]!;
      if (factor === 0) continue;
      const negative = this.prime - factor;
      for (let i = 0; i < values.length; i++) values[i] = this.remainder(values[i]! + negative * known[i]!);
    }
    return { pivot: values.findIndex((value) => value !== 0), values };
  }

  /** @param value integer in [0, 2^53) */
  private remainder(value: number): number {
    const rest = value - this.prime * Math.floor(value / this.prime);
    // the quotient may have been rounded up to the next integer
    if (rest < 0) return rest + this.prime;
    return rest >= this.prime ? rest - this.prime : rest;
  }

  /** Fermat: value^(p - 2). */
  private inverse(value: number): number {
    let result = 1;
    let power = value;
    for (let exponent = this.prime - 2; exponent > 0; exponent = Math.floor(exponent / 2)) {
      if (exponent % 2 === 1) result = this.remainder(result * power);
      power = this.remainder(power * power);
    }
    return result;
  }
}
