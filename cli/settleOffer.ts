import { Command } from 'commander';
import { readFileBounded, writeFileAtomic } from '../src/files.js';
import { parseDeliveryDescription, signOffer } from '../src/settlement/deliveryDescription.js';
import { MAX_OFFER_BYTES, offerId, serializeSignedOffer } from '../src/settlement/index.js';
import { type AccountOptions, loadAccount, withAccount } from './chainAccount.js';
import { runs } from './command.js';
import { EXIT_OK } from './exitCodes.js';
import { type TermOptions, termsOf, withTerms } from './offerTerms.js';

interface Options extends TermOptions, AccountOptions {
  description: string;
  out: string;
}

/** `zklora settle offer` */
export function settleOfferCommand(): Command {
  const command = new Command('offer')
    .description('sign another offer for a delivery that was made before, to the same buyer (contributor)')
    .requiredOption('--description <file>', 'delivery.json of zklora deliver')
    .requiredOption('--out <file>', 'new offer file');
  withAccount(withTerms(command)).addHelpText(
    'after',
    '\nAll offers for one delivery share its key: once it is revealed for one, the others are worth nothing.\n\nExample:\n  zklora settle offer --description delivery.json --escrow 0x... --chain-id 1 --buyer 0x... --price 0.4 --stake 0.1 \\\n    --keystore account.json --out offer-2.json',
  );
  return runs<Options>(command, async (options, terminal) => {
    const { escrow, terms } = termsOf(options, Math.floor(Date.now() / 1000));
    const bytes = await readFileBounded(options.description, MAX_OFFER_BYTES, 'delivery description');
    const description = parseDeliveryDescription(bytes);
    const account = await loadAccount(options, terminal);
    const signed = await signOffer(account, escrow, description, terms);
    await writeFileAtomic(options.out, serializeSignedOffer(signed));
    const id = offerId(escrow, signed.offer);
    terminal.result(`offer ${id}: ${options.out}`, { offerId: id, offer: options.out });
    return EXIT_OK;
  });
}
