import { describe, expect, it } from 'vitest';
import { describeTerms, type PriceOptions, requireAffordable } from '../../cli/offerTerms.js';
import { openOwnParameters } from '../../cli/ownParameters.js';
import { settleCommand } from '../../cli/settle.js';
import { NATIVE_TOKEN, type Offer } from '../../src/settlement/index.js';
import { refusal, refusalOf } from '../adapter/refusal.js';

const TOKEN = '0x1111111111111111111111111111111111111111';
const fill = (value: string) => `0x${value.repeat(32)}` as const;
const offer: Offer = {
  ...{ adapterId: fill('01'), rowsRoot: fill('02'), cipherRoot: fill('03'), keyHash: fill('04') },
  ...{ srsDigest: fill('05'), rowCount: 2, contributor: TOKEN, buyer: TOKEN, token: NATIVE_TOKEN },
  ...{ price: 10n ** 18n, stake: 5n * 10n ** 17n, fundBy: 1n, revealWindow: 3600, disputeWindow: 7200 },
};

describe('settle fund', () => {
  it.each<[string, PriceOptions, Partial<Offer>]>([
    ['the price', { maxPrice: '1' }, {}],
    ['less', { maxPrice: '1.000000000000000001' }, { price: 1n }],
    ['a token', { maxPrice: '2.5', token: TOKEN, decimals: 6 }, { token: TOKEN, price: 2_500_000n }],
  ])('pays up to --max-price: %s', (_, options, change) => {
    expect(() => requireAffordable({ ...offer, ...change }, options)).not.toThrow();
  });

  it.each<[string, PriceOptions, Partial<Offer>]>([
    ['price', { maxPrice: '0.999999999999999999' }, {}],
    ['price', { maxPrice: '2.5', token: TOKEN, decimals: 6 }, { token: TOKEN, price: 2_500_001n }],
    ['token', { maxPrice: '1' }, { token: TOKEN, price: 1n }],
    ['token', { maxPrice: '1', token: TOKEN, decimals: 18 }, {}],
  ])('refuses another %s: %j', (member, options, change) => {
    const { code, details } = refusal(() => requireAffordable({ ...offer, ...change }, options));
    expect({ code, details }).toEqual({ code: 'OFFER_REFUSED', details: { member } });
  });

  it('wants the decimals of a token, and none for the coin', () => {
    for (const options of [
      { maxPrice: '1', token: TOKEN },
      { maxPrice: '1', decimals: 30 },
      { maxPrice: '1', token: NATIVE_TOKEN, decimals: 30 },
      { maxPrice: 'all' },
    ] as const) {
      expect(refusal(() => requireAffordable(offer, options)).code).toBe('USAGE');
    }
  });

  it('prints the terms', () => {
    const signed = { escrow: { chainId: 1, contract: TOKEN }, offer, signature: '0x' } as const;
    const text = describeTerms(signed, { maxPrice: '2' });
    expect(text).toMatch(/^price +1 of the chain's own coin$/m);
    expect(text).toMatch(/^stake +0\.5$/m);
    expect(text).toContain(TOKEN);
    expect(text).toContain('3600 s');
    expect(text).toContain('7200 s');
  });
});

describe('settle reveal', () => {
  it('waits for finality by itself', () => {
    const of = (name: string) => settleCommand().commands.find((each) => each.name() === name)!;
    expect(of('reveal').getOptionValue('confirmations')).toBe(64);
    expect(of('status').getOptionValue('confirmations')).toBe(3);
  });
});

describe("a party's own parameters", () => {
  it('are no development parameters, unless the flag allows them', async () => {
    const dir = new URL('../../fixtures/params/development', import.meta.url).pathname;
    for (const options of [{}, { allowDevelopmentParams: false }]) {
      expect((await refusalOf(openOwnParameters(dir, options))).code).toBe('PARAMETERS_DEVELOPMENT');
    }
    expect((await openOwnParameters(dir, { allowDevelopmentParams: true })).set.kind).toBe('development');
  });
});
