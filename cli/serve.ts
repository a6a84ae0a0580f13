import { Command } from 'commander';
import { assertSecretMatches } from '../src/adapter/index.js';
import { hexToBytes } from '../src/bytes.js';
import { openParameters } from '../src/circuit/parameterFiles.js';
import { ZkLoraError } from '../src/errors.js';
import {
  adapterLeakage,
  formatAddress,
  growHeapFreely,
  type LeakageLedger,
  MIN_FREE_BYTES,
  parseAddress,
  processProver,
  serveContributor,
  TokenBuckets,
} from '../src/inference/index.js';
import { positiveInteger, runs } from './command.js';
import { EXIT_OK } from './exitCodes.js';
import { loadCommitment, loadQuantizedAdapter, loadSecret } from './inputs.js';
import { type AccessFlags, accessOf, withAccess } from './serveAccess.js';
import { type LeakageFlags, openLedger, readAllowedUsers, withLeakage } from './serveLeakage.js';

interface Options extends AccessFlags, LeakageFlags {
  adapter: string;
  commitment: string;
  secret: string;
  parameters: string;
  listen: string;
  /** MiB. */
  minFree?: number;
}

const MIB = 2 ** 20;

/** A pebibyte. */
const MAX_MIN_FREE_MIB = 2 ** 30;

/** Lines about one kind of event: strangers cause them, and could fill a disk with them. */
const NOTE_RATE = { perSecond: 1, burst: 100 };

/** `zklora serve` */
export function serveCommand(): Command {
  const command = new Command('serve')
    .description("answer base-model users' activations with deltas, and prove them on request")
    .requiredOption('--adapter <dir>', 'PEFT adapter folder')
    .requiredOption('--commitment <file>', 'adapter.zkl.json')
    .requiredOption('--secret <file>', 'adapter.secret')
    .requiredOption('--parameters <dir>', 'parameter set')
    .requiredOption('--sessions <dir>', 'folder for one record of each session')
    .option('--listen <host:port>', 'where to listen; port 0 takes a free one', '127.0.0.1:7321')
    .option(
      '--min-free <MiB>',
      `refuse sessions and calls that would leave less of the disk free (default: ${MIN_FREE_BYTES / MIB})`,
      positiveInteger(MAX_MIN_FREE_MIB),
    )
    .addHelpText(
      'after',
      '\nExample:\n  zklora serve --adapter ./my-lora --commitment adapter.zkl.json --secret adapter.secret \\\n    --parameters ./params --sessions ./sessions\n\nBeyond loopback the service speaks TLS; give users the fingerprint that it prints.\nRuns until SIGINT or SIGTERM. With --json, prints one object a line: listening, then stopped.',
    );
  return runs<Options>(withLeakage(withAccess(command)), async (options, terminal) => {
    growHeapFreely();
    const address = parseAddress(options.listen);
    const access = await accessOf(address, options, terminal);
    const commitment = await loadCommitment(options.commitment);
    const secret = await loadSecret(options.secret, terminal);
    assertSecretMatches(secret, commitment);
    const modules = await loadQuantizedAdapter(options.adapter);
    // Proofs read it anew; a folder that is none is refused now.
    await openParameters(options.parameters);
    const allowedUsers =
      options.allowUsers === undefined ? undefined : await readAllowedUsers(options.allowUsers);
    const leakage = await openLedger(options, commitment, modules);
    const stopped = waitForSignal();
    const notes = new TokenBuckets(NOTE_RATE, () => performance.now());
    const server = await serveContributor({
      address,
      commitment,
      modules,
      secretKey: hexToBytes(secret.contributorSecretKey),
      sessionsDir: options.sessions,
      ...(leakage && { leakage }),
      ...(allowedUsers && { allowedUsers }),
      ...(options.minFree !== undefined && { minFreeBytes: options.minFree * MIB }),
      ...access,
      prove: processProver({ parametersDir: options.parameters, adapter: commitment, modules, secret }),
      onEvent: ({ method, error }) => {
        if ((method === 'apply' && error === undefined) || !notes.tryTake(method)) return;
        if (error instanceof ZkLoraError) terminal.note(`${method}: ${error.message} [${error.code}]`);
        else if (error !== undefined) terminal.note(`${method}: failed`);
        else terminal.note(`${method}: ok`);
      },
    });
    const listening = formatAddress(server.address);
    const pin = access.tls?.fingerprint;
    terminal.result(
      pin === undefined ? `listening on ${listening}` : `listening on ${listening}, fingerprint ${pin}`,
      { event: 'listening', address: listening, ...(pin !== undefined && { fingerprint: pin }) },
    );
    await stopped;
    await server.shutdown();
    await leakage?.close();
    const peakRssBytes = process.resourceUsage().maxRSS * 1024;
    terminal.result('stopped', { event: 'stopped', peakRssBytes, ...(leakage && revealedBy(leakage)) });
    return EXIT_OK;
  });
}

/** What all answers of this adapter have revealed so far. */
function revealedBy(ledger: LeakageLedger): { revealed: { counted: number; measured: number } } {
  const { counted, measured } = adapterLeakage(ledger.state.meter);
  return { revealed: { counted, measured } };
}

function waitForSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}
