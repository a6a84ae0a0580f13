import { type Instruction, MatchSteps, runs, type Test } from './regexProgram.js';

/** Instructions of one program; a counted repetition is written out. */
const MAX_PROGRAM = 4096;
/** Characters of one expression: published target_modules stay below 1000. */
const MAX_PATTERN_LENGTH = 4096;
/** Lookaheads of one expression, each with a program of its own. */
const MAX_LOOKAHEADS = 16;
/** Groups inside groups. */
const MAX_DEPTH = 32;

type Node =
  | { readonly kind: 'test'; readonly test: Test }
  | { readonly kind: 'begin' | 'end' }
  | { readonly kind: 'look'; readonly program: readonly Instruction[]; readonly wanted: boolean }
  | { readonly kind: 'all' | 'any'; readonly nodes: readonly Node[] }
  | { readonly kind: 'repeat'; readonly node: Node; readonly least: number; readonly most: number };

/**
 * Compiles an expression of Python's `re` for ASCII text, to be matched at the beginning of a text as `re.match` does
 * (`whole`: as `re.fullmatch`). A stranger's expression can make a backtracking matcher run for ever; this one visits each
 * pair of instruction and position once, so its time is at most their product, and within `steps`. A lookahead is a program
 * that is compiled once, however often it is repeated, and run at most once from each position.
 *
 * Taken: literals, escapes, `.`, classes, groups, alternatives, quantifiers, `^`, `$`, lookahead. A match is the same as
 * Python's: which one of several is found does not matter here.
 *
 * @param steps that all matches together may take, with those of other expressions of the same file
 * @returns null for anything else: backreferences, lookbehind, flags, possessive quantifiers, `\b`, too much of anything.
 * The function throws `ADAPTER_UNSUPPORTED` when the steps are used up
 */
export function compileRegex(
  source: string,
  whole = false,
  steps: MatchSteps = new MatchSteps(),
): ((text: string) => boolean) | null {
  if (source.length > MAX_PATTERN_LENGTH) return null;
  try {
    const parsed = new Parser(source).parse();
    const program = programOf(whole ? { kind: 'all', nodes: [parsed, { kind: 'end' }] } : parsed);
    return (text) => runs(program, text, 0, { steps, looked: new Map() });
  } catch (error) {
    if (error instanceof Untaken) return null;
    throw error;
  }
}

/** Leaves the compiler; never leaves this module. */
class Untaken extends Error {}

class Parser {
  private at = 0;
  private depth = 0;
  private lookaheads = 0;

  constructor(private readonly source: string) {}

  parse(): Node {
    const node = this.alternatives();
    if (this.at < this.source.length) throw new Untaken();
    return node;
  }

  private alternatives(): Node {
    this.depth += 1;
    if (this.depth > MAX_DEPTH) throw new Untaken();
    const nodes = [this.sequence()];
    while (this.take('|')) nodes.push(this.sequence());
    this.depth -= 1;
    return nodes.length === 1 ? nodes[0]! : { kind: 'any', nodes };
  }

  private sequence(): Node {
    const nodes: Node[] = [];
    while (this.at < this.source.length && !'|)'.includes(this.source[this.at]!)) nodes.push(this.repeated());
    return { kind: 'all', nodes };
  }

  private repeated(): Node {
    const node = this.atom();
    const quantifier = /^(?:[*+?]|\{(\d{1,4})(,(\d{0,4}))?\})/.exec(this.source.slice(this.at, this.at + 12));
    if (quantifier === null) {
      if (this.source[this.at] === '{') throw new Untaken();
      return node;
    }
    const [text, from, comma, to] = quantifier;
    this.at += text.length;
    this.take('?');
    if ('*+?{'.includes(this.source[this.at] ?? ' ')) throw new Untaken();
    if (node.kind === 'begin' || node.kind === 'end' || node.kind === 'look') throw new Untaken();
    const most = comma === undefined ? Number(from) : to === '' ? Infinity : Number(to);
    if (from !== undefined && most < Number(from)) throw new Untaken();
    if (text === '*') return { kind: 'repeat', node, least: 0, most: Infinity };
    if (text === '+') return { kind: 'repeat', node, least: 1, most: Infinity };
    if (text === '?') return { kind: 'repeat', node, least: 0, most: 1 };
    return { kind: 'repeat', node, least: Number(from), most };
  }

  private atom(): Node {
    const character = this.source[this.at++]!;
    if (character === '(') return this.group();
    if (character === '[') return { kind: 'test', test: this.characterClass() };
    if (character === '.') return { kind: 'test', test: (code) => code !== NEWLINE };
    if (character === '^') return { kind: 'begin' };
    if (character === '$') return { kind: 'end' };
    if (character === '\\') return this.escape();
    if ('*+?{'.includes(character)) throw new Untaken();
    return { kind: 'test', test: equals(character.charCodeAt(0)) };
  }

  private group(): Node {
    let look: boolean | undefined;
    if (this.take('?')) {
      if (this.take('=')) look = true;
      else if (this.take('!')) look = false;
      else if (!this.take(':')) {
        const name = /^P<[A-Za-z_]\w{0,63}>/.exec(this.source.slice(this.at, this.at + 70));
        if (name === null) throw new Untaken();
        this.at += name[0].length;
      }
    }
    if (look !== undefined && ++this.lookaheads > MAX_LOOKAHEADS) throw new Untaken();
    const node = this.alternatives();
    if (!this.take(')')) throw new Untaken();
    return look === undefined ? node : { kind: 'look', program: programOf(node), wanted: look };
  }

  private escape(): Node {
    const character = this.source[this.at++];
    if (character === 'A') return { kind: 'begin' };
    if (character === 'Z') return { kind: 'end' };
    return { kind: 'test', test: escaped(character) };
  }

  private characterClass(): Test {
    const negated = this.take('^');
    const tests: Test[] = [];
    let first = true;
    while (first || this.source[this.at] !== ']') {
      first = false;
      const test = this.classMember();
      if (this.source[this.at] !== '-' || this.source[this.at + 1] === ']') {
        tests.push(typeof test === 'number' ? equals(test) : test);
        continue;
      }
      this.at += 1;
      const end = this.classMember();
      if (typeof test !== 'number' || typeof end !== 'number' || end < test) throw new Untaken();
      tests.push((code) => code >= test && code <= end);
    }
    this.at += 1;
    const isMember: Test = (code) => tests.some((test) => test(code)) !== negated;
    // a class of thousands of members is one step of a match
    const ascii = Array.from({ length: ASCII }, (_, code) => isMember(code));
    return (code) => ascii[code] ?? isMember(code);
  }

  /** A character, or a class such as `\d`. */
  private classMember(): number | Test {
    const character = this.source[this.at++];
    // Python warns of `[[`, `--`, `&&`, `||` and `~~`, which may become set operations
    if (character === undefined || character === '[') throw new Untaken();
    if (character !== '\\') return character.charCodeAt(0);
    const next = this.source[this.at++];
    if (next !== undefined && PUNCTUATION.test(next)) return next.charCodeAt(0);
    return escaped(next);
  }

  private take(character: string): boolean {
    if (this.source[this.at] !== character) return false;
    this.at += 1;
    return true;
  }
}

const ASCII = 128;
const NEWLINE = 10;
const PUNCTUATION = /[!-/:-@[-`{-~ ]/;

const equals =
  (wanted: number): Test =>
  (code) =>
    code === wanted;
const isDigit: Test = (code) => code >= 48 && code <= 57;
const isSpace: Test = (code) => code === 32 || (code >= 9 && code <= 13);
const isWord: Test = (code) =>
  isDigit(code) || (code >= 65 && code <= 90) || code === 95 || (code >= 97 && code <= 122);

function escaped(character: string | undefined): Test {
  switch (character) {
    case 'd':
      return isDigit;
    case 'D':
      return (code) => !isDigit(code);
    case 'w':
      return isWord;
    case 'W':
      return (code) => !isWord(code);
    case 's':
      return isSpace;
    case 'S':
      return (code) => !isSpace(code);
  }
  if (character === undefined || !PUNCTUATION.test(character)) throw new Untaken();
  return equals(character.charCodeAt(0));
}

function programOf(node: Node): Instruction[] {
  const program: Instruction[] = [];
  emit(program, node);
  program.push({ kind: 'match' });
  return program;
}

function emit(program: Instruction[], node: Node): void {
  if (program.length >= MAX_PROGRAM) throw new Untaken();
  switch (node.kind) {
    case 'test':
    case 'begin':
    case 'end':
    case 'look':
      program.push(node);
      return;
    case 'all':
      for (const part of node.nodes) emit(program, part);
      return;
    case 'any':
      emitAlternatives(program, node.nodes);
      return;
    case 'repeat':
      emitRepetition(program, node.node, node.least, node.most);
  }
}

function emitAlternatives(program: Instruction[], nodes: readonly Node[]): void {
  const starts: number[] = [];
  const jumps: { to: number[] }[] = [];
  program.push({ kind: 'fork', to: starts });
  for (const node of nodes) {
    starts.push(program.length);
    emit(program, node);
    const jump = { kind: 'fork' as const, to: [] as number[] };
    jumps.push(jump);
    program.push(jump);
  }
  for (const jump of jumps) jump.to.push(program.length);
}

function emitRepetition(program: Instruction[], node: Node, least: number, most: number): void {
  for (let i = 0; i < least; i += 1) {
    const before = program.length;
    emit(program, node);
    // nothing, however often: no bound on the program would end this
    if (program.length === before) break;
  }
  if (most === Infinity) {
    const fork = { kind: 'fork' as const, to: [program.length + 1] };
    const start = program.length;
    program.push(fork);
    emit(program, node);
    program.push({ kind: 'fork', to: [start] });
    fork.to.push(program.length);
    return;
  }
  const forks: { to: number[] }[] = [];
  for (let i = least; i < most; i += 1) {
    const fork = { kind: 'fork' as const, to: [program.length + 1] };
    forks.push(fork);
    program.push(fork);
    emit(program, node);
  }
  for (const fork of forks) fork.to.push(program.length);
}
