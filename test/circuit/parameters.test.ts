import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bn254 } from '@noble/curves/bn254.js';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  circuitFiles,
  MAX_PARAMETERS_JSON,
  parameterSetId,
  parseParameterSet,
  verificationKeyOf,
} from '../../src/circuit/parameters.js';
import { codeOf, DEVELOPMENT_DIR } from './helpers.js';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Description = {
  [key: string]: Json;
  powers: { [key: string]: Json };
  domains: { [key: string]: Json }[];
  circuits: { [key: string]: Json }[];
  contributions: { [key: string]: Json }[];
};

let json: string;

beforeAll(async () => {
  json = await readFile(join(DEVELOPMENT_DIR, 'params.json'), 'utf8');
});

function changed(change: (description: Description) => void): string {
  const description = JSON.parse(json) as Description;
  change(description);
  return JSON.stringify(description);
}

/** A multiple of the generator of G2 by @noble/curves, as params.json has it. */
function g2Hex(scalar: bigint): string {
  const { x, y } = bn254.G2.Point.BASE.multiply(scalar).toAffine();
  return [x.c1, x.c0, y.c1, y.c0].map((value) => value.toString(16).padStart(64, '0')).join('');
}

/** The description of a ceremony, with a participant wherever one is needed. */
function makeCeremony(d: Description): void {
  d.kind = 'ceremony';
  d.transcript = { sha256: '1'.repeat(64) };
  d.tauG2 = g2Hex(5n);
  for (const contribution of d.contributions) contribution.kind = 'participant';
  const first = { ...d.contributions[0]!, phase: 'powers-of-tau', pairs: null };
  d.contributions.unshift(first);
}

describe('parameterSetId', () => {
  test('of the committed set', () => {
    expect(parameterSetId(parseParameterSet(json))).toBe(
      'a42056532ea0b8acd7d5a7449823df5b805f772779c59e42b4fb7900a3d3694f',
    );
  });

  test('depends on content, not on spacing or the order of keys', () => {
    const id = parameterSetId(parseParameterSet(json));
    const reversed = Object.fromEntries(Object.entries(JSON.parse(json)).reverse());
    expect(parameterSetId(parseParameterSet(JSON.stringify(reversed)))).toBe(id);
  });

  test.each([
    [
      'kind',
      (d: Description) => {
        makeCeremony(d);
      },
    ],
    [
      'source',
      (d: Description) => {
        d.source = 'elsewhere';
      },
    ],
    [
      'powers digest',
      (d: Description) => {
        d.powers.sha256 = '0'.repeat(64);
      },
    ],
    [
      'powers count',
      (d: Description) => {
        d.powers.count = 1028;
      },
    ],
    [
      'domain digest',
      (d: Description) => {
        d.domains[1]!.sha256 = '0'.repeat(64);
      },
    ],
    [
      'a domain less',
      (d: Description) => {
        d.domains.pop();
      },
    ],
    [
      'key digest',
      (d: Description) => {
        d.circuits[2]!.zkeySha256 = '0'.repeat(64);
      },
    ],
    [
      'verification key digest',
      (d: Description) => {
        d.circuits[0]!.vkeySha256 = '0'.repeat(64);
      },
    ],
    [
      'r1cs digest',
      (d: Description) => {
        d.circuits[0]!.r1csSha256 = '0'.repeat(64);
      },
    ],
    [
      'contribution name',
      (d: Description) => {
        d.contributions[0]!.name = 'somebody';
      },
    ],
    [
      'a contribution more',
      (d: Description) => {
        d.contributions.push(d.contributions[0]!);
      },
    ],
  ])('changes with: %s', (_, change) => {
    const id = parameterSetId(parseParameterSet(json));
    expect(parameterSetId(parseParameterSet(changed(change)))).not.toBe(id);
  });
});

describe('parseParameterSet refuses', () => {
  test.each([
    ['empty text', () => ''],
    ['no JSON', () => json.slice(0, -10)],
    ['null', () => 'null'],
    ['an array', () => '[]'],
    ['a number', () => '1e999'],
    ['more text than allowed', () => json + ' '.repeat(MAX_PARAMETERS_JSON)],
    ['deep nesting', () => '['.repeat(100_000)],
    [
      'an unknown key',
      () =>
        changed((d) => {
          d.extra = 1;
        }),
    ],
    [
      'an unknown key with line breaks',
      () =>
        changed((d) => {
          d['x\ny'] = 1;
        }),
    ],
    ['the key __proto__', () => json.replace('{', '{"__proto__": {"format": 1},')],
    [
      'an unknown key in a circuit',
      () =>
        changed((d) => {
          d.circuits[0]!.extra = 1;
        }),
    ],
    [
      'another format',
      () =>
        changed((d) => {
          d.format = 'zklora/params/v2';
        }),
    ],
    [
      'another curve',
      () =>
        changed((d) => {
          d.curve = 'bls12381';
        }),
    ],
    [
      'another kind',
      () =>
        changed((d) => {
          d.kind = 'trusted';
        }),
    ],
    [
      'a missing key',
      () =>
        changed((d) => {
          delete d.source;
        }),
    ],
    [
      'a digest in capitals',
      () =>
        changed((d) => {
          d.powers.sha256 = 'A'.repeat(64);
        }),
    ],
    [
      'a short digest',
      () =>
        changed((d) => {
          d.powers.sha256 = 'a'.repeat(63);
        }),
    ],
    [
      'a digest with a line break',
      () =>
        changed((d) => {
          d.powers.sha256 = `${'a'.repeat(64)}\n`;
        }),
    ],
    [
      'too few powers',
      () =>
        changed((d) => {
          d.powers.count = 1026;
        }),
    ],
    [
      '2^53 powers',
      () =>
        changed((d) => {
          d.powers.count = 2 ** 53;
        }),
    ],
    [
      'half a power',
      () =>
        changed((d) => {
          d.powers.count = 1027.5;
        }),
    ],
    [
      'no domains',
      () =>
        changed((d) => {
          d.domains = [];
        }),
    ],
    [
      '10^5 domains',
      () =>
        changed((d) => {
          d.domains = new Array(10 ** 5).fill(d.domains[0]!);
        }),
    ],
    [
      'a domain twice',
      () =>
        changed((d) => {
          d.domains[1]!.size = 512;
        }),
    ],
    [
      'domains descending',
      () =>
        changed((d) => {
          d.domains.reverse();
        }),
    ],
    [
      'a domain that is no power of two',
      () =>
        changed((d) => {
          d.domains[1]!.size = 1000;
        }),
    ],
    [
      'a domain below the smallest',
      () =>
        changed((d) => {
          d.domains[0]!.size = 256;
        }),
    ],
    [
      'a domain above the largest',
      () =>
        changed((d) => {
          d.domains[1]!.size = 2 ** 21;
          d.powers.count = 2 ** 21 + 3;
        }),
    ],
    [
      'no circuits',
      () =>
        changed((d) => {
          d.circuits = [];
        }),
    ],
    [
      'circuits descending',
      () =>
        changed((d) => {
          d.circuits.reverse();
        }),
    ],
    [
      'a circuit twice',
      () =>
        changed((d) => {
          d.circuits.splice(1, 0, d.circuits[0]!);
        }),
    ],
    [
      'a circuit size that is not built',
      () =>
        changed((d) => {
          d.circuits[0]!.pairs = 16;
        }),
    ],
    [
      'a circuit with a constraint less',
      () =>
        changed((d) => {
          d.circuits[0]!.constraints = 16;
        }),
    ],
    [
      'no contributions',
      () =>
        changed((d) => {
          d.contributions = [];
        }),
    ],
    [
      'a circuit without contribution',
      () =>
        changed((d) => {
          d.contributions.pop();
        }),
    ],
    [
      'a contribution to no circuit',
      () =>
        changed((d) => {
          d.contributions[0]!.pairs = 31;
        }),
    ],
    [
      'a phase-2 contribution to no size',
      () =>
        changed((d) => {
          d.contributions[0]!.pairs = null;
        }),
    ],
    [
      'a phase-1 contribution to one size',
      () =>
        changed((d) => {
          d.contributions[0]!.phase = 'powers-of-tau';
        }),
    ],
    [
      '2000 contributions',
      () =>
        changed((d) => {
          d.contributions = new Array(2000).fill(d.contributions[0]!);
        }),
    ],
    [
      'a name with a line break',
      () =>
        changed((d) => {
          d.contributions[0]!.name = 'a\nb';
        }),
    ],
    [
      'a long name',
      () =>
        changed((d) => {
          d.contributions[0]!.name = 'a'.repeat(129);
        }),
    ],
    [
      'a source with control characters',
      () =>
        changed((d) => {
          d.source = '\u001b[31m';
        }),
    ],
    [
      'tauG2 off the curve',
      () =>
        changed((d) => {
          d.tauG2 = '1'.repeat(256);
        }),
    ],
    [
      'tauG2 the identity',
      () =>
        changed((d) => {
          d.tauG2 = '0'.repeat(256);
        }),
    ],
    [
      'tauG2 too short',
      () =>
        changed((d) => {
          d.tauG2 = (d.tauG2 as string).slice(2);
        }),
    ],
  ] as [string, () => string][])('%s', async (_, make) => {
    expect(await codeOf(() => parseParameterSet(make()))).toBe('PARAMETERS_MALFORMED');
  });

  test('whatever a random edit gives, or reads it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(json.length - 1), fc.string({ maxLength: 4 }), async (at, insert) => {
        const edited = json.slice(0, at) + insert + json.slice(at + 1);
        expect(['PARAMETERS_MALFORMED', 'no error']).toContain(await codeOf(() => parseParameterSet(edited)));
      }),
      { seed: 5, numRuns: 300 },
    );
  });

  test('but accepts a ceremony with participants in both phases', () => {
    const set = parseParameterSet(changed(makeCeremony));
    expect(set.kind).toBe('ceremony');
    expect(set.contributions).toHaveLength(4);
    expect(set.transcript).toEqual({ sha256: '1'.repeat(64) });
  });

  test.each([
    [
      'without transcript',
      (d: Description) => {
        delete d.transcript;
      },
    ],
    [
      'without phase 1',
      (d: Description) => {
        d.contributions.shift();
      },
    ],
    [
      'with a beacon only in phase 1',
      (d: Description) => {
        d.contributions[0]!.kind = 'beacon';
      },
    ],
    [
      'with a beacon only for a circuit',
      (d: Description) => {
        d.contributions[2]!.kind = 'beacon';
      },
    ],
    [
      'with a transcript of another form',
      (d: Description) => {
        d.transcript = { sha256: 'A'.repeat(64) };
      },
    ],
    ['with tau = 1', (d: Description) => Object.assign(d, { tauG2: g2Hex(1n) })],
    ['with tau = -1', (d: Description) => Object.assign(d, { tauG2: g2Hex(bn254.G2.Point.Fn.ORDER - 1n) })],
    [
      'with the tau of the development set',
      (d: Description) => Object.assign(d, { tauG2: (JSON.parse(json) as Description).tauG2 }),
    ],
  ])('a ceremony %s', async (_, change) => {
    const json = changed((d) => {
      makeCeremony(d);
      change(d);
    });
    expect(await codeOf(() => parseParameterSet(json))).toBe('PARAMETERS_MALFORMED');
  });
});

describe('verification keys of a set', () => {
  test('are read when their digest is in the set', async () => {
    const set = parseParameterSet(json);
    const bytes = new Uint8Array(await readFile(join(DEVELOPMENT_DIR, 'rank_check_63.vkey')));
    expect(verificationKeyOf(set, 63, bytes).pairs).toBe(63);
    expect(circuitFiles(set, 63).constraints).toBe(65);
  });

  test('are refused when it is not', async () => {
    const set = parseParameterSet(json);
    const bytes = new Uint8Array(await readFile(join(DEVELOPMENT_DIR, 'rank_check_63.vkey')));
    expect(await codeOf(() => verificationKeyOf(set, 15, bytes))).toBe('PARAMETERS_MISMATCH');
    expect(await codeOf(() => verificationKeyOf(set, 63, bytes.slice(1)))).toBe('PARAMETERS_MISMATCH');
    expect(await codeOf(() => verificationKeyOf(set, 31, bytes))).toBe('PARAMETERS_MISMATCH');
  });
});
