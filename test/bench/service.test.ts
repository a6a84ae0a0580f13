import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { measureClients } from '../../bench/service/clients.js';
import { Contributor, type Registered, register, serviceFixture } from '../../bench/service/contributor.js';
import { writeGpt2Base } from '../../bench/service/gpt2Base.js';
import { measureLoad } from '../../bench/service/load.js';
import { serviceTables } from '../../bench/service/markdown.js';
import { difference, measureOverhead, tokenWindows } from '../../bench/service/overhead.js';
import { writeSeededAdapter } from '../../bench/service/realSize.js';
import { localIntegers, type RecordedCall, recordCalls, zeroDeltas } from '../../bench/service/recorded.js';
import { measureResponsiveness } from '../../bench/service/responsiveness.js';
import { measured } from '../../bench/service/result.js';
import { SERVE } from '../../bench/service/serveOptions.js';
import { measureSoak } from '../../bench/service/soak.js';
import { distribution, leastSquares } from '../../bench/service/stats.js';
import { type QuantizedModule, quantizeModule, readPeftAdapter } from '../../src/adapter/index.js';
import { type BaseModel, openBaseModel } from '../../src/inference/index.js';

/** The bench on the smallest fixture, with as little of each measure as there can be. */

const TOKENS = 8;

let folder: string;
let registered: Registered;
let modules: QuantizedModule[];
let model: BaseModel;
let passes: BigInt64Array[];
let calls: RecordedCall[];
let contributor: Contributor;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'zklora-bench-test-'));
  const fixture = serviceFixture('llama-tiny');
  registered = await register(fixture, join(folder, 'registered'));
  modules = (await readPeftAdapter(fixture.adapter)).modules.map(quantizeModule);
  model = await openBaseModel(fixture.base, registered.commitment.modules);
  passes = await tokenWindows(TOKENS, 2);
  calls = await recordCalls(model, modules, passes);
  contributor = await Contributor.start(registered, join(folder, 'sessions'), SERVE);
});

afterAll(async () => {
  await contributor?.stop();
  await model?.close();
  await rm(folder, { recursive: true, force: true });
});

describe('the bench of the service', () => {
  it('records what a contributor is asked, stage by stage', () => {
    expect(calls).toHaveLength(2);
    expect(calls[0]!.stages.flat().map(({ input }) => input)).toEqual(model.inputs.map((_, i) => i));
    expect(calls[0]!.stages.flat()[0]!.rows.exponents).toHaveLength(TOKENS);
  });

  it('measures overhead, load and responsiveness of a real process, and makes tables of them', async () => {
    const shared = { contributor, registered, modules, calls, model, passes, seconds: 0.1 };
    const overhead = await measureOverhead({
      registered,
      folder: join(folder, 'registered'),
      tokens: TOKENS,
      passes: 2,
      serve: SERVE,
    });
    expect(overhead.variants.length).toBeGreaterThanOrEqual(4);
    expect(overhead.variants[0]).toMatchObject({ name: 'uncut model', ratio: 1 });
    for (const { medianMs } of overhead.variants) expect(medianMs).toBeGreaterThan(0);
    for (const { name, ms } of overhead.parts) expect(ms, name).toBeGreaterThan(0);

    const { commitment } = registered;
    const { inputs } = model;
    const loaded = await measureLoad({ ...shared, commitment, inputs, sessions: 2 });
    expect(loaded.calls).toBeGreaterThan(0);
    expect(loaded.stageMs.count).toBe(loaded.calls * model.stages.length);
    const clients = await measureClients({ ...shared, folder, sessions: 1 });
    expect(clients.calls).toBeGreaterThan(0);

    const responsiveness = await measureResponsiveness({ ...shared, provenCalls: 1 });
    expect(responsiveness.proveSeconds).toBeGreaterThan(0);
    expect(responsiveness.rows.map(({ stageMs }) => stageMs.count)).not.toContain(0);

    const soak = await measureSoak({
      ...shared,
      inputs,
      minutes: 1 / 60,
      sessions: 2,
      callsPerSession: 2,
      callsPerSecond: 50,
      proveEvery: 1000,
      sessionsDir: join(folder, 'sessions'),
      sampleSeconds: 0.2,
    });
    expect(soak.sessionsClosed).toBeGreaterThan(0);
    expect(soak.calls).toBe(2 * soak.sessionsClosed);
    expect(soak.samples.at(-1)!.calls).toBe(soak.calls);

    const tables = serviceTables({
      overhead: { ...measured(), models: [overhead] },
      load: { ...measured(), model: 'llama-tiny', rows: [loaded, clients] },
      responsiveness: { ...measured(), ...responsiveness },
      soak: { ...measured(), ...soak },
    });
    expect(Object.keys(tables)).toEqual([
      'service-overhead',
      'service-parts',
      'service-load',
      'service-responsiveness',
      'service-soak',
    ]);
    for (const [name, table] of Object.entries(tables)) expect(table, name).not.toMatch(/NaN|undefined/);
  });
});

describe('the GPT-2 with seeded weights', () => {
  it('is found module by module, and cut, uncut and adapted passes differ as they should', async () => {
    const own = await mkdtemp(join(folder, 'seeded-'));
    const shape = { layers: 2, width: 32, heads: 4, inner: 128, vocabulary: 256, positions: 16 };
    const base = await writeGpt2Base(own, shape, 7);
    const adapter = join(own, 'adapter');
    await writeSeededAdapter(adapter, 2, { 'attn.c_attn': [32, 4, 96], 'mlp.c_proj': [128, 4, 32] });
    const seeded = (await readPeftAdapter(adapter)).modules.map(quantizeModule);
    const gpt2 = await openBaseModel(base, seeded);
    try {
      expect(gpt2.stages).toHaveLength(4);
      const ids = passes[0]!;
      const { values: uncut, vocabulary } = await gpt2.forwardBase(ids.slice(), 1, TOKENS);
      expect(vocabulary).toBe(256);
      const cut = await gpt2.forward(ids.slice(), 1, TOKENS, zeroDeltas(gpt2, seeded));
      expect(difference(uncut, cut.values)).toBeLessThan(1e-5);
      const adapted = await gpt2.forward(ids.slice(), 1, TOKENS, localIntegers(gpt2, seeded));
      expect(difference(uncut, adapted.values)).toBeGreaterThan(1e-4);
      // causal: another last token changes the last row alone
      const other = ids.slice();
      other[TOKENS - 1] = other[TOKENS - 1] === 1n ? 2n : 1n;
      const { values: changed } = await gpt2.forwardBase(other, 1, TOKENS);
      const before = (TOKENS - 1) * vocabulary;
      expect(difference(uncut.subarray(0, before), changed.subarray(0, before))).toBeLessThan(1e-5);
      expect(difference(uncut.subarray(before), changed.subarray(before))).toBeGreaterThan(1e-2);
    } finally {
      await gpt2.close();
    }
  });
});

describe('statistics', () => {
  it('takes quantiles by nearest rank', () => {
    const values = Array.from({ length: 200 }, (_, i) => 200 - i);
    expect(distribution(values)).toEqual({ count: 200, p50: 100, p99: 198, max: 200 });
    expect(distribution([7])).toEqual({ count: 1, p50: 7, p99: 7, max: 7 });
  });

  it('finds the slope of a line, and how far points are from it', () => {
    expect(leastSquares([0, 1, 2, 3].map((x) => [x, 5 - 2 * x] as const))).toEqual({ perX: -2, error: 0 });
    const { perX, error } = leastSquares([
      [0, 0],
      [1, 2],
      [2, 0],
      [3, 2],
    ]);
    expect(perX).toBeCloseTo(0.4);
    expect(error).toBeCloseTo(Math.sqrt(3.2 / 2 / 5));
  });
});
