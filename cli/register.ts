import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import {
  adapterId,
  domainSizeFor,
  registerAdapter,
  serializeAdapterCommitment,
  writeAdapterSecret,
} from '../src/adapter/index.js';
import { loadEngine } from '../src/algebra/index.js';
import { openParameters } from '../src/circuit/index.js';
import { ZkLoraError } from '../src/errors.js';
import { writeFileAtomic } from '../src/files.js';
import { openBaseModel } from '../src/inference/index.js';
import { digestOption, runs } from './command.js';
import { EXIT_OK } from './exitCodes.js';
import { loadQuantizedAdapter } from './inputs.js';

interface Options {
  adapter: string;
  base: string;
  parameters: string;
  out: string;
  lineage?: string;
}

/** `zklora register` */
export function registerCommand(): Command {
  const command = new Command('register')
    .description('commit to the weights of a PEFT adapter: adapter.zkl.json (public) and adapter.secret')
    .requiredOption('--adapter <dir>', 'PEFT adapter folder (adapter_config.json, adapter_model.safetensors)')
    .requiredOption('--base <file>', 'ONNX base model that the adapter belongs to')
    .requiredOption('--parameters <dir>', 'parameter set')
    .requiredOption('--out <dir>', 'folder for adapter.zkl.json and adapter.secret')
    .option('--lineage <digest>', 'head of the lineage, 64 hex digits', digestOption)
    .addHelpText(
      'after',
      '\nExample:\n  zklora register --adapter ./my-lora --base model.onnx --parameters ./params --out ./registered',
    );
  return runs<Options>(command, async (options, terminal) => {
    terminal.progress('reading adapter and base model');
    const modules = await loadQuantizedAdapter(options.adapter);
    const parameters = await openParameters(options.parameters);
    // opening the base with the adapter's modules checks that every module exists there with these shapes
    const base = await openBaseModel(options.base, modules);
    const baseDigest = base.digest;
    await base.close();
    const commitmentPath = join(options.out, 'adapter.zkl.json');
    const secretPath = join(options.out, 'adapter.secret');
    const engine = await loadEngine();
    const started = performance.now();
    try {
      const srs = await parameters.srs(domainSizeFor(modules));
      const { commitment, secret } = await registerAdapter({
        engine,
        srs,
        parametersId: parameters.id,
        modules,
        baseDigest,
        ...(options.lineage === undefined ? {} : { lineageDigest: options.lineage }),
        onProgress: (done, total) => terminal.progress('committing to rows', done, total),
      });
      const seconds = (performance.now() - started) / 1000;
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
      await writeFileAtomic(commitmentPath, serializeAdapterCommitment(commitment));
      const id = adapterId(commitment);
      terminal.result(
        [
          `adapter id   ${id}`,
          `modules      ${modules.length}`,
          `commitment   ${commitmentPath}  (public: give it to users)`,
          `secret       ${secretPath}  (keep it: without it no proof can be made)`,
        ].join('\n'),
        { adapterId: id, modules: modules.length, commitment: commitmentPath, secret: secretPath, seconds },
      );
      return EXIT_OK;
    } finally {
      await engine.terminate();
    }
  });
}
