import { Command, Option } from 'commander';
import { type AdapterCommitment, adapterId } from '../src/adapter/index.js';
import { loadEngine, warmVerifier } from '../src/algebra/index.js';
import { hexToBytes } from '../src/bytes.js';
import {
  type AdapterLineageQuestion,
  type BoundVerdict,
  drawingOf,
  drawTree,
  verifyWithLineage,
} from '../src/checkpoint/index.js';
import { openParameters } from '../src/circuit/parameterFiles.js';
import { ZkLoraError } from '../src/errors.js';
import { checkClosedDigest, openSessionRecord } from '../src/inference/record.js';
import { RANK_CHECKS, type RankCheck, type VerificationResult, verifyProof } from '../src/protocol/index.js';
import { digestOption, runs } from './command.js';
import { EXIT_INVALID, EXIT_OK } from './exitCodes.js';
import { loadCommitment, loadProof } from './inputs.js';
import { adapterQuestion, describeReason, loadLineagePolicy, loadModelAtHand } from './lineageInputs.js';
import { checkRegistration, describeRegistration } from './registration.js';
import { formatBytes, type Terminal } from './terminal.js';
import type { SetFlags } from './verifySet.js';

interface Options extends SetFlags {
  proof?: string;
  commitment?: string;
  adapterId?: string;
  policy?: string;
  lineage?: string;
  base?: string;
}

/** `zklora verify` */
export function verifyCommand(): Command {
  const command = new Command('verify')
    .description('check that every delta of a session was computed with the committed weights')
    .option('--proof <file>', 'proof.zkl')
    .option('--commitment <file>', 'adapter.zkl.json that you pinned before the evaluation')
    .option('--set <file>', 'contributors.json with what you pinned: all sessions of an evaluation')
    .option('--without <name...>', 'leave out contributors of the set, as the evaluation did')
    .requiredOption('--session <dir>', 'your own record of the session, or of the evaluation of a set')
    .requiredOption('--parameters <dir>', 'your own copy of the parameter set')
    .option('--parameters-id <digest>', 'refuse any parameter set but this one', digestOption)
    .option('--adapter-id <digest>', 'refuse any adapter commitment but this one', digestOption)
    .option(
      '--registration-cache <file>',
      'file of your own that remembers verified registration proofs; nobody else may write it',
    )
    .option('--policy <file>', 'lineage policy of yours: the lineage must meet it, too; needs --lineage')
    .option('--lineage <folder>', 'lineage store')
    .option('--base <file>', 'ONNX model of the session: check that the lineage is about its weights')
    .addOption(
      new Option(
        '--rank-check <kind>',
        'refuse proofs of another kind: kzg trusts no circuit key of the set',
      ).choices(RANK_CHECKS),
    )
    .option('--require-registration-proof', 'refuse an adapter that is not proven to have integer weights')
    .option('--require-signed', 'refuse a session that was not closed with both signatures')
    .option(
      '--allow-development-params',
      'accept parameters whose secret is known (proves nothing; for trials)',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  zklora verify --proof proof.zkl --commitment adapter.zkl.json --session ./session --parameters ./params\n  zklora verify --set contributors.json --session ./evaluation --parameters ./params\n\nExit code 0: valid; 1: invalid; 2: malformed input; 3: file missing.',
    );
  return runs<Options>(command, async (options, terminal) => {
    if (options.set !== undefined) {
      const { proof, commitment, adapterId: pinnedAdapter, policy, lineage, base } = options;
      if ([proof, commitment, pinnedAdapter, policy, lineage, base].some((value) => value !== undefined)) {
        throw new ZkLoraError('USAGE', 'a --set names commitments itself, and is verified without a lineage');
      }
      // what connects to contributors is not needed for one proof
      const { verifyContributors } = await import('./verifySet.js');
      return verifyContributors({ ...options, set: options.set }, terminal);
    }
    if (options.proof === undefined || options.commitment === undefined || options.without !== undefined) {
      throw new ZkLoraError('USAGE', 'give --proof and --commitment, or --set; --help shows the usage');
    }
    terminal.progress('reading proof and session');
    const adapter = await loadCommitment(options.commitment);
    const parameters = await openParameters(options.parameters);
    const proof = await loadProof(options.proof);
    const engine = await loadEngine();
    // while this thread reads
    void warmVerifier(engine);
    try {
      const session = await openSessionRecord(options.session);
      const refused = pinned(options, parameters.id, adapterId(adapter));
      if (refused) {
        terminal.result(describeRefusal(refused), refused);
        return EXIT_INVALID;
      }
      terminal.progress('verifying the registration proof');
      const allowDevelopmentParameters = options.allowDevelopmentParams === true;
      const registration = await checkRegistration({
        engine,
        parameters: parameters.set,
        parametersId: parameters.id,
        adapter,
        allowDevelopmentParameters,
        cache: options.registrationCache,
      });
      if (registration.status === 'invalid') {
        const { reason, message } = registration;
        terminal.result(describeRefusal(registration), { valid: false, reason, message });
        return EXIT_INVALID;
      }
      if (registration.status === 'missing' && options.requireRegistrationProof) {
        const unproven = {
          valid: false,
          reason: 'REGISTRATION_MISSING',
          message: 'the adapter commitment has no registration proof: ask the contributor for it',
        };
        terminal.result(describeRefusal(unproven), unproven);
        return EXIT_INVALID;
      }
      terminal.progress('verifying');
      const lineage = await lineageOf(options, adapter, terminal);
      const proofOptions = {
        engine,
        parameters: parameters.set,
        verificationKeys: parameters.vkey,
        adapter,
        session,
        proof,
        allowDevelopmentParameters,
        ...(options.rankCheck && { rankCheck: options.rankCheck }),
        ...(registration.status === 'missing' ? {} : { registration: registration.registration }),
      };
      const bound = lineage && (await verifyWithLineage(proofOptions, lineage));
      const verdict = bound ? bound.proof : await verifyProof(proofOptions);
      const judged = bound && { lineage: bound.lineage };
      if (bound?.valid === false || !verdict.valid) {
        const { reason, message } = bound?.valid === false ? bound : (verdict as Refused);
        const refused = { valid: false, reason, message };
        terminal.result([describeRefusal(refused), ...describeBound(bound, options)].join('\n'), {
          ...refused,
          registration: registration.status,
          ...judged,
        });
        return EXIT_INVALID;
      }
      const signed = session.closing !== null;
      if (!signed && options.requireSigned) {
        const unsigned = {
          valid: false,
          reason: 'WRONG_SESSION',
          message: 'the session was never closed and signed',
        };
        terminal.result(describeRefusal(unsigned), unsigned);
        return EXIT_INVALID;
      }
      // a close.json that is there must be right
      if (signed) checkClosedDigest(session, hexToBytes(verdict.sessionDigest));
      const { userKey } = session.header;
      terminal.result(
        [
          `VALID    all ${verdict.tokens} token rows of ${verdict.modules.length} of the adapter's ${adapter.modules.length} modules, ${formatBytes(proof.length)} of proof`,
          `adapter  ${verdict.adapterId}`,
          `session  ${verdict.sessionDigest}`,
          `signed   ${signed ? `by the contributor and by user ${userKey}` : 'no: the session was never closed'}`,
          `pairs    ${describeRankCheck(verdict.rankCheck)}`,
          `params   ${verdict.parametersId} (${parameters.set.kind})`,
          `weights  ${describeRegistration(registration)}`,
          ...describeBound(bound, options),
          ...(parameters.set.kind === 'development'
            ? ['warning  development parameters: anybody can forge such a proof']
            : []),
        ].join('\n'),
        {
          ...verdict,
          adapterModules: adapter.modules.length,
          signed,
          userKey,
          registration: registration.status,
          ...judged,
        },
      );
      return EXIT_OK;
    } finally {
      await engine.terminate();
    }
  });
}

/** What the store says of the adapter, and the policy to judge it by; undefined when no lineage is asked for. */
async function lineageOf(
  { policy, lineage, base }: Options,
  adapter: AdapterCommitment,
  terminal: Terminal,
): Promise<Omit<AdapterLineageQuestion, 'adapter'> | undefined> {
  if (policy === undefined && lineage === undefined && base === undefined) return undefined;
  if (policy === undefined || lineage === undefined) {
    throw new ZkLoraError('USAGE', 'a lineage is judged with both --policy and --lineage');
  }
  const model = base === undefined ? undefined : await loadModelAtHand(base, terminal);
  return adapterQuestion(lineage, await loadLineagePolicy(policy), adapter, model);
}

function describeBound(bound: BoundVerdict | undefined, { base }: Options): string[] {
  if (bound === undefined) return [];
  const { lineage } = bound;
  return [
    `lineage  ${lineage.valid ? 'meets the policy' : 'does not meet the policy'}`,
    ...(lineage.modelChecked
      ? []
      : [`model    not checked: ${base === undefined ? 'pass --base' : 'there is no lineage head'}`]),
    ...lineage.failures.map((reason) => `  ${describeReason(reason)}`),
    drawTree(drawingOf(lineage)),
  ];
}

/** A verdict that says no, from whichever check. */
interface Refused {
  readonly reason: string;
  readonly message: string;
}

function pinned(
  options: Options,
  parametersId: string,
  adapter: string,
): (VerificationResult & { valid: false }) | undefined {
  if (options.parametersId !== undefined && options.parametersId !== parametersId) {
    return {
      valid: false,
      reason: 'WRONG_PARAMETERS',
      message: 'the parameter set is not the one you pinned',
    };
  }
  if (options.adapterId !== undefined && options.adapterId !== adapter) {
    return {
      valid: false,
      reason: 'WRONG_ADAPTER',
      message: 'the adapter commitment is not the one you pinned',
    };
  }
  return undefined;
}

function describeRankCheck(rankCheck: RankCheck): string {
  return rankCheck === 'kzg'
    ? 'shown inside the polynomial argument (kzg)'
    : 'shown by Groth16: the circuit keys of the parameter set are trusted, too';
}

function describeRefusal({ message, reason }: Refused): string {
  return `INVALID  ${message} [${reason}]`;
}
