import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, concatBytes, hexToBytes } from '../../src/bytes.js';
import { isEnvelopeSignedBy, verificationKey } from '../../src/checkpoint/dsse.js';
import {
  checkLineagePolicy,
  edgesStatement,
  parseEnvelope,
  parseLineagePolicy,
  parseStatement,
  preAuthEncoding,
  serializeEnvelope,
  serializeStatement,
  signEnvelope,
  statementSubjects,
} from '../../src/checkpoint/index.js';
import { accepts, refusal } from '../adapter/refusal.js';
import { ADAPTER, EXPERT, edgeOf, ISSUED, MAKER, OTHER, policyOf } from './lineageBuilder.js';

const STATEMENT = edgesStatement([edgeOf(ADAPTER, 'adapter-of', EXPERT)], ISSUED);
const ENVELOPE = signEnvelope(serializeStatement(STATEMENT), [MAKER.secret]);
/** Order of the large group, and a point of order 8. */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const ORDER_8 = 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a';
const littleEndian = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (value: unknown) =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));

describe('DSSE', () => {
  it('encodes as the protocol page of DSSE shows', () => {
    const encoded = preAuthEncoding('http://example.com/HelloWorld', bytesOf('hello world'));
    expect(text(encoded)).toBe('DSSEv1 29 http://example.com/HelloWorld 11 hello world');
    // lengths count bytes, not characters
    expect(text(preAuthEncoding('é', bytesOf('€')))).toBe('DSSEv1 2 é 3 €');
  });

  it('round-trips, signed under the in-toto payload type', async () => {
    const parsed = parseEnvelope(serializeEnvelope(ENVELOPE));
    expect(parsed).toEqual(ENVELOPE);
    const [{ signature, keyid }] = parsed.signatures as [(typeof parsed.signatures)[number]];
    expect(keyid).toBe(MAKER.public);
    const message = preAuthEncoding('application/vnd.in-toto+json', parsed.payload);
    expect(ed25519.verify(signature, message, ed25519.getPublicKey(MAKER.secret), { zip215: false })).toBe(
      true,
    );
    expect(await isEnvelopeSignedBy(parsed, signature, verificationKey(MAKER.public))).toBe(true);
    expect(await isEnvelopeSignedBy(parsed, signature, verificationKey(OTHER.public))).toBe(false);
  });

  it('agrees with @noble/curves on any bit of the signature being flipped', async () => {
    const key = verificationKey(MAKER.public);
    const original = ENVELOPE.signatures[0]!.signature;
    const message = preAuthEncoding(ENVELOPE.payloadType, ENVELOPE.payload);
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 511 }), async (bit) => {
        const signature = new Uint8Array(original);
        signature[bit >> 3]! ^= 1 << (bit & 7);
        expect(await isEnvelopeSignedBy(ENVELOPE, signature, key)).toBe(false);
        expect(
          ed25519.verify(signature, message, ed25519.getPublicKey(MAKER.secret), { zip215: false }),
        ).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  it('refuses keys that are no point of the large group', () => {
    for (const key of [ORDER_8, `01${'00'.repeat(31)}`, 'ff'.repeat(32), `02${'00'.repeat(31)}`]) {
      expect(refusal(() => verificationKey(key)).code).toBe('LINEAGE_MALFORMED');
    }
  });

  it('refuses signatures that only a lax verifier takes: s not reduced, R of small order or not canonical', async () => {
    const key = verificationKey(MAKER.public);
    const { signature } = ENVELOPE.signatures[0]!;
    expect(await isEnvelopeSignedBy(ENVELOPE, signature, key)).toBe(true);
    const s = littleEndian(signature.slice(32));
    const unreduced = Buffer.from((s + ORDER).toString(16).padStart(64, '0'), 'hex').reverse();
    expect(
      await isEnvelopeSignedBy(ENVELOPE, Uint8Array.of(...signature.slice(0, 32), ...unreduced), key),
    ).toBe(false);
    // the identity in its canonical form, as y = p + 1 and with the sign bit set; the point of order 4
    const identity = `01${'00'.repeat(31)}`;
    const beyond = `ee${'ff'.repeat(30)}7f`;
    for (const r of [identity, beyond, `01${'00'.repeat(30)}80`, '00'.repeat(32)]) {
      for (const scalar of [new Uint8Array(32), signature.slice(32)]) {
        const forged = Uint8Array.of(...Buffer.from(r, 'hex'), ...scalar);
        expect(await isEnvelopeSignedBy(ENVELOPE, forged, key)).toBe(false);
      }
    }
    // a key that is the same point in another encoding is no key
    expect(refusal(() => verificationKey(beyond)).code).toBe('LINEAGE_MALFORMED');
  });

  it('takes exactly what RFC 8032 without the cofactor takes, under keys and commitments with a torsion part', async () => {
    const torsion = ed25519.Point.fromHex(ORDER_8);
    const [a, r] = [12345678901234567890n, 98765432109876543210n];
    const message = preAuthEncoding(ENVELOPE.payloadType, ENVELOPE.payload);
    const parts = [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n].map((times) => torsion.multiplyUnsafe(times));
    let taken = 0;
    for (const keyPart of parts) {
      const A = ed25519.Point.BASE.multiply(a).add(keyPart);
      const key = verificationKey(A.toHex());
      for (const part of parts) {
        const R = ed25519.Point.BASE.multiply(r).add(part);
        const k = littleEndian(sha512(concatBytes(R.toBytes(), A.toBytes(), message))) % ORDER;
        const s = hexToBytes(((r + k * a) % ORDER).toString(16).padStart(64, '0')).reverse();
        const signature = concatBytes(R.toBytes(), s);
        // s B = r B + k a B: what is left is the torsion parts' sum
        const expected = part.equals(keyPart.multiplyUnsafe(k % 8n).negate());
        expect(await isEnvelopeSignedBy(ENVELOPE, signature, key)).toBe(expected);
        // the reference clears the cofactor: it takes all of them, ours and more
        expect(ed25519.verify(signature, message, A.toBytes(), { zip215: false })).toBe(true);
        taken += Number(expected);
      }
    }
    expect(taken).toBeGreaterThan(1);
    expect(taken).toBeLessThan(parts.length ** 2);
  });

  it('refuses everything but the one form', () => {
    const good = JSON.parse(text(serializeEnvelope(ENVELOPE)));
    const sig = good.signatures[0];
    for (const change of [
      { payloadType: 'text/plain' },
      { payload: `${good.payload}=` },
      { payload: good.payload.replace(/.$/, '!') },
      { payload: 'YQ' },
      { payload: 'YR==' },
      { signatures: [] },
      { signatures: Array(17).fill(sig) },
      { signatures: [{ ...sig, sig: 'AAAA' }] },
      { signatures: [{ ...sig, keyid: 'X' }] },
      { extra: 1 },
    ]) {
      expect(refusal(() => parseEnvelope(bytesOf({ ...good, ...change }))).code).toBe('LINEAGE_MALFORMED');
    }
    expect(refusal(() => parseEnvelope(new Uint8Array(5 * 2 ** 20))).code).toBe('LINEAGE_MALFORMED');
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (value) => {
        expect(accepts('LINEAGE_MALFORMED', () => parseEnvelope(bytesOf(value)))).toBe(false);
      }),
    );
  });
});

describe('statements', () => {
  it('are in-toto Statements v1 with the subjects of their edges', () => {
    expect(parseStatement(serializeStatement(STATEMENT))).toEqual(STATEMENT);
    expect(STATEMENT._type).toBe('https://in-toto.io/Statement/v1');
    expect(statementSubjects(STATEMENT)).toEqual([ADAPTER]);
    expect(STATEMENT.subject[0]!.digest).toEqual({ zkloraAdapterV1: ADAPTER.digest });
  });

  it('refuse other types, unknown members and impossible times', () => {
    for (const change of [
      { _type: 'https://in-toto.io/Statement/v0.1' },
      { predicateType: 'https://slsa.dev/provenance/v1' },
      { subject: [] },
      { subject: [{ name: 'x', digest: { sha256: ADAPTER.digest } }] },
      {
        subject: [
          { name: 'x', digest: { ...STATEMENT.subject[0]!.digest, zkloraCheckpointV1: ADAPTER.digest } },
        ],
      },
      { predicate: { ...STATEMENT.predicate, issuedAt: '2026-02-30T00:00:00Z' } },
      { predicate: { ...STATEMENT.predicate, issuedAt: '2026-02-20' } },
      { predicate: { ...STATEMENT.predicate, edges: [] } },
      { more: true },
    ]) {
      expect(refusal(() => parseStatement(canonicalJson({ ...STATEMENT, ...change }))).code).toBe(
        'LINEAGE_MALFORMED',
      );
    }
    fc.assert(
      fc.property(fc.json(), (value) => {
        expect(accepts('LINEAGE_MALFORMED', () => parseStatement(bytesOf(value)))).toBe(false);
      }),
    );
  });
});

describe('policies', () => {
  it('round-trip, and are refused when they contradict themselves', () => {
    const policy = policyOf();
    expect(parseLineagePolicy(bytesOf(policy))).toEqual(policy);
    const [first] = policy.keys as [(typeof policy.keys)[number]];
    for (const change of [
      { keys: [first, first] },
      { keys: [{ ...first, roles: ['nobody'] }] },
      { keys: [{ ...first, roles: ['constructor'] }] },
      { keys: [{ ...first, key: 'AB'.repeat(32) }] },
      { maximumDepth: 0 },
      { requiredRelations: ['friend-of'] },
      { expires: 'soon' },
      { unknown: 1 },
    ]) {
      expect(refusal(() => checkLineagePolicy({ ...policy, ...change })).code).toBe('LINEAGE_MALFORMED');
    }
    fc.assert(
      fc.property(fc.json(), (value) => {
        expect(accepts('LINEAGE_MALFORMED', () => parseLineagePolicy(bytesOf(value)))).toBe(false);
      }),
    );
  });
});
