import { Command, InvalidArgumentError } from 'commander';
import type { AdapterCommitment } from '../src/adapter/index.js';
import { hexToBytes } from '../src/bytes.js';
import { ZkLoraError } from '../src/errors.js';
import { readFileBounded, writeFileAtomic } from '../src/files.js';
import {
  MAX_OPENING_BYTES,
  openSessionRecord,
  parseRowOpening,
  parseSessionClosing,
  serializeRowOpening,
  wrongSigner,
} from '../src/inference/index.js';
import { MAX_CLOSING_FILE_BYTES } from '../src/inference/limits.js';
import { decodeProofFile, openRow, type RowOpening, verifyRow } from '../src/protocol/index.js';
import { digestOption, runs } from './command.js';
import { EXIT_INVALID, EXIT_OK } from './exitCodes.js';
import { loadCommitment, loadProof } from './inputs.js';
import { formatBytes } from './terminal.js';

interface OpenOptions {
  session: string;
  commitment: string;
  row: number;
  module: string;
  out: string;
}

interface VerifyOptions {
  opening: string;
  commitment: string;
  proof?: string;
  digest?: string;
  closing?: string;
}

/** `zklora session` */
export function sessionCommand(): Command {
  return new Command('session')
    .description('show one row of a recorded session without the others')
    .addCommand(openCommand())
    .addCommand(verifyRowCommand());
}

function openCommand(): Command {
  const command = new Command('open')
    .description(
      'write the activations and deltas of one token row of one module, with what shows they belong',
    )
    .requiredOption('--session <dir>', 'your record of the session')
    .requiredOption('--commitment <file>', 'adapter.zkl.json of the session')
    .requiredOption('--row <number>', 'token row, counted through all calls from 0', rowNumber)
    .requiredOption('--module <name>', 'name of the module')
    .requiredOption('--out <file>', 'file for the opening')
    .addHelpText(
      'after',
      '\nExample:\n  zklora session open --session ./session --commitment adapter.zkl.json --row 7 --module transformer.h.0.attn.c_attn --out row.json',
    );
  return runs<OpenOptions>(command, async (options, terminal) => {
    const adapter = await loadCommitment(options.commitment);
    const module = adapter.modules.findIndex(({ name }) => name === options.module);
    if (module < 0) {
      throw new ZkLoraError('USAGE', 'the adapter has no such module; `inspect` lists its modules');
    }
    const session = await openSessionRecord(options.session);
    terminal.progress('reading the session');
    const opening = await openRow(session, adapter.modules, { row: options.row, module });
    const text = serializeRowOpening(opening);
    await writeFileAtomic(options.out, text);
    terminal.result(
      `opening ${options.out}: row ${options.row} of ${options.module}, ${formatBytes(text.length)}\n` +
        'it shows the activations and deltas of this row, and nothing of the others',
      { opening: options.out, row: options.row, module: options.module, bytes: text.length },
    );
    return EXIT_OK;
  });
}

function verifyRowCommand(): Command {
  const command = new Command('verify-row')
    .description('check that an opened row is part of the session that a proof is about')
    .requiredOption('--opening <file>', 'what `session open` wrote')
    .requiredOption('--commitment <file>', 'adapter.zkl.json that you pinned')
    .option('--proof <file>', 'proof.zkl: names the session')
    .option('--digest <digest>', 'session digest, in place of a proof', digestOption)
    .option('--closing <file>', 'close.json: check that both parties signed this session')
    .addHelpText(
      'after',
      '\nExample:\n  zklora session verify-row --opening row.json --commitment adapter.zkl.json --proof proof.zkl\n\nThe proof itself is not verified here: that takes the whole session. Exit code 0: the row belongs; 1: it does not.',
    );
  return runs<VerifyOptions>(command, async (options, terminal) => {
    const adapter = await loadCommitment(options.commitment);
    const digest = await pinnedDigest(options);
    const bytes = await readFileBounded(options.opening, MAX_OPENING_BYTES, 'row opening');
    const opening = parseRowOpening(new TextDecoder().decode(bytes));
    const verdict = verifyRow(opening, adapter, digest);
    const signed = options.closing === undefined ? null : await isSigned(options.closing, opening, digest);
    if (!verdict.valid || signed === false) {
      const refused = verdict.valid
        ? {
            valid: false,
            reason: 'WRONG_SESSION',
            message: 'the closing does not hold both signatures over this session',
          }
        : verdict;
      terminal.result(`INVALID  ${refused.message} [${refused.reason}]`, refused);
      return EXIT_INVALID;
    }
    terminal.result(...accepted(opening, adapter, digest, signed, options.proof !== undefined));
    return EXIT_OK;
  });
}

function accepted(
  opening: RowOpening,
  adapter: AdapterCommitment,
  digest: string,
  signed: boolean | null,
  fromProof: boolean,
): [text: string, value: object] {
  const { row, call, module, exponent, x, y } = opening;
  const { name, aExponent, bExponent, scaling } = adapter.modules[module]!;
  const text = [
    `VALID    row ${row} (call ${call}) of ${name}`,
    `session  ${digest}`,
    ...(fromProof ? ['proof    not verified here: run `zklora verify` with the whole session'] : []),
    `signed   ${signed === null ? 'not checked: pass --closing' : 'by both parties'}`,
    `x        ${x.length} integers times 2^${exponent}`,
    `y        ${y.length} integers times 2^${exponent + aExponent + bExponent} and ${scaling}`,
  ].join('\n');
  return [
    text,
    {
      valid: true,
      sessionDigest: digest,
      // a proof names the session; whether it holds takes the whole session
      ...(fromProof ? { proofVerified: false } : {}),
      signed,
      row,
      call,
      module: name,
      exponent,
      x: [...x],
      y: [...y].map(String),
    },
  ];
}

/** Exactly one of proof and digest says which session is meant. */
async function pinnedDigest({ proof, digest }: VerifyOptions): Promise<string> {
  if ((proof === undefined) === (digest === undefined)) {
    throw new ZkLoraError('USAGE', 'pass either --proof or --digest');
  }
  return digest ?? decodeProofFile(await loadProof(proof!)).sessionDigest;
}

async function isSigned(path: string, { header }: RowOpening, digest: string): Promise<boolean> {
  const bytes = await readFileBounded(path, MAX_CLOSING_FILE_BYTES, 'session closing');
  const closing = parseSessionClosing(new TextDecoder().decode(bytes));
  return closing.digest === digest && wrongSigner(closing, header, hexToBytes(digest)) === undefined;
}

function rowNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('expected a whole number from 0');
  }
  return value;
}
