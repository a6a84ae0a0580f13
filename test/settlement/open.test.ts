import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { quantizeModule, readPeftAdapter, writePeftAdapter } from '../../src/adapter/index.js';
import { R } from '../../src/algebra/index.js';
import { encodeScalar } from '../../src/algebra/scalar.js';
import { DeliveryFile } from '../../src/settlement/deliveryFile.js';
import type { SettlementRow, SignedOffer } from '../../src/settlement/index.js';
import { type Opened, openDelivery } from '../../src/settlement/openDelivery.js';
import { refusalOf } from '../adapter/refusal.js';
import { type Bargain, cheatingDelivery, deliverTo, makeBargain } from './bargain.js';

let bargain: Bargain;
beforeAll(async () => {
  bargain = await makeBargain();
});
afterAll(() => bargain.close());

async function opened(path: string, offer: SignedOffer, masterKey = bargain.masterKey): Promise<Opened> {
  const { engine, srs, commitment, parameters, deliveryKey } = bargain;
  const delivery = await DeliveryFile.open(path, deliveryKey, commitment);
  try {
    return await openDelivery({
      engine,
      srs,
      parameters: parameters.set,
      commitment,
      offer,
      delivery,
      masterKey,
    });
  } finally {
    await delivery.close();
  }
}

/** Delivers with a change to one row and opens. */
async function cheated(wanted: number, change: (plain: Uint8Array, row: SettlementRow) => void) {
  const name = `cheat-${count++}`;
  const { path, offer } = await cheatingDelivery(bargain, name, (row, plain) => {
    if (row.row === wanted) change(plain, row);
  });
  return opened(path, offer);
}
let count = 0;

function flip(bytes: Uint8Array, at: number): void {
  bytes[at]! ^= 1;
}

describe('opening', () => {
  it('gives the quantised adapter back, and PEFT files that quantise to the same integers', async () => {
    const { path, offer } = await deliverTo(bargain, 'honest');
    const result = await opened(path, offer);
    expect(result).toMatchObject({ valid: true });
    if (!result.valid) return;
    expect(result.modules).toEqual(bargain.modules);
    const folder = join(bargain.dir, 'peft');
    await writePeftAdapter(folder, result.modules, 'some/base');
    expect((await readdir(folder)).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
    const read = await readPeftAdapter(folder);
    expect(read.baseModelName).toBe('some/base');
    expect(read.modules.map(quantizeModule)).toEqual(bargain.modules);
  });

  it.each([
    ['a weight', (plain: Uint8Array) => flip(plain, 1)],
    ['the last weight', (plain: Uint8Array, { length }: SettlementRow) => flip(plain, 2 * length - 1)],
    ['-32768 for a weight', (plain: Uint8Array) => plain.set([0x80, 0])],
    ['the blinder', (plain: Uint8Array) => flip(plain, plain.length - 1)],
    ['zeros for all of it', (plain: Uint8Array) => plain.fill(0)],
    ['ones for all of it', (plain: Uint8Array) => plain.fill(0xff)],
  ])('finds %s in a row that is not the committed one', async (_, change) => {
    for (const wanted of [0, 3, 9]) {
      const result = await cheated(wanted, change);
      expect(result.valid, `row ${wanted}`).toBe(false);
      if (result.valid) continue;
      expect(result.row.row).toBe(wanted);
      expect(result.fraudProof).toMatchObject({ row: wanted, domainSize: 512, length: result.row.length });
    }
  });

  it('does not call another encoding of the committed row fraud', async () => {
    // bytes behind the entries, and a blinder with R added
    const padding = await cheated(0, (plain) => flip(plain, 2 * 40));
    expect(padding.valid).toBe(true);
    const wrapped = await cheated(1, (plain) => {
      const blinder = BigInt(`0x${Buffer.from(plain.subarray(-32)).toString('hex')}`);
      plain.set(encodeScalar(blinder + R), plain.length - 32);
    });
    expect(wrapped).toMatchObject({ valid: true, modules: bargain.modules });
  });

  it('refuses the wrong key, offer or file without calling it fraud', async () => {
    const { path, offer } = await deliverTo(bargain, 'one');
    const other = await cheatingDelivery(bargain, 'two', (_, plain) => flip(plain, 0));
    const wrongKey = await refusalOf(opened(path, offer, new Uint8Array(32).fill(1)));
    expect(wrongKey).toMatchObject({ code: 'DELIVERY_MISMATCH', details: { member: 'keyHash' } });
    const wrongFile = await refusalOf(opened(other.path, offer));
    expect(wrongFile).toMatchObject({ code: 'DELIVERY_MISMATCH', details: { member: 'cipherRoot' } });
  });
});
