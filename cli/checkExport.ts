import { Command } from 'commander';
import {
  addToStore,
  checkExport,
  type ExportCheck,
  edgesStatement,
  exportEdge,
  formatTime,
  type MatchedTensor,
  renamedTensors,
  serializeStatement,
  signEnvelope,
} from '../src/checkpoint/index.js';
import { ZkLoraError } from '../src/errors.js';
import { runs } from './command.js';
import { EXIT_INVALID, EXIT_OK } from './exitCodes.js';
import { loadSigningKey, printable } from './lineageInputs.js';

interface ExportOptions {
  onnx: string;
  checkpoint: string;
  allow: string[];
  key?: string;
  store?: string;
}

/** `zklora checkpoint check-export` */
export function checkExportCommand(): Command {
  const command = new Command('check-export')
    .description(
      'check that an ONNX model holds exactly the weights of a checkpoint, transposed ones by name',
    )
    .requiredOption('--onnx <path>', 'ONNX model')
    .requiredOption('--checkpoint <path>', 'checkpoint that it is said to be exported from')
    .option(
      '--allow <name>',
      'initializer or tensor that may stay unmatched (a folded constant, a buffer); repeatable',
      (name: string, before: string[]) => [...before, name],
      [],
    )
    .option('--key <file>', 'sign what was found as an exported-from statement with this key')
    .option('--store <folder>', 'lineage store for the statement')
    .addHelpText(
      'after',
      '\nExample:\n  zklora checkpoint check-export --onnx model.onnx --checkpoint ./model --key maker.key --store ./lineage',
    );
  return runs<ExportOptions>(command, async (options, terminal) => {
    const { onnx, checkpoint, allow, key, store } = options;
    if ((key === undefined) !== (store === undefined)) {
      throw new ZkLoraError('USAGE', 'a statement is signed with both --key and --store');
    }
    const check = await checkExport(onnx, checkpoint, new Set(allow), (stage, done, total) =>
      terminal.progress(stage, done, total),
    );
    let envelope: string | undefined;
    if (check.valid && key !== undefined && store !== undefined) {
      const { secretKey } = await loadSigningKey(key, terminal);
      const statement = edgesStatement([exportEdge(check, programVersion(command))], formatTime(Date.now()));
      envelope = (await addToStore(store, signEnvelope(serializeStatement(statement), [secretKey]))).id;
    }
    terminal.result(
      [...describeExport(check), ...(envelope === undefined ? [] : [`signed ${envelope}`])].join('\n'),
      { ...check, ...(envelope === undefined ? {} : { envelope }) },
    );
    return check.valid ? EXIT_OK : EXIT_INVALID;
  });
}

/** Version of the program that a command is part of; null in a command of its own. */
function programVersion(command: Command): string | null {
  let root = command;
  while (root.parent) root = root.parent;
  return root.version() ?? null;
}

function describeExport(check: ExportCheck): string[] {
  const { valid, copied, transposed, unmatchedInitializers, unmatchedTensors, allowed } = check;
  const note = (name: string) => (allowed.includes(name) ? ' (allowed)' : '');
  return [
    valid
      ? 'EXPORTED: the model holds the weights of the checkpoint'
      : 'DIFFERENT: model and checkpoint do not hold the same weights',
    `onnx        ${check.onnx}`,
    `checkpoint  ${check.checkpoint}`,
    `copied ${copied.length}, transposed ${transposed.length}, unmatched ${unmatchedInitializers.length} initializers and ${unmatchedTensors.length} tensors`,
    ...transposed.map((each) => `transposed  ${describeMatch(each)}`),
    ...renamedTensors(check).map((each) => `renamed     ${describeMatch(each)}`),
    ...unmatchedInitializers.map((name) => `no tensor for initializer ${printable(name)}${note(name)}`),
    ...unmatchedTensors.map((name) => `no initializer for tensor ${printable(name)}${note(name)}`),
  ];
}

function describeMatch({ initializer, tensors }: MatchedTensor): string {
  return `${printable(initializer)} from ${tensors.map(printable).join(' = ')}`;
}
