import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type AdapterCommitment,
  quantizeModule,
  readAdapterSecret,
  readPeftAdapter,
} from '../../src/adapter/index.js';
import { type Engine, loadEngine } from '../../src/algebra/index.js';
import { hexToBytes } from '../../src/bytes.js';
import { openParameters, type ParameterStore } from '../../src/circuit/index.js';
import { ZkLoraError } from '../../src/errors.js';
import { writeFileAtomic } from '../../src/files.js';
import {
  type Address,
  type BaseModel,
  byteWindows,
  connectContributor,
  type Evaluation,
  evaluateAdapter,
  localLora,
  measureLoss,
  openBaseModel,
  openSessionRecord,
  parseAddress,
  serveContributor,
  type Windows,
} from '../../src/inference/index.js';
import {
  decodeProofFile,
  encodeProofFile,
  proveUnchecked,
  type Session,
  type VerificationResult,
  verifyProof,
  verifyRegistration,
} from '../../src/protocol/index.js';
import { runZklora, ZkloraProcess } from '../childProcess.js';
import { loadCommitment, loadProof } from '../inputs.js';
import type { Terminal } from '../terminal.js';
import { bundled } from './bundled.js';
import { folderBytes, makeDemoFolder } from './folder.js';
import { changeOneWeight, retargetProof, tamperSession, tamperSessionFolder } from './frauds.js';
import type { DemoSummary } from './report.js';

const SEQUENCE = 96;
const BATCH = 4;

/** Where the demo's parties keep their files. */
interface Places {
  readonly contributor: string;
  readonly user: string;
  readonly frauds: string;
  readonly adapter: string;
  readonly base: string;
  readonly parameters: string;
}

interface User {
  readonly terminal: Terminal;
  readonly engine: Engine;
  readonly parameters: ParameterStore;
  readonly commitment: AdapterCommitment;
  readonly model: BaseModel;
}

/** Tells the story: this process is the base-model user, the contributor is a process of its own. */
export async function runDemo(options: {
  out: string;
  sequences: number;
  terminal: Terminal;
}): Promise<DemoSummary> {
  const { out, terminal } = options;
  await makeDemoFolder(out);
  const places: Places = {
    contributor: join(out, 'contributor'),
    user: join(out, 'user'),
    frauds: join(out, 'frauds'),
    adapter: bundled('gpt2-tiny/adapter'),
    base: bundled('gpt2-tiny/base/model.onnx'),
    parameters: bundled('params/development'),
  };
  terminal.note('using development parameters: their secret is known, so proofs show the mechanics only');

  terminal.progress('contributor registers the adapter');
  const registered = await runZklora([
    'register',
    ...['--adapter', places.adapter, '--base', places.base],
    ...['--parameters', places.parameters, '--out', places.contributor],
  ]);
  await mkdir(places.user);
  // what the contributor publishes and the user pins
  const pinned = join(places.user, 'adapter.zkl.json');
  await copyFile(join(places.contributor, 'adapter.zkl.json'), pinned);
  const commitment = await loadCommitment(pinned);

  const text = new Uint8Array(await readFile(bundled('gpt2-tiny/text/heldout.txt')));
  const windows = byteWindows(text, SEQUENCE, options.sequences);
  const engine = await loadEngine();
  const model = await openBaseModel(places.base, commitment.modules);
  try {
    const parameters = await openParameters(places.parameters);
    const user: User = { terminal, engine, parameters, commitment, model };
    terminal.progress('verifying the registration proof');
    const registration = await verifyRegistration({
      engine,
      parameters: parameters.set,
      adapter: commitment,
      allowDevelopmentParameters: true,
    });
    if (!registration.valid) {
      throw new ZkLoraError('INTERNAL', `the registration proof was refused: ${registration.message}`);
    }
    const honest = await evaluateHonest(user, places, windows);
    const proofPath = join(places.user, 'proof.zkl');
    await writeFileAtomic(proofPath, honest.proof);

    terminal.progress('verifying');
    const started = performance.now();
    const record = await openSessionRecord(join(places.user, 'session'));
    const verdict = await verify(user, record, await loadProof(proofPath));
    const verifySeconds = (performance.now() - started) / 1000;
    if (!verdict.valid) throw new ZkLoraError('INTERNAL', `the honest proof was refused: ${verdict.message}`);

    const floatLora = localLora(model, (await readPeftAdapter(places.adapter)).modules);
    const floatLoss = await measureLoss(floatLora, windows, {
      batch: BATCH,
      onProgress: (done, total) =>
        terminal.progress('adapter in floating point, for comparison', done, total),
    });
    const moduleProofBytes = await proveOneModule(places, terminal);
    const tamperedSessionRejected = await tryTamperedSession(user, places, honest.proof);
    const wrongWeightRejected = await tryWrongWeight(user, places, byteWindows(text, SEQUENCE, 1));
    return {
      baseLoss: honest.evaluation.baseLoss,
      floatLoraLoss: floatLoss.loss,
      protocolLoss: honest.evaluation.adapterLoss,
      modules: verdict.modules.length,
      tokens: verdict.tokens,
      revealed: honest.revealed,
      proofBytes: honest.proof.length,
      moduleProofBytes,
      sessionBytes: await folderBytes(join(places.user, 'session')),
      registerSeconds: registered.seconds as number,
      evaluateSeconds: honest.evaluateSeconds,
      proveSeconds: honest.proveSeconds,
      verifySeconds,
      peakRssBytes: Math.max(process.resourceUsage().maxRSS * 1024, honest.contributorRssBytes),
      tamperedSessionRejected,
      wrongWeightRejected,
      developmentParameters: true,
    };
  } finally {
    await model.close();
    await engine.terminate();
  }
}

interface RemoteRun {
  readonly evaluation: Evaluation;
  readonly proof: Uint8Array;
  readonly evaluateSeconds: number;
  readonly proveSeconds: number;
}

/** Starts the contributor's process, evaluates against it, asks for the proof, stops it. */
async function evaluateHonest(
  user: User,
  places: Places,
  windows: Windows,
): Promise<RemoteRun & { contributorRssBytes: number; revealed: number }> {
  const contributor = new ZkloraProcess([
    'serve',
    ...['--adapter', places.adapter, '--parameters', places.parameters],
    ...['--commitment', join(places.contributor, 'adapter.zkl.json')],
    ...['--secret', join(places.contributor, 'adapter.secret')],
    ...['--sessions', join(places.contributor, 'sessions'), '--listen', '127.0.0.1:0'],
    // the demo measures loss on far more rows than its small modules have inputs
    ...['--max-revealed', '1'],
  ]);
  try {
    const { address } = await contributor.next();
    const run = await evaluateAt(
      user,
      parseAddress(address as string),
      join(places.user, 'session'),
      windows,
    );
    contributor.stop();
    const { peakRssBytes, revealed } = await contributor.next();
    const { measured } = revealed as { measured: number };
    return { ...run, contributorRssBytes: peakRssBytes as number, revealed: measured };
  } finally {
    contributor.stop();
    await contributor.exitCode();
  }
}

async function evaluateAt(user: User, address: Address, dir: string, windows: Windows): Promise<RemoteRun> {
  const { terminal, model, commitment } = user;
  const client = await connectContributor({ address });
  try {
    const begun = performance.now();
    const evaluation = await evaluateAdapter({
      model,
      client,
      commitment,
      dir,
      windows,
      batch: BATCH,
      onProgress: ({ part, done, total }) =>
        terminal.progress(
          part === 'base' ? 'base model alone' : 'base model with remote adapter',
          done,
          total,
        ),
    });
    const evaluated = performance.now();
    const proof = await evaluation.session.prove(({ step }) =>
      terminal.progress(`contributor proves: ${step}`),
    );
    return {
      evaluation,
      proof,
      evaluateSeconds: (evaluated - begun) / 1000,
      proveSeconds: (performance.now() - evaluated) / 1000,
    };
  } finally {
    client.close();
  }
}

function verify(user: User, session: Session, proof: Uint8Array): Promise<VerificationResult> {
  const { engine, parameters, commitment } = user;
  return verifyProof({
    engine,
    parameters: parameters.set,
    verificationKeys: parameters.vkey,
    adapter: commitment,
    session,
    proof,
    allowDevelopmentParameters: true,
  });
}

/** The contributor proves the recorded session module by module; returns the largest single proof. */
async function proveOneModule(places: Places, terminal: Terminal): Promise<number> {
  terminal.progress('contributor proves the modules one by one');
  const out = join(places.contributor, 'proof-per-module.zkl');
  await runZklora([
    'prove',
    ...['--adapter', places.adapter, '--parameters', places.parameters],
    ...['--commitment', join(places.contributor, 'adapter.zkl.json')],
    ...['--secret', join(places.contributor, 'adapter.secret')],
    ...['--session', join(places.user, 'session'), '--out', out, '--per-module'],
  ]);
  const file = decodeProofFile(await loadProof(out));
  return Math.max(...file.proofs.map((proof) => encodeProofFile({ ...file, proofs: [proof] }).length));
}

/** One byte of Y changed: on disk as it is, and in memory with every digest made to fit. */
async function tryTamperedSession(user: User, places: Places, proof: Uint8Array): Promise<boolean> {
  const { terminal, commitment } = user;
  const copy = join(places.frauds, 'session-with-changed-byte');
  await mkdir(places.frauds, { recursive: true });
  await tamperSessionFolder(join(places.user, 'session'), copy);
  const onDisk = await verify(user, await openSessionRecord(copy), proof);
  const changed = tamperSession(await openSessionRecord(join(places.user, 'session')));
  const inMemory = await verify(user, changed, await retargetProof(proof, changed, commitment));
  for (const verdict of [onDisk, inMemory]) {
    if (!verdict.valid) terminal.note(`changed byte of Y: refused, ${verdict.message} [${verdict.reason}]`);
  }
  return !onDisk.valid && !inMemory.valid;
}

/**
 * A contributor that serves and proves with one weight changed, under the registered commitment.
 *
 * `zklora serve` would notice: it verifies its proofs before they leave. So this one is built from the library.
 */
async function tryWrongWeight(user: User, places: Places, windows: Windows): Promise<boolean> {
  const { terminal, engine, parameters, commitment } = user;
  const weights = join(places.frauds, 'adapter-with-changed-weight');
  const changed = await changeOneWeight(places.adapter, weights);
  const modules = (await readPeftAdapter(weights)).modules.map(quantizeModule);
  const { secret } = await readAdapterSecret(join(places.contributor, 'adapter.secret'));
  const server = await serveContributor({
    address: parseAddress('127.0.0.1:0'),
    commitment,
    modules,
    secretKey: hexToBytes(secret.contributorSecretKey),
    sessionsDir: join(places.frauds, 'sessions'),
    prove: (session) => proveUnchecked({ engine, parameters, adapter: commitment, modules, secret, session }),
  });
  try {
    const session = join(places.frauds, 'session-with-changed-weight');
    const run = await evaluateAt(user, server.address, session, windows);
    await writeFileAtomic(join(places.frauds, 'proof-with-changed-weight.zkl'), run.proof);
    const verdict = await verify(user, await openSessionRecord(session), run.proof);
    if (!verdict.valid) {
      terminal.note(`changed weight ${changed}: refused, ${verdict.message} [${verdict.reason}]`);
    }
    return !verdict.valid;
  } finally {
    await server.close();
  }
}
