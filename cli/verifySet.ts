import { join } from 'node:path';
import { type Engine, loadEngine, warmVerifier } from '../src/algebra/index.js';
import { hexToBytes } from '../src/bytes.js';
import { openParameters, type ParameterStore } from '../src/circuit/index.js';
import { ZkLoraError } from '../src/errors.js';
import {
  checkClosedDigest,
  openSessionRecord,
  PROOF_FILE,
  type SessionRecord,
} from '../src/inference/index.js';
import {
  type BatchVerdict,
  type RankCheck,
  requireOneBase,
  type SetItem,
  verifySet,
} from '../src/protocol/index.js';
import { type Contributor, loadContributors } from './contributors.js';
import { compareWithEvaluation, describeParts, lossParts } from './evaluatedSet.js';
import { EXIT_INVALID, EXIT_OK } from './exitCodes.js';
import { loadProof } from './inputs.js';
import { checkRegistration, describeRegistration, type RegistrationCheck } from './registration.js';
import { formatBytes, type Terminal } from './terminal.js';

/** Flags of `zklora verify` that say something about a set, too. */
export interface SetFlags {
  set?: string;
  without?: string[];
  /** Of the evaluation. */
  session: string;
  parameters: string;
  parametersId?: string;
  registrationCache?: string;
  requireRegistrationProof?: boolean;
  requireSigned?: boolean;
  allowDevelopmentParams?: boolean;
  rankCheck?: RankCheck;
}

interface Refused {
  readonly valid: false;
  readonly reason: string;
  readonly message: string;
}

/** One contributor's session, ready to be verified with the others. */
interface ReadMember {
  readonly item: SetItem;
  readonly session: SessionRecord;
  readonly registration: RegistrationCheck;
}

/**
 * Verifies the sessions of an evaluation against the commitments that the user's contributors.json names. What is
 * wrong with one contributor is the verdict on that one; nothing is taken from the evaluation's folder but sessions and
 * proofs.
 */
export async function verifyContributors(
  flags: SetFlags & { set: string },
  terminal: Terminal,
): Promise<number> {
  terminal.progress('reading proofs and sessions');
  const { left, asked } = await contributorsOf(flags);
  const parameters = await openParameters(flags.parameters);
  if (flags.parametersId !== undefined && flags.parametersId !== parameters.id) {
    const message = 'the parameter set is not the one you pinned';
    terminal.result(`INVALID  ${message} [WRONG_PARAMETERS]`, {
      valid: false,
      reason: 'WRONG_PARAMETERS',
      message,
    });
    return EXIT_INVALID;
  }
  const engine = await loadEngine();
  void warmVerifier(engine);
  try {
    const read = new Map<string, ReadMember | Refused>();
    for (const contributor of asked) {
      terminal.progress(`reading ${contributor.name}`);
      read.set(contributor.name, await refusing(() => readMember(contributor, flags, engine, parameters)));
    }
    terminal.progress('verifying');
    const items = [...read.values()].flatMap((member) => ('item' in member ? member.item : []));
    const { members } =
      items.length === 0
        ? { members: [] }
        : await verifySet({
            engine,
            parameters: parameters.set,
            verificationKeys: parameters.vkey,
            allowDevelopmentParameters: flags.allowDevelopmentParams === true,
            ...(flags.rankCheck && { rankCheck: flags.rankCheck }),
            members: items,
          });
    const verdicts = new Map(members.map(({ name, verdict }) => [name, verdict]));
    const contributors = [...read].map(([name, member]) => {
      if (!('item' in member)) return { name, ...member, text: refusal(member) };
      const { item, session, registration } = member;
      const verdict = signedAsProven(verdicts.get(name)!, session);
      const facts = {
        // nobody has looked at the signatures on what is refused
        ...(verdict.valid && { signed: session.closing !== null }),
        registration: registration.status,
      };
      const text = verdict.valid
        ? `VALID    ${verdict.tokens} token rows, ${verdict.modules.length} of ${item.adapter.modules.length} modules, ` +
          `${formatBytes(item.proof.length)} of proof by ${verdict.rankCheck}, ${facts.signed ? 'signed' : 'NOT SIGNED'}; ${describeRegistration(registration)}`
        : refusal(verdict);
      return { name, ...verdict, ...facts, text };
    });
    const valid = contributors.every((contributor) => contributor.valid);
    const lossesOf = lossParts(asked);
    const { status, warning } = await compareWithEvaluation(flags.session, lossesOf);
    terminal.result(
      [
        ...contributors.map(({ name, text }) => `${name}  ${text}`),
        ...left.map((name) => `${name}  left out`),
        valid ? 'VALID    all that were asked' : 'INVALID  the losses of this set are not proven',
        `losses   covered only if measured with exactly ${describeParts(lossesOf)}`,
        ...(warning === undefined ? [] : [`warning  ${warning}`]),
        `params   ${parameters.id} (${parameters.set.kind})`,
        ...(parameters.set.kind === 'development'
          ? ['warning  development parameters: anybody can forge such a proof']
          : []),
      ].join('\n'),
      {
        valid,
        contributors: contributors.map(({ text: _, ...contributor }) => contributor),
        leftOut: left,
        lossesOf,
        evaluation: status,
        ...(warning !== undefined && { warning }),
        parametersId: parameters.id,
      },
    );
    return valid ? EXIT_OK : EXIT_INVALID;
  } finally {
    await engine.terminate();
  }
}

/** @throws ZkLoraError `USAGE`, `BASE_MODEL_MISMATCH`, and as {@link loadContributors} */
async function contributorsOf({ set, session, without = [] }: SetFlags & { set: string }) {
  const contributors = await loadContributors(set, session);
  const unknown = without.find((name) => !contributors.some((contributor) => contributor.name === name));
  if (unknown !== undefined) throw new ZkLoraError('USAGE', `the set has no contributor ${unknown}`);
  const repeated = without.find((name, i) => without.indexOf(name) !== i);
  if (repeated !== undefined) throw new ZkLoraError('USAGE', `--without names ${repeated} twice`);
  const asked = contributors.filter(({ name }) => !without.includes(name));
  if (asked.length === 0) throw new ZkLoraError('USAGE', '--without leaves nobody of the set');
  requireOneBase(asked);
  return { left: without, asked };
}

async function readMember(
  { name, commitment, dir }: Contributor,
  flags: SetFlags,
  engine: Engine,
  parameters: ParameterStore,
): Promise<ReadMember | Refused> {
  const registration = await checkRegistration({
    engine,
    parameters: parameters.set,
    parametersId: parameters.id,
    adapter: commitment,
    allowDevelopmentParameters: flags.allowDevelopmentParams === true,
    cache: flags.registrationCache,
  });
  if (registration.status === 'invalid') {
    const { reason, message } = registration;
    return { valid: false, reason, message };
  }
  if (registration.status === 'missing' && flags.requireRegistrationProof) {
    const message = 'the adapter commitment has no registration proof: ask the contributor for it';
    return { valid: false, reason: 'REGISTRATION_MISSING', message };
  }
  const session = await openSessionRecord(dir);
  if (session.closing === null && flags.requireSigned) {
    return { valid: false, reason: 'WRONG_SESSION', message: 'the session was never closed and signed' };
  }
  const proof = await loadProof(join(dir, PROOF_FILE));
  const item: SetItem = {
    name,
    adapter: commitment,
    session,
    proof,
    ...(registration.status === 'missing' ? {} : { registration: registration.registration }),
  };
  return { item, session, registration };
}

/** The verdict on a session and its proof; a close.json that is there must be right, too. */
function signedAsProven(verdict: BatchVerdict, session: SessionRecord): BatchVerdict | Refused {
  if (!verdict.valid || session.closing === null) return verdict;
  try {
    checkClosedDigest(session, hexToBytes(verdict.sessionDigest));
    return verdict;
  } catch (error) {
    return asRefusal(error);
  }
}

/** What is wrong with one contributor's files is a verdict on that contributor. */
async function refusing(work: () => Promise<ReadMember | Refused>): Promise<ReadMember | Refused> {
  try {
    return await work();
  } catch (error) {
    return asRefusal(error);
  }
}

function asRefusal(error: unknown): Refused {
  if (!(error instanceof ZkLoraError) || error.code === 'INTERNAL') throw error;
  return { valid: false, reason: error.code, message: error.message };
}

function refusal({ message, reason }: Pick<Refused, 'message' | 'reason'>): string {
  return `INVALID  ${message} [${reason}]`;
}
