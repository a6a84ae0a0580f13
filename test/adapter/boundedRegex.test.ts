import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileRegex } from '../../src/adapter/boundedRegex.js';
import { MatchSteps } from '../../src/adapter/regexProgram.js';

describe('compileRegex', () => {
  it.each([
    ['.*q_proj', 'model.q_proj', true],
    [String.raw`layers\.[0-9]+\.(q|v)_proj`, 'layers.12.v_proj', true],
    [String.raw`layers\.[0-9]+\.(q|v)_proj`, 'layers.x.v_proj', false],
    ['^(?!.*vision).*(?:q|k)_proj$', 'text.k_proj', true],
    ['^(?!.*vision).*(?:q|k)_proj$', 'vision.k_proj', false],
    ['a(?=b)b', 'ab', true],
    ['(?P<layer>a){2,3}', 'aaa', true],
    ['(?P<layer>a){2,3}', 'aaaa', false],
    ['a{2,}', 'aaaa', true],
    ['a{0}b', 'b', true],
    ['[^.]+', 'a.b', false],
    ['[]a]', ']', true],
    [String.raw`[\d_-]+`, '1_-2', true],
    [String.raw`\w+\.\D\S`, 'ab.cd', true],
    ['', '', true],
    ['(a*)*b', 'aab', true],
    ['(a|b|)+c', 'abc', true],
  ])('%j on %j: %s', (pattern, text, expected) => {
    expect(compileRegex(pattern, true)!(text)).toBe(expected);
  });

  it('matches at the beginning unless the whole text is asked for', () => {
    expect(compileRegex('ab')!('abc')).toBe(true);
    expect(compileRegex('b')!('abc')).toBe(false);
    expect(compileRegex('ab', true)!('abc')).toBe(false);
  });

  it.each([
    '(',
    ')',
    'a)',
    '[a',
    '*a',
    'a**',
    'a*+',
    'a{2,1}',
    'a{,2}',
    'a{',
    String.raw`(a)\1`,
    String.raw`\bq`,
    String.raw`\x41`,
    '(?<=a)b',
    '(?i)a',
    '(?P=name)',
    '[[a]]',
    '[b-a]',
    String.raw`[a-\d]`,
    '^*',
    'a\\',
    '((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))',
    '(?=a)'.repeat(17),
    'a{9999}',
    '(a{99}){99}',
    'a'.repeat(4097),
  ])('does not take %j', (pattern) => {
    expect(compileRegex(pattern)).toBeNull();
  });

  it('answers in time linear in the text what makes a backtracking matcher run for ever', () => {
    const text = `${'a'.repeat(256)}!`;
    for (const pattern of ['(a+)+$', '(a|aa)*$', '(a*)*(a*)*(a*)*b', '(?=(a+)+$)a']) {
      expect(compileRegex(pattern)!(text)).toBe(false);
    }
  });

  it('runs a lookahead once from each position, however deep inside others', () => {
    const nested = (depth: number): string => (depth === 0 ? 'b' : `(?=.*${nested(depth - 1)})`);
    expect(compileRegex(nested(12))!('a'.repeat(256))).toBe(false);
    expect(compileRegex(nested(12))!(`${'a'.repeat(256)}b`)).toBe(true);
  });

  it('compiles a lookahead once, however often it is repeated', () => {
    const repeated = (depth: number): string => (depth === 0 ? 'b' : `(?:(?=${repeated(depth - 1)})b){999}`);
    expect(compileRegex(repeated(8))!('a')).toBe(false);
  });

  it('compiles repetitions of nothing at once', () => {
    const nothing = (depth: number): string => (depth === 0 ? '' : `(?:${nothing(depth - 1)}){9999}`);
    expect(compileRegex(`${nothing(8)}a`, true)!('a')).toBe(true);
  });

  it.each([
    ['(a|aa)*b', 200],
    // its marks: 99 times 99 of them, and few steps
    ['(?:a{98}|b)c', 30],
    // 40 runs from 40 positions
    ['.*(?=.*b)c', 3000],
    [`(?:${'|'.repeat(400)}b)`, 350],
  ])('takes at most the steps that it is given: %j', (pattern, enough) => {
    const text = 'a'.repeat(40);
    const run = (steps: number) => compileRegex(pattern, true, new MatchSteps(steps))!(text);
    expect(run(4 * enough)).toBe(false);
    expect(() => run(enough)).toThrow(
      expect.objectContaining({
        code: 'ADAPTER_UNSUPPORTED',
        message: expect.stringContaining('list the modules by name'),
      }),
    );
  });

  it('shares the steps between all matches of all expressions', () => {
    const steps = new MatchSteps(1000);
    const [first, second] = ['.*b', '.*c'].map((pattern) => compileRegex(pattern, true, steps)!);
    const both = () => {
      for (let i = 0; i < 100; i += 1) {
        first!('aaa');
        second!('aaa');
      }
    };
    expect(both).toThrow(expect.objectContaining({ code: 'ADAPTER_UNSUPPORTED' }));
    expect(() => first!('')).toThrow(expect.objectContaining({ code: 'ADAPTER_UNSUPPORTED' }));
  });

  it('knows members of a class beyond ASCII', () => {
    expect(compileRegex('[^a]', true)!('é')).toBe(true);
    expect(compileRegex('[aé-ü]', true)!('ö')).toBe(true);
    expect(compileRegex('[aé]', true)!('ü')).toBe(false);
  });

  it("agrees with the engine's own matcher on random expressions", () => {
    const leaf = fc.constantFrom('a', 'b', '.', String.raw`\.`, '[ab]', '[^a]', String.raw`\w`, '^', '$');
    const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
      pattern: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.tuple(tie('pattern'), tie('pattern')).map(([x, y]) => x + y),
        fc.tuple(tie('pattern'), tie('pattern')).map(([x, y]) => `(?:${x}|${y})`),
        fc
          .tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '{2}', '{1,3}', '*?'))
          .map(([x, q]) => `(?:${x})${q}`),
        tie('pattern').map((x) => `(?!${x})`),
        tie('pattern').map((x) => `(?=${x})`),
      ),
    }));
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '1'), maxLength: 8 });
    fc.assert(
      fc.property(pattern, text, (source, given) => {
        const compiled = compileRegex(source, true);
        fc.pre(compiled !== null);
        expect(compiled(given)).toBe(new RegExp(`^(?:${source})$`).test(given));
      }),
      { numRuns: 3000 },
    );
  });
});
