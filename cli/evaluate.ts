import { join } from 'node:path';
import { Command, Option } from 'commander';
import { adapterId } from '../src/adapter/index.js';
import { loadEngine } from '../src/algebra/index.js';
import { bytesToHex, sha256 } from '../src/bytes.js';
import { openParameters } from '../src/circuit/parameterFiles.js';
import { ZkLoraError } from '../src/errors.js';
import { readFileBounded, writeFileAtomic } from '../src/files.js';
import {
  type ContributorClient,
  checkVocabulary,
  connectContributor,
  cutTexts,
  evaluateSet,
  growHeapFreely,
  MAX_TOKENIZER_BYTES,
  MAX_WINDOWS,
  type MemberFailure,
  type MemberReport,
  openBaseModel,
  type PlainText,
  PROOF_FILE,
  tokenizeBytes,
  tokenizerDigest,
  tokenizeTexts,
  unionModules,
} from '../src/inference/index.js';
import { positiveInteger, runs } from './command.js';
import { type ConnectionFlags, connectionOf, withConnection } from './connection.js';
import { type Contributor, loadContributors } from './contributors.js';
import { describeLosses, reportLosses } from './evaluationReport.js';
import { EXIT_ENVIRONMENT, EXIT_INVALID, EXIT_OK } from './exitCodes.js';
import { loadCommitment } from './inputs.js';
import { checkRegistration, describeRegistration, type RegistrationCheck } from './registration.js';
import { formatBytes, type Terminal } from './terminal.js';
import { readTexts } from './texts.js';
import { userKeyOf, withUserKey } from './userKey.js';

interface Options extends ConnectionFlags {
  userKey?: string;
  base: string;
  commitment?: string;
  contributor?: string;
  set?: string;
  text: string[];
  tokenizer?: string;
  session: string;
  sequenceLength: number;
  stride?: number;
  scoreLast?: number;
  sequences?: number;
  maxTokens?: number;
  batch: number;
  onFailure: 'stop' | 'drop';
  resume?: boolean;
  prove?: boolean;
  parameters?: string;
  registrationCache?: string;
  allowDevelopmentParams?: boolean;
}

const MAX_SEQUENCE = 32768;

/** `zklora evaluate` */
export function evaluateCommand(): Command {
  const command = new Command('evaluate')
    .description("loss of texts under your base model, without and with contributors' adapters")
    .requiredOption('--base <file>', 'ONNX base model')
    .option('--commitment <file>', 'adapter.zkl.json that you pin')
    .option('--contributor <host:port>', 'where the contributor serves')
    .option('--set <file>', 'contributors.json: several contributors, in place of the two above')
    .requiredOption('--text <path...>', 'files, folders, or - for standard input')
    .option('--tokenizer <file>', "the base model's tokenizer.json; without it a byte is a token")
    .requiredOption(
      '--session <dir>',
      'new folder for the record of the session, or of all sessions of a set',
    )
    .option('--sequence-length <n>', 'tokens of one sequence', positiveInteger(MAX_SEQUENCE), 96)
    .option(
      '--stride <n>',
      'tokens from one sequence to the next; below its length, what overlaps is context only',
      positiveInteger(MAX_SEQUENCE),
    )
    .option(
      '--score-last <n>',
      'score only the last n tokens of each sequence',
      positiveInteger(MAX_SEQUENCE),
    )
    .option('--sequences <n>', 'only the first n sequences', positiveInteger(MAX_WINDOWS))
    .option('--max-tokens <n>', 'send at most so many tokens', positiveInteger(2 ** 40))
    .option('--batch <n>', 'sequences in one forward pass', positiveInteger(4096), 4)
    .addOption(
      new Option('--on-failure <what>', 'when one contributor of a set fails: end, or measure without it')
        .choices(['stop', 'drop'])
        .default('stop'),
    )
    .option('--resume', 'go on with the evaluation in the session folder, with the same options')
    .option('--prove', 'ask for the proof and keep it in the session folder as proof.zkl')
    .option('--parameters <dir>', 'your own copy of the parameter set: checks the registration proof first')
    .option(
      '--registration-cache <file>',
      'file of your own that remembers verified registration proofs; nobody else may write it',
    )
    .option('--allow-development-params', 'accept parameters whose secret is known (for trials)')
    .addHelpText(
      'after',
      '\nExamples:\n  zklora evaluate --base model.onnx --commitment adapter.zkl.json --contributor 127.0.0.1:7321 \\\n    --text heldout.txt --session ./session --prove\n  zklora evaluate --base model.onnx --set contributors.json --tokenizer tokenizer.json \\\n    --text ./texts --session ./evaluation --on-failure drop\n\nExit code 3 also when the losses are there but a contributor did not close its session or prove it.',
    );
  return runs<Options>(withUserKey(withConnection(command)), async (options, terminal) => {
    growHeapFreely();
    const contributors = await contributorsOf(options);
    const registrations = await registrationsOf(options, contributors, terminal);
    for (const [i, registration] of registrations.entries()) {
      if (registration?.status !== 'invalid') continue;
      const { reason, message } = registration;
      const name = options.set === undefined ? undefined : contributors[i]!.name;
      const text = describeRegistration(registration);
      terminal.result(name === undefined ? text : `${name}: ${text}`, {
        valid: false,
        reason,
        message,
        ...(name !== undefined && { contributor: name }),
      });
      return EXIT_INVALID;
    }
    const files = await readTexts(options.text);
    const { tokens, digest } = await tokensOf(options, files, terminal);
    const cut = cutTexts(tokens.texts, {
      sequence: options.sequenceLength,
      ...(options.stride !== undefined && { stride: options.stride }),
      ...(options.scoreLast !== undefined && { scoreLast: options.scoreLast }),
      maxWindows: maxWindows(options),
    });
    const user = await userKeyOf(options, terminal);
    terminal.progress('opening the base model');
    const modules = unionModules(contributors.map(({ commitment }) => commitment.modules));
    const model = await openBaseModel(options.base, modules);
    const clients: ContributorClient[] = [];
    try {
      const vocabulary = await checkVocabulary(model, tokens.vocabulary, cut.windows, options.batch);
      if (digest === null && vocabulary !== tokens.vocabulary) {
        terminal.note(
          `warning: the model has ${vocabulary} tokens, a byte is one of 256: give its --tokenizer, or the losses mean little`,
        );
      }
      const evaluation = await evaluateSet({
        model,
        members: contributors.map(({ name, commitment, address, weight, dir, connection }) => ({
          name,
          commitment,
          weight,
          dir,
          ...(user && { user }),
          connect: async () => {
            const client = await connectContributor(await connectionOf(address, connection, terminal));
            clients.push(client);
            return client;
          },
        })),
        dir: options.session,
        windows: cut.windows,
        batch: options.batch,
        source: {
          texts: files.map(({ name, bytes }) => ({ name, sha256: bytesToHex(sha256(bytes)) })),
          tokenizer: digest,
        },
        onFailure: options.onFailure,
        resume: options.resume === true,
        onProgress: ({ part, done, total }) =>
          terminal.progress(part === 'base' ? 'base model alone' : 'base model with adapter', done, total),
      });
      const proofs = options.prove ? await proofsOf(evaluation.members, contributors, options, terminal) : [];
      const losses = reportLosses(evaluation, cut, files);
      const members = evaluation.members.map((member, i) => {
        const { name, weight, measured, failure, calls, closing } = member;
        return {
          name,
          adapterId: member.adapterId,
          weight,
          measured,
          failure: failure && { code: failure.code, message: failure.message },
          calls,
          session: contributors[i]!.dir,
          sessionDigest: closing?.digest ?? null,
          registration: registrations[i]?.status ?? 'unchecked',
          ...proofs[i],
        };
      });
      const { baseLoss, adapterLoss, predictions } = evaluation;
      const { count, sequence } = cut.windows;
      const first = members[0]!;
      const lines = [
        ...describeLosses(losses),
        `${predictions} predictions, ${count * sequence} token rows recorded in ${options.session}`,
        ...members.flatMap((member, i) =>
          describeMember(member, registrations[i], options.set === undefined ? undefined : member.name),
        ),
      ];
      terminal.result(lines.join('\n'), {
        baseLoss,
        adapterLoss,
        predictions,
        tokens: count * sequence,
        losses,
        tokenizer: digest,
        session: options.session,
        contributors: members,
        ...(options.set === undefined && {
          calls: first.calls,
          adapterId: adapterId(contributors[0]!.commitment),
          sessionDigest: first.sessionDigest,
          registration: first.registration,
          ...('proof' in first && { proof: first.proof, proofBytes: first.proofBytes }),
        }),
      });
      const whole = members.every(
        (member) => !member.measured || (member.failure === null && !('proofFailure' in member)),
      );
      return whole ? EXIT_OK : EXIT_ENVIRONMENT;
    } finally {
      for (const client of clients) client.close();
      await model.close();
    }
  });
}

/** @throws ZkLoraError `USAGE` */
async function contributorsOf(options: Options): Promise<Contributor[]> {
  const { set, commitment, contributor, session } = options;
  const { fingerprint, tlsCa, tlsClientCert, tlsClientKey, tokenFile, allowInsecure } = options;
  const connection = { fingerprint, tlsCa, tlsClientCert, tlsClientKey, tokenFile, allowInsecure };
  if (set !== undefined) {
    const given = [commitment, contributor, ...Object.values(connection)];
    if (given.some((value) => value !== undefined)) {
      throw new ZkLoraError('USAGE', 'with --set, commitments, addresses and connections stand in its file');
    }
    return loadContributors(set, session, options.timeout);
  }
  if (commitment === undefined || contributor === undefined) {
    throw new ZkLoraError('USAGE', 'give --commitment and --contributor, or --set; --help shows the usage');
  }
  return [
    {
      name: 'contributor',
      commitment: await loadCommitment(commitment),
      address: contributor,
      weight: 1,
      dir: session,
      connection: options,
    },
  ];
}

/** @throws ZkLoraError `USAGE` */
function maxWindows({ sequences, maxTokens, sequenceLength }: Options): number {
  const affordable = Math.floor((maxTokens ?? Number.POSITIVE_INFINITY) / sequenceLength);
  if (affordable === 0) {
    throw new ZkLoraError(
      'USAGE',
      `--max-tokens ${maxTokens} is less than one sequence of ${sequenceLength}`,
    );
  }
  return Math.min(sequences ?? MAX_WINDOWS, affordable, MAX_WINDOWS);
}

async function tokensOf({ tokenizer }: Options, texts: readonly PlainText[], terminal: Terminal) {
  if (tokenizer === undefined) return { tokens: tokenizeBytes(texts), digest: null };
  terminal.progress('tokenising');
  const file = await readFileBounded(tokenizer, MAX_TOKENIZER_BYTES, 'tokenizer');
  return { tokens: await tokenizeTexts(file, texts), digest: tokenizerDigest(file) };
}

/** What became of a contributor's proof. */
type ProofReport =
  | { readonly proof: string; readonly proofBytes: number }
  | { readonly proofFailure: MemberFailure };

/** Asks all contributors at the same time, and keeps what comes; those without a closed session are not asked. */
function proofsOf(
  members: readonly MemberReport[],
  contributors: readonly Contributor[],
  { resume }: Options,
  terminal: Terminal,
): Promise<(ProofReport | undefined)[]> {
  return Promise.all(
    members.map(async ({ name, session, closing, failure }, i): Promise<ProofReport | undefined> => {
      if (closing === null) return undefined;
      if (session === null) return failure === null ? undefined : { proofFailure: failure };
      try {
        const asking = members.length === 1 ? 'contributor' : name;
        const proof = await session.prove(({ step }) => terminal.progress(`${asking} proves: ${step}`));
        const path = join(contributors[i]!.dir, PROOF_FILE);
        await writeFileAtomic(path, proof, { overwrite: resume === true });
        return { proof: path, proofBytes: proof.length };
      } catch (error) {
        if (!(error instanceof ZkLoraError)) throw error;
        return { proofFailure: { code: error.code, message: error.message } };
      }
    }),
  );
}

const UNCHECKED =
  'registration proof not checked (--parameters does): without it deltas come from field elements, maybe not integers';

interface DescribedMember {
  readonly weight: number;
  readonly measured: boolean;
  readonly failure: MemberFailure | null;
  readonly calls: number;
  readonly sessionDigest: string | null;
  readonly proof?: string;
  readonly proofBytes?: number;
  readonly proofFailure?: MemberFailure;
}

/** @param name of a contributor of a set */
function describeMember(
  { weight, measured, failure, calls, sessionDigest, ...proof }: DescribedMember,
  registration: RegistrationCheck | undefined,
  name: string | undefined,
): string[] {
  const lines = [registration ? describeRegistration(registration) : UNCHECKED];
  if (failure !== null) {
    const closed = sessionDigest === null ? 'session not closed' : 'session closed, but not asked again';
    lines.push(`${measured ? closed : 'LEFT OUT of these losses'}: ${failure.message} [${failure.code}]`);
  }
  if (proof.proof !== undefined) {
    const size = formatBytes(proof.proofBytes ?? 0);
    lines.push(`proof ${proof.proof}, ${size}: not verified yet, run zklora verify`);
  }
  if (proof.proofFailure !== undefined) {
    lines.push(`no proof: ${proof.proofFailure.message} [${proof.proofFailure.code}]`);
  }
  if (name === undefined) return lines;
  return [`${name}: weight ${weight}, ${calls} calls`, ...lines.map((line) => `  ${line}`)];
}

/** Checks registration proofs where the user has named a parameter set. */
async function registrationsOf(
  options: Options,
  contributors: readonly Contributor[],
  terminal: Terminal,
): Promise<(RegistrationCheck | undefined)[]> {
  if (options.parameters === undefined) return contributors.map(() => undefined);
  terminal.progress('verifying the registration proof');
  const parameters = await openParameters(options.parameters);
  const engine = await loadEngine();
  try {
    const checks: RegistrationCheck[] = [];
    for (const { commitment } of contributors) {
      checks.push(
        await checkRegistration({
          engine,
          parameters: parameters.set,
          parametersId: parameters.id,
          adapter: commitment,
          allowDevelopmentParameters: options.allowDevelopmentParams === true,
          cache: options.registrationCache,
        }),
      );
    }
    return checks;
  } finally {
    await engine.terminate();
  }
}
