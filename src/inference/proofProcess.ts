/**
 * Entry of the process that makes one proof. Everything it needs comes over its channel, secrets too: nothing is on the
 * command line or in the environment.
 */
import { loadEngine, warmProver } from '../algebra/index.js';
import { hexToBytes } from '../bytes.js';
import { openParameters } from '../circuit/index.js';
import { ZkLoraError } from '../errors.js';
import { proveSession } from '../protocol/index.js';
import type { ProofAnswer, ProofTask } from './processProver.js';
import { openSessionRecord } from './record.js';
import { toPlainError } from './workerMessages.js';

if (process.send === undefined)
  throw new ZkLoraError('INTERNAL', 'proofProcess runs as a child process only');

/** Nobody waits for the proof of a contributor that is gone. */
process.once('disconnect', () => process.exit());

const send = (answer: ProofAnswer): void => void process.send?.(answer);

process.once('message', (task: ProofTask) => {
  prove(task).then(
    (proof) => send({ kind: 'proof', proof }),
    (error: unknown) => send({ kind: 'error', error: toPlainError(error) }),
  );
});

async function prove({
  parametersDir,
  sessionDir,
  adapter,
  modules,
  secret,
}: ProofTask): Promise<Uint8Array> {
  const engine = await loadEngine();
  void warmProver(engine);
  const session = await openSessionRecord(sessionDir);
  return proveSession({
    engine,
    parameters: await openParameters(parametersDir),
    adapter,
    modules,
    secret,
    session,
    ...(session.closing && { sessionDigest: hexToBytes(session.closing.digest) }),
    onProgress: ({ stage, proof, proofs }) =>
      send({ kind: 'progress', progress: { step: stage, done: proof, total: proofs } }),
  });
}
