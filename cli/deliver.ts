import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { assertSecretMatches } from '../src/adapter/index.js';
import { loadEngine } from '../src/algebra/index.js';
import { hexToBytes } from '../src/bytes.js';
import { ensureNewFolder, writeFileAtomic } from '../src/files.js';
import { Delivery } from '../src/settlement/deliver.js';
import {
  describeDelivery,
  requireRegisteredUnder,
  serializeDeliveryDescription,
  signOffer,
} from '../src/settlement/deliveryDescription.js';
import { offerId, serializeSignedOffer } from '../src/settlement/index.js';
import { makeMasterKey } from '../src/settlement/keyFiles.js';
import { type AccountOptions, loadAccount, withAccount } from './chainAccount.js';
import { digestOption, runs } from './command.js';
import { EXIT_OK } from './exitCodes.js';
import { loadCommitment, loadQuantizedAdapter, loadSecret } from './inputs.js';
import { type TermOptions, termsOf, withTerms } from './offerTerms.js';
import { type DevelopmentOptions, openOwnParameters, withDevelopmentParams } from './ownParameters.js';
import { formatBytes, formatSeconds } from './terminal.js';

interface Options extends TermOptions, AccountOptions, DevelopmentOptions {
  adapter: string;
  commitment: string;
  secret: string;
  parameters: string;
  buyerKey: string;
  out: string;
}

/** `zklora deliver` */
export function deliverCommand(): Command {
  const command = new Command('deliver')
    .description('encrypt the registered weights to one buyer and sign the offer: worthless without the key')
    .requiredOption('--adapter <dir>', 'PEFT adapter folder')
    .requiredOption('--commitment <file>', 'adapter.zkl.json')
    .requiredOption('--secret <file>', 'adapter.secret')
    .requiredOption('--parameters <dir>', 'parameter set')
    .requiredOption(
      '--buyer-key <key>',
      "the buyer's delivery key, 64 hex digits (zklora settle key)",
      digestOption,
    )
    .requiredOption(
      '--out <dir>',
      'new folder for adapter.delivery, offer.json, delivery.json and master.key',
    );
  withDevelopmentParams(withAccount(withTerms(command))).addHelpText(
    'after',
    '\nExample:\n  zklora deliver --adapter ./my-lora --commitment adapter.zkl.json --secret adapter.secret --parameters ./params \\\n    --buyer-key 4f...9a --escrow 0x... --chain-id 1 --buyer 0x... --price 0.5 --stake 0.1 \\\n    --keystore account.json --out ./delivery',
  );
  return runs<Options>(command, async (options, terminal) => {
    const { escrow, terms } = termsOf(options, Math.floor(Date.now() / 1000));
    const account = await loadAccount(options, terminal);
    terminal.progress('reading the adapter');
    const commitment = await loadCommitment(options.commitment);
    const secret = await loadSecret(options.secret, terminal);
    assertSecretMatches(secret, commitment);
    const parameters = await openOwnParameters(options.parameters, options);
    requireRegisteredUnder(parameters.set, commitment);
    const modules = await loadQuantizedAdapter(options.adapter);
    await ensureNewFolder(options.out);
    const files = {
      delivery: join(options.out, 'adapter.delivery'),
      offer: join(options.out, 'offer.json'),
      description: join(options.out, 'delivery.json'),
      masterKey: join(options.out, 'master.key'),
    };
    const started = performance.now();
    const engine = await loadEngine();
    let isSigned = false;
    try {
      const srs = await parameters.srs(commitment.domainSize);
      const masterKey = await makeMasterKey(files.masterKey);
      const delivery = new Delivery({
        engine,
        srs,
        commitment,
        secret,
        modules,
        buyerKey: hexToBytes(options.buyerKey),
        masterKey,
        onProgress: (done, total) => terminal.progress('encrypting rows', done, total),
      });
      let bytes = 0;
      const counted = async function* () {
        for await (const part of delivery.bytes()) {
          bytes += part.length;
          yield part;
        }
      };
      await writeFileAtomic(files.delivery, counted());
      const description = describeDelivery(delivery.digests(), commitment, parameters.set);
      await writeFileAtomic(files.description, serializeDeliveryDescription(description));
      const offer = await signOffer(account, escrow, description, terms);
      isSigned = true;
      await writeFileAtomic(files.offer, serializeSignedOffer(offer));
      const seconds = (performance.now() - started) / 1000;
      const id = offerId(escrow, offer.offer);
      terminal.result(
        [
          `offer        ${id}`,
          `rows         ${description.rowCount}, every one checked against the commitment`,
          `delivery     ${files.delivery}  ${formatBytes(bytes)}, ${formatSeconds(seconds)}  (for the buyer)`,
          `offer        ${files.offer}  (for the buyer)`,
          `master key   ${files.masterKey}  (keep it until you reveal it: who has it has the weights)`,
        ].join('\n'),
        { offerId: id, ...files, bytes, rows: description.rowCount, seconds, contributor: account.address },
      );
      return EXIT_OK;
    } catch (error) {
      // a key that no offer names is of no use; one that a signed offer names is what reveals it
      if (!isSigned) await rm(files.masterKey, { force: true });
      throw error;
    } finally {
      await engine.terminate();
    }
  });
}
