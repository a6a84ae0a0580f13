import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serializeAdapterCommitment, writeAdapterSecret } from '../../src/adapter/index.js';
import { makeDeliveryKey, serializeSignedOffer } from '../../src/settlement/index.js';
import { type Bargain, CONTRIBUTOR_KEY, deliverTo, makeBargain } from '../settlement/bargain.js';
import { PARAMETERS, refused } from './cli.js';

let bargain: Bargain;
let files: Record<'delivery' | 'offer' | 'commitment' | 'key' | 'other', string>;
beforeAll(async () => {
  bargain = await makeBargain();
  const { dir, commitment, deliveryKey } = bargain;
  const at = (name: string) => join(dir, name);
  const { path, offer } = await deliverTo(bargain, 'adapter.delivery');
  files = {
    delivery: path,
    offer: at('offer.json'),
    commitment: at('adapter.zkl.json'),
    key: at('buyer.key'),
    other: at('other.key'),
  };
  await writeFile(files.offer, serializeSignedOffer(offer));
  await writeFile(files.commitment, serializeAdapterCommitment(commitment));
  const secret = Buffer.from(deliveryKey).toString('hex');
  await writeFile(files.key, JSON.stringify({ format: 'zklora/delivery-key/v1', secret }), { mode: 0o600 });
  await makeDeliveryKey(files.other);
});
afterAll(() => bargain.close());

const TERMS = ['--escrow', `0x${'c0'.repeat(20)}`, '--chain-id', '1', '--buyer', `0x${'b0'.repeat(20)}`];
const opening = () => [
  ...['open', '--delivery', files.delivery, '--offer', files.offer],
  ...['--commitment', files.commitment, '--parameters', PARAMETERS, '--allow-development-params'],
];

describe('settlement on the command line refuses', () => {
  it('the wrong delivery key and the wrong revealed key', async () => {
    await refused('DELIVERY_MALFORMED', 2, [...opening(), '--delivery-key', files.other, '--check']);
    const out = join(bargain.dir, 'out');
    await refused('DELIVERY_MISMATCH', 1, [
      ...[...opening(), '--delivery-key', files.key, '--revealed-key', `0x${'00'.repeat(32)}`],
      ...['--out', out, '--fraud-proof', join(bargain.dir, 'fraud.json')],
    ]);
  }, 180_000);

  it('development parameters, for the buyer and for the contributor', async () => {
    const withoutFlag = opening().slice(0, -1);
    await refused('PARAMETERS_DEVELOPMENT', 1, [...withoutFlag, '--delivery-key', files.key, '--check']);
    process.env.ZKLORA_CHAIN_KEY = CONTRIBUTOR_KEY;
    try {
      const secret = join(bargain.dir, 'adapter.secret');
      await writeAdapterSecret(secret, bargain.secret);
      const out = join(bargain.dir, 'deal');
      await refused('PARAMETERS_DEVELOPMENT', 1, [
        ...['deliver', '--adapter', 'none', '--commitment', files.commitment, '--secret', secret],
        ...['--parameters', PARAMETERS, '--buyer-key', '09'.repeat(32), '--out', out],
        ...[...TERMS, '--price', '1', '--stake', '1'],
      ]);
    } finally {
      delete process.env.ZKLORA_CHAIN_KEY;
    }
  }, 180_000);

  it('a cut download', async () => {
    const cut = join(bargain.dir, 'cut');
    await writeFile(cut, new Uint8Array(10));
    await refused('DELIVERY_INCOMPLETE', 3, [
      ...['open', '--delivery', cut, '--delivery-key', files.key, '--resume'],
    ]);
  }, 180_000);

  it('a missing account, a chain node that is none, and one that does not answer', async () => {
    const refund = ['settle', 'refund', '--offer', files.offer];
    const message = await refused('USAGE', 2, refund);
    expect(message).toContain('ZKLORA_CHAIN_KEY');
    process.env.ZKLORA_CHAIN_KEY = CONTRIBUTOR_KEY;
    try {
      await refused('USAGE', 2, [...refund, '--rpc', 'ftp://127.0.0.1']);
      // the discard port: nobody listens
      const url = 'http://127.0.0.1:9/key-of-the-node';
      expect(await refused('CHAIN_UNREACHABLE', 3, [...refund, '--rpc', url])).not.toContain(
        'key-of-the-node',
      );
      process.env.ZKLORA_CHAIN_KEY = 'not a key 5e';
      expect(await refused('USAGE', 2, refund)).not.toContain('5e');
    } finally {
      delete process.env.ZKLORA_CHAIN_KEY;
    }
  }, 180_000);

  it('amounts that a token cannot hold, and tokens without decimals', async () => {
    const offer = ['settle', 'offer', '--description', 'none', '--out', join(bargain.dir, 'x'), ...TERMS];
    const token = ['--token', `0x${'d0'.repeat(20)}`];
    await refused('USAGE', 2, [...offer, ...token, '--price', '1', '--stake', '1']);
    await refused('USAGE', 2, [
      ...offer,
      ...token,
      '--decimals',
      '6',
      '--price',
      '1.0000001',
      '--stake',
      '1',
    ]);
    await refused('USAGE', 2, [...offer, '--price', '1', '--stake', '1', '--reveal-window', '60']);
  }, 180_000);
});
