import { Command, InvalidArgumentError } from 'commander';
import { type AdapterCommitment, writePeftAdapter } from '../src/adapter/index.js';
import { loadEngine } from '../src/algebra/index.js';
import { hexToBytes } from '../src/bytes.js';
import type { ParameterStore } from '../src/circuit/index.js';
import { ZkLoraError } from '../src/errors.js';
import { readFileBounded, requireAbsent, requireFreeFolder, writeFileAtomic } from '../src/files.js';
import { checkDelivery } from '../src/settlement/checkDelivery.js';
import { DeliveryFile, resumeDownload } from '../src/settlement/deliveryFile.js';
import { serializeFraudProofFile } from '../src/settlement/fraudProofFile.js';
import { MAX_OFFER_BYTES, offerId, parseSignedOffer, type SignedOffer } from '../src/settlement/index.js';
import { readDeliveryKey } from '../src/settlement/keyFiles.js';
import { openDelivery } from '../src/settlement/openDelivery.js';
import { runs } from './command.js';
import { EXIT_ENVIRONMENT, EXIT_INVALID, EXIT_OK } from './exitCodes.js';
import { loadCommitment } from './inputs.js';
import { type DevelopmentOptions, openOwnParameters, withDevelopmentParams } from './ownParameters.js';
import { formatBytes, formatSeconds, type Terminal } from './terminal.js';

interface Options extends DevelopmentOptions {
  delivery: string;
  deliveryKey: string;
  offer?: string;
  commitment?: string;
  parameters?: string;
  revealedKey?: string;
  out?: string;
  fraudProof: string;
  baseModelName?: string;
  check?: boolean;
  resume?: boolean;
}

/** `zklora open` */
export function openCommand(): Command {
  const command = new Command('open')
    .description('decrypt a delivery with the revealed key and check every row against what you evaluated')
    .requiredOption('--delivery <file>', 'adapter.delivery')
    .requiredOption('--delivery-key <file>', 'your delivery key (zklora settle key)')
    .option('--offer <file>', 'offer.json')
    .option('--commitment <file>', 'adapter.zkl.json that you evaluated')
    .option('--parameters <dir>', 'your own copy of the parameter set')
    .option(
      '--revealed-key <key>',
      'key that the contributor revealed on the chain, 0x and 64 hex digits',
      keyOption,
    )
    .option('--out <dir>', 'new folder for the PEFT adapter')
    .option('--base-model-name <name>', 'base_model_name_or_path to write into adapter_config.json')
    .option('--fraud-proof <file>', 'where to write the proof when a row is wrong', 'fraud-proof.json')
    .option('--check', 'before you pay: check offer and delivery file against the commitment; needs no key')
    .option('--resume', 'check a partial download chunk by chunk and say where to continue it');
  withDevelopmentParams(command).addHelpText(
    'after',
    '\nExample:\n  zklora open --check --delivery adapter.delivery --delivery-key buyer.key --offer offer.json \\\n    --commitment adapter.zkl.json --parameters ./params\n\nExit code 0: opened or checked; 1: a row is wrong (the fraud proof is written) or the files do not match the offer;\n2: malformed input; 3: file missing or incomplete.',
  );
  return runs<Options>(command, async (options, terminal) => {
    const { secret, exposed } = await readDeliveryKey(options.deliveryKey);
    if (exposed) {
      terminal.note(`warning: ${options.deliveryKey} is readable by others: run chmod 600 on it`);
    }
    if (options.resume) return resume(options.delivery, secret, terminal);
    const offer = await loadOffer(required(options, 'offer'));
    const commitment = await loadCommitment(required(options, 'commitment'));
    const parameters = await openOwnParameters(required(options, 'parameters'), options);
    terminal.progress('checking the delivery file');
    const delivery = await DeliveryFile.open(options.delivery, secret, commitment);
    try {
      if (options.check) {
        await checkDelivery(offer.offer, commitment, parameters.set, delivery);
        const id = offerId(offer.escrow, offer.offer);
        terminal.result(
          `delivery file, offer and adapter commitment belong together: offer ${id}, ${delivery.rows.length} rows`,
          { checked: true, offerId: id, rows: delivery.rows.length },
        );
        return EXIT_OK;
      }
      return await open(options, { offer, commitment, parameters, delivery }, terminal);
    } finally {
      await delivery.close();
    }
  });
}

/** Reads offer.json and checks its signature. */
export async function loadOffer(path: string): Promise<SignedOffer> {
  return parseSignedOffer(await readFileBounded(path, MAX_OFFER_BYTES, 'offer'));
}

interface Inputs {
  readonly offer: SignedOffer;
  readonly commitment: AdapterCommitment;
  readonly parameters: ParameterStore;
  readonly delivery: DeliveryFile;
}

async function open(options: Options, inputs: Inputs, terminal: Terminal): Promise<number> {
  const { offer, commitment, parameters, delivery } = inputs;
  const out = required(options, 'out');
  const masterKey = required(options, 'revealedKey');
  await requireFreeFolder(out);
  await requireAbsent(options.fraudProof);
  const started = performance.now();
  const engine = await loadEngine();
  try {
    const opened = await openDelivery({
      engine,
      srs: await parameters.srs(commitment.domainSize),
      parameters: parameters.set,
      commitment,
      offer,
      delivery,
      masterKey: hexToBytes(masterKey.slice(2)),
      onProgress: (done, total) => terminal.progress('opening rows', done, total),
    });
    const seconds = (performance.now() - started) / 1000;
    if (opened.valid) {
      await writePeftAdapter(out, opened.modules, options.baseModelName ?? null);
      terminal.result(
        `all ${delivery.rows.length} rows are the evaluated ones: ${out}, ${formatSeconds(seconds)}`,
        { opened: true, rows: delivery.rows.length, out, seconds },
      );
      return EXIT_OK;
    }
    const { row, fraudProof } = opened;
    const id = offerId(offer.escrow, offer.offer);
    await writeFileAtomic(
      options.fraudProof,
      serializeFraudProofFile({ offerId: id, masterKey: masterKey as `0x${string}`, proof: fraudProof }),
    );
    const module = commitment.modules[row.module]!.name;
    terminal.result(
      `FRAUD: ${row.matrix === 'A' ? 'row' : 'column'} ${row.rank} of ${row.matrix} of ${module} is not the evaluated one. Nothing was written but ${options.fraudProof}: send it with zklora settle dispute before the window ends`,
      {
        opened: false,
        row: row.row,
        module,
        matrix: row.matrix,
        rank: row.rank,
        fraudProof: options.fraudProof,
      },
    );
    return EXIT_INVALID;
  } finally {
    await engine.terminate();
  }
}

async function resume(path: string, secretKey: Uint8Array, terminal: Terminal): Promise<number> {
  terminal.progress('checking the download');
  const state = await resumeDownload(path, secretKey);
  const { verifiedBytes, fileBytes, complete } = state;
  terminal.result(
    complete
      ? `complete: all ${formatBytes(fileBytes)} are intact`
      : `intact up to byte ${verifiedBytes} of ${fileBytes}; the file was cut there: continue the download from that byte`,
    state,
  );
  return complete ? EXIT_OK : EXIT_ENVIRONMENT;
}

function required<Name extends 'offer' | 'commitment' | 'parameters' | 'out' | 'revealedKey'>(
  options: Options,
  name: Name,
): string {
  const value = options[name];
  if (value !== undefined) return value;
  const option = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new ZkLoraError('USAGE', `--${option} is missing; --help shows the usage`);
}

function keyOption(text: string): string {
  if (!/^0x[0-9a-f]{64}$/.test(text)) throw new InvalidArgumentError('expected 0x and 64 hex digits');
  return text;
}
