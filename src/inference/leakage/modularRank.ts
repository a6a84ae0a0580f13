import { randomBytes } from 'node:crypto';

/** Primes are drawn from [2^25, 2^26): there are 1.9 million, and products of two residues stay below 2^52. */
const PRIME_BITS = 25;

/** Rows of the echelon form that are taken off at a time. */
const TOGETHER = 4;

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

/** A row without what it has in common with the rows of the echelon form. */
interface Reduced {
  /** First place that is not zero; -1 without one. */
  readonly pivot: number;
  /** Residues in [-prime / 2, prime / 2]. */
  readonly values: Float64Array;
}

/** A row of the echelon form. */
interface EchelonRow extends Reduced {
  /** Of the row that it comes from among all that were added. */
  readonly place: number;
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
  private readonly rows: EchelonRow[] = [];

  /** The row that was asked about last, against so many of {@link rows}: it is often the next to be added. */
  private asked:
    | { readonly row: Int16Array; readonly against: number; readonly reduced: Reduced }
    | undefined;

  constructor(private readonly prime: number = secretPrime()) {}

  /** Rows that were added, independent or not. */
  taken = 0;

  isIndependent(row: Int16Array): boolean {
    const reduced = this.reduce(row);
    this.asked = { row, against: this.rows.length, reduced };
    return reduced.pivot >= 0;
  }

  /** Adds a row; one that depends on the rows before changes nothing. */
  add(row: Int16Array): void {
    const place = this.taken++;
    const { asked } = this;
    this.asked = undefined;
    const isAsked = asked?.row === row && asked.against === this.rows.length;
    const { pivot, values } = isAsked ? asked.reduced : this.reduce(row);
    if (pivot < 0) return;
    const inverse = this.inverse(this.remainder(values[pivot]!));
    for (let i = pivot; i < values.length; i++) values[i] = this.residue(values[i]! * inverse);
    this.rows.push({ pivot, values, place });
  }

  /** Takes the latest rows off again. */
  truncate(taken: number): void {
    this.taken = Math.min(taken, this.taken);
    this.asked = undefined;
    while ((this.rows.at(-1)?.place ?? -1) >= taken) this.rows.pop();
  }

  /** float64 numbers held. */
  get entries(): number {
    return this.rows.length * (this.rows[0]?.values.length ?? 0);
  }

  private reduce(row: Int16Array): Reduced {
    const values = new Float64Array(row.length);
    for (let i = 0; i < row.length; i++) values[i] = row[i]!;
    for (let i = 0; i < this.rows.length; i += TOGETHER)
      this.eliminate(values, this.rows.slice(i, i + TOGETHER));
    let pivot = -1;
    for (let i = values.length - 1; i >= 0; i--) {
      values[i] = this.residue(values[i]!);
      if (values[i] !== 0) pivot = i;
    }
    return { pivot, values };
  }

  /** Takes multiples of rows off, so that their pivots become zeros. @param known four or fewer that follow one another */
  private eliminate(values: Float64Array, known: readonly EchelonRow[]): void {
    const factors = [0, 0, 0, 0];
    for (const [i, { pivot }] of known.entries()) {
      let value = values[pivot]!;
      for (let k = 0; k < i; k++) value += factors[k]! * known[k]!.values[pivot]!;
      factors[i] = -this.residue(value);
    }
    if (factors.every((factor) => factor === 0)) return;
    // a missing row has the factor 0
    const [k0, k1, k2, k3] = [0, 1, 2, 3].map((i) => (known[i] ?? known[0]!).values);
    addMultiples(values, [k0!, k1!, k2!, k3!], factors, this.prime);
  }

  /** In [-prime / 2, prime / 2]. @param value integer within 2^53 */
  private residue(value: number): number {
    const rest = this.remainder(value);
    return rest > this.prime / 2 ? rest - this.prime : rest;
  }

  /** In [0, prime). @param value integer within 2^53 */
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

/**
 * Adds multiples of four rows. Residues and factors are within 2^25, so that four products are exact: within 2^52. Quotients are by
 * the rounded inverse and may be off by one: what is left lies in [-prime, 2 prime), as the values before did.
 */
function addMultiples(
  values: Float64Array,
  [k0, k1, k2, k3]: readonly [Float64Array, Float64Array, Float64Array, Float64Array],
  [f0 = 0, f1 = 0, f2 = 0, f3 = 0]: readonly number[],
  prime: number,
): void {
  const inverse = 1 / prime;
  for (let i = 0; i < values.length; i++) {
    const sum = values[i]! + (f0 * k0[i]! + f1 * k1[i]!) + (f2 * k2[i]! + f3 * k3[i]!);
    values[i] = sum - prime * Math.floor(sum * inverse);
  }
}
