import { inverse, mod } from '../../reference/field.js';

/**
 * Solves a linear system over F by elimination.
 *
 * @param equations rows of coefficients with the right-hand side last
 * @returns the solution, or undefined where the rank is too small
 */
export function solve(equations: readonly (readonly bigint[])[]): bigint[] | undefined {
  const unknowns = equations[0]!.length - 1;
  const rows = equations.map((row) => row.map(mod));
  for (let column = 0; column < unknowns; column++) {
    const pivot = rows.findIndex((row, i) => i >= column && row[column] !== 0n);
    if (pivot < 0) return undefined;
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    const scale = inverse(rows[column]![column]!);
    const normal = rows[column]!.map((value) => mod(value * scale));
    rows[column] = normal;
    rows.forEach((row, i) => {
      const factor = row[column]!;
      if (i === column || factor === 0n) return;
      rows[i] = row.map((value, j) => mod(value - factor * normal[j]!));
    });
  }
  return rows.slice(0, unknowns).map((row) => row[unknowns]!);
}
