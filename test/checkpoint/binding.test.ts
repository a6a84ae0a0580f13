import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterId } from '../../src/adapter/commitment.js';
import type { AdapterCommitment } from '../../src/adapter/types.js';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import {
  type AdapterLineageQuestion,
  addHeadToStore,
  checkpointDigest,
  edgesStatement,
  envelopeId,
  type LineageHead,
  type LineageNode,
  type LineagePolicy,
  lineageHeadDigest,
  type ModelAtHand,
  makeLineageHead,
  parseLineageHead,
  readLineageHead,
  readLineageHeads,
  readStore,
  type StoredFile,
  serializeLineageHead,
  type TensorDigest,
  verifyAdapterLineage,
  verifyWithLineage,
} from '../../src/checkpoint/index.js';
import { openParameters } from '../../src/circuit/index.js';
import { proveSession, type VerifyOptions } from '../../src/protocol/index.js';
import { commitTo, MODULES } from '../inference/parties.js';
import { makeScenario, type Scenario } from '../support/scenario.js';
import {
  BASE,
  checkpoint,
  digestOf,
  EXPERT,
  edge,
  edgeOf,
  ISSUED,
  manifestFile,
  NOW,
  OTHER,
  policyOf,
  STRANGER,
  stored,
} from './lineageBuilder.js';
import { temporaryFolder } from './tensorFiles.js';

/** What the store says of the expert: its origin, and a manifest. */
const OF_EXPERT = [edge(EXPERT, 'finetuned-from', BASE), manifestFile(EXPERT)];
const HEAD = makeLineageHead(EXPERT.digest, OF_EXPERT);

function registered(
  head: LineageHead | null = HEAD,
  changes: Partial<AdapterCommitment> = {},
): AdapterCommitment {
  const lineageDigest = head === null ? '00'.repeat(32) : lineageHeadDigest(head);
  return { ...commitTo(MODULES), lineageDigest, ...changes };
}

const nodeOf = (adapter: AdapterCommitment): LineageNode => ({ kind: 'adapter', digest: adapterId(adapter) });
const adapterOf = (adapter: AdapterCommitment, base = EXPERT) => edge(nodeOf(adapter), 'adapter-of', base);

interface Asked {
  readonly adapter?: AdapterCommitment;
  readonly files?: readonly StoredFile[];
  readonly head?: LineageHead | undefined;
  readonly policy?: Partial<LineagePolicy>;
  readonly model?: ModelAtHand;
}

async function judge(asked: Asked = {}) {
  const adapter = asked.adapter ?? registered();
  const question: AdapterLineageQuestion = {
    adapter,
    files: asked.files ?? [...OF_EXPERT, adapterOf(adapter)],
    head: 'head' in asked ? asked.head : HEAD,
    policy: policyOf(asked.policy),
    now: NOW,
    ...(asked.model === undefined ? {} : { model: asked.model }),
  };
  const verdict = await verifyAdapterLineage(question);
  expect(verdict.valid).toBe(verdict.failures.length === 0);
  return verdict.failures.map(({ code }) => code);
}

describe('a lineage head', () => {
  it('lists the statements about a base and its ancestors, whoever signed them', () => {
    const [a, b] = [checkpoint('a'), checkpoint('b')];
    const about = [
      edge(EXPERT, 'merged-from', a, b),
      edge(a, 'trained-from', BASE),
      stored(edgesStatement([edgeOf(b, 'trained-from', BASE)], ISSUED), STRANGER),
      manifestFile(BASE),
    ];
    const others = [
      edge(checkpoint('child'), 'finetuned-from', EXPERT),
      edge(nodeOf(registered()), 'adapter-of', EXPERT),
      { id: digestOf('x'), bytes: new Uint8Array(3) },
    ];
    const head = makeLineageHead(EXPERT.digest, [...others, ...about]);
    expect(head.envelopes).toEqual(about.map(({ id }) => id).sort());
    expect(makeLineageHead(EXPERT.digest, [...about, ...others].reverse())).toEqual(head);
  });

  it('of a base without statements still binds the base, and a circle of statements ends', () => {
    const empty = makeLineageHead(BASE.digest, []);
    expect(empty.envelopes).toEqual([]);
    expect(lineageHeadDigest(empty)).not.toBe(lineageHeadDigest(makeLineageHead(EXPERT.digest, [])));
    const circle = [edge(EXPERT, 'trained-from', BASE), edge(BASE, 'trained-from', EXPERT)];
    expect(makeLineageHead(EXPERT.digest, circle).envelopes).toHaveLength(2);
  });

  it('is parsed strictly', () => {
    expect(parseLineageHead(serializeLineageHead(HEAD))).toEqual(HEAD);
    const [first, second] = HEAD.envelopes as [string, string];
    for (const change of [
      { format: 'zklora/lineage-head/v2' },
      { base: 'x' },
      { envelopes: [second, first] },
      { envelopes: [first, first] },
      { envelopes: ['00'] },
      { more: 1 },
    ]) {
      const bytes = new TextEncoder().encode(JSON.stringify({ ...HEAD, ...change }));
      expect(() => parseLineageHead(bytes)).toThrow(expect.objectContaining({ code: 'LINEAGE_MALFORMED' }));
    }
    expect(() => parseLineageHead(new Uint8Array(8 * 2 ** 20 + 1))).toThrow(/larger than/);
  });

  it('lies in the store under its digest; a damaged one counts as none', async () => {
    const folder = join(await temporaryFolder(), 'store');
    const { digest, added } = await addHeadToStore(folder, HEAD);
    expect([digest, added]).toEqual([lineageHeadDigest(HEAD), true]);
    expect((await addHeadToStore(folder, HEAD)).added).toBe(false);
    expect(readLineageHead(folder, digest)).toEqual(HEAD);
    expect(readLineageHead(folder, '00'.repeat(32))).toBeUndefined();
    expect(await readStore(folder)).toEqual([]);
    expect(await readLineageHeads(folder)).toEqual([HEAD]);
    const path = join(folder, `${digest}.head.json`);
    const other = makeLineageHead(BASE.digest, []);
    for (const bytes of [serializeLineageHead(other), (await readFile(path)).subarray(1), Buffer.alloc(0)]) {
      await writeFile(path, bytes);
      expect(readLineageHead(folder, digest)).toBeUndefined();
      await expect(addHeadToStore(folder, HEAD)).rejects.toMatchObject({ code: 'LINEAGE_MALFORMED' });
    }
    expect(await readLineageHeads(folder)).toEqual([]);
  });

  it('takes writers at once', async () => {
    const folder = join(await temporaryFolder(), 'store');
    const results = await Promise.all(Array.from({ length: 8 }, () => addHeadToStore(folder, HEAD)));
    expect(results.filter(({ added }) => added)).toHaveLength(1);
    expect(readLineageHead(folder, lineageHeadDigest(HEAD))).toEqual(HEAD);
  });
});

describe('a bound lineage', async () => {
  it('holds with the statements that the head covers', async () => {
    expect(await judge()).toEqual([]);
  });

  it('head-missing: registered without one, or the store lacks it', async () => {
    expect(await judge({ adapter: registered(null) })).toEqual(['head-missing']);
    expect(await judge({ head: undefined })).toEqual(['head-missing']);
    expect(await judge({ head: makeLineageHead(EXPERT.digest, []) })).toEqual(['head-missing']);
  });

  it('base-mismatch: an adapter proven against another expert', async () => {
    const other = checkpoint('another expert');
    const adapter = registered();
    const files = [...OF_EXPERT, edge(other, 'finetuned-from', BASE), adapterOf(adapter, other)];
    expect(await judge({ adapter, files })).toContain('base-mismatch');
    // and a head that is rewritten for the other expert is not the committed one
    expect(await judge({ adapter, files, head: makeLineageHead(other.digest, files) })).toEqual([
      'head-missing',
    ]);
  });

  it('not-in-head: a history that was signed after the registration', async () => {
    const late = [stored(edgesStatement([edgeOf(EXPERT, 'finetuned-from', BASE)], ISSUED), OTHER)];
    const adapter = registered();
    const [, manifest] = OF_EXPERT as [StoredFile, StoredFile];
    const head = makeLineageHead(EXPERT.digest, [manifest]);
    const bare = registered(head);
    expect(await judge({ adapter: bare, head, files: [manifest, ...late, adapterOf(bare)] })).toEqual([
      'not-in-head',
    ]);
    // beside the covered statement it does no harm
    expect(await judge({ files: [...OF_EXPERT, ...late, adapterOf(adapter)] })).toEqual([]);
    expect(
      await judge({ files: [...OF_EXPERT, edge(EXPERT, 'trained-from', BASE), adapterOf(adapter)] }),
    ).toContain('fork');
  });

  it('head-incomplete: a statement of the head was withheld', async () => {
    // the head lists both sides of a fork; with one side deleted the rest is consistent
    const sides = [edge(EXPERT, 'finetuned-from', BASE), edge(EXPERT, 'trained-from', BASE)];
    const head = makeLineageHead(EXPERT.digest, sides);
    const adapter = registered(head);
    const files = [...sides, adapterOf(adapter)];
    expect(await judge({ adapter, head, files })).toContain('fork');
    for (const [i, side] of sides.entries()) {
      expect(await judge({ adapter, head, files: files.filter((file) => file !== side) })).toEqual([
        'head-incomplete',
      ]);
      // held in name only, or under a name that the walk ignores
      const other = sides[1 - i]!;
      for (const [id, bytes] of [
        [side.id, other.bytes],
        [digestOf('another name'), side.bytes],
        [side.id, new Uint8Array()],
      ] as const) {
        expect(await judge({ adapter, head, files: [other, { id, bytes }, adapterOf(adapter)] })).toEqual([
          'head-incomplete',
        ]);
      }
    }
  });

  it('refuses a tampered edge, in any byte', async () => {
    const adapter = registered();
    const [origin, manifest] = OF_EXPERT as [StoredFile, StoredFile];
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, flip, renamed) => {
          const bytes = new Uint8Array(origin.bytes);
          bytes[at % bytes.length]! ^= flip;
          const tampered = { id: renamed ? envelopeId(bytes) : origin.id, bytes };
          const codes = await judge({ adapter, files: [tampered, manifest, adapterOf(adapter)] });
          expect(codes.length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('keeps its own failures: a revoked key, a root that is not allowed', async () => {
    expect(await judge({ policy: { allowedRoots: [] } })).not.toEqual([]);
    const keys = policyOf().keys.map((key) => ({ ...key, revoked: true }));
    expect(await judge({ policy: { keys } })).toContain('key-revoked');
  });
});

describe('the model of a session', () => {
  const tensors: TensorDigest[] = [{ name: 'w', dtype: 'F32', shape: [2], sha256: digestOf('w') }];
  const node: LineageNode = { kind: 'checkpoint', digest: checkpointDigest(tensors) };
  const model: ModelAtHand = { sha256: digestOf('file'), tensors };
  const baseDigest = model.sha256;

  it('may be the base itself', async () => {
    const files = [edge(node, 'finetuned-from', BASE)];
    const head = makeLineageHead(node.digest, files);
    const adapter = registered(head, { baseDigest });
    expect(await judge({ adapter, head, model, files: [...files, adapterOf(adapter, node)] })).toEqual([]);
  });

  it('is said not to be checked when it is not given, or there is no head to compare with', async () => {
    const files = [edge(node, 'finetuned-from', BASE)];
    const head = makeLineageHead(node.digest, files);
    const adapter = registered(head, { baseDigest });
    const question = { adapter, files: [...files, adapterOf(adapter, node)], policy: policyOf(), now: NOW };
    expect(await verifyAdapterLineage({ ...question, head, model })).toMatchObject({
      valid: true,
      modelChecked: true,
    });
    expect(await verifyAdapterLineage({ ...question, head })).toMatchObject({
      valid: true,
      modelChecked: false,
    });
    expect(await verifyAdapterLineage({ ...question, head: undefined, model })).toMatchObject({
      valid: false,
      modelChecked: false,
    });
  });

  it('model-mismatch: another file than the registered one', async () => {
    expect(await judge({ model })).toEqual(['model-mismatch']);
  });

  it('model-not-exported: neither the base nor exported from it, by a trusted key', async () => {
    const adapter = registered(HEAD, { baseDigest });
    const files = [...OF_EXPERT, adapterOf(adapter)];
    expect(await judge({ adapter, files, model })).toEqual(['model-not-exported']);
    const exported = edge(node, 'exported-from', EXPERT);
    expect(await judge({ adapter, model, files: [...files, exported] })).toEqual([]);
    for (const not of [
      stored(edgesStatement([edgeOf(node, 'exported-from', EXPERT)], ISSUED), STRANGER),
      edge(node, 'exported-from', BASE),
      edge(node, 'quantized-from', EXPERT),
    ]) {
      expect(await judge({ adapter, model, files: [...files, not] })).toEqual(['model-not-exported']);
    }
  });

  it('is reached over exported-from when the policy requires that relation', async () => {
    const policy = { requiredRelations: ['adapter-of' as const, 'exported-from' as const] };
    const files = [edge(node, 'exported-from', EXPERT), ...OF_EXPERT];
    const head = makeLineageHead(node.digest, files);
    const adapter = registered(head, { baseDigest });
    const all = [...files, adapterOf(adapter, node)];
    expect(await judge({ adapter, head, model, policy, files: all })).toEqual([]);
    expect(await judge({ policy })).toEqual(['missing-relation']);
  });
});

describe('one verdict over proof and lineage', () => {
  let engine: Engine;
  let scenario: Scenario;
  let proof: Uint8Array;
  let files: StoredFile[];
  beforeAll(async () => {
    engine = await loadEngine();
    const parameters = await openParameters(
      new URL('../../fixtures/params/development', import.meta.url).pathname,
    );
    scenario = await makeScenario(engine, parameters, {
      shapes: [{ rank: 2, inFeatures: 8, outFeatures: 6 }],
      calls: [2],
      lineageDigest: lineageHeadDigest(HEAD),
    });
    proof = await proveSession(scenario);
    files = [...OF_EXPERT, adapterOf(scenario.adapter)];
  }, 60_000);
  afterAll(() => engine.terminate());

  const verify = (
    changes: { proof?: Partial<VerifyOptions>; lineage?: Partial<AdapterLineageQuestion> } = {},
  ) =>
    verifyWithLineage(
      {
        engine,
        parameters: scenario.parameters.set,
        verificationKeys: scenario.parameters.vkey,
        adapter: scenario.adapter,
        session: scenario.session,
        proof,
        allowDevelopmentParameters: true,
        ...changes.proof,
      },
      { files, head: HEAD, policy: policyOf(), now: NOW, ...changes.lineage },
    );

  it('is valid when both are', async () => {
    const verdict = await verify();
    expect(verdict).toMatchObject({ valid: true, proof: { valid: true }, lineage: { valid: true } });
    expect(verdict.valid && verdict.proof.adapterId).toBe(verdict.lineage.subject.digest);
  });

  it('is invalid for the lineage alone', async () => {
    const verdict = await verify({ lineage: { policy: policyOf({ allowedRoots: [] }) } });
    expect(verdict).toMatchObject({
      valid: false,
      reason: 'LINEAGE_INVALID',
      proof: { valid: true },
      lineage: { valid: false },
    });
    expect(!verdict.valid && verdict.message).toMatch(/^the proof holds, the lineage does not: /);
  });

  it('is invalid for the proof alone', async () => {
    const session = scenario.session.clone();
    session.calls[0]!.outputs[0]![0]! += 1n;
    expect(await verify({ proof: { session } })).toMatchObject({
      valid: false,
      reason: 'WRONG_SESSION',
      lineage: { valid: true },
    });
  });

  it('another base or another head is another adapter id, which no proof is about', async () => {
    const { adapter } = scenario;
    const heads = [makeLineageHead(EXPERT.digest, OF_EXPERT.slice(1)), makeLineageHead(BASE.digest, [])];
    const others = [
      { ...adapter, baseDigest: '12'.repeat(32) },
      ...heads.map((head) => ({ ...adapter, lineageDigest: lineageHeadDigest(head) })),
    ];
    for (const [i, other] of others.entries()) {
      expect(adapterId(other)).not.toBe(adapterId(adapter));
      const head = i === 0 ? HEAD : heads[i - 1];
      const about = [...OF_EXPERT, adapterOf(other, i === 2 ? BASE : EXPERT)];
      const verdict = await verify({ proof: { adapter: other }, lineage: { files: about, head } });
      expect(verdict).toMatchObject({ valid: false, reason: 'WRONG_ADAPTER' });
    }
  });
});
