import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkRegistration, describeRegistration } from '../../cli/registration.js';
import { RegistrationCache } from '../../cli/registrationCache.js';
import { type AdapterCommitment, adapterId } from '../../src/adapter/index.js';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import { bytesToHex } from '../../src/bytes.js';
import type { ParameterStore } from '../../src/circuit/index.js';
import { proveRegistration } from '../../src/protocol/index.js';
import { refusalOf } from '../adapter/refusal.js';
import { developmentParameters, makeScenario } from '../support/scenario.js';

let dir: string;
let engine: Engine;
let parameters: ParameterStore;
let bare: AdapterCommitment;
let registered: AdapterCommitment;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'zklora-cache-'));
  engine = await loadEngine();
  parameters = await developmentParameters();
  const scenario = await makeScenario(engine, parameters, {
    shapes: [{ rank: 1, inFeatures: 3, outFeatures: 3 }],
    calls: [],
  });
  bare = scenario.adapter;
  const proof = await proveRegistration({ ...scenario, srs: await parameters.srs(512) });
  registered = { ...bare, registrationProof: bytesToHex(proof) };
});
afterAll(async () => {
  await engine.terminate();
  await rm(dir, { recursive: true });
});

const check = (adapter: AdapterCommitment, cache?: string, allowDevelopmentParameters = true) =>
  checkRegistration({
    ...{ engine, parameters: parameters.set, parametersId: parameters.id },
    ...{ adapter, allowDevelopmentParameters, cache },
  });
const entry = (byte: string) => ({ adapterId: byte.repeat(32), parametersId: 'ff'.repeat(32) });

describe('checkRegistration', () => {
  it('verifies once and remembers the adapter, not the proof', async () => {
    const cache = join(dir, 'once.json');
    expect(await check(bare, cache)).toEqual({ status: 'missing' });
    expect(await check(registered, cache)).toMatchObject({ status: 'verified' });
    expect(await check(registered, cache)).toMatchObject({ status: 'cached' });
    expect(await check(bare, cache)).toEqual({
      status: 'cached',
      registration: { valid: true, adapterId: adapterId(bare), parametersId: parameters.id },
    });
    // without the cache's file, anew
    expect(await check(registered)).toMatchObject({ status: 'verified' });
  });

  it('does not take the verdict on one adapter for another', async () => {
    const cache = join(dir, 'other.json');
    await check(registered, cache);
    const thief = { ...bare, contributorKey: '99'.repeat(32) };
    expect(await check(thief, cache)).toEqual({ status: 'missing' });
    const copied = { ...thief, registrationProof: registered.registrationProof };
    expect(await check(copied, cache)).toMatchObject({ status: 'invalid', reason: 'WRONG_ADAPTER' });
    expect(await check(copied, cache)).toMatchObject({ status: 'invalid', reason: 'WRONG_ADAPTER' });
  });

  it('refuses development parameters even where the cache knows the adapter', async () => {
    const cache = join(dir, 'development.json');
    await check(registered, cache);
    expect(await check(registered, cache, false)).toMatchObject({
      status: 'invalid',
      reason: 'PARAMETERS_DEVELOPMENT',
    });
  });

  it('says what it means', async () => {
    const lines = [await check(bare), await check(registered)].map(describeRegistration);
    expect(lines[0]).toContain('field elements only');
    expect(lines[1]).toBe('registration proof verified: integer weights');
    expect(describeRegistration({ status: 'invalid', reason: 'OPENING_INVALID', message: 'no' })).toBe(
      'registration proof INVALID: no [OPENING_INVALID]',
    );
  });
});

describe('registration cache', () => {
  it('keeps the newest 4096 entries, each once', async () => {
    const path = join(dir, 'many.json');
    const verified = Array.from({ length: 4096 }, (_, i) => ({
      adapterId: i.toString(16).padStart(64, '0'),
      parametersId: 'ff'.repeat(32),
    }));
    await writeFile(path, JSON.stringify({ format: 'zklora/registration-cache/v1', verified }));
    const cache = new RegistrationCache(path);
    expect(await cache.has(verified[0]!)).toBe(true);
    await cache.add(entry('aa'));
    await cache.add(entry('aa'));
    expect(await cache.has(verified[0]!)).toBe(false);
    expect(await cache.has(verified[1]!)).toBe(true);
    expect(await cache.has(entry('aa'))).toBe(true);
    expect(JSON.parse(await readFile(path, 'utf8')).verified).toHaveLength(4096);
  });

  it.each([
    ['no JSON', 'verified'],
    ['another format', '{"format":"zklora/adapter/v1","verified":[]}'],
    ['an unknown field', '{"format":"zklora/registration-cache/v1","verified":[],"all":true}'],
    [
      'an entry without parameters',
      '{"format":"zklora/registration-cache/v1","verified":[{"adapterId":"00"}]}',
    ],
  ])('refuses a file with %s', async (_, text) => {
    const path = join(dir, 'bad.json');
    await writeFile(path, text);
    expect((await refusalOf(new RegistrationCache(path).has(entry('aa')))).code).toBe('USAGE');
    expect((await refusalOf(check(registered, path))).code).toBe('USAGE');
  });

  it('cannot be written where there is no folder', async () => {
    const path = join(dir, 'nowhere', 'cache.json');
    expect((await refusalOf(new RegistrationCache(path).add(entry('aa')))).code).toBe('FILE_UNWRITABLE');
  });
});
