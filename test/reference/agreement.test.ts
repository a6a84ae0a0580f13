import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterId, applyExact, registerAdapter } from '../../src/adapter/index.js';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import { openSessionRecord } from '../../src/inference/index.js';
import { type ProveOptions, proveSession, RANK_CHECKS, type RankCheck } from '../../src/protocol/index.js';
import {
  bothVerdicts,
  developmentFiles,
  expectAccepted,
  expectRefused,
  repinned,
  scenarioFiles,
  type VerifierFiles,
} from '../support/bothVerifiers.js';
import { type ProofSpan, proofLayout } from '../support/proofLayout.js';
import {
  developmentParameters,
  holdSession,
  makeScenario,
  type Scenario,
  type ScenarioOptions,
  seeded,
} from '../support/scenario.js';
import { bytes32, int } from './bytes.js';
import { Q, R } from './field.js';
import { parseProof } from './proof.js';
import { Refusal } from './refusal.js';

let engine: Engine;
let parameters: ParameterStore;

/** Three modules, two of them on one input; two calls; one group or block. */
let base: Scenario;
/** Its proofs. */
let filesBy: Record<RankCheck, VerifierFiles>;
let files: VerifierFiles;
const BASE: ScenarioOptions = {
  shapes: [
    { rank: 2, inFeatures: 9, outFeatures: 5 },
    { rank: 1, inFeatures: 6, outFeatures: 5 },
    { rank: 3, inFeatures: 9, outFeatures: 4 },
  ],
  calls: [2, 3],
  inputs: [[0, 2], [1]],
};

beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
  base = await makeScenario(engine, parameters, BASE);
  filesBy = {
    kzg: scenarioFiles(base, await proveSession({ ...base, rankCheck: 'kzg' })),
    groth16: scenarioFiles(base, await proveSession({ ...base, rankCheck: 'groth16' })),
  };
  files = filesBy.kzg;
});
afterAll(() => engine.terminate());

const proveAndAccept = async (
  options: ScenarioOptions,
  mode: NonNullable<ProveOptions['mode']>,
  rankChecks: readonly RankCheck[] = ['kzg'],
) => {
  const scenario = await makeScenario(engine, parameters, options);
  for (const rankCheck of rankChecks) {
    const proof = await proveSession({ ...scenario, mode, rankCheck });
    await expectAccepted(engine, scenarioFiles(scenario, proof), rankCheck);
  }
};

describe('the reference verifier', () => {
  it('is built on @noble/curves and @noble/hashes alone', () => {
    const folder = new URL('.', import.meta.url);
    const files = readdirSync(folder).filter((name) => !name.endsWith('.test.ts'));
    expect(files).toContain('verify.ts');
    for (const name of files) {
      const text = readFileSync(new URL(name, folder), 'utf8');
      for (const [, source] of text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)) {
        expect(source, name).toMatch(/^(\.\/[A-Za-z0-9]+\.js|@noble\/(curves|hashes)\/.*)$/);
      }
    }
  });
});

describe('both verifiers accept every honest proof', () => {
  it('of random shapes and calls', async () => {
    const random = seeded(77);
    const upTo = (most: number) => 1 + Math.floor(random() * most);
    for (let seed = 0; seed < 3; seed++) {
      const shapes = Array.from({ length: upTo(4) }, () => ({
        rank: upTo(7),
        inFeatures: upTo(40),
        outFeatures: upTo(40),
      }));
      const options = { shapes, calls: [upTo(5), upTo(5)], seed };
      await proveAndAccept(options, 'aggregated', seed === 0 ? RANK_CHECKS : ['kzg']);
    }
  });

  it('with shared inputs and modules that the session leaves out', async () => {
    const shapes = [16, 24, 16, 16, 7].map((inFeatures, i) => ({
      rank: i + 1,
      inFeatures,
      outFeatures: 8 - i,
    }));
    await proveAndAccept({ shapes, calls: [1, 4], inputs: [[0, 2, 3], [4]] }, 'aggregated');
  });

  it('with several groups', async () => {
    const shapes = [250, 4, 10].map((rank) => ({ rank, inFeatures: 5, outFeatures: 3 }));
    await proveAndAccept({ shapes, calls: [2] }, 'aggregated', ['groth16']);
  });

  it('with a block that is full, and with one pair more', async () => {
    const shapes = [256, 253, 1].map((rank) => ({ rank, inFeatures: 2, outFeatures: 2 }));
    const scenario = await makeScenario(engine, parameters, { shapes, calls: [1] });
    for (const [members, blocks] of [
      [[0, 1], 1],
      [[0, 1, 2], 2],
    ] as const) {
      const inputs = members.map((module) => [module]);
      const session = holdSession(scenario.adapter, scenario.modules, inputs, [1], seeded(4));
      const proof = await proveSession({ ...scenario, session, rankCheck: 'kzg' });
      expect(parseProof(proof).proofs[0]!.blocks).toHaveLength(blocks);
      await expectAccepted(engine, scenarioFiles({ ...scenario, session }, proof));
    }
  });

  it('of single modules, over a wider domain', async () => {
    const shapes = [
      { rank: 2, inFeatures: 600, outFeatures: 8 },
      { rank: 16, inFeatures: 8, outFeatures: 1024 },
    ];
    await proveAndAccept({ shapes, calls: [3], inputs: [[0], [1]] }, 'per-module');
  });

  it('at the edges of every integer range', async () => {
    const scenario = await makeScenario(engine, parameters, {
      shapes: [{ rank: 63, inFeatures: 512, outFeatures: 2 }],
      calls: [2],
    });
    const { calls } = scenario.session;
    const module = { ...scenario.modules[0]!, a: new Int16Array(63 * 512).fill(-32767) };
    module.bT.forEach((_, i) => {
      module.bT[i] = i % 2 === 0 ? 32767 : -32767;
    });
    const { commitment, secret } = await registerAdapter({
      engine,
      srs: await parameters.srs(512),
      parametersId: parameters.id,
      modules: [module],
      baseDigest: '11'.repeat(32),
    });
    const x = calls[0]!.inputs[0]!.x;
    x.fill(-32768, 0, 512);
    const exponents = Int16Array.of(-512, 512);
    const outputs = [applyExact(module, x, 2)];
    expect(outputs[0]![0]).toBe(63n * 512n * 32768n * 32767n ** 2n);
    const session = scenario.session.clone();
    Object.assign(session.header, {
      adapterId: adapterId(commitment),
      contributorKey: commitment.contributorKey,
    });
    session.calls[0] = { tokens: 2, inputs: [{ x, exponents }], outputs };
    const edge = { ...scenario, modules: [module], adapter: commitment, secret, session };
    await expectAccepted(engine, scenarioFiles(edge, await proveSession({ ...edge, rankCheck: 'kzg' })));
  });

  it('of the bundled example', async () => {
    const folder = new URL('../../fixtures/example/', import.meta.url);
    const session = await openSessionRecord(new URL('session', folder).pathname);
    await expectAccepted(engine, {
      ...developmentFiles(),
      adapter: readFileSync(new URL('adapter.zkl.json', folder), 'utf8'),
      header: JSON.stringify(session.header),
      secret: readFileSync(new URL('session/session.secret', folder), 'utf8'),
      calls: await Promise.all(Array.from({ length: session.callCount }, (_, i) => session.readCall(i))),
      proof: new Uint8Array(readFileSync(new URL('proof.zkl', folder))),
    });
  });
});

/** A copy with some bytes xored. */
function flipped(proof: Uint8Array, offset: number, mask: number): Uint8Array {
  const copy = Uint8Array.from(proof);
  copy[offset]! ^= mask;
  return copy;
}

/** Whether the bytes still decode, by the reference. */
function decodes(proof: Uint8Array): boolean {
  try {
    parseProof(proof);
    return true;
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
}

/** One single-bit change of an element after which the file still decodes, and one after which it does not. */
function bitFlips(span: ProofSpan, random: () => number): { decoding: Uint8Array; broken?: Uint8Array } {
  let decoding: Uint8Array | undefined;
  let broken: Uint8Array | undefined;
  while (decoding === undefined) {
    const bit = Math.floor(random() * 8 * span.length);
    const mutant = flipped(files.proof, span.offset + (bit >> 3), 1 << (bit & 7));
    if (decodes(mutant)) decoding = mutant;
    else broken = mutant;
  }
  return broken ? { decoding, broken } : { decoding };
}

describe.each([
  ['kzg', 8],
  ['groth16', 22],
] as const)('both verifiers refuse, for the same reason, of a proof by %s', (rankCheck, count) => {
  beforeAll(() => {
    files = filesBy[rankCheck];
  });

  it('a single changed bit in each element of the proof', async () => {
    const random = seeded(5);
    const elements = proofLayout(files.proof).filter(({ kind }) => !['count', 'id'].includes(kind));
    expect(elements).toHaveLength(count);
    for (const span of elements) {
      const { decoding, broken } = bitFlips(span, random);
      await expectRefused(engine, { ...files, proof: decoding }, /^[A-Z0-9_]+_INVALID$/, span.name);
      if (broken) await expectRefused(engine, { ...files, proof: broken }, 'PROOF_MALFORMED', span.name);
    }
  }, 180_000);

  it('the negative of each point of the proof', async () => {
    for (const { kind, name, offset } of proofLayout(files.proof)) {
      if (kind !== 'g1' && kind !== 'g2') continue;
      const proof = flipped(files.proof, offset, 0x40);
      await expectRefused(engine, { ...files, proof }, /^[A-Z0-9_]+_INVALID$/, name);
    }
  });

  it('each byte of counts and ids', async () => {
    for (const { kind, name, offset, length } of proofLayout(files.proof)) {
      // ids are read alike in every version
      if (kind !== 'count' && (kind !== 'id' || rankCheck !== 'kzg')) continue;
      for (let i = 0; i < length; i++) {
        const proof = flipped(files.proof, offset + i, 1 << (i % 8));
        const id = { parameters: 'WRONG_PARAMETERS', adapter: 'WRONG_ADAPTER', session: 'WRONG_SESSION' }[
          name
        ];
        await expectRefused(
          engine,
          { ...files, proof },
          id ?? /^(PROOF_MALFORMED|INCOMPLETE)$/,
          `${name} ${i}`,
        );
      }
    }
  });

  it('a file that is cut, empty or continued', async () => {
    for (const length of [0, 13, 14, 110, 112, 118, files.proof.length - 32, files.proof.length - 1]) {
      const proof = files.proof.slice(0, length);
      await expectRefused(engine, { ...files, proof }, 'PROOF_MALFORMED', `${length} bytes`);
    }
    await expectRefused(engine, { ...files, proof: Uint8Array.of(...files.proof, 0) }, 'PROOF_MALFORMED');
  });

  it('scalars and coordinates that are not reduced, and the identity', async () => {
    const ceiling = 2n ** 256n;
    for (const { kind, name, offset, length } of proofLayout(files.proof)) {
      const proof = Uint8Array.from(files.proof);
      const put = (bytes: Uint8Array) => proof.set(bytes, offset);
      if (kind === 'scalar') put(bytes32((int(proof.slice(offset, offset + 32)) + R) % ceiling));
      else if (kind === 'g1') put(bytes32((2n << 254n) | Q));
      else if (kind === 'g2') put(new Uint8Array(length));
      else continue;
      await expectRefused(engine, { ...files, proof }, 'PROOF_MALFORMED', name);
    }
  });
});

describe('both verifiers refuse, for the same reason,', () => {
  beforeAll(() => {
    files = filesBy.kzg;
  });

  it('another session, even where the proof claims it', async () => {
    const change: Record<string, (session: Scenario['session']) => void> = {
      'an activation': ({ calls }) => {
        calls[1]!.inputs[0]!.x[4]! ^= 1;
      },
      'a delta': ({ calls }) => {
        calls[0]!.outputs[2]![3]! += 1n;
      },
      'the sign of a delta': ({ calls }) => {
        calls[1]!.outputs[1]![0]! *= -1n;
      },
      'an exponent': ({ calls }) => {
        calls[0]!.inputs[1]!.exponents[1]! += 1;
      },
      'the order of calls': ({ calls }) => {
        calls.reverse();
      },
      'a call left out': ({ calls }) => {
        calls.pop();
      },
      'a call twice': ({ calls }) => {
        calls.push(calls[0]!);
      },
      'the nonce': ({ header }) => {
        Object.assign(header, { nonce: '23'.repeat(32) });
      },
      "the user's key": ({ header }) => {
        Object.assign(header, { userKey: '24'.repeat(32) });
      },
      'inputs told apart': ({ header, calls }) => {
        Object.assign(header, { inputs: [[0], [1], [2]] });
        for (const call of calls) Object.assign(call, { inputs: [...call.inputs, call.inputs[0]!] });
      },
    };
    for (const [what, edit] of Object.entries(change)) {
      const session = base.session.clone();
      edit(session);
      const mutant = scenarioFiles({ ...base, session }, files.proof);
      await expectRefused(engine, mutant, 'WRONG_SESSION', what);
      await expectRefused(engine, await repinned(mutant), 'OPENING_INVALID', what);
    }
  });

  it('another commitment, even where the proof claims it', async () => {
    type Json = { modules: Record<string, unknown>[] } & Record<string, unknown>;
    const swap = (list: unknown, i: number, j: number) => {
      const points = list as string[];
      [points[i], points[j]] = [points[j]!, points[i]!];
    };
    const change: Record<string, (adapter: Json) => void> = {
      name: ({ modules }) => {
        modules[0]!.name = 'layer.9';
      },
      aExponent: ({ modules }) => {
        modules[1]!.aExponent = 3;
      },
      bExponent: ({ modules }) => {
        modules[1]!.bExponent = -7;
      },
      scaling: ({ modules }) => {
        modules[2]!.scaling = 2.5;
      },
      'rows of A': ({ modules }) => {
        swap(modules[0]!.aRows, 0, 1);
      },
      'columns of B': ({ modules }) => {
        swap(modules[2]!.bColumns, 0, 2);
      },
      'a row of another module': ({ modules }) => {
        (modules[0]!.aRows as string[])[0] = (modules[2]!.aRows as string[])[0]!;
      },
      domainSize: (adapter) => {
        adapter.domainSize = 1024;
      },
      baseDigest: (adapter) => {
        adapter.baseDigest = '12'.repeat(32);
      },
      lineageDigest: (adapter) => {
        adapter.lineageDigest = '12'.repeat(32);
      },
      salt: (adapter) => {
        adapter.salt = '12'.repeat(32);
      },
      contributorKey: (adapter) => {
        adapter.contributorKey = '12'.repeat(32);
      },
    };
    for (const [what, edit] of Object.entries(change)) {
      const adapter = JSON.parse(files.adapter) as Json;
      edit(adapter);
      const mutant = { ...files, adapter: JSON.stringify(adapter) };
      await expectRefused(engine, mutant, 'WRONG_ADAPTER', what);
      await expectRefused(engine, await repinned(mutant), 'OPENING_INVALID', what);
    }
  });

  it('a commitment that is none', async () => {
    const texts = [
      files.adapter.replace('"salt"', '"salted"'),
      files.adapter.replace('{', '{"salt":"","salt":"",'),
      files.adapter.replace('"columnOffset":0', '"columnOffset":512'),
      files.adapter.replace('"columnOffset":0', '"columnOffset":-1'),
      files.adapter.replace('"rank":2', '"rank":3'),
      files.adapter.replace('"rank":2', '"rank":2.5'),
      files.adapter.replace('layer.1', 'layer.0'),
      files.adapter.replace('"domainSize":512', '"domainSize":513'),
      files.adapter.slice(1),
      '[]',
      '',
    ];
    for (const adapter of texts) {
      expect(adapter).not.toBe(files.adapter);
      await expectRefused(engine, { ...files, adapter }, 'COMMITMENT_MALFORMED', adapter.slice(0, 60));
    }
    // a point off the curve is found where it is used
    const off = JSON.parse(files.adapter) as { modules: { aRows: string[] }[] };
    off.modules[0]!.aRows[0] = `${'00'.repeat(63)}01`;
    const mutant = await repinned({ ...files, adapter: JSON.stringify(off) });
    await expectRefused(engine, mutant, 'COMMITMENT_MALFORMED');
  });

  it('another parameter set, even where everything claims it', async () => {
    type Json = { circuits: Record<string, unknown>[]; contributions: { pairs: number }[]; source: string };
    const change: Record<string, (set: Json) => void> = {
      source: (set) => {
        set.source += ' ';
      },
      'fewer circuits': (set) => {
        set.circuits.pop();
        set.contributions = set.contributions.filter(({ pairs }) => pairs !== 255);
      },
      'a transcript': (set) => {
        Object.assign(set, { transcript: { sha256: '12'.repeat(32) } });
      },
      tauG2: (set) => {
        Object.assign(set, { tauG2: G2_GENERATOR });
      },
    };
    for (const [what, edit] of Object.entries(change)) {
      const set = JSON.parse(files.parameters) as Json;
      edit(set);
      const mutant = { ...files, parameters: JSON.stringify(set) };
      await expectRefused(engine, mutant, 'WRONG_PARAMETERS', what);
      await expectRefused(engine, await repinned(mutant), 'OPENING_INVALID', what);
    }
    for (const known of [JSON.parse(files.parameters).tauG2, G2_GENERATOR]) {
      const set = { ...JSON.parse(files.parameters), kind: 'ceremony', tauG2: known };
      set.transcript = { sha256: '12'.repeat(32) };
      for (const contribution of set.contributions) contribution.kind = 'participant';
      set.contributions.unshift({ ...set.contributions[0], phase: 'powers-of-tau', pairs: null });
      const relabelled = { ...files, parameters: JSON.stringify(set) };
      await expectRefused(engine, relabelled, 'PARAMETERS_MALFORMED', 'development calls itself a ceremony');
    }
    const other = { ...filesBy.groth16, key: (pairs: number) => flipped(files.key(pairs), 100, 1) };
    await expectRefused(engine, other, 'PARAMETERS_MISMATCH', 'a key that the set does not name');
  });

  it('a session header that is none', async () => {
    const header = JSON.parse(files.header) as object;
    const inputs = [[[0, 2], [0]], [[2, 0], [1]], [[1], [0, 2]], [[0, 1], [2]], [[0, 3], [1]], [[], [1]], []];
    for (const value of inputs) {
      const mutant = { ...files, header: JSON.stringify({ ...header, inputs: value }) };
      const { own, reference } = await bothVerdicts(engine, mutant);
      expect(own, JSON.stringify(value)).toBe('SESSION_MALFORMED');
      expect(reference.valid).toBe(false);
    }
  });

  it('another seed, even where the proof claims it, and a seed that is none', async () => {
    const seed = '06'.repeat(32);
    const other = { ...files, secret: JSON.stringify({ format: 'zklora/session-secret/v1', seed }) };
    await expectRefused(engine, other, 'WRONG_SESSION');
    await expectRefused(engine, await repinned(other), 'OPENING_INVALID');
    for (const value of [seed.slice(2), seed.toUpperCase().replace('0', 'A'), null]) {
      const secret = JSON.stringify({ format: 'zklora/session-secret/v1', seed: value });
      const { own, reference } = await bothVerdicts(engine, { ...files, secret });
      expect(own).toBe('SESSION_MALFORMED');
      expect(reference.valid).toBe(false);
    }
  });

  it('a proof of another session or registration', async () => {
    const inputs = [[0, 2], [1]];
    const session = holdSession(base.adapter, base.modules, inputs, [2, 3], seeded(99));
    const replayed = scenarioFiles({ ...base, session }, files.proof);
    await expectRefused(engine, replayed, 'WRONG_SESSION');
    await expectRefused(engine, await repinned(replayed), 'OPENING_INVALID');

    const again = await makeScenario(engine, parameters, BASE);
    expect(again.modules).toEqual(base.modules);
    const other = scenarioFiles(again, files.proof);
    await expectRefused(engine, other, 'WRONG_ADAPTER');
    await expectRefused(engine, await repinned(other), 'OPENING_INVALID');
  });
});

describe('both verifiers accept what is not part of any id', () => {
  it('a registration proof that came later, and another layout of the JSON', async () => {
    const adapter = { ...(JSON.parse(files.adapter) as object), registrationProof: 'ab' };
    const reordered = Object.fromEntries(Object.entries(adapter).reverse());
    await expectAccepted(engine, { ...files, adapter: JSON.stringify(reordered, null, 3) });
  });
});

const G2_GENERATOR =
  '198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2' +
  '1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed' +
  '090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b' +
  '12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa';
