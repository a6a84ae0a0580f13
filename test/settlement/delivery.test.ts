import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterId } from '../../src/adapter/index.js';
import { bytesToHex, concatBytes, hexToBytes } from '../../src/bytes.js';
import { checkDelivery, checkOffer } from '../../src/settlement/checkDelivery.js';
import { Delivery } from '../../src/settlement/deliver.js';
import { describeDelivery } from '../../src/settlement/deliveryDescription.js';
import { DeliveryFile, resumeDownload } from '../../src/settlement/deliveryFile.js';
import {
  CHUNK_BYTES,
  HEADER_BYTES,
  openSealedDelivery,
  SEALED_CHUNK_BYTES,
  sealDelivery,
  sealedBytes,
} from '../../src/settlement/deliverySeal.js';
import { deliveryPublicKey } from '../../src/settlement/keyFiles.js';
import { MAX_DISPUTABLE_ENTRIES } from '../../src/settlement/limits.js';
import { refusal, refusalOf } from '../adapter/refusal.js';
import { type Bargain, deliverTo, makeBargain, signedOffer } from './bargain.js';

const ADAPTER = new Uint8Array(32).fill(9);
const KEY = new Uint8Array(32).fill(0x31);
const PUBLIC = hexToBytes(deliveryPublicKey(KEY));

/** A file of two whole chunks and a short one, without any adapter. */
async function sealed(bytes = 2 * CHUNK_BYTES + 1000, part = 1501): Promise<Uint8Array> {
  const content = Uint8Array.from({ length: bytes }, (_, i) => i % 251);
  const parts = async function* () {
    for (let at = 0; at < bytes; at += part) yield content.subarray(at, at + part);
  };
  const out: Uint8Array[] = [];
  for await (const piece of sealedBytes(sealDelivery(PUBLIC, ADAPTER, bytes), parts())) out.push(piece);
  return concatBytes(...out);
}

const chunk = (file: Uint8Array, i: number) =>
  file.slice(HEADER_BYTES + i * SEALED_CHUNK_BYTES, HEADER_BYTES + (i + 1) * SEALED_CHUNK_BYTES);
const headerOf = (file: Uint8Array) => file.slice(0, HEADER_BYTES);

describe('sealed chunks', () => {
  it.each([1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])(
    'come back as they were, %i bytes',
    async (bytes) => {
      const file = await sealed(bytes);
      const { header, open } = openSealedDelivery(KEY, headerOf(file));
      expect(header).toEqual({ adapterId: bytesToHex(ADAPTER), contentBytes: bytes, fileBytes: file.length });
      const content = concatBytes(
        ...Array.from({ length: Math.ceil(bytes / CHUNK_BYTES) }, (_, i) => open(i, chunk(file, i))),
      );
      expect(content.length).toBe(bytes);
      expect(content.every((byte, i) => byte === i % 251)).toBe(true);
    },
  );

  it('are refused when a bit is changed, in any chunk', async () => {
    const file = await sealed();
    const { open } = openSealedDelivery(KEY, headerOf(file));
    for (const index of [0, 1, 2]) {
      const good = chunk(file, index);
      for (const at of [0, good.length >> 1, good.length - 16, good.length - 1]) {
        const bad = good.slice();
        bad[at]! ^= 1;
        const { code, details } = refusal(() => open(index, bad));
        expect({ code, details }).toEqual({ code: 'DELIVERY_MALFORMED', details: { chunk: index } });
      }
    }
  });

  it('are refused in another place, twice, cut, as the last one, or from another file', async () => {
    const file = await sealed();
    const other = await sealed();
    const { open } = openSealedDelivery(KEY, headerOf(file));
    for (const [index, bytes] of [
      [0, chunk(file, 1)],
      [1, chunk(file, 0)],
      [1, chunk(other, 1)],
      [2, chunk(file, 1)],
      [2, chunk(file, 2).slice(0, -1)],
      [3, chunk(file, 2)],
    ] as const) {
      expect(refusal(() => open(index, bytes)).code).toBe('DELIVERY_MALFORMED');
    }
    // a file cut at a chunk's end, with a header that fits: the flag on the last chunk is missing
    const short = openSealedDelivery(KEY, headerOf(await sealed(2 * CHUNK_BYTES)));
    expect(refusal(() => short.open(1, chunk(file, 1))).code).toBe('DELIVERY_MALFORMED');
  });

  it('have a header of which no byte may change, and no other key opens it', async () => {
    const header = headerOf(await sealed());
    for (let at = 0; at < HEADER_BYTES; at++) {
      const bad = header.slice();
      bad[at]! ^= 1;
      expect(refusal(() => openSealedDelivery(KEY, bad)).code, `byte ${at}`).toBe('DELIVERY_MALFORMED');
    }
    const stranger = new Uint8Array(32).fill(0x32);
    expect(refusal(() => openSealedDelivery(stranger, header)).code).toBe('DELIVERY_MALFORMED');
    expect(refusal(() => openSealedDelivery(KEY, header.slice(1))).code).toBe('DELIVERY_MALFORMED');
  });

  it('refuse points of small order on both sides', async () => {
    expect(refusal(() => sealDelivery(new Uint8Array(32), ADAPTER, 10)).code).toBe('USAGE');
    const header = headerOf(await sealed());
    header.fill(0, 17 + 32, 17 + 64);
    expect(refusal(() => openSealedDelivery(KEY, header)).code).toBe('DELIVERY_MALFORMED');
  });

  it('stop at the largest content', () => {
    expect(refusal(() => sealDelivery(PUBLIC, ADAPTER, 2 ** 32 + 1)).code).toBe('ADAPTER_UNSUPPORTED');
  });
});

describe('a download', () => {
  let bargain: Bargain;
  beforeAll(async () => {
    bargain = await makeBargain();
  });
  afterAll(() => bargain.close());

  it('is checked up to where it goes, cut there, and continued', async () => {
    const file = await sealed();
    const path = join(bargain.dir, 'part');
    const whole = (chunks: number) => HEADER_BYTES + chunks * SEALED_CHUNK_BYTES;
    const bad = file.slice();
    bad[whole(1) + 5]! ^= 1;
    for (const [bytes, verified] of [
      [file.subarray(0, HEADER_BYTES), whole(0)],
      [file.subarray(0, whole(1) + 77), whole(1)],
      [file.subarray(0, whole(2)), whole(2)],
      [bad, whole(1)],
      [concatBytes(file, Uint8Array.of(1)), file.length],
      [file, file.length],
    ] as const) {
      await writeFile(path, bytes);
      expect(await resumeDownload(path, KEY)).toEqual({
        verifiedBytes: verified,
        fileBytes: file.length,
        complete: verified === file.length,
      });
      expect((await readFile(path)).equals(file.subarray(0, verified))).toBe(true);
    }
    await writeFile(path, file.subarray(0, HEADER_BYTES - 1));
    expect((await refusalOf(resumeDownload(path, KEY))).code).toBe('DELIVERY_INCOMPLETE');
    // another key: nothing is cut off
    await writeFile(path, file);
    expect((await refusalOf(resumeDownload(path, new Uint8Array(32).fill(1)))).code).toBe(
      'DELIVERY_MALFORMED',
    );
    expect((await readFile(path)).length).toBe(file.length);
  });

  it('of the wrong adapter, cut or with bytes behind it is refused', async () => {
    const { path } = await deliverTo(bargain, 'whole');
    const bytes = await readFile(path);
    const { commitment, deliveryKey } = bargain;
    const opening = (name: string, content: Uint8Array) =>
      writeFile(join(bargain.dir, name), content).then(() =>
        refusalOf(DeliveryFile.open(join(bargain.dir, name), deliveryKey, commitment)),
      );
    expect((await opening('cut', bytes.subarray(0, -1))).code).toBe('DELIVERY_INCOMPLETE');
    expect((await opening('longer', concatBytes(bytes, Uint8Array.of(0)))).code).toBe('DELIVERY_MALFORMED');
    const other = { ...commitment, salt: '77'.repeat(32) };
    expect((await refusalOf(DeliveryFile.open(path, deliveryKey, other))).code).toBe('DELIVERY_MISMATCH');
    const missing = refusalOf(DeliveryFile.open(join(bargain.dir, 'none'), deliveryKey, commitment));
    expect((await missing).code).toBe('FILE_NOT_FOUND');
  });

  it('matches its offer, and no offer that differs in any member', async () => {
    const { path, offer } = await deliverTo(bargain, 'delivery');
    const { commitment, parameters, deliveryKey } = bargain;
    const file = await DeliveryFile.open(path, deliveryKey, commitment);
    try {
      const tree = await checkDelivery(offer.offer, commitment, parameters.set, file);
      expect(`0x${bytesToHex(tree.root)}`).toBe(offer.offer.cipherRoot);
      const zero = `0x${'00'.repeat(32)}` as const;
      for (const [member, change] of [
        ['adapterId', { adapterId: zero }],
        ['rowsRoot', { rowsRoot: zero }],
        ['rowsRoot', { rowCount: offer.offer.rowCount + 1 }],
        ['srsDigest', { srsDigest: zero }],
        ['cipherRoot', { cipherRoot: zero }],
      ] as const) {
        const changed = { ...offer.offer, ...change };
        const { code, details } = await refusalOf(checkDelivery(changed, commitment, parameters.set, file));
        expect({ code, details }).toEqual({ code: 'DELIVERY_MISMATCH', details: { member } });
      }
      const parametersId = '12'.repeat(32);
      const elsewhere = await refusalOf(
        checkDelivery(offer.offer, { ...commitment, parametersId }, parameters.set, file),
      );
      expect(elsewhere.details).toEqual({ member: 'parametersId' });
    } finally {
      await file.close();
    }
  });

  it('is refused before payment when its adapter cannot be written as float32', async () => {
    const { commitment, parameters } = bargain;
    const { path, offer } = await deliverTo(bargain, 'unwritable');
    const file = await DeliveryFile.open(path, bargain.deliveryKey, commitment);
    await file.close();
    const [first, second] = commitment.modules;
    const huge = { ...commitment, modules: [{ ...first!, aExponent: 117 }, second!] };
    const digests = {
      rowsRoot: hexToBytes(offer.offer.rowsRoot.slice(2)),
      cipherRoot: hexToBytes(offer.offer.cipherRoot.slice(2)),
      keyHash: hexToBytes(offer.offer.keyHash.slice(2)),
    };
    const changed = await signedOffer(bargain, digests, { adapterId: `0x${adapterId(huge)}` });
    const refused = await refusalOf(checkDelivery(changed.offer, huge, parameters.set, file));
    expect(refused.code).toBe('ADAPTER_UNSUPPORTED');
  });

  it('is neither made nor paid for when its rows are too long for a fraud proof', async () => {
    const { commitment, parameters, engine, srs, secret, modules, masterKey } = bargain;
    const { offer } = await deliverTo(bargain, 'long');
    for (const [domainSize, offered, delivered] of [
      // another domain than the string's, but not too large
      [MAX_DISPUTABLE_ENTRIES, 'DELIVERY_MISMATCH', 'SHAPE_MISMATCH'],
      [2 * MAX_DISPUTABLE_ENTRIES, 'ADAPTER_UNSUPPORTED', 'ADAPTER_UNSUPPORTED'],
    ] as const) {
      const long = { ...commitment, domainSize };
      const about = { ...offer.offer, adapterId: `0x${adapterId(long)}` as const };
      expect(refusal(() => checkOffer(about, long, parameters.set)).code).toBe(offered);
      const ofLong = { ...secret, adapterId: adapterId(long) };
      const options = { engine, srs, commitment: long, secret: ofLong, modules, masterKey, buyerKey: PUBLIC };
      expect(refusal(() => new Delivery(options)).code).toBe(delivered);
    }
  });

  it('is not described under other parameters than the adapter was registered under', async () => {
    const { commitment, parameters } = bargain;
    const digests = { rowsRoot: ADAPTER, cipherRoot: ADAPTER, keyHash: ADAPTER };
    expect(describeDelivery(digests, commitment, parameters.set).rowCount).toBe(10);
    const tauG2 = parameters.set.tauG2.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
    const other = { ...parameters.set, tauG2 };
    expect(refusal(() => describeDelivery(digests, commitment, other)).code).toBe('PARAMETERS_MISMATCH');
  });

  it('is copied as it is, and not when it was cut', async () => {
    const { commitment, deliveryKey, dir } = bargain;
    const { path } = await deliverTo(bargain, 'original');
    const bytes = await readFile(path);
    const file = await DeliveryFile.open(path, deliveryKey, commitment);
    const copy = join(dir, 'copy');
    await file.copyTo(copy);
    expect((await readFile(copy)).equals(bytes)).toBe(true);
    await truncate(path, bytes.length - 1);
    expect((await refusalOf(file.copyTo(copy))).code).toBe('DELIVERY_INCOMPLETE');
    await file.close();
    expect((await readFile(copy)).equals(bytes)).toBe(true);
  });

  it('is not made from other weights than the committed ones', async () => {
    const { modules, engine, srs, commitment, secret, masterKey } = bargain;
    const buyerKey = PUBLIC;
    const options = { engine, srs, commitment, secret, masterKey, buyerKey };
    const wrong = modules.map((module, i) => (i === 1 ? { ...module, a: module.a.slice() } : module));
    wrong[1]!.a[3]! += 1;
    const reading = async () => {
      for await (const _ of new Delivery({ ...options, modules: wrong }).bytes());
    };
    const error = await refusalOf(reading());
    expect(error.code).toBe('SECRET_MISMATCH');
    expect(refusal(() => new Delivery({ ...options, modules: modules.slice(1) })).code).toBe(
      'SECRET_MISMATCH',
    );
    expect(refusal(() => new Delivery({ ...options, modules }).digests()).code).toBe('INTERNAL');
  });
});
