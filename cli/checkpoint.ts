import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Command } from 'commander';
import {
  addToStore,
  type Claim,
  compareTensors,
  digestCheckpoint,
  formatTime,
  importEnsemble,
  isUnchanged,
  parseEnsembleDescription,
  parseTensorProof,
  proveTensor,
  readClaims,
  serializeStatement,
  signEnvelope,
  verifyTensor,
} from '../src/checkpoint/index.js';
import { MAX_MANIFEST_BYTES } from '../src/checkpoint/limits.js';
import { sameTensor } from '../src/checkpoint/tensorProof.js';
import { readFileBounded, writeFileAtomic } from '../src/files.js';
import { checkExportCommand } from './checkExport.js';
import { digestOption, runs } from './command.js';
import { EXIT_INVALID, EXIT_OK } from './exitCodes.js';
import { loadSigningKey, printable } from './lineageInputs.js';
import { formatBytes, formatTable, type Terminal } from './terminal.js';

/** Checkpoints that are shown whole; longer listings are for --json. */
const SHOWN_TENSORS = 200;

/** `zklora checkpoint` */
export function checkpointCommand(): Command {
  return new Command('checkpoint')
    .description('checkpoints: digests, tensor proofs, ensembles')
    .addCommand(digestCommand())
    .addCommand(showCommand())
    .addCommand(proveCommand())
    .addCommand(verifyCommand())
    .addCommand(compareCommand())
    .addCommand(checkExportCommand())
    .addCommand(importCommand());
}

function digestCommand(): Command {
  const command = new Command('digest')
    .description('digest of a checkpoint, the same in every container')
    .argument('<path>', '.safetensors, .safetensors.index.json, .onnx, or a folder with one of them')
    .addHelpText('after', '\nExample:\n  zklora checkpoint digest ./model');
  return runs(command, async (_, terminal) => {
    const started = performance.now();
    const { digest, container, tensors, bytes } = await load(command.args[0]!, terminal);
    const seconds = (performance.now() - started) / 1000;
    terminal.result(
      [
        `digest     ${digest}`,
        `container  ${container}`,
        `tensors    ${tensors.length}, ${formatBytes(bytes)}`,
        `rate       ${(bytes / 1e6 / seconds).toFixed(0)} MB/s`,
      ].join('\n'),
      {
        digest,
        container,
        tensors: tensors.length,
        bytes,
        seconds,
        megabytesPerSecond: bytes / 1e6 / seconds,
      },
    );
    return EXIT_OK;
  });
}

function showCommand(): Command {
  const command = new Command('show')
    .description('tensors of a checkpoint, and what its folder claims about it')
    .argument('<path>', 'checkpoint, or a model folder')
    .addHelpText('after', '\nExample:\n  zklora checkpoint show ./model');
  return runs(command, async (_, terminal) => {
    const path = command.args[0]!;
    const { digest, container, tensors } = await load(path, terminal);
    const folder = await stat(path).then((info) => (info.isDirectory() ? path : dirname(path)));
    const claims = await readClaims(folder);
    const rows = tensors
      .slice(0, SHOWN_TENSORS)
      .map(({ name, dtype, shape, sha256 }) => [
        printable(name),
        dtype,
        `[${shape.join(', ')}]`,
        sha256.slice(0, 16),
      ]);
    const rest = tensors.length - rows.length;
    terminal.result(
      [
        `digest ${digest} (${container}, ${tensors.length} tensors)`,
        ...(rows.length > 0 ? [formatTable(rows)] : []),
        ...(rest > 0 ? [`... and ${rest} more; --json shows all`] : []),
        ...claims.map(describeClaim),
      ].join('\n'),
      { digest, container, tensors, claims },
    );
    return EXIT_OK;
  });
}

function proveCommand(): Command {
  const command = new Command('prove-tensor')
    .description('show that one tensor belongs to a checkpoint, without the others')
    .argument('<path>', 'checkpoint')
    .requiredOption('--tensor <name>', 'name of the tensor')
    .requiredOption('--out <file>', 'file for the tensor proof')
    .addHelpText(
      'after',
      '\nExample:\n  zklora checkpoint prove-tensor ./model --tensor lm_head.weight --out head.json',
    );
  return runs<{ tensor: string; out: string }>(command, async ({ tensor, out }, terminal) => {
    const proof = proveTensor(await load(command.args[0]!, terminal), tensor);
    await writeFileAtomic(out, `${JSON.stringify(proof, null, 2)}\n`);
    terminal.result(`tensor proof ${out} for checkpoint ${proof.checkpoint}`, { out, ...proof });
    return EXIT_OK;
  });
}

function verifyCommand(): Command {
  const command = new Command('verify-tensor')
    .description('check a tensor proof against a pinned checkpoint digest')
    .argument('<proof>', 'file of `checkpoint prove-tensor`')
    .requiredOption('--digest <digest>', 'checkpoint digest that you trust', digestOption)
    .option(
      '--data <path>',
      'safetensors or ONNX file that holds the tensor: its data is hashed and compared',
    )
    .addHelpText(
      'after',
      '\nExample:\n  zklora checkpoint verify-tensor head.json --digest <64 hex digits> --data head.safetensors',
    );
  return runs<{ digest: string; data?: string }>(command, async ({ digest, data }, terminal) => {
    const proof = parseTensorProof(
      await readFileBounded(command.args[0]!, MAX_MANIFEST_BYTES, 'tensor proof'),
    );
    const included = verifyTensor(proof, digest);
    const checked =
      data === undefined
        ? null
        : (await load(data, terminal)).tensors.some((tensor) => sameTensor(tensor, proof.tensor));
    const valid = included && checked !== false;
    const name = printable(proof.tensor.name);
    const reason = included
      ? `${data ?? ''} does not hold this tensor with this data`
      : 'the proof does not lead to this digest';
    terminal.result(
      valid
        ? `VALID: tensor "${name}" belongs to the checkpoint${checked ? ', and the data is its data' : ''}`
        : `INVALID: ${reason}`,
      { valid, tensor: proof.tensor, dataChecked: checked !== null },
    );
    return valid ? EXIT_OK : EXIT_INVALID;
  });
}

function compareCommand(): Command {
  const command = new Command('compare')
    .description('compare two checkpoints tensor by tensor: copied, relabelled, changed, added, removed')
    .argument('<before>', 'checkpoint')
    .argument('<after>', 'checkpoint')
    .addHelpText('after', '\nExample:\n  zklora checkpoint compare ./ddpm-expert ./flow-expert');
  return runs(command, async (_, terminal) => {
    const before = await load(command.args[0]!, terminal);
    const after = await load(command.args[1]!, terminal);
    const comparison = compareTensors(before.tensors, after.tensors);
    const unchanged = isUnchanged(comparison);
    const names = (label: string, list: readonly string[]) =>
      list.slice(0, SHOWN_TENSORS).map((name) => `${label} ${printable(name)}`);
    terminal.result(
      [
        unchanged
          ? 'UNCHANGED: tensors were copied or relabelled only'
          : 'CHANGED: not all tensors are the same',
        `copied ${comparison.copied.length}, relabelled ${comparison.relabelled.length}, changed ${comparison.changed.length}, added ${comparison.added.length}, removed ${comparison.removed.length}`,
        ...comparison.relabelled
          .slice(0, SHOWN_TENSORS)
          .map(({ from, to }) => `relabelled ${printable(from)} -> ${printable(to)}`),
        ...names('changed', comparison.changed),
        ...names('added', comparison.added),
        ...names('removed', comparison.removed),
      ].join('\n'),
      { unchanged, before: before.digest, after: after.digest, ...comparison },
    );
    return unchanged ? EXIT_OK : EXIT_INVALID;
  });
}

function importCommand(): Command {
  const command = new Command('import-ensemble')
    .description('import a folder of expert_0 ... expert_n, router and components into one signed manifest')
    .argument('<folder>', 'ensemble folder')
    .requiredOption('--describe <file>', 'what the folder does not say: objectives, clusters, parents')
    .requiredOption('--key <file>', 'signing key')
    .requiredOption('--store <folder>', 'lineage store')
    .addHelpText(
      'after',
      '\nExample:\n  zklora checkpoint import-ensemble ./paris --describe paris.json --key maker.key --store ./lineage',
    );
  return runs<{ describe: string; key: string; store: string }>(command, async (options, terminal) => {
    const bytes = await readFileBounded(options.describe, MAX_MANIFEST_BYTES, 'ensemble description');
    const { secretKey } = await loadSigningKey(options.key, terminal);
    const imported = await importEnsemble({
      folder: command.args[0]!,
      description: parseEnsembleDescription(bytes),
      parentFolder: dirname(options.describe),
      issuedAt: formatTime(Date.now()),
      onProgress: (step) => terminal.progress(step),
    });
    const envelopes: string[] = [];
    for (const statement of imported.statements) {
      const envelope = signEnvelope(serializeStatement(statement), [secretKey]);
      envelopes.push((await addToStore(options.store, envelope)).id);
    }
    const { manifest, digest, recheckedSteps } = imported;
    terminal.result(
      [
        `ensemble  ${digest}`,
        ...manifest.experts.map(
          ({ digest: expert, objective, expert: place }) => `expert ${place?.index}  ${expert}  ${objective}`,
        ),
        `router    ${manifest.router.digest}`,
        ...manifest.components.map(({ name, checkpoint }) => `${printable(name)}  ${checkpoint}`),
        `files     ${manifest.files.length}`,
        `rechecked ${recheckedSteps} steps tensor by tensor`,
        `signed    ${envelopes.length} envelopes in ${options.store}`,
      ].join('\n'),
      { ensemble: digest, manifest, recheckedSteps, envelopes },
    );
    return EXIT_OK;
  });
}

function load(path: string, terminal: Terminal) {
  return digestCheckpoint(path, (done, total) =>
    terminal.progress('hashing', Math.floor(done / 1e6), Math.ceil(total / 1e6)),
  );
}

function describeClaim({ source, kind, relation, value, revision }: Claim): string {
  const at = revision === null ? '' : ` at ${printable(revision)}`;
  return `claimed by ${source}: ${relation ?? kind} ${printable(value)}${at} (not verified)`;
}
