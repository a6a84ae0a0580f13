import { keccak_256 } from '@noble/hashes/sha3.js';
import { concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import fc from 'fast-check';
import { privateKeyToAccount } from 'viem/accounts';
import { describe, expect, it } from 'vitest';
import { R } from '../../src/algebra/index.js';
import {
  checkOfferSignature,
  decodeRow,
  encodeRow,
  keyHashOf,
  lossToNano,
  MerkleTree,
  type Offer,
  offerId,
  offerTypedData,
  parseDeliveryDescription,
  parseFraudProofFile,
  parseSignedOffer,
  parseSignedReceipt,
  RowCipher,
  receiptTypedData,
  rootFromPath,
  rowBytes,
  serializeSignedOffer,
  serializeSignedReceipt,
} from '../../src/settlement/index.js';

const u256 = (value: number) => hexToBytes(value.toString(16).padStart(64, '0'));
const fill = (value: number) => `0x${value.toString(16).padStart(2, '0').repeat(32)}` as const;

const contributor = privateKeyToAccount(fill(1));
const buyer = privateKeyToAccount(fill(2));
const escrow = { chainId: 31337, contract: buyer.address };
const offer: Offer = {
  adapterId: fill(3),
  rowsRoot: fill(4),
  cipherRoot: fill(5),
  keyHash: fill(6),
  srsDigest: fill(7),
  rowCount: 128,
  contributor: contributor.address,
  buyer: buyer.address,
  token: '0x0000000000000000000000000000000000000000',
  price: 10n ** 18n,
  stake: 5n * 10n ** 17n,
  fundBy: 2_000_000_000n,
  revealWindow: 3600,
  disputeWindow: 7200,
};

describe('keystream', () => {
  it('is the one of docs/formats.md', () => {
    const masterKey = Uint8Array.from({ length: 32 }, (_, i) => i);
    const data = new Uint8Array(96);
    new RowCipher(masterKey).apply(70_000, data);
    const rowKey = keccak_256(concatBytes(masterKey, u256(70_000)));
    const pads = [0, 1, 2].map((i) => keccak_256(concatBytes(rowKey, u256(i))));
    expect(data).toEqual(concatBytes(...pads));
    expect(keyHashOf(masterKey)).toEqual(keccak_256(masterKey));
  });

  it('decrypts what it encrypted, and only with the same row', () => {
    const data = Uint8Array.from({ length: 64 }, (_, i) => i);
    const cipher = new RowCipher(new Uint8Array(32).fill(7));
    cipher.apply(3, data);
    const other = Uint8Array.from(data);
    cipher.apply(3, data);
    cipher.apply(4, other);
    expect(data).toEqual(Uint8Array.from({ length: 64 }, (_, i) => i));
    expect(other).not.toEqual(data);
  });
});

describe('rows', () => {
  it('reads what it wrote', () => {
    fc.assert(
      fc.property(
        fc.int16Array({ minLength: 1, maxLength: 100 }),
        fc.bigInt(0n, R - 1n),
        (values, blinder) => {
          const bytes = encodeRow({ values, blinder });
          expect(bytes.length).toBe(rowBytes(values.length));
          expect(decodeRow(bytes, values.length)).toEqual({ values, blinder });
        },
      ),
    );
  });

  it('has the bytes of docs/formats.md', () => {
    const bytes = encodeRow({ values: Int16Array.of(1, -2), blinder: 5n });
    expect(bytes).toEqual(concatBytes(Uint8Array.of(0, 1, 0xff, 0xfe), new Uint8Array(59), Uint8Array.of(5)));
  });

  it('reads every byte string: reduces the blinder, skips what fills the last word', () => {
    const all = new Uint8Array(64).fill(0xff);
    const { values, blinder } = decodeRow(all, 3);
    expect(values).toEqual(Int16Array.of(-1, -1, -1));
    expect(blinder).toBe((2n ** 256n - 1n) % R);
  });
});

describe('trees', () => {
  it.each([1, 2, 3, 5, 8, 33])('has a path for each of %i leaves', (count) => {
    const leaves = Array.from({ length: count }, (_, i) => keccak_256(Uint8Array.of(i)));
    const tree = new MerkleTree(leaves);
    leaves.forEach((leaf, i) => {
      expect(rootFromPath(leaf, i, tree.path(i))).toEqual(tree.root);
      if (count > 1) expect(rootFromPath(leaf, i ^ 1, tree.path(i))).not.toEqual(tree.root);
    });
  });

  it('is the one of docs/formats.md', () => {
    const [a, b, c] = [1, 2, 3].map((i) => new Uint8Array(32).fill(i)) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    const node = (left: Uint8Array, right: Uint8Array) =>
      keccak_256(concatBytes(Uint8Array.of(2), left, right));
    expect(new MerkleTree([a, b, c]).root).toEqual(node(node(a, b), node(c, new Uint8Array(32))));
    expect(new MerkleTree([a]).root).toEqual(a);
  });
});

describe('offer', () => {
  it('is read back, and its id does not depend on the signature', async () => {
    const signature = await contributor.signTypedData(offerTypedData(escrow, offer));
    const signed = { escrow, offer, signature };
    expect(await parseSignedOffer(serializeSignedOffer(signed))).toEqual(signed);
    expect(offerId(escrow, offer)).not.toBe(offerId({ ...escrow, chainId: 1 }, offer));
    expect(offerId(escrow, offer)).not.toBe(offerId({ ...escrow, contract: contributor.address }, offer));
  });

  it('is refused when any member or the signature was changed', async () => {
    const signature = await contributor.signTypedData(offerTypedData(escrow, offer));
    const file = JSON.parse(serializeSignedOffer({ escrow, offer, signature })) as Record<string, unknown>;
    for (const member of Object.keys(file)) {
      const value = file[member];
      const changed =
        typeof value === 'number' ? value + 1 : String(value).replace(/.$/, (c) => (c === '1' ? '2' : '1'));
      const text = JSON.stringify({ ...file, [member]: changed });
      await expect(parseSignedOffer(text), member).rejects.toMatchObject({ code: 'OFFER_MALFORMED' });
      const { [member]: _, ...without } = file;
      await expect(parseSignedOffer(JSON.stringify(without)), member).rejects.toMatchObject({
        code: 'OFFER_MALFORMED',
      });
    }
    await expect(parseSignedOffer(JSON.stringify({ ...file, extra: 1 }))).rejects.toMatchObject({
      code: 'OFFER_MALFORMED',
    });
  });

  it('is read from strict UTF-8, like fraud proofs and descriptions of deliveries', async () => {
    const bytes = Uint8Array.from(Buffer.from('{"format": "\xff"}', 'latin1'));
    await expect(parseSignedOffer(bytes)).rejects.toMatchObject({
      code: 'OFFER_MALFORMED',
      message: expect.stringContaining('UTF-8'),
    });
    for (const [code, parse] of [
      ['OFFER_MALFORMED', parseDeliveryDescription],
      ['FRAUD_PROOF_MALFORMED', parseFraudProofFile],
    ] as const) {
      expect(() => parse(bytes)).toThrow(
        expect.objectContaining({ code, message: expect.stringContaining('UTF-8') }),
      );
    }
  });

  it('takes one form of a signature: low s, v 27 or 28', async () => {
    const signature = await contributor.signTypedData(offerTypedData(escrow, offer));
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const s = order - BigInt(`0x${signature.slice(66, 130)}`);
    const v = signature.endsWith('1b') ? '1c' : '1b';
    const highS = `${signature.slice(0, 66)}${s.toString(16).padStart(64, '0')}${v}` as `0x${string}`;
    const parity = `${signature.slice(0, 130)}${v === '1c' ? '00' : '01'}` as `0x${string}`;
    await expect(checkOfferSignature({ escrow, offer, signature })).resolves.toBeUndefined();
    for (const other of [highS, parity, '0x'] as const) {
      await expect(checkOfferSignature({ escrow, offer, signature: other })).rejects.toMatchObject({
        code: 'OFFER_MALFORMED',
      });
    }
  });
});

describe('evaluation receipt', () => {
  const receipt = {
    adapterId: fill(3),
    sessionDigest: fill(8),
    proofDigest: fill(9),
    textDigest: fill(0),
    baseLoss: lossToNano(1.626),
    adapterLoss: lossToNano(1.0912),
    predictions: 756n,
    verdict: 'VALID',
    evaluator: buyer.address,
    issuedAt: 1_790_000_000n,
  };

  it('is read back', async () => {
    const signature = await buyer.signTypedData(receiptTypedData(receipt));
    const signed = { receipt, signature };
    expect(await parseSignedReceipt(serializeSignedReceipt(signed))).toEqual(signed);
  });

  it('is refused when any member was changed', async () => {
    const signature = await buyer.signTypedData(receiptTypedData(receipt));
    const file = JSON.parse(serializeSignedReceipt({ receipt, signature })) as Record<string, unknown>;
    for (const member of Object.keys(file)) {
      const value = file[member];
      const changed =
        typeof value === 'number' ? value + 1 : String(value).replace(/.$/, (c) => (c === '1' ? '2' : '1'));
      await expect(
        parseSignedReceipt(JSON.stringify({ ...file, [member]: changed })),
        member,
      ).rejects.toMatchObject({ code: 'RECEIPT_MALFORMED' });
    }
  });

  it('refuses a loss that is none', () => {
    for (const loss of [Number.NaN, -1, Number.POSITIVE_INFINITY]) {
      expect(() => lossToNano(loss)).toThrow(expect.objectContaining({ code: 'USAGE' }));
    }
    expect(lossToNano(1.5)).toBe(1_500_000_000n);
  });
});
