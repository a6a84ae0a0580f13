import { describe, expect, it } from 'vitest';
import {
  checkpointDigest,
  edgesStatement,
  manifestStatement,
  type TensorDigest,
} from '../../src/checkpoint/index.js';
import {
  ADAPTER,
  adapter,
  BASE,
  checkpoint,
  digestOf,
  EXPERT,
  edge,
  edgeOf,
  ensemble,
  failureCodes,
  GOOD,
  ISSUED,
  judge,
  MAKER,
  manifestFile,
  manifestOf,
  OTHER,
  policyOf,
  STRANGER,
  step,
  stored,
  storedPayload,
} from './lineageBuilder.js';

const LEAF = GOOD[0]!;
const TO_BASE = GOOD[1]!;
const signedBy = (...keys: Parameters<typeof stored>[1][]) =>
  stored(edgesStatement([edgeOf(EXPERT, 'finetuned-from', BASE)], ISSUED), ...keys);
const key = (changes: object) => [{ ...policyOf().keys[0]!, ...changes }];

describe('a lineage that holds', () => {
  it('explains every edge: who signed, which envelope', async () => {
    const verdict = await judge();
    expect(verdict.failures).toEqual([]);
    expect(verdict.valid).toBe(true);
    expect(
      verdict.edges.map(({ relation, status, signers }) => [
        relation,
        status,
        signers.map(({ name }) => name),
      ]),
    ).toEqual([
      ['adapter-of', 'verified', ['maker']],
      ['finetuned-from', 'verified', ['maker']],
    ]);
    expect(verdict.edges[1]!.envelopes).toEqual([TO_BASE.id]);
    expect(verdict.nodes.map(({ isRoot }) => isRoot)).toEqual([false, false, true]);
  });

  it('merges statements that agree, and takes one good signature of several', async () => {
    const verdict = await judge({ files: [LEAF, signedBy(STRANGER, MAKER), signedBy(OTHER)] });
    expect(verdict.valid).toBe(true);
    expect(verdict.edges[1]!.signers.map(({ name }) => name).sort()).toEqual(['maker', 'other']);
  });

  it('walks all parents of a merge, whatever their order', async () => {
    const [a, b] = [checkpoint('a'), checkpoint('b')];
    const files = [
      LEAF,
      edge(EXPERT, 'merged-from', a, b),
      stored(edgesStatement([edgeOf(EXPERT, 'merged-from', b, a)], ISSUED), OTHER),
      edge(a, 'trained-from', BASE),
    ];
    expect(await failureCodes({ files })).toEqual(['missing-parent']);
    expect(await failureCodes({ files: [...files, edge(b, 'quantized-from', BASE)] })).toEqual([]);
  });

  it('stays valid whatever others add to the store', async () => {
    const noise = [
      stored(edgesStatement([edgeOf(EXPERT, 'trained-from', checkpoint('elsewhere'))], ISSUED), STRANGER),
      stored(edgesStatement([edgeOf(BASE, 'trained-from', EXPERT)], ISSUED), STRANGER),
      manifestFile(EXPERT, { name: 'lie' }, STRANGER),
      { id: digestOf('x'), bytes: new Uint8Array(3) },
    ];
    const verdict = await judge({ files: [...GOOD, ...noise] });
    expect(verdict.valid).toBe(true);
    expect(verdict.edges.filter(({ status }) => status === 'claimed')).toHaveLength(1);
    expect(verdict.ignored.map(({ code }) => code)).toEqual(['wrong-envelope-name']);
  });
});

describe('each failure has its own code', () => {
  it('cycle', async () => {
    const files = [
      LEAF,
      edge(EXPERT, 'finetuned-from', checkpoint('a')),
      edge(checkpoint('a'), 'trained-from', EXPERT),
    ];
    expect(await failureCodes({ files })).toEqual(['cycle']);
    expect(await failureCodes({ files: [LEAF, edge(EXPERT, 'trained-from', EXPERT)] })).toEqual(['cycle']);
  });

  it('fork', async () => {
    expect(await failureCodes({ files: [...GOOD, edge(EXPERT, 'trained-from', BASE)] })).toContain('fork');
    expect(await failureCodes({ files: [...GOOD, edge(ADAPTER, 'adapter-of', BASE)] })).toEqual(['fork']);
  });

  it('missing-parent', async () => {
    expect(await failureCodes({ files: [LEAF] })).toEqual(['missing-parent']);
    expect(await failureCodes({ files: [] })).toEqual(['missing-parent']);
    // where an adapter's weights come from does not replace what it is an adapter of
    expect(await failureCodes({ files: [edge(ADAPTER, 'finetuned-from', adapter('older'))] })).toContain(
      'missing-parent',
    );
  });

  it('root-not-allowed', async () => {
    expect(await failureCodes({ files: [LEAF, manifestFile(EXPERT)] })).toEqual(['root-not-allowed']);
    expect(await failureCodes({ files: [], subject: ensemble('e') })).toEqual(['root-not-allowed']);
  });

  it('wrong-subject-digest', async () => {
    const statement = edgesStatement([edgeOf(EXPERT, 'finetuned-from', BASE)], ISSUED);
    const moved = {
      ...statement,
      subject: [{ name: 'x', digest: { zkloraCheckpointV1: digestOf('other') } }],
    };
    expect(await failureCodes({ files: [LEAF, storedPayload(moved)] })).toEqual(['wrong-subject-digest']);
    const listings = new Map([[EXPERT.digest, [] as TensorDigest[]]]);
    expect(await failureCodes({ listings })).toEqual(['wrong-subject-digest']);
    const manifest = { ...manifestStatement(manifestOf(BASE), ISSUED) };
    const about = { ...manifest, subject: [{ name: 'x', digest: { zkloraCheckpointV1: EXPERT.digest } }] };
    const policy = { requireManifests: true };
    expect(
      await failureCodes({ files: [...GOOD, storedPayload(about), manifestFile(ADAPTER)], policy }),
    ).toEqual(['wrong-subject-digest', 'missing-manifest']);
  });

  it('unknown-relation', async () => {
    const statement = edgesStatement([edgeOf(EXPERT, 'finetuned-from', BASE)], ISSUED);
    const edges = [{ ...edgeOf(EXPERT, 'finetuned-from', BASE), relation: 'dreamt-of' }];
    const files = [LEAF, storedPayload({ ...statement, predicate: { issuedAt: ISSUED, edges } })];
    expect(await failureCodes({ files })).toEqual(['unknown-relation']);
  });

  it('relation-kind-mismatch', async () => {
    const mismatches = [
      edge(EXPERT, 'adapter-of', BASE),
      edge(EXPERT, 'merged-from', BASE),
      edge(EXPERT, 'merged-from', BASE, BASE),
      edge(EXPERT, 'trained-from', BASE, checkpoint('b')),
      edge(EXPERT, 'trained-from', ADAPTER),
      edge(EXPERT, 'expert-of', BASE),
    ];
    for (const mismatch of mismatches) {
      expect(await failureCodes({ files: [LEAF, mismatch] })).toEqual(['relation-kind-mismatch']);
    }
    expect(await failureCodes({ files: [edge(ADAPTER, 'adapter-of', ADAPTER)] })).toEqual([
      'relation-kind-mismatch',
    ]);
  });

  it('bad-signature', async () => {
    const good = JSON.parse(new TextDecoder().decode(TO_BASE.bytes));
    const other = JSON.parse(new TextDecoder().decode(LEAF.bytes));
    const forged = new TextEncoder().encode(JSON.stringify({ ...good, signatures: other.signatures }));
    const file = { id: digestOf(new TextDecoder().decode(forged)), bytes: forged };
    expect(await failureCodes({ files: [LEAF, file] })).toEqual(['bad-signature']);
  });

  it('key-unknown, key-revoked, key-expired, key-not-permitted', async () => {
    expect(await failureCodes({ files: [LEAF, signedBy(STRANGER)] })).toEqual(['key-unknown']);
    expect((await judge({ files: [LEAF, signedBy(STRANGER)] })).edges[1]!.status).toBe('claimed');
    const files = [LEAF, signedBy(MAKER)];
    const keys = (changes: object) => ({ keys: [...key(changes), policyOf().keys[1]!] });
    expect(await failureCodes({ files, policy: keys({ revoked: true }) })).toEqual(['key-revoked']);
    expect(await failureCodes({ files, policy: keys({ expires: '2026-06-01T00:00:00Z' }) })).toEqual([
      'key-expired',
    ]);
    expect(await failureCodes({ files, policy: keys({ expires: '2026-06-01T00:00:01Z' }) })).toEqual([]);
    expect(await failureCodes({ files, policy: keys({ roles: ['adapters'] }) })).toEqual([
      'key-not-permitted',
    ]);
  });

  it('issued-in-future', async () => {
    const file = stored(edgesStatement([edgeOf(EXPERT, 'finetuned-from', BASE)], '2026-06-01T00:00:01Z'));
    expect(await failureCodes({ files: [LEAF, file] })).toEqual(['issued-in-future']);
  });

  it('manifest-conflict', async () => {
    const files = [
      ...GOOD,
      manifestFile(EXPERT, { name: 'one' }),
      manifestFile(EXPERT, { name: 'two' }, OTHER),
    ];
    expect(await failureCodes({ files })).toEqual(['manifest-conflict']);
    const agreeing = [...GOOD, manifestFile(EXPERT), manifestFile(EXPERT, {}, OTHER)];
    expect(await failureCodes({ files: agreeing })).toEqual([]);
  });

  it('manifest-mismatch; parents that only a manifest names are claims', async () => {
    const parents = (relation: 'finetuned-from' | 'quantized-from', of = checkpoint('else')) => [
      { relation, parents: [of], step: null },
    ];
    const mismatch = [...GOOD, manifestFile(EXPERT, { parents: parents('finetuned-from') })];
    expect(await failureCodes({ files: mismatch })).toEqual(['manifest-mismatch']);
    const agreeing = [...GOOD, manifestFile(EXPERT, { parents: parents('finetuned-from', BASE) })];
    expect(await failureCodes({ files: agreeing })).toEqual([]);
    const claimed = await judge({
      files: [...GOOD, manifestFile(EXPERT, { parents: parents('quantized-from') })],
    });
    expect(claimed.valid).toBe(true);
    expect(claimed.edges.find(({ relation }) => relation === 'quantized-from')?.status).toBe('claimed');
  });

  it('missing-manifest', async () => {
    const policy = { requireManifests: true };
    expect(await failureCodes({ policy })).toEqual(['missing-manifest', 'missing-manifest']);
    const files = [...GOOD, manifestFile(EXPERT), manifestFile(ADAPTER)];
    expect(await failureCodes({ files, policy })).toEqual([]);
    expect(await failureCodes({ policy: { forbiddenLicences: ['x'] } })).toContain('missing-manifest');
    expect(await failureCodes({ files: [...GOOD, edge(EXPERT, 'expert-of', ensemble('e'))] })).toEqual([
      'missing-manifest',
    ]);
  });

  it('forbidden-objective and forbidden-licence', async () => {
    const files = [...GOOD, manifestFile(EXPERT, { licence: 'GPL-3.0' }), manifestFile(ADAPTER)];
    expect(await failureCodes({ files, policy: { forbiddenObjectives: ['ddpm'] } })).toEqual([
      'forbidden-objective',
    ]);
    expect(await failureCodes({ files, policy: { forbiddenObjectives: ['flow-matching'] } })).toEqual([]);
    expect(await failureCodes({ files, policy: { forbiddenLicences: ['gpl-3.0'] } })).toEqual([
      'forbidden-licence',
    ]);
    const undeclared = [...GOOD, manifestFile(EXPERT, { licence: null }), manifestFile(ADAPTER)];
    expect(await failureCodes({ files: undeclared, policy: { forbiddenLicences: ['x'] } })).toEqual([
      'forbidden-licence',
    ]);
  });

  it('too-deep', async () => {
    expect(await failureCodes({ policy: { maximumDepth: 1 } })).toEqual(['too-deep']);
    expect(await failureCodes({ policy: { maximumDepth: 2 } })).toEqual([]);
  });

  it('missing-relation', async () => {
    expect(await failureCodes({ policy: { requiredRelations: ['expert-of'] } })).toEqual([
      'missing-relation',
    ]);
    expect(await failureCodes({ policy: { requiredRelations: ['adapter-of', 'finetuned-from'] } })).toEqual(
      [],
    );
    const claimed = [
      ...GOOD,
      stored(edgesStatement([edgeOf(EXPERT, 'expert-of', ensemble('e'))], ISSUED), STRANGER),
    ];
    expect(await failureCodes({ files: claimed, policy: { requiredRelations: ['expert-of'] } })).toEqual([
      'missing-relation',
    ]);
  });

  it('policy-expired', async () => {
    expect(await failureCodes({ policy: { expires: '2026-06-01T00:00:00Z' } })).toEqual(['policy-expired']);
    expect(await failureCodes({ policy: { expires: '2026-06-01T00:00:01Z' } })).toEqual([]);
  });

  it('tensors-mismatch', async () => {
    const tensor = (name: string, data: string): TensorDigest => ({
      name,
      dtype: 'F32',
      shape: [2],
      sha256: digestOf(data),
    });
    const before = [tensor('a', 'x'), tensor('b', 'y')];
    const question = (after: TensorDigest[]) => {
      const [from, to] = [before, after].map((list) => ({
        kind: 'checkpoint' as const,
        digest: checkpointDigest(list),
      }));
      const copying = { ...edgeOf(to!, 'converted-from', from!), step: step(true) };
      return {
        files: [edge(ADAPTER, 'adapter-of', to!), stored(edgesStatement([copying], ISSUED))],
        policy: { allowedRoots: [from!] },
        listings: new Map([
          [from!.digest, before],
          [to!.digest, after],
        ]),
      };
    };
    const relabelled = question([tensor('a', 'x'), tensor('c', 'y')]);
    expect(await failureCodes(relabelled)).toEqual([]);
    expect((await judge(relabelled)).edges[1]!.tensorsChecked).toBe(true);
    expect(await failureCodes(question([tensor('a', 'x'), tensor('b', 'z')]))).toEqual(['tensors-mismatch']);
    expect(await failureCodes(question([tensor('a', 'x')]))).toEqual(['tensors-mismatch']);
  });

  it('malformed-envelope, malformed-statement and wrong-envelope-name are reported, and count for nothing', async () => {
    const text = (value: string) => new TextEncoder().encode(value);
    const named = (bytes: Uint8Array) => ({ id: digestOf(new TextDecoder().decode(bytes)), bytes });
    const bad = [
      named(text('{"payload":1}')),
      storedPayload({
        _type: 'https://in-toto.io/Statement/v1',
        predicateType: 'https://slsa.dev/provenance/v1',
      }),
      { id: digestOf('other'), bytes: TO_BASE.bytes },
    ];
    const verdict = await judge({ files: [LEAF, ...bad] });
    expect(verdict.failures.map(({ code }) => code)).toEqual(['missing-parent']);
    expect(verdict.ignored.map(({ code }) => code)).toEqual([
      'malformed-envelope',
      'malformed-statement',
      'wrong-envelope-name',
    ]);
  });
});
