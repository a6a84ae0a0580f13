// Why a mutant may live: the first rule that fits a survivor gives its reason.

const source = (pattern) => (mutant) => pattern.test(mutant.source);
/** A mutant of a run has a file, one of the result a place. */
const inFile =
  (path) =>
  ({ file, at }) =>
    (file ?? at).startsWith(path);
/** The loop or check as a whole is not in question. */
const boundary = ({ mutator, replacement }) =>
  mutator === 'EqualityOperator' ? !replacement.includes('>= text') : replacement === 'true';
const emptied = ({ mutator, replacement }) => mutator === 'StringLiteral' && /^(``|"")$/.test(replacement);

/** @type {readonly { reason: string, fits: (mutant: object) => boolean }[]} */
const REASONS = [
  {
    reason:
      'Text of a message, which no program reads. Codes and reasons are tested everywhere; the words where a user meets them most.',
    fits: (mutant) =>
      emptied(mutant) &&
      /malformed\(|refused?\(|refusal\(|Error\(|Refusal\(|inconsistent\(|return ['`]|^['`"][^'`"]* [^'`"]*['`"],?( \+)?$|^'[^']+',$|message|falseSum|readFileBounded|join\(', '\)|'expected|requireDigest\(`|'the file'\)/.test(
        mutant.source,
      ),
  },
  {
    reason: 'Details or cause of an error, for people who debug: no behaviour.',
    fits: (mutant) =>
      source(/\bcause\b|details/)(mutant) ||
      (mutant.mutator === 'ObjectLiteral' && source(/new ZkLoraError\(.*, \{$/)(mutant)),
  },
  {
    reason: 'What a message says where the validator gives no issue or no text: it always gives both.',
    fits: source(/issues?(\[0\])?\?|MAX_MESSAGE|top level/),
  },
  {
    reason: 'Secrets overwritten after use: memory that nothing refers to any more is not visible to a test.',
    fits: (mutant) =>
      source(/fill\(0/)(mutant) || (inFile('src/circuit/rankCheck.ts')(mutant) && source(/finally/)(mutant)),
  },
  {
    reason: 'Progress display.',
    fits: source(/onProgress|onLane|report\(|done\+\+|const total = COMBINATIONS/),
  },
  {
    reason:
      'Second line of defence: a check of our own output, or of what another check has excluded, which fails only where the rest of the code is wrong.',
    fits: (mutant) =>
      (mutant.replacement !== 'true' || mutant.mutator === 'BooleanLiteral') &&
      source(/inconsistent\(|'INTERNAL'|isIdentity|isZero|hash === false|matchesVerificationKey/)(mutant),
  },
  {
    reason:
      'Reached with negligible probability, or only where the rest of the code is wrong: equations that hold one by one but not together, a division that leaves another remainder.',
    fits: source(/do not hold together|remainder !== Fr\.add/),
  },
  {
    reason: "The package's own files beside their lock: no test has a broken installation.",
    fits: (mutant) =>
      inFile('src/circuit/circuitFiles.ts')(mutant) &&
      source(/lockSchema|z\.object\(|z\.literal\(|expected\) \{|is not a circuit lock|level < 3/)(mutant),
  },
  {
    reason: "The platform's implementation or the portable one: both give the same bytes.",
    fits: source(/getBuiltinModule|if \(!platform\)/),
  },
  {
    reason: 'A session of 2^31 rows, a section of 4 GiB: no test builds one.',
    fits: source(/> MAX_TOKENS\) \{|view\.setUint32\(at \+ 8, Math\.floor|getUint32\(at \+ 8, true\) \* 2/),
  },
  {
    reason:
      'One step more writes beyond the end of a typed array, which ignores it, or makes a value that nobody reads.',
    fits: (mutant) =>
      mutant.mutator === 'EqualityOperator' &&
      mutant.replacement.includes('<=') &&
      source(
        /\b([cjkqs]|row) < (COMBINATIONS|SKETCHES_EACH|BLINDER_DIGITS|size|domainSize|rowCount|height|width); \1\+\+|block < domainSize/,
      )(mutant),
  },
  {
    reason: 'The domain is a power of two, the bound is none: they are never equal.',
    fits: (mutant) => mutant.mutator === 'EqualityOperator' && source(/domainSize < SKETCHES/)(mutant),
  },
  {
    reason:
      'The first has none before it: nothing is at most undefined, and a set finds what is there twice.',
    fits: (mutant) =>
      /^(true|\w+ >= 0|module >= users\[i - 1\]!)$/.test(mutant.replacement) &&
      source(/> 0 && index <= \w+\[\w+ - 1\]|module > users\[i - 1\]/)(mutant),
  },
  {
    reason: 'More bytes than are read, or a list that grows as it is filled: the same values.',
    fits: source(/const blocks = Math\.ceil\(bits|randomBytes\(Math\.ceil\(MASK_BITS|new Array<bigint>\(/),
  },
  {
    reason:
      'Work on columns that nobody reads, on groups without rows, or on zeros: the sums are the same (test/protocol/registration/sums.test.ts compares them with their definition).',
    fits: (mutant) =>
      inFile('src/protocol/registration/combinations.ts')(mutant) &&
      source(/from >= to|fillSubsets\(|const width =|length: Math\.ceil|subset === 0/)(mutant),
  },
  {
    reason:
      'Ranges in one lane are apart, or begin together: their order does not matter, and an overlap that is too long adds zeros.',
    fits: source(
      /ranges\.values\(\)\]\.sort|const overlap =|placeVector\(values, subVector\(combined, overlap/,
    ),
  },
  {
    reason: 'What gets by this check fails at the next one with the same code.',
    fits: (mutant) =>
      source(/length > bytes\.length - at\)|entries > wires\)/)(mutant) ||
      // what is there twice is found by a set
      (mutant.mutator === 'EqualityOperator' && source(/firsts\[i - 1\]|<= previous/)(mutant)),
  },
  {
    reason: 'A subarray ends where its array ends: what is asked for beyond is not there.',
    fits: source(/points\.length - size\), weights|subVector\(running, 1, size - 1\)/),
  },
  {
    reason: 'Any high word but zero is above every limit, in either byte order.',
    fits: source(/getUint32\(4, true\) \* 2/),
  },
  {
    reason: 'The file has been read once before, which refuses it already.',
    fits: source(/parseBinFile\(zkey, 'zkey', 1, 'PARAMETERS_MALFORMED'\)/),
  },
  {
    reason: 'Nothing is allocated after it: the memory behind is free while it is used.',
    fits: source(/alloc\(2 \* bytes\)/),
  },
  {
    reason: 'Only keys of objects are looked up, and a colon tells them.',
    fits: source(/open\.push\(char === '\{'/),
  },
  {
    reason: 'A negative remainder, and a remainder of zero, are below any number of pairs.',
    fits: (mutant) =>
      // the lower bound alone: what is padding is tested
      (mutant.at ?? `:${mutant.column}`).endsWith(':34') &&
      /^(true|i > 2)$/.test(mutant.replacement) &&
      source(/isPlain = \(i: number\) => i >= 2/)(mutant),
  },
  {
    reason:
      'Noticed by "remakes the committed files" (test/circuit/development.test.ts), which does not fit the seconds of a run.',
    fits: source(/^const SECRET_LABEL/),
  },
  {
    reason: 'The parser takes no signs.',
    fits: source(/isSafeInteger\(entry\) && entry >= 0/),
  },
  {
    reason: 'Never equal, and rounded up to the same power of two, for the sizes that exist.',
    fits: source(/size < constraintCount/),
  },
  {
    reason: 'The slower way finds the same point, or the same error.',
    fits: source(/error\.code === 'POINT_INVALID'/),
  },
  {
    reason: 'Without members there is no other member, either.',
    fits: source(/first === undefined \|\| other|first\?\.commitment/),
  },
  {
    reason:
      'Domains that ascend to the largest, as `params make-development` makes them; the largest of all, 2^20, takes minutes.',
    fits: (mutant) =>
      inFile('src/circuit/development.ts')(mutant) &&
      source(/size === maxDomain|!domains\.includes|size <= MAX_PARAMETERS_DOMAIN/)(mutant),
  },
  {
    reason: 'The one value that the code distinguishes is another.',
    fits: source(/numbers: JsonNumbers = 'any'|crossTerm\('low'/),
  },
  {
    reason: 'A copy that guards against a callee that changes its argument: none does.',
    fits: ({ mutator, source: line }) => mutator === 'MethodExpression' && /slice\(/.test(line),
  },
  {
    reason:
      'Speed or memory only: a cache, a batch size, a number of parallel tasks. The result is the same.',
    fits: source(
      /\?\?=|PARALLEL|CHUNK|corrections|\bcache|\bkept\b|KEPT_BYTES|\broom\b|locked|= await loaded|wanted\.row < place\.row|if \(value === undefined\)|block !== this\.#block|weight === 1n \?|ROWS_PER_THREAD|keys\.has\(circuit\)|!loaded\)|engine\.threads \+ 1|batch\.length < count|const arrays = |MAX_PENDING_FOLDS|tokens <= MAX_TOKENS_AT_POINT|values && position !== undefined/,
    ),
  },
  {
    reason: 'A bound of hundreds of megabytes: no test builds such a file.',
    fits: source(/MAX_CALL_FILE_BYTES|MAX_HEADER_BYTES|maxHeaderBytes/),
  },
  {
    reason:
      'Equal on every input that reaches the line: names are unique, the end is guarded by what follows, keys lie inside an object.',
    fits: (mutant) =>
      boundary(mutant) &&
      source(/nameA < nameB|end > 0 && header|next < text\.length|at < text\.length/)(mutant),
  },
  {
    reason:
      'The power that the file repeats for its ceremony, and byte orders of numbers that no test reads back.',
    fits: source(/view\.setUint32\((36|40)/),
  },
];

/** The reason of a survivor; empty when no rule knows it. */
export function reasonFor(survivor) {
  return REASONS.find(({ fits }) => fits(survivor))?.reason ?? '';
}
