import fc from 'fast-check';
import { type MemoryFile, powersOfTau } from 'snarkjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Engine, loadEngine, vectorFromScalars } from '../../src/algebra/index.js';
import { bytesToHex, concatBytes, equalBytes, utf8ToBytes } from '../../src/bytes.js';
import { firstChallenge, requirePowersChain } from '../../src/ceremony/powersChain.js';
import {
  type PowersTranscript,
  parseTranscript,
  parseTranscriptFile,
  serializeTranscript,
} from '../../src/ceremony/transcript.js';
import { serializeBinFile } from '../../src/circuit/binfile.js';
import { multiplyGenerator } from '../../src/kzg/fixedBase.js';
import { codeOf } from '../circuit/helpers.js';
import {
  BEACON,
  contributionSection,
  knownSecrets,
  nonCanonical,
  outsideSubgroup,
  overwritten,
  sectionOf,
  snarkjsPtau,
  u32le,
} from './support.js';

const POWER = 2;
let engine: Engine;
let header: Uint8Array;
let section: Uint8Array;
let hashes: readonly Uint8Array[];
let transcript: PowersTranscript;
/** Offsets of the contributions in the section. */
let starts: readonly number[];

// a contribution: tauG1 | tauG2 | alphaG1 | betaG1 | betaG2 | six G1, three G2 | state | challenge | type | length | note
const G1_OFFSETS = [0, 192, 256, 448, 512, 576, 640, 704, 768];
const G2_OFFSETS = [64, 320, 832, 960, 1088];
const STATE = 1216;
const CHALLENGE = STATE + 216;
const TYPE = CHALLENGE + 64;
const NOTE = TYPE + 8;

beforeAll(async () => {
  engine = await loadEngine();
  const made = await snarkjsPtau(engine, POWER);
  ({ hashes } = made);
  header = sectionOf(made.ptau, 1);
  section = sectionOf(made.ptau, 7);
  transcript = await parseTranscript(engine, header, section);
  const lengths = ['Alice', 'Bób'].map((name) => NOTE + 2 + utf8ToBytes(name).length);
  starts = [4, 4 + lengths[0]!, 4 + lengths[0]! + lengths[1]!];
});
afterAll(() => engine.terminate());

const parse = (bytes: Uint8Array) => parseTranscript(engine, header, bytes);
const chain = async (bytes: Uint8Array) => requirePowersChain(engine, await parse(bytes));
const at = (contribution: number, offset: number, part: Uint8Array) =>
  overwritten(section, starts[contribution]! + offset, part);

describe('a transcript of snarkjs', () => {
  test('has the names, beacons and response hashes that snarkjs gave', () => {
    expect(transcript).toMatchObject({ power: POWER, ceremonyPower: POWER });
    const seen = transcript.contributions.map(({ name, beacon }) => [
      name,
      beacon && [bytesToHex(beacon.value), beacon.iterationsExponent],
    ]);
    expect(seen).toEqual([
      ['Alice', null],
      ['B?b', null],
      ['final beacon', [BEACON, 10]],
    ]);
    expect(transcript.contributions.map(({ responseHash }) => responseHash)).toEqual(hashes);
  });

  test('leads to the accumulator of the last contribution', async () => {
    expect(await requirePowersChain(engine, transcript)).toEqual(transcript.contributions[2]!.after);
  });

  test('starts from the digest of a blank accumulator', async () => {
    const blank: MemoryFile = { type: 'mem' };
    for (const power of [1, 2, 10]) {
      const expected = await powersOfTau.newAccumulator(engine.curve, power, blank);
      expect(equalBytes(firstChallenge(engine, power), expected)).toBe(true);
    }
  });

  test('starts, in the Perpetual Powers of Tau, from what its first participant attested', () => {
    // perpetualpowersoftau, 0001_weijie_response: BLAKE2b of challenge_initial
    expect(bytesToHex(firstChallenge(engine, 28))).toBe(
      '93da91920d5a54a8a0fde55cd9dc3a10c4f3eef768b62c0948741370864254b4' +
        'c1920f3f29d4ebc0ef3acecf2e2db63a755713d77e1ed77347a56fbc317c7a93',
    );
  });

  test('survives being written', async () => {
    expect(await parseTranscriptFile(engine, serializeTranscript(header, section))).toEqual(transcript);
  });

  test('so does that of another maker', async () => {
    const made = await parse(await contributionSection(engine, knownSecrets('maker'), POWER));
    await requirePowersChain(engine, made);
    expect(made.contributions.map(({ name }) => name)).toEqual(['known']);
  });
});

describe('contributions that do not follow from one another', () => {
  test.each([0, 1, 2].flatMap((i) => G1_OFFSETS.map((offset) => [i, offset])))(
    'contribution %i, another G1 point at %i',
    async (i, offset) => {
      const other = await multiplyGenerator(engine, 'G1', vectorFromScalars(engine, [77n]));
      expect(await codeOf(() => chain(at(i!, offset!, other)))).toBe('PARAMETERS_MISMATCH');
    },
  );

  test.each([0, 1, 2].flatMap((i) => G2_OFFSETS.map((offset) => [i, offset])))(
    'contribution %i, another G2 point at %i',
    async (i, offset) => {
      const other = await multiplyGenerator(engine, 'G2', vectorFromScalars(engine, [77n]));
      expect(await codeOf(() => chain(at(i!, offset!, other)))).toBe('PARAMETERS_MISMATCH');
    },
  );

  const swap = (order: readonly number[]) => () =>
    concatBytes(
      u32le(order.length),
      ...order.map((i) => section.slice(starts[i]!, starts[i + 1] ?? section.length)),
    );
  test.each([
    ['the first left out', swap([1, 2])],
    ['one left out', swap([0, 2])],
    ['two exchanged', swap([1, 0, 2])],
    ['one twice', swap([0, 0, 1, 2])],
    ['another digest after the first', () => at(0, CHALLENGE, Uint8Array.of(1))],
    ['another beacon', () => at(2, section.length - starts[2]! - 1, Uint8Array.of(0))],
    ['another number of iterations', () => at(2, section.length - starts[2]! - 35, Uint8Array.of(11))],
  ] as [string, () => Uint8Array][])('%s', async (_, make) => {
    expect(await codeOf(() => chain(make()))).toBe('PARAMETERS_MISMATCH');
  });

  test('the last left out still follow: they lead elsewhere', async () => {
    expect(await chain(swap([0, 1])())).toEqual(transcript.contributions[1]!.after);
  });

  test('of a ceremony of another power', async () => {
    const larger = overwritten(header, 40, u32le(3));
    const parsed = await parseTranscript(engine, larger, section);
    expect(await codeOf(() => requirePowersChain(engine, parsed))).toBe('PARAMETERS_MISMATCH');
  });
});

describe('a ceremony without participants', () => {
  test('no contributions', async () => {
    expect(await codeOf(() => chain(u32le(0)))).toBe('CEREMONY_INCOMPLETE');
  });

  test('a beacon only', async () => {
    const blank: MemoryFile = { type: 'mem' };
    const after: MemoryFile = { type: 'mem' };
    await powersOfTau.newAccumulator(engine.curve, POWER, blank);
    await powersOfTau.beacon(blank.data!, after, 'beacon', BEACON, 10);
    expect(await codeOf(() => chain(sectionOf(after.data!, 7)))).toBe('CEREMONY_INCOMPLETE');
  });
});

describe('hostile transcripts', () => {
  const note = (type: number, fields: readonly number[]) => () =>
    contributionSection(
      engine,
      knownSecrets('note'),
      POWER,
      concatBytes(u32le(type), u32le(fields.length), Uint8Array.from(fields)),
    );
  const ok = [1, 1, 65];
  const beacon = [2, 10, 3, 2, 1, 2];

  test.each([
    ['empty', () => new Uint8Array()],
    ['half a count', () => new Uint8Array(3)],
    ['a contribution too many', () => overwritten(section, 0, u32le(4))],
    ['a contribution too few', () => overwritten(section, 0, u32le(2))],
    ['1025 contributions', () => overwritten(section, 0, u32le(1025))],
    ['2^32 - 1 contributions', () => overwritten(section, 0, u32le(0xffffffff))],
    ['truncated', () => section.slice(0, -1)],
    ['truncated in a point', () => section.slice(0, 4 + 100)],
    ['trailing byte', () => concatBytes(section, new Uint8Array(1))],
    ['a hash state with 129 bytes in its block', () => at(0, STATE + 200, Uint8Array.of(129))],
    ['a hash state with 2^32 bytes in its block', () => at(0, STATE + 204, Uint8Array.of(1))],
    ['type 2', note(2, ok)],
    ['type 2^32 - 1', note(0xffffffff, ok)],
    ['a note of 2^32 - 1 bytes', () => at(0, TYPE + 4, u32le(0xffffffff))],
    ['a note longer than the rest', () => at(2, TYPE + 4, u32le(700))],
    ['a name longer than its note', note(0, [1, 200, 65])],
    ['half a field', note(0, [1])],
    ['an unknown field', note(0, [4, 0])],
    ['field 0', note(0, [0, 0])],
    ['two names', note(0, [...ok, ...ok])],
    ['fields out of order', note(1, [...beacon, ...ok])],
    ['a participant with a beacon', note(0, [...ok, ...beacon])],
    ['a participant with iterations', note(0, [...ok, 2, 10])],
    ['a beacon without value', note(1, [...ok, 2, 10])],
    ['a beacon of no bytes', note(1, [2, 10, 3, 0])],
    ['a beacon without iterations', note(1, [3, 2, 1, 2])],
    ['a beacon of 2^255 iterations', () => at(2, section.length - starts[2]! - 35, Uint8Array.of(255))],
    ['a beacon of 2^32 iterations', () => at(2, section.length - starts[2]! - 35, Uint8Array.of(32))],
    ...G1_OFFSETS.flatMap((offset): [string, () => Uint8Array][] => [
      [`off the curve at ${offset}`, () => at(0, offset, Uint8Array.of(1, 2, 3))],
      [`the identity at ${offset}`, () => at(1, offset, new Uint8Array(64))],
      [
        `not canonical at ${offset}`,
        () => at(1, offset, nonCanonical(section.slice(starts[1]! + offset, starts[1]! + offset + 64))),
      ],
    ]),
    ...G2_OFFSETS.flatMap((offset): [string, () => Uint8Array][] => [
      [`off the twist at ${offset}`, () => at(0, offset, Uint8Array.of(1, 2, 3))],
      [`the identity at ${offset}`, () => at(1, offset, new Uint8Array(128))],
      [`outside the subgroup at ${offset}`, () => at(0, offset, outsideSubgroup(engine))],
    ]),
  ] as [string, () => Uint8Array | Promise<Uint8Array>][])('refuses: %s', async (_, make) => {
    const bytes = await make();
    expect(await codeOf(() => chain(bytes))).toBe('PARAMETERS_MALFORMED');
  });

  test('a contribution without name is fine', async () => {
    expect((await parse(await note(0, [])())).contributions[0]!.name).toBe('');
  });

  test('names cannot carry control characters', async () => {
    const made = await parse(await note(0, [1, 3, 27, 10, 65])());
    expect(made.contributions[0]!.name).toBe('??A');
  });

  test('files with other sections', async () => {
    const file = (ids: readonly number[]) =>
      serializeBinFile(
        'ptau',
        1,
        ids.map((id) => ({ id, data: id === 1 ? header : section })),
      );
    for (const ids of [[], [1], [7], [1, 7, 2]]) {
      expect(await codeOf(() => parseTranscriptFile(engine, file(ids)))).toBe('PARAMETERS_MALFORMED');
    }
    expect(await codeOf(() => parseTranscriptFile(engine, file([7, 1])))).toBe('no error');
  });

  test('any changed byte is refused with a named code, or is in a place that nothing depends on', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(section.length - 1),
        fc.integer({ min: 1, max: 255 }),
        async (position, mask) => {
          const changed = overwritten(section, position, Uint8Array.of(section[position]! ^ mask));
          const code = await codeOf(() => chain(changed));
          expect(['PARAMETERS_MALFORMED', 'PARAMETERS_MISMATCH', 'no error']).toContain(code);
          if (code !== 'no error') return;
          // what is left: names, hash states, the digest after the last
          const before = transcript.contributions;
          const after = (await parse(changed)).contributions;
          const differs = after.some(
            (contribution, i) =>
              contribution.name !== before[i]!.name ||
              !equalBytes(contribution.responseHash, before[i]!.responseHash) ||
              !equalBytes(contribution.nextChallenge, before[i]!.nextChallenge),
          );
          expect(differs || position >= starts[0]! + STATE).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
  });
});
