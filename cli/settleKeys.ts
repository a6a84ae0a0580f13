import { Command } from 'commander';
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts';
import { hexToBytes } from '../src/bytes.js';
import { ZkLoraError } from '../src/errors.js';
import { requireAbsent, writeFileAtomic } from '../src/files.js';
import { makeDeliveryKey } from '../src/settlement/keyFiles.js';
import { makeKeystore } from '../src/settlement/keystore.js';
import { PASSWORD_VARIABLE } from './chainAccount.js';
import { runs } from './command.js';
import { EXIT_OK } from './exitCodes.js';

/** `zklora settle key` and `zklora settle account` */
export const settleKeyCommands = {
  key(): Command {
    const command = new Command('key')
      .description('make the key that deliveries to you are encrypted to (buyer); prints its public half')
      .requiredOption('--out <file>', 'new file for the key')
      .addHelpText('after', '\nExample:\n  zklora settle key --out buyer.key');
    return runs<{ out: string }>(command, async ({ out }, terminal) => {
      const publicKey = await makeDeliveryKey(out);
      terminal.result(`public key ${publicKey}  (give it to the contributor; ${out} stays with you)`, {
        publicKey,
        key: out,
      });
      return EXIT_OK;
    });
  },

  account(): Command {
    const command = new Command('account')
      .description(`make a chain account in a keystore file; its password is read from ${PASSWORD_VARIABLE}`)
      .requiredOption('--out <file>', 'new keystore file')
      .addHelpText('after', '\nExample:\n  zklora settle account --out account.json');
    return runs<{ out: string }>(command, async ({ out }, terminal) => {
      const password = process.env[PASSWORD_VARIABLE];
      if (password === undefined || password === '') {
        throw new ZkLoraError('USAGE', `set ${PASSWORD_VARIABLE} to the keystore's password`);
      }
      await requireAbsent(out);
      const key = generatePrivateKey();
      terminal.progress('encrypting the keystore');
      await writeFileAtomic(out, await makeKeystore(hexToBytes(key.slice(2)), password), { mode: 0o600 });
      const address = privateKeyToAddress(key);
      terminal.result(`account ${address}: ${out}`, { address, keystore: out });
      return EXIT_OK;
    });
  },
};
