import { ZkLoraError } from '../errors.js';

/**
 * Steps of all matches of one adapter's configuration: a few seconds. 882 modules with paths of 100 characters and 20 expressions
 * of 50 instructions take at most 9e7.
 */
const MAX_MATCH_STEPS = 2 ** 27;
/** Marks are cleared about as fast as so many of them at a step. */
const MARKS_PER_STEP = 256;

/** Whether a character, by its code, is taken. */
export type Test = (code: number) => boolean;

/** A step of a compiled expression; all but `fork` go on with the next one. */
export type Instruction =
  | { readonly kind: 'test'; readonly test: Test }
  | { readonly kind: 'fork'; readonly to: readonly number[] }
  | { readonly kind: 'begin' | 'end' | 'match' }
  | { readonly kind: 'look'; readonly program: readonly Instruction[]; readonly wanted: boolean };

/** What is left of the steps that several expressions share. */
export class MatchSteps {
  constructor(private left = MAX_MATCH_STEPS) {}

  /** @throws ZkLoraError `ADAPTER_UNSUPPORTED` */
  take(steps: number): void {
    this.left -= steps;
    if (this.left >= 0) return;
    throw new ZkLoraError(
      'ADAPTER_UNSUPPORTED',
      "the expressions in the adapter's configuration take too long to match with its modules; list the modules by name instead",
    );
  }
}

/** One match of an expression with a text. */
interface Match {
  readonly steps: MatchSteps;
  /** Outcomes of lookaheads, by program and position. */
  readonly looked: Map<readonly Instruction[], Map<number, boolean>>;
}

function looks(program: readonly Instruction[], text: string, from: number, match: Match): boolean {
  const outcomes = match.looked.get(program) ?? new Map<number, boolean>();
  match.looked.set(program, outcomes);
  const outcome = outcomes.get(from) ?? runs(program, text, from, match);
  outcomes.set(from, outcome);
  return outcome;
}

/**
 * Whether a program matches from a position on. A state that was visited cannot lead anywhere new.
 *
 * @throws ZkLoraError `ADAPTER_UNSUPPORTED` when the steps are used up
 */
export function runs(program: readonly Instruction[], text: string, from: number, match: Match): boolean {
  const width = text.length + 1;
  match.steps.take(Math.ceil((program.length * width) / MARKS_PER_STEP));
  const visited = new Uint8Array(program.length * width);
  const open = [from];
  visited[from] = 1;
  const push = (instruction: number, position: number): void => {
    const state = instruction * width + position;
    if (visited[state] === 1) return;
    visited[state] = 1;
    open.push(state);
  };
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    const at = Math.floor(state / width);
    const position = state % width;
    const instruction = program[at]!;
    match.steps.take(instruction.kind === 'fork' ? instruction.to.length : 1);
    switch (instruction.kind) {
      case 'match':
        return true;
      case 'test':
        if (position < text.length && instruction.test(text.charCodeAt(position))) push(at + 1, position + 1);
        break;
      case 'begin':
        if (position === 0) push(at + 1, position);
        break;
      case 'end':
        if (position === text.length) push(at + 1, position);
        break;
      case 'look':
        if (looks(instruction.program, text, position, match) === instruction.wanted) push(at + 1, position);
        break;
      case 'fork':
        for (const next of instruction.to) push(next, position);
    }
  }
  return false;
}
