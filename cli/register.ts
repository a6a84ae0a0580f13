import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import {
  type AdapterCommitment,
  adapterId,
  domainSizeFor,
  type QuantizedModule,
  type Registration,
  registerAdapter,
  serializeAdapterCommitment,
  writeAdapterSecret,
} from '../src/adapter/index.js';
import { type Engine, loadEngine } from '../src/algebra/index.js';
import { bytesToHex } from '../src/bytes.js';
import { addHeadToStore, makeLineageHead, readStore } from '../src/checkpoint/index.js';
import { openParameters } from '../src/circuit/parameterFiles.js';
import type { ParameterSet } from '../src/circuit/parameters.js';
import { ZkLoraError } from '../src/errors.js';
import { requireAbsent, writeFileAtomic } from '../src/files.js';
import { openGraphModel } from '../src/inference/graphModel.js';
import { ModelWorker } from '../src/inference/modelWorker.js';
import type { ProverSrs } from '../src/kzg/index.js';
import { proveRegistration, verifyRegistration } from '../src/protocol/index.js';
import { runs } from './command.js';
import { EXIT_OK } from './exitCodes.js';
import { loadQuantizedAdapter } from './inputs.js';
import { loadCheckpointDigest } from './lineageInputs.js';
import { formatBytes, formatSeconds, type Terminal } from './terminal.js';

interface Options {
  adapter: string;
  base: string;
  parameters: string;
  out: string;
  lineage?: string;
  baseCheckpoint?: string;
  /** False with --no-registration-proof. */
  registrationProof: boolean;
}

/** `zklora register` */
export function registerCommand(): Command {
  const command = new Command('register')
    .description('commit to the weights of a PEFT adapter: adapter.zkl.json (public) and adapter.secret')
    .requiredOption('--adapter <dir>', 'PEFT adapter folder (adapter_config.json, adapter_model.safetensors)')
    .requiredOption('--base <file>', 'ONNX base model that the adapter belongs to')
    .requiredOption('--parameters <dir>', 'parameter set')
    .requiredOption('--out <dir>', 'folder for adapter.zkl.json and adapter.secret')
    .option('--lineage <folder>', 'lineage store: bind the adapter to what it says of the base')
    .option(
      '--base-checkpoint <node>',
      'checkpoint (path or digest) that the adapter belongs to in the lineage; default: the weights of --base',
    )
    .option('--no-registration-proof', 'leave out the proof that the committed weights are integers')
    .addHelpText(
      'after',
      '\nExample:\n  zklora register --adapter ./my-lora --base model.onnx --parameters ./params --out ./registered',
    );
  return runs<Options>(command, async (options, terminal) => {
    terminal.progress('reading adapter and base model');
    const modules = await loadQuantizedAdapter(options.adapter, terminal);
    const parameters = await openParameters(options.parameters);
    // opening the base with the adapter's modules checks that every module exists there with these shapes
    const worker = new ModelWorker();
    const { digest: baseDigest, inputs } = await openGraphModel(worker, options.base, modules).finally(() =>
      worker.terminate(),
    );
    const lineageDigest = await bindLineage(options, terminal);
    const commitmentPath = join(options.out, 'adapter.zkl.json');
    const secretPath = join(options.out, 'adapter.secret');
    // before the work: a new secret must not end beside an old commitment
    for (const path of [commitmentPath, secretPath]) await requireAbsent(path);
    const engine = await loadEngine();
    const started = performance.now();
    try {
      const srs = await parameters.srs(domainSizeFor(modules));
      const registered = await registerAdapter({
        engine,
        srs,
        parametersId: parameters.id,
        modules,
        inputs,
        baseDigest,
        ...(lineageDigest === undefined ? {} : { lineageDigest }),
        onProgress: (done, total) => terminal.progress('committing to rows', done, total),
      });
      const { secret } = registered;
      const seconds = (performance.now() - started) / 1000;
      const proving = performance.now();
      const commitment = options.registrationProof
        ? await withRegistrationProof(engine, parameters.set, srs, registered, modules, terminal)
        : registered.commitment;
      const registrationSeconds = (performance.now() - proving) / 1000;
      const proofBytes = (commitment.registrationProof ?? '').length / 2;
      try {
        await mkdir(options.out, { recursive: true });
      } catch (cause) {
        throw new ZkLoraError(
          'FILE_UNWRITABLE',
          `cannot make the folder ${options.out}: choose another --out`,
          { cause },
        );
      }
      // the secret first: a commitment without its secret is of no use to anybody
      await writeAdapterSecret(secretPath, secret);
      try {
        await writeFileAtomic(commitmentPath, serializeAdapterCommitment(commitment));
      } catch (error) {
        await rm(secretPath, { force: true });
        throw error;
      }
      const id = adapterId(commitment);
      terminal.result(
        [
          `adapter id   ${id}`,
          `modules      ${modules.length}`,
          `lineage      ${lineageDigest ?? 'none: pass --lineage to bind one'}`,
          `integers     ${proofBytes > 0 ? `registration proof, ${formatBytes(proofBytes)}, ${formatSeconds(registrationSeconds)}` : 'no registration proof: users see field elements only'}`,
          `commitment   ${commitmentPath}  (public: give it to users)`,
          `secret       ${secretPath}  (keep it: without it no proof can be made)`,
        ].join('\n'),
        {
          adapterId: id,
          modules: modules.length,
          lineageDigest: lineageDigest ?? null,
          commitment: commitmentPath,
          secret: secretPath,
          seconds,
          registrationProofBytes: proofBytes,
          ...(proofBytes > 0 ? { registrationProofSeconds: registrationSeconds } : {}),
        },
      );
      return EXIT_OK;
    } finally {
      await engine.terminate();
    }
  });
}

/** Makes the head of the base's lineage and keeps it in the store; its digest goes into the commitment. */
async function bindLineage(options: Options, terminal: Terminal): Promise<string | undefined> {
  const { lineage, base, baseCheckpoint } = options;
  if (lineage === undefined) {
    if (baseCheckpoint === undefined) return undefined;
    throw new ZkLoraError('USAGE', '--base-checkpoint names a checkpoint of a lineage: pass --lineage, too');
  }
  const digest = await loadCheckpointDigest(baseCheckpoint ?? base, terminal);
  return (await addHeadToStore(lineage, makeLineageHead(digest, await readStore(lineage)))).digest;
}

/** Proves that the weights are integers, and checks that proof as a user would. */
async function withRegistrationProof(
  engine: Engine,
  parameters: ParameterSet,
  srs: ProverSrs,
  { commitment, secret }: Registration,
  modules: readonly QuantizedModule[],
  terminal: Terminal,
): Promise<AdapterCommitment> {
  const proof = await proveRegistration({
    engine,
    srs,
    adapter: commitment,
    modules,
    secret,
    onProgress: (done, total) => terminal.progress('proving that the weights are integers', done, total),
  });
  const adapter = { ...commitment, registrationProof: bytesToHex(proof) };
  const verdict = await verifyRegistration({ engine, parameters, adapter, allowDevelopmentParameters: true });
  if (!verdict.valid) throw new ZkLoraError('INTERNAL', `a registration proof failed: ${verdict.message}`);
  return adapter;
}
