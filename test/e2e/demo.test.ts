import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { filesBelow, fixture, lastObject, type Ran, temporaryFolder, zklora } from './cli.js';

/** Sequences that the demo reads; the oracle has losses for the same ones. */
const SEQUENCES = 8;
const SEQUENCE = 96;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let ran: Ran;

beforeAll(async () => {
  folder = await temporaryFolder();
  ran = await zklora('demo', '--json', '--out', join(folder.dir, 'demo'));
}, 180_000);
afterAll(() => folder.remove());

describe('zklora demo --json', () => {
  it('ends well with one JSON object on stdout and progress on stderr', () => {
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stdout.endsWith('}\n')).toBe(true);
    expect(ran.stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(ran.stderr).toContain('using development parameters');
    expect(ran.stderr).not.toContain('\r');
  });

  it('reports every figure', () => {
    expect(lastObject(ran)).toMatchObject({
      baseLoss: expect.any(Number),
      floatLoraLoss: expect.any(Number),
      protocolLoss: expect.any(Number),
      modules: 16,
      tokens: SEQUENCES * SEQUENCE,
      proofBytes: expect.any(Number),
      moduleProofBytes: expect.any(Number),
      sessionBytes: expect.any(Number),
      registerSeconds: expect.any(Number),
      evaluateSeconds: expect.any(Number),
      proveSeconds: expect.any(Number),
      verifySeconds: expect.any(Number),
      peakRssBytes: expect.any(Number),
      tamperedSessionRejected: true,
      wrongWeightRejected: true,
      developmentParameters: true,
    });
  });

  it("reproduces torch's losses, and the adapter helps", async () => {
    const oracle = JSON.parse(await readFile(fixture('gpt2-tiny/oracle/oracle.json'), 'utf8')) as {
      losses: { base: { first8: number }; adapted: { first8: number } };
    };
    const { base, adapted } = oracle.losses;
    const { baseLoss, floatLoraLoss, protocolLoss } = lastObject(ran) as Record<string, number>;
    expect(Math.abs(baseLoss! - base.first8)).toBeLessThan(1e-3);
    expect(Math.abs(floatLoraLoss! - adapted.first8)).toBeLessThan(1e-3);
    expect(Math.abs(protocolLoss! - floatLoraLoss!)).toBeLessThan(1e-3);
    expect(protocolLoss! + 0.3).toBeLessThan(baseLoss!);
  });

  it('keeps proofs and memory small', () => {
    const { proofBytes, moduleProofBytes, sessionBytes, peakRssBytes } = lastObject(ran) as Record<
      string,
      number
    >;
    expect(proofBytes).toBeLessThan(2500);
    expect(moduleProofBytes).toBeLessThan(1500);
    expect(peakRssBytes).toBeLessThan(1e9);
    expect(peakRssBytes).toBeGreaterThan(1e7);
    // 896 int16 inputs and 1152 int64 outputs a layer, and little else
    const tensors = SEQUENCES * SEQUENCE * 4 * (896 * 2 + 1152 * 8);
    expect(sessionBytes! / tensors).toBeGreaterThan(1);
    expect(sessionBytes! / tensors).toBeLessThan(1.01);
  });

  it('writes only whole files, each of which inspect reads', async () => {
    const files = await filesBelow(join(folder.dir, 'demo'));
    expect(files.filter((path) => path.endsWith('.tmp'))).toEqual([]);
    // one file of a kind stands for all
    const byKind = new Map(files.map((path) => [basename(path).replace(/^\d+/, ''), path]));
    byKind.delete('.zklora-demo');
    const distinct = [...byKind.values(), join(folder.dir, 'demo', 'user', 'session')];
    expect(distinct.length).toBeGreaterThan(8);
    for (const path of distinct) {
      const { code, stdout, stderr } = await zklora('inspect', path);
      expect({ path, code, stderr }).toEqual({ path, code: 0, stderr: '' });
      expect(stdout.split('\n').length).toBeGreaterThan(1);
    }
  });

  it('does not touch a folder that is not its own', async () => {
    const { code, stderr } = await zklora('demo', '--out', folder.dir);
    expect(code).toBe(3);
    expect(stderr).toContain('[FILE_EXISTS]');
  });
});
