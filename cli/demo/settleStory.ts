import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readAdapterSecret } from '../../src/adapter/index.js';
import { openParameters } from '../../src/circuit/index.js';
import { ZkLoraError } from '../../src/errors.js';
import { runZklora, ZkloraProcess } from '../childProcess.js';
import { loadCommitment, loadQuantizedAdapter } from '../inputs.js';
import type { Terminal } from '../terminal.js';
import { bundled } from './bundled.js';
import { makeDemoFolder } from './folder.js';
import { type Balances, DemoChain, type Party } from './settleChain.js';
import { deliverWrongWeight } from './settleFraud.js';
import { evaluateOpened } from './settleLoss.js';

/** Ether. */
const PRICE = '1.5';
const STAKE = '0.5';
/** Seconds, the contract's shortest. */
const WINDOW = 1800;

/** One call to the contract. */
export interface GasEntry {
  readonly call: string;
  readonly gas: number;
}

/** One act: what was called, what everybody had before and after, in wei. */
export interface Act {
  readonly name: string;
  readonly calls: readonly GasEntry[];
  readonly before: Balances;
  readonly after: Balances;
}

/** What the settlement demo measured; `--json` prints it with amounts as decimal text. */
export interface SettleSummary {
  readonly acts: readonly Act[];
  readonly deployGas: number;
  /** Loss with the remote adapter, as evaluated; nats. */
  readonly evaluatedLoss: number;
  /** Loss with the opened PEFT adapter, in the same exact integers. */
  readonly openedLoss: number;
  readonly wrongWeight: string;
  readonly fraudFound: boolean;
  readonly refunded: boolean;
}

interface Stage {
  readonly out: string;
  readonly terminal: Terminal;
  readonly chain: DemoChain;
  readonly adapter: string;
  readonly parameters: string;
  readonly commitment: string;
  readonly registered: string;
  readonly deliveryKey: string;
  readonly buyerKey: string;
}

/** Both parties' commands are processes of their own, and so is the chain; this process only directs. */
export async function runSettleDemo(options: {
  out: string;
  sequences: number;
  terminal: Terminal;
}): Promise<SettleSummary> {
  const { out, terminal } = options;
  await makeDemoFolder(out);
  const adapter = bundled('gpt2-tiny/adapter');
  const base = bundled('gpt2-tiny/base/model.onnx');
  const text = bundled('gpt2-tiny/text/heldout.txt');
  const parameters = bundled('params/development');
  const registered = join(out, 'contributor');
  terminal.note('using development parameters and a chain of this demo: they show the mechanics only');
  terminal.progress('contributor registers the adapter');
  await runZklora([
    'register',
    ...['--adapter', adapter, '--base', base, '--parameters', parameters, '--out', registered],
  ]);
  await mkdir(join(out, 'user'));
  const commitment = join(out, 'user', 'adapter.zkl.json');
  await copyFile(join(registered, 'adapter.zkl.json'), commitment);

  terminal.progress('buyer evaluates the remote adapter and verifies the proof');
  const sequences = String(options.sequences);
  const evaluated = await evaluateRemote({
    adapter,
    base,
    text,
    parameters,
    registered,
    commitment,
    out,
    sequences,
  });

  const deliveryKey = join(out, 'user', 'delivery.key');
  const { publicKey } = await runZklora(['settle', 'key', '--out', deliveryKey]);
  terminal.progress('starting the chain');
  const chain = await DemoChain.start();
  const stage: Stage = {
    ...{ out, terminal, chain, adapter, parameters, commitment, registered, deliveryKey },
    buyerKey: publicKey as string,
  };
  try {
    const honest = await honestAct(stage);
    terminal.progress('loss with the opened adapter');
    const openedLoss = await evaluateOpened({
      adapter: join(out, 'honest', 'adapter'),
      ...{ base, text, parameters, out: join(out, 'again'), sequences: options.sequences },
    });
    const { act: cheat, wrongWeight, fraudFound } = await wrongWeightAct(stage);
    const { act: silent, refunded } = await noKeyAct(stage);
    return {
      acts: [honest, cheat, silent],
      deployGas: chain.deployGas,
      evaluatedLoss: evaluated,
      openedLoss,
      wrongWeight,
      fraudFound,
      refunded,
    };
  } finally {
    await chain.stop();
  }
}

async function evaluateRemote(places: {
  adapter: string;
  base: string;
  text: string;
  parameters: string;
  registered: string;
  commitment: string;
  out: string;
  sequences: string;
}): Promise<number> {
  const { adapter, base, text, parameters, registered, commitment, out, sequences } = places;
  const session = join(out, 'user', 'session');
  const contributor = new ZkloraProcess([
    'serve',
    ...['--adapter', adapter, '--parameters', parameters],
    ...['--commitment', join(registered, 'adapter.zkl.json'), '--secret', join(registered, 'adapter.secret')],
    ...['--sessions', join(registered, 'sessions'), '--listen', '127.0.0.1:0', '--max-revealed', '1'],
  ]);
  try {
    const { address } = await contributor.next();
    const { adapterLoss } = await runZklora([
      'evaluate',
      ...['--base', base, '--commitment', commitment, '--contributor', address as string, '--text', text],
      ...['--session', session, '--sequences', sequences, '--prove'],
    ]);
    const verdict = await runZklora([
      'verify',
      ...['--proof', join(session, 'proof.zkl'), '--commitment', commitment, '--session', session],
      ...['--parameters', parameters, '--allow-development-params'],
    ]);
    if (verdict.valid !== true) throw new ZkLoraError('INTERNAL', 'the honest proof was refused');
    return adapterLoss as number;
  } finally {
    contributor.stop();
    await contributor.exitCode();
  }
}

/** Runs the calls of an act and keeps their gas. */
class Director {
  readonly #stage: Stage;
  readonly #dir: string;
  readonly calls: GasEntry[] = [];

  constructor(stage: Stage, dir: string) {
    this.#stage = stage;
    this.#dir = dir;
  }

  file(name: string): string {
    return join(this.#dir, name);
  }

  /** `zklora settle` about this act's offer. */
  async settle(party: Party, call: string, ...more: readonly string[]): Promise<void> {
    this.#stage.terminal.progress(`${this.#who(party)}: settle ${call}`);
    const args = ['settle', call, '--offer', this.file('offer.json'), '--confirmations', '1', ...more];
    const { gasUsed } = await runZklora(args, party.environment);
    this.calls.push({ call, gas: gasUsed as number });
  }

  /** Checks what was delivered, and pays. */
  async fund(): Promise<void> {
    const { commitment, parameters, deliveryKey, chain } = this.#stage;
    await this.settle(
      chain.buyer,
      'fund',
      ...['--delivery', this.file('adapter.delivery'), '--delivery-key', deliveryKey],
      ...['--commitment', commitment, '--parameters', parameters, '--allow-development-params'],
      ...['--max-price', PRICE],
    );
  }

  /** Opens with the key that the chain shows; returns whether every row was right. */
  async open(): Promise<boolean> {
    const { terminal, chain, commitment, parameters, deliveryKey } = this.#stage;
    terminal.progress('buyer opens the delivery');
    const offer = this.file('offer.json');
    const { revealedKey } = await runZklora(
      ['settle', 'status', '--offer', offer, '--confirmations', '1'],
      chain.buyer.environment,
    );
    const child = new ZkloraProcess([
      'open',
      ...['--delivery', this.file('adapter.delivery'), '--delivery-key', deliveryKey, '--offer', offer],
      ...['--commitment', commitment, '--parameters', parameters, '--allow-development-params'],
      ...['--revealed-key', revealedKey as string],
      ...['--out', this.file('adapter'), '--fraud-proof', this.file('fraud-proof.json')],
    ]);
    const { opened } = await child.next();
    await child.exitCode();
    return opened === true;
  }

  #who(party: Party): string {
    return party === this.#stage.chain.buyer ? 'buyer' : 'contributor';
  }
}

const termsOf = ({ chain }: Stage) => [
  ...['--escrow', chain.escrow.contract, '--chain-id', String(chain.escrow.chainId)],
  ...['--buyer', chain.buyer.address, '--price', PRICE, '--stake', STAKE],
  ...['--reveal-window', String(WINDOW), '--dispute-window', String(WINDOW)],
];

async function deliver(stage: Stage, dir: string): Promise<void> {
  const { terminal, adapter, parameters, registered, chain, buyerKey } = stage;
  terminal.progress('contributor encrypts the weights and signs an offer');
  await runZklora(
    [
      'deliver',
      ...['--adapter', adapter, '--parameters', parameters, '--allow-development-params'],
      ...['--buyer-key', buyerKey, '--out', dir],
      ...[
        '--commitment',
        join(registered, 'adapter.zkl.json'),
        '--secret',
        join(registered, 'adapter.secret'),
      ],
      ...termsOf(stage),
    ],
    chain.contributor.environment,
  );
}

async function act(stage: Stage, name: string, body: (director: Director) => Promise<void>, dir: string) {
  const director = new Director(stage, dir);
  const before = await stage.chain.balances();
  await body(director);
  return { name, calls: director.calls, before, after: await stage.chain.balances() };
}

function honestAct(stage: Stage): Promise<Act> {
  const dir = join(stage.out, 'honest');
  const { contributor } = stage.chain;
  return act(
    stage,
    'honest',
    async (director) => {
      await deliver(stage, dir);
      await director.settle(contributor, 'deposit');
      await director.fund();
      await director.settle(contributor, 'reveal', '--master-key', director.file('master.key'));
      if (!(await director.open())) throw new ZkLoraError('INTERNAL', 'the honest delivery was refused');
      await stage.chain.wait(WINDOW + 60);
      await director.settle(contributor, 'withdraw');
    },
    dir,
  );
}

async function wrongWeightAct(stage: Stage): Promise<{ act: Act; wrongWeight: string; fraudFound: boolean }> {
  const dir = join(stage.out, 'wrong-weight');
  const { contributor, buyer } = stage.chain;
  const { secret } = await readAdapterSecret(join(stage.registered, 'adapter.secret'));
  let wrongWeight = '';
  let fraudFound = false;
  const played = await act(
    stage,
    'one wrong weight',
    async (director) => {
      wrongWeight = await deliverWrongWeight(dir, {
        commitment: await loadCommitment(stage.commitment),
        secret,
        modules: await loadQuantizedAdapter(stage.adapter),
        parameters: (await openParameters(stage.parameters)).set,
        buyerKey: stage.buyerKey,
      });
      const offer = ['--description', director.file('delivery.json'), '--out', director.file('offer.json')];
      await runZklora(['settle', 'offer', ...offer, ...termsOf(stage)], contributor.environment);
      await director.settle(contributor, 'deposit');
      await director.fund();
      await director.settle(contributor, 'reveal', '--master-key', director.file('master.key'));
      fraudFound = !(await director.open());
      if (!fraudFound) return;
      await director.settle(buyer, 'dispute', '--fraud-proof', director.file('fraud-proof.json'));
      await director.settle(buyer, 'collect');
    },
    dir,
  );
  return { act: played, wrongWeight, fraudFound };
}

async function noKeyAct(stage: Stage): Promise<{ act: Act; refunded: boolean }> {
  const dir = join(stage.out, 'no-key');
  const { contributor, buyer } = stage.chain;
  const played = await act(
    stage,
    'never reveals',
    async (director) => {
      await deliver(stage, dir);
      await director.settle(contributor, 'deposit');
      await director.fund();
      await stage.chain.wait(WINDOW + 60);
      await director.settle(buyer, 'refund');
      await director.settle(buyer, 'collect');
    },
    dir,
  );
  // all but the gas of three transactions
  return { act: played, refunded: played.before.buyer - played.after.buyer < 10n ** 16n };
}
