/**
 * A pipeline step that lets an evaluation pass only with a valid proof under what was pinned beforehand.
 *
 *     npm run example        from a clone: builds, then judges the bundled proof
 *
 *     node dist/examples/pipeline.js --delivery <dir> --parameters <dir> --pins <file>
 *
 * The delivery holds adapter.zkl.json, session/ and proof.zkl; the parameter set and the pins are the pipeline's
 * own. An invalid proof is a decision; only input that cannot be judged (malformed, missing) is an exception.
 *
 * Exit code: 0 accepted, 1 rejected, 2 not judged.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  adapterId,
  type Engine,
  type InvalidReason,
  loadEngine,
  openParameters,
  openSessionRecord,
  parseAdapterCommitment,
  type RegistrationInvalidReason,
  verifyProof,
  verifyRegistration,
  ZkLoraError,
} from 'zklora';

/** What the pipeline's owner wrote down before anything was delivered: ids of 64 hex digits. */
interface Pins {
  readonly adapterId: string;
  readonly parametersId: string;
}

interface Policy {
  readonly pins: Pins;
  /** For trials: proofs under development parameters prove nothing. */
  readonly allowDevelopmentParameters: boolean;
}

type Reason = InvalidReason | RegistrationInvalidReason;

type Decision =
  | { readonly action: 'accept'; readonly modules: number; readonly tokens: number }
  /** Files are missing or do not belong together: worth asking for the right ones. */
  | { readonly action: 'ask again'; readonly reason: Reason; readonly message: string }
  /** No files for these pins and this proof will help. */
  | { readonly action: 'reject'; readonly reason: Reason; readonly message: string };

/**
 * Judges a delivery: the pins, the registration proof (the weights are integers), then the proof of the session.
 *
 * @throws ZkLoraError for input that does not have the form it claims
 */
async function judge(
  engine: Engine,
  delivery: string,
  parametersDir: string,
  policy: Policy,
): Promise<Decision> {
  const { pins, allowDevelopmentParameters } = policy;
  const parameters = await openParameters(parametersDir);
  if (parameters.id !== pins.parametersId) {
    return decide({ reason: 'WRONG_PARAMETERS', message: 'not the pinned parameter set' });
  }
  const adapter = parseAdapterCommitment(await readFile(join(delivery, 'adapter.zkl.json'), 'utf8'));
  if (adapterId(adapter) !== pins.adapterId) {
    return decide({ reason: 'WRONG_ADAPTER', message: 'not the pinned adapter commitment' });
  }
  const shared = { engine, parameters: parameters.set, adapter, allowDevelopmentParameters };
  const registration = await verifyRegistration(shared);
  if (!registration.valid) return decide(registration);
  const verdict = await verifyProof({
    ...shared,
    registration,
    verificationKeys: parameters.vkey,
    session: await openSessionRecord(join(delivery, 'session')),
    proof: await readFile(join(delivery, 'proof.zkl')),
  });
  if (!verdict.valid) return decide(verdict);
  return { action: 'accept', modules: verdict.modules.length, tokens: verdict.tokens };
}

/** What to do about a verdict that says no. */
function decide({ reason, message }: { reason: Reason; message: string }): Decision {
  switch (reason) {
    case 'WRONG_ADAPTER':
    case 'WRONG_SESSION':
    case 'INCOMPLETE':
    case 'REGISTRATION_MISSING':
      return { action: 'ask again', reason, message };
    default:
      return { action: 'reject', reason, message };
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      delivery: { type: 'string', default: 'fixtures/example' },
      parameters: { type: 'string', default: 'fixtures/params/development' },
      pins: { type: 'string', default: 'fixtures/example/pins.json' },
      'allow-development-params': { type: 'boolean', default: false },
    },
  });
  const engine = await loadEngine();
  try {
    const decision = await judge(engine, values.delivery, values.parameters, {
      pins: JSON.parse(await readFile(values.pins, 'utf8')) as Pins,
      allowDevelopmentParameters: values['allow-development-params'],
    });
    process.stdout.write(`${JSON.stringify(decision)}\n`);
    return decision.action === 'accept' ? 0 : 1;
  } catch (error) {
    const code = error instanceof ZkLoraError ? ` [${error.code}]` : '';
    process.stderr.write(`not judged: ${error instanceof Error ? error.message : error}${code}\n`);
    return 2;
  } finally {
    await engine.terminate();
  }
}

process.exitCode = await main();
