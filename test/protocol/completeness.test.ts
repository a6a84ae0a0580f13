import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import { decodeProofFile, encodeProofFile, proveSession, verifyProof } from '../../src/protocol/index.js';
import { developmentParameters, makeScenario, type Scenario, type Shape } from '../support/scenario.js';

let engine: Engine;
let parameters: ParameterStore;
beforeAll(async () => {
  engine = await loadEngine();
  parameters = await developmentParameters();
});
afterAll(() => engine.terminate());

const verify = (scenario: Scenario, proof: Uint8Array) =>
  verifyProof({
    engine,
    parameters: parameters.set,
    verificationKeys: parameters.vkey,
    adapter: scenario.adapter,
    session: scenario.session,
    proof,
    allowDevelopmentParameters: true,
  });

const shape: fc.Arbitrary<Shape> = fc.record({
  rank: fc.integer({ min: 1, max: 9 }),
  inFeatures: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(511, 512)),
  outFeatures: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(512)),
});

describe('every honest proof is accepted', () => {
  it('over random shapes, tokens and calls', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(shape, { minLength: 1, maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 3 }),
        fc.nat(),
        async (shapes, calls, seed) => {
          const scenario = await makeScenario(engine, parameters, { shapes, calls, seed });
          const proof = await proveSession({ ...scenario });
          expect(await verify(scenario, proof)).toMatchObject({
            valid: true,
            tokens: calls.reduce((sum, tokens) => sum + tokens, 0),
            proofs: 1,
          });
          expect(encodeProofFile(decodeProofFile(proof))).toEqual(proof);
        },
      ),
      { numRuns: 12, seed: 42 },
    );
  });

  it('with shared inputs and a subset of the modules', async () => {
    const scenario = await makeScenario(engine, parameters, {
      shapes: [
        { rank: 3, inFeatures: 16, outFeatures: 8 },
        { rank: 1, inFeatures: 24, outFeatures: 8 },
        { rank: 2, inFeatures: 16, outFeatures: 30 },
        { rank: 2, inFeatures: 16, outFeatures: 5 },
      ],
      calls: [2, 5],
      inputs: [[0, 2, 3]],
    });
    const proof = await proveSession({ ...scenario });
    expect(await verify(scenario, proof)).toMatchObject({
      valid: true,
      modules: ['layer.0', 'layer.2', 'layer.3'],
    });
  });

  it('with several groups, where the ranks exceed the largest circuit', async () => {
    const scenario = await makeScenario(engine, parameters, {
      shapes: [100, 155, 1, 255, 30].map((rank) => ({ rank, inFeatures: 12, outFeatures: 7 })),
      calls: [2],
    });
    const proof = await proveSession({ ...scenario, rankCheck: 'groth16' });
    // 100 + 155 fill one circuit of 255, 1 starts the next, 255 and 30 take one each
    expect(decodeProofFile(proof).proofs[0]!.groups).toHaveLength(4);
    expect(await verify(scenario, proof)).toMatchObject({ valid: true });
  });

  it('one proof a module, and a wider domain', async () => {
    const scenario = await makeScenario(engine, parameters, {
      shapes: [
        { rank: 2, inFeatures: 600, outFeatures: 8 },
        { rank: 20, inFeatures: 8, outFeatures: 1024 },
      ],
      calls: [4],
    });
    const proof = await proveSession({ ...scenario, mode: 'per-module' });
    expect(decodeProofFile(proof).proofs.map(({ modules }) => modules)).toEqual([[0], [1]]);
    expect(await verify(scenario, proof)).toMatchObject({ valid: true, proofs: 2 });
  });

  it('with zero weights and zero activations', async () => {
    const scenario = await makeScenario(engine, parameters, {
      shapes: [{ rank: 1, inFeatures: 3, outFeatures: 2 }],
      calls: [1],
    });
    scenario.session.calls[0]!.inputs[0]!.x.fill(0);
    scenario.session.calls[0]!.outputs[0]!.fill(0n);
    const proof = await proveSession({ ...scenario });
    expect(await verify(scenario, proof)).toMatchObject({ valid: true });
  });
});

describe('size', () => {
  const bytes = async (modules: number, tokens: number) => {
    const scenario = await makeScenario(engine, parameters, {
      shapes: Array.from({ length: modules }, () => ({ rank: 8, inFeatures: 16, outFeatures: 16 })),
      calls: [tokens],
    });
    return (await proveSession({ ...scenario })).length;
  };

  it('has 374 bytes for a module and two more for each other one, whatever the tokens', async () => {
    const one = await bytes(1, 1);
    expect(one).toBe(374);
    expect(await bytes(1, 40)).toBe(one);
    const sixteen = await bytes(16, 1);
    expect(sixteen).toBe(374 + 2 * 15);
    expect(await bytes(16, 40)).toBe(sixteen);
  });
});

describe('zero knowledge, as far as a test sees it', () => {
  it.each([
    ['kzg', 8],
    ['groth16', 20],
  ] as const)('two proofs of one statement by %s share no element', async (rankCheck, count) => {
    const scenario = await makeScenario(engine, parameters, {
      shapes: [{ rank: 2, inFeatures: 6, outFeatures: 5 }],
      calls: [3],
    });
    const elements = (proof: Uint8Array) => {
      const values: string[] = [];
      JSON.stringify(decodeProofFile(proof).proofs[0]!, (_, value: unknown) => {
        if (typeof value === 'bigint') values.push(`scalar ${value}`);
        if (value instanceof Uint8Array) values.push(`point ${value.join()}`);
        return typeof value === 'bigint' || value instanceof Uint8Array ? null : value;
      });
      return values;
    };
    const first = elements(await proveSession({ ...scenario, rankCheck }));
    const second = elements(await proveSession({ ...scenario, rankCheck }));
    expect(first.length).toBe(count);
    expect(new Set([...first, ...second]).size).toBe(first.length + second.length);
  });

  it('equal rows have different points', async () => {
    const scenario = await makeScenario(engine, parameters, {
      shapes: [{ rank: 2, inFeatures: 6, outFeatures: 5 }],
      calls: [3],
    });
    const { registerAdapter } = await import('../../src/adapter/index.js');
    const module = { ...scenario.modules[0]!, a: new Int16Array(12), bT: new Int16Array(10) };
    const register = async () =>
      (
        await registerAdapter({
          engine,
          srs: await parameters.srs(512),
          parametersId: parameters.id,
          modules: [module],
          baseDigest: '00'.repeat(32),
        })
      ).commitment.modules[0]!;
    const points = [await register(), await register()].flatMap(({ aRows, bColumns }) => [
      ...aRows,
      ...bColumns,
    ]);
    expect(new Set(points).size).toBe(8);
  });
});
