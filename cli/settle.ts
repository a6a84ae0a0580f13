import { Command } from 'commander';
import { type Address, formatUnits } from 'viem';
import { hexToBytes } from '../src/bytes.js';
import { ZkLoraError } from '../src/errors.js';
import { readFileBounded } from '../src/files.js';
import type { EscrowChain, Settled } from '../src/settlement/chain.js';
import { checkDelivery } from '../src/settlement/checkDelivery.js';
import { DeliveryFile } from '../src/settlement/deliveryFile.js';
import { MAX_FRAUD_PROOF_BYTES, parseFraudProofFile } from '../src/settlement/fraudProofFile.js';
import { toHex } from '../src/settlement/hex.js';
import { NATIVE_TOKEN, type Offer, offerId, type SignedOffer } from '../src/settlement/index.js';
import { readDeliveryKey, readMasterKey } from '../src/settlement/keyFiles.js';
import { type AccountOptions, loadAccount, withAccount } from './chainAccount.js';
import { runs } from './command.js';
import { EXIT_OK } from './exitCodes.js';
import { loadCommitment } from './inputs.js';
import {
  addressOption,
  describeTerms,
  type PriceOptions,
  requireAffordable,
  withMaxPrice,
} from './offerTerms.js';
import { loadOffer } from './open.js';
import { type DevelopmentOptions, openOwnParameters, withDevelopmentParams } from './ownParameters.js';
import { settleKeyCommands } from './settleKeys.js';
import { settleOfferCommand } from './settleOffer.js';
import { type ChainOptions, connectChain, FINAL_CONFIRMATIONS, withChain } from './settleOptions.js';
import { formatTable, type Terminal } from './terminal.js';

interface OfferOptions extends ChainOptions, AccountOptions {
  offer: string;
}

/** `zklora settle` */
export function settleCommand(): Command {
  return new Command('settle')
    .description('money against the key, on a chain; docs/settlement.md has the order of the steps')
    .addCommand(settleOfferCommand())
    .addCommand(depositCommand())
    .addCommand(fundCommand())
    .addCommand(revealCommand())
    .addCommand(withdrawCommand())
    .addCommand(simple('refund', 'give price and stake back when no key came in time', 'refund'))
    .addCommand(simple('cancel', 'make an offer void that nobody has funded', 'cancel'))
    .addCommand(disputeCommand())
    .addCommand(collectCommand())
    .addCommand(statusCommand())
    .addCommand(settleKeyCommands.key())
    .addCommand(settleKeyCommands.account())
    .addHelpText(
      'after',
      '\nExample:\n  zklora settle status --offer offer.json --rpc https://...\n\nContributor: deposit, offer, reveal, withdraw. Buyer: key, fund, (zklora open), dispute or refund, collect.',
    );
}

/** A command about one offer, with or without an account. */
function offerCommand(name: string, description: string, confirmations?: number): Command {
  const command = new Command(name).description(description).requiredOption('--offer <file>', 'offer.json');
  return withChain(command, confirmations);
}

interface Call {
  readonly chain: EscrowChain;
  readonly signed: SignedOffer;
  readonly offer: Offer;
  readonly own: Address;
}

/** Completes a command that sends one transaction about an offer. */
function sends<Options extends OfferOptions>(
  command: Command,
  call: (call: Call, options: Options, terminal: Terminal) => Promise<Settled>,
): Command {
  return runs<Options>(withAccount(command), async (options, terminal) => {
    const signed = await loadOffer(options.offer);
    const account = await loadAccount(options, terminal);
    terminal.progress('asking the chain');
    const chain = await connectChain(options, signed.escrow, account);
    const { offer } = signed;
    const settled = await call({ chain, signed, offer, own: account.address }, options, terminal);
    const { state, deadline } = await chain.status(offer, 'latest');
    const id = offerId(signed.escrow, offer);
    const until = deadline > 0n ? ` until ${formatTime(deadline)}` : '';
    terminal.result(
      `offer ${id} is ${state}${until}; ${settled.gasUsed} gas, transaction ${settled.transaction}`,
      {
        offerId: id,
        state,
        deadline: Number(deadline),
        transaction: settled.transaction,
        gasUsed: Number(settled.gasUsed),
      },
    );
    return EXIT_OK;
  });
}

function simple(name: string, description: string, method: 'refund' | 'cancel'): Command {
  const command = offerCommand(name, description).addHelpText(
    'after',
    `\nExample:\n  zklora settle ${name} --offer offer.json --rpc https://... --keystore account.json`,
  );
  return sends(command, ({ chain, offer }) => chain[method](offer));
}

function depositCommand(): Command {
  const command = offerCommand(
    'deposit',
    "put the offer's stake into the contract (contributor)",
  ).addHelpText(
    'after',
    '\nThe stake of each offer that is out needs to be there when it is funded.\n\nExample:\n  zklora settle deposit --offer offer.json --rpc https://... --keystore account.json',
  );
  return sends(command, ({ chain, offer }) => chain.deposit(offer.token, offer.stake));
}

interface FundOptions extends OfferOptions, PriceOptions, DevelopmentOptions {
  delivery: string;
  deliveryKey: string;
  commitment: string;
  parameters: string;
}

function fundCommand(): Command {
  const command = offerCommand(
    'fund',
    'check the downloaded delivery against what you evaluated, then pay (buyer)',
  )
    .requiredOption('--delivery <file>', 'adapter.delivery')
    .requiredOption('--delivery-key <file>', 'your delivery key')
    .requiredOption('--commitment <file>', 'adapter.zkl.json that you evaluated')
    .requiredOption('--parameters <dir>', 'your own copy of the parameter set');
  withDevelopmentParams(withMaxPrice(command)).addHelpText(
    'after',
    '\nExample:\n  zklora settle fund --offer offer.json --delivery adapter.delivery --delivery-key buyer.key \\\n    --commitment adapter.zkl.json --parameters ./params --max-price 0.5 --rpc https://... --keystore account.json',
  );
  return sends<FundOptions>(command, async ({ chain, signed }, options, terminal) => {
    requireAffordable(signed.offer, options);
    terminal.note(describeTerms(signed, options));
    terminal.progress('checking the delivery file');
    const commitment = await loadCommitment(options.commitment);
    const parameters = await openOwnParameters(options.parameters, options);
    const { secret } = await readDeliveryKey(options.deliveryKey);
    const delivery = await DeliveryFile.open(options.delivery, secret, commitment);
    try {
      await checkDelivery(signed.offer, commitment, parameters.set, delivery);
    } finally {
      await delivery.close();
    }
    terminal.progress('funding');
    return chain.fund(signed);
  });
}

function revealCommand(): Command {
  const command = offerCommand(
    'reveal',
    'publish the key of a funded offer (contributor)',
    FINAL_CONFIRMATIONS,
  )
    .requiredOption('--master-key <file>', 'master.key of the delivery')
    .addHelpText(
      'after',
      '\nExample:\n  zklora settle reveal --offer offer.json --master-key master.key --rpc https://... --keystore account.json',
    );
  return sends<OfferOptions & { masterKey: string }>(
    command,
    async ({ chain, offer }, { masterKey }, terminal) => {
      const { secret, exposed } = await readMasterKey(masterKey);
      if (exposed) terminal.note(`warning: ${masterKey} is readable by others: run chmod 600 on it`);
      return chain.reveal(offer, secret);
    },
  );
}

function withdrawCommand(): Command {
  const command = offerCommand('withdraw', 'take price and stake after the dispute window (contributor)')
    .option('--to <address>', 'where to; your own account without it', addressOption)
    .addHelpText(
      'after',
      '\nExample:\n  zklora settle withdraw --offer offer.json --rpc https://... --keystore account.json',
    );
  return sends<OfferOptions & { to?: Address }>(command, ({ chain, offer, own }, { to }) =>
    chain.withdraw(offer, to ?? own),
  );
}

function disputeCommand(): Command {
  const command = offerCommand('dispute', 'show the contract that a row is wrong (buyer)')
    .requiredOption('--fraud-proof <file>', 'what zklora open wrote')
    .addHelpText(
      'after',
      '\nExample:\n  zklora settle dispute --offer offer.json --fraud-proof fraud-proof.json --rpc https://... --keystore account.json',
    );
  return sends<OfferOptions & { fraudProof: string }>(command, async ({ chain, signed, offer }, options) => {
    const bytes = await readFileBounded(options.fraudProof, MAX_FRAUD_PROOF_BYTES, 'fraud proof');
    const file = parseFraudProofFile(bytes);
    if (file.offerId !== offerId(signed.escrow, offer)) {
      throw new ZkLoraError('DELIVERY_MISMATCH', 'the fraud proof is about another offer');
    }
    return chain.dispute(offer, hexToBytes(file.masterKey.slice(2)), file.proof);
  });
}

function collectCommand(): Command {
  const command = offerCommand('collect', "take what the contract holds for you in the offer's token")
    .option('--to <address>', 'where to; your own account without it', addressOption)
    .addHelpText(
      'after',
      '\nExample:\n  zklora settle collect --offer offer.json --rpc https://... --keystore account.json',
    );
  return sends<OfferOptions & { to?: Address }>(command, async ({ chain, offer, own }, { to }) => {
    const credit = await chain.balance(own, offer.token);
    if (credit === 0n) {
      throw new ZkLoraError('CHAIN_REFUSED', 'the contract holds nothing for this account', {
        details: { revert: 'BalanceTooSmall', args: '0' },
      });
    }
    return chain.collect(offer.token, credit, to ?? own);
  });
}

function statusCommand(): Command {
  const command = offerCommand(
    'status',
    'what the chain says about an offer, and the key once it is revealed',
  ).addHelpText('after', '\nExample:\n  zklora settle status --offer offer.json --rpc https://...');
  return runs<OfferOptions>(command, async (options, terminal) => {
    const { escrow, offer } = await loadOffer(options.offer);
    terminal.progress('asking the chain');
    const chain = await connectChain(options, escrow);
    const { state, deadline, now } = await chain.status(offer);
    const stakeDeposited = await chain.balance(offer.contributor, offer.token);
    const isRevealed = state === 'revealed' || state === 'withdrawn' || state === 'convicted';
    const revealedKey = isRevealed ? toHex(await chain.revealedKey(offer)) : null;
    const id = offerId(escrow, offer);
    const amount = (value: bigint) =>
      offer.token === NATIVE_TOKEN ? formatUnits(value, 18) : `${value} units of ${offer.token}`;
    terminal.result(
      formatTable([
        ['offer', id],
        ['state', state],
        ['deadline', deadline > 0n ? formatTime(deadline) : 'none'],
        ['chain time', formatTime(now)],
        ['price', amount(offer.price)],
        ['stake', amount(offer.stake)],
        ["contributor's free deposit", amount(stakeDeposited)],
        ['fund by', formatTime(offer.fundBy)],
        ...(revealedKey === null ? [] : [['revealed key', revealedKey]]),
      ]),
      {
        offerId: id,
        state,
        deadline: Number(deadline),
        now: Number(now),
        price: String(offer.price),
        stake: String(offer.stake),
        deposit: String(stakeDeposited),
        fundBy: Number(offer.fundBy),
        revealedKey,
      },
    );
    return EXIT_OK;
  });
}

function formatTime(seconds: bigint): string {
  const milliseconds = Number(seconds) * 1000;
  // beyond what a date can be
  return milliseconds > 8.64e15 ? `${seconds} s` : new Date(milliseconds).toISOString();
}
