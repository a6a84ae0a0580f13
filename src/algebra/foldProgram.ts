/** What the kernels of foldKernels.ts do for given factors. */
import { DIGIT_BITS, type Digit, type Eisenstein, MULTIPLES, octalDigits } from './endomorphism.js';
import { DOUBLING } from './foldKernels.js';
import { ADDITION_WORDS, IMAGE_SLOTS, operandCode, POINT_SLOTS, targetCode } from './slotKernels.js';

/** Sums of points with common factors, by additions that are made at once and double-and-add after them. */
export interface FoldProgram {
  /** Slots of the points' first part; the others follow. */
  readonly firstSlot: number;
  readonly slots: number;
  /** Additions that need the levels before them, in words. */
  readonly levels: readonly (readonly number[])[];
  /** Most additions of a level. */
  readonly widest: number;
  /** Words of `zg_runProgram`. */
  readonly steps: readonly number[];
  readonly doublings: number;
}

/** W^unit times the point in a slot, or minus that. */
interface Operand {
  readonly slot: number;
  readonly unit: 0 | 1 | 2;
  readonly negative: boolean;
  /** Whether it is in no other sum, so that its slots may take the sum it is in. */
  readonly isOwn: boolean;
}

class ProgramBuilder {
  // a word for an operand in slot 0 could be that of a doubling
  #slots = 1;
  readonly levels: number[][] = [];

  get slots(): number {
    return this.#slots;
  }

  get widest(): number {
    return Math.max(0, ...this.levels.map((level) => level.length / ADDITION_WORDS));
  }

  take(slots: number): number {
    const first = this.#slots;
    this.#slots += slots;
    return first;
  }

  /** Plans left + right; the target has the same sign as the left operand. */
  add(level: number, left: Operand, right: Operand, target: number, withImages: boolean): void {
    while (this.levels.length <= level) this.levels.push([]);
    this.levels[level]!.push(
      operandCode(left.slot, left.unit, false),
      operandCode(right.slot, right.unit, left.negative !== right.negative),
      targetCode(target, withImages),
    );
  }

  /** Plans the sum of operands, in pairs from a level on. */
  sum(operands: readonly Operand[], firstLevel: number): Operand | undefined {
    let rest = operands;
    for (let level = firstLevel; rest.length > 1; level++) {
      const sums: Operand[] = [];
      for (let i = 0; i + 1 < rest.length; i += 2) {
        const [left, right] = [rest[i]!, rest[i + 1]!];
        const slot = left.isOwn ? left.slot : this.take(POINT_SLOTS);
        this.add(level, left, right, slot, false);
        sums.push({ slot, unit: 0, negative: left.negative, isOwn: true });
      }
      rest = rest.length % 2 === 0 ? sums : [...sums, rest.at(-1)!];
    }
    return rest[0];
  }
}

/** Plans sum_j factors[j] * point j. */
export function planFold(factors: readonly Eisenstein[]): FoldProgram {
  const builder = new ProgramBuilder();
  const firstSlot = builder.take(factors.length * IMAGE_SLOTS);
  const digits = factors.map(octalDigits);
  const multiples = digits.map((all, j) => planMultiples(builder, firstSlot + j * IMAGE_SLOTS, all));
  const firstLevel = builder.levels.length;
  const places = Math.max(1, ...digits.map(({ length }) => length));
  const sums = Array.from({ length: places }, (_, place) => {
    const operands = digits.flatMap((all, j) => {
      const digit = all[place];
      if (!digit) return [];
      const { multiple, unit, negative } = digit;
      return [{ slot: multiples[j]!.get(multiple)!, unit, negative, isOwn: false }];
    });
    return builder.sum(operands, firstLevel);
  });
  const steps: number[] = [];
  sums.reverse().forEach((sum, i) => {
    if (i > 0) steps.push(...Array.from({ length: DIGIT_BITS }, () => DOUBLING));
    if (sum) steps.push(operandCode(sum.slot, sum.unit, sum.negative));
  });
  return {
    firstSlot,
    slots: builder.slots,
    levels: builder.levels,
    widest: builder.widest,
    steps,
    doublings: DIGIT_BITS * (places - 1),
  };
}

/** All multiples of one point, in order, from slot `firstSlot` on. */
export function planEveryMultiple(): Pick<FoldProgram, 'firstSlot' | 'slots' | 'levels' | 'widest'> {
  const builder = new ProgramBuilder();
  const firstSlot = builder.take(IMAGE_SLOTS);
  const all = Array.from(
    { length: MULTIPLES.length + 1 },
    (_, multiple): Digit => ({
      multiple,
      unit: 0,
      negative: false,
    }),
  );
  planMultiples(builder, firstSlot, all);
  return { firstSlot, slots: builder.slots, levels: builder.levels, widest: builder.widest };
}

/** Plans the multiples of a point that its digits take; slots by number of the multiple. */
function planMultiples(
  builder: ProgramBuilder,
  point: number,
  digits: readonly (Digit | undefined)[],
): ReadonlyMap<number, number> {
  const wanted = new Set(digits.flatMap((digit) => (digit ? [digit.multiple] : [])));
  for (let number = MULTIPLES.length; number > 0; number--) {
    if (!wanted.has(number)) continue;
    const { left, right } = MULTIPLES[number - 1]!;
    wanted.add(left).add(right.multiple);
  }
  const slots = new Map([[0, point]]);
  const levels = new Map([[0, 0]]);
  MULTIPLES.forEach(({ left, right }, i) => {
    if (!wanted.has(i + 1)) return;
    const slot = builder.take(IMAGE_SLOTS);
    const level = Math.max(levels.get(left)!, levels.get(right.multiple)!);
    const operand = (multiple: number, { unit, negative }: Pick<Digit, 'unit' | 'negative'>): Operand => ({
      slot: slots.get(multiple)!,
      unit,
      negative,
      isOwn: false,
    });
    builder.add(
      level,
      operand(left, { unit: 0, negative: false }),
      operand(right.multiple, right),
      slot,
      true,
    );
    slots.set(i + 1, slot);
    levels.set(i + 1, level + 1);
  });
  return slots;
}
