import { stat } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import {
  addHeadToStore,
  addToStore,
  digestCheckpoint,
  drawHtml,
  drawingOf,
  drawMermaid,
  drawSvg,
  drawTree,
  type Envelope,
  edgesStatement,
  envelopeId,
  formatTime,
  type LineageVerdict,
  makeSigningKey,
  manifestStatement,
  parseEnvelope,
  parseManifest,
  parseStatement,
  RELATIONS,
  type Relation,
  readLineageHeads,
  readStore,
  type Statement,
  serializeStatement,
  signEnvelope,
  statementSubjects,
  type TensorDigest,
  verifyLineage,
} from '../src/checkpoint/index.js';
import { MAX_ENVELOPE_BYTES, MAX_MANIFEST_BYTES } from '../src/checkpoint/limits.js';
import { timeSchema } from '../src/checkpoint/vocabulary.js';
import { ZkLoraError } from '../src/errors.js';
import { readFileBounded, writeFileAtomic } from '../src/files.js';
import { runs } from './command.js';
import { EXIT_INVALID, EXIT_OK } from './exitCodes.js';
import { describeReason, loadLineagePolicy, loadNode, loadSigningKey, printable } from './lineageInputs.js';
import type { Terminal } from './terminal.js';

const NODE = 'kind:digest, an adapter.zkl.json, or the path of a checkpoint';

interface AttestOptions {
  key: string;
  store: string;
  manifest?: string;
  subject?: string;
  relation?: Relation;
  parent: string[];
  tool?: string;
  toolVersion?: string;
  argument: string[];
  tensorsUnchanged?: boolean;
}

interface WalkOptions {
  store: string;
  policy: string;
  subject: string;
  checkpoint: string[];
  now: string;
}

/** `zklora lineage` */
export function lineageCommand(): Command {
  return new Command('lineage')
    .description('signed statements about where checkpoints and adapters come from')
    .addCommand(keyCommand())
    .addCommand(attestCommand())
    .addCommand(addCommand())
    .addCommand(verifyCommand())
    .addCommand(showCommand())
    .addCommand(graphCommand());
}

function keyCommand(): Command {
  const command = new Command('key')
    .description('make a signing key (Ed25519)')
    .requiredOption('--out <file>', 'file for the secret key')
    .addHelpText('after', '\nExample:\n  zklora lineage key --out maker.key');
  return runs<{ out: string }>(command, async ({ out }, terminal) => {
    const publicKey = await makeSigningKey(out);
    terminal.result(`public key ${publicKey}\nsecret key ${out}  (keep it)`, { publicKey, secretKey: out });
    return EXIT_OK;
  });
}

function attestCommand(): Command {
  const command = new Command('attest')
    .description('sign a manifest or an edge and add it to a store')
    .requiredOption('--key <file>', 'signing key')
    .requiredOption('--store <folder>', 'lineage store')
    .option('--manifest <file>', 'sign this manifest')
    .option('--subject <node>', `sign an edge from this node: ${NODE}`)
    .addOption(new Option('--relation <relation>', 'relation of the edge').choices(RELATIONS))
    .option('--parent <node>', 'parent, repeatable', collect, [])
    .option('--tool <name>', 'program that made the subject')
    .option('--tool-version <version>', 'its version')
    .option('--argument <text>', 'an argument that it was called with, repeatable', collect, [])
    .option('--tensors-unchanged', 'the step copies or relabels tensors only')
    .addHelpText(
      'after',
      '\nExample:\n  zklora lineage attest --key maker.key --store ./lineage --subject adapter.zkl.json --relation adapter-of --parent ./base',
    );
  return runs<AttestOptions>(command, async (options, terminal) => {
    const { secretKey, publicKey } = await loadSigningKey(options.key, terminal);
    const statement = await statementOf(options, terminal);
    const envelope = signEnvelope(serializeStatement(statement), [secretKey]);
    const { id, added } = await addToStore(options.store, envelope);
    terminal.result(`${added ? 'added' : 'already there'} ${id}\nsigned by ${publicKey}`, {
      envelope: id,
      added,
      key: publicKey,
      statement,
    });
    return EXIT_OK;
  });
}

async function statementOf(options: AttestOptions, terminal: Terminal): Promise<Statement> {
  const issuedAt = formatTime(Date.now());
  const { manifest, subject, relation, parent, tool } = options;
  if (manifest !== undefined) {
    if (subject !== undefined) throw new ZkLoraError('USAGE', 'give --manifest or --subject, not both');
    return manifestStatement(
      parseManifest(await readFileBounded(manifest, MAX_MANIFEST_BYTES, 'manifest')),
      issuedAt,
    );
  }
  if (subject === undefined || relation === undefined || parent.length === 0) {
    throw new ZkLoraError('USAGE', 'give --manifest, or --subject with --relation and --parent');
  }
  const node = await loadNode(subject, terminal);
  const parents = [];
  for (const each of parent) parents.push(await loadNode(each, terminal));
  const step =
    tool === undefined
      ? null
      : {
          tool,
          version: options.toolVersion ?? null,
          arguments: options.argument,
          tensorsUnchanged: options.tensorsUnchanged === true,
        };
  if (step === null && (options.tensorsUnchanged === true || options.argument.length > 0)) {
    throw new ZkLoraError('USAGE', '--argument and --tensors-unchanged describe a step: name its --tool');
  }
  return edgesStatement([{ subject: node, relation, parents, step }], issuedAt);
}

function addCommand(): Command {
  const command = new Command('add')
    .description('add envelopes, or all envelopes and heads of other stores, to a store')
    .argument('<paths...>', 'envelope files or store folders')
    .requiredOption('--store <folder>', 'lineage store')
    .addHelpText('after', '\nExample:\n  zklora lineage add ./their-lineage --store ./lineage');
  return runs<{ store: string }>(command, async ({ store }, terminal) => {
    let added = 0;
    let known = 0;
    let refused = 0;
    for (const path of command.args) {
      for (const envelope of await envelopesAt(path)) {
        if (envelope === null) refused += 1;
        else if ((await addToStore(store, envelope)).added) added += 1;
        else known += 1;
      }
      if (await isFolder(path)) {
        for (const head of await readLineageHeads(path)) {
          if ((await addHeadToStore(store, head)).added) added += 1;
          else known += 1;
        }
      }
    }
    terminal.result(`added ${added}, already there ${known}, not readable ${refused}`, {
      added,
      known,
      refused,
    });
    return EXIT_OK;
  });
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
}

/** A damaged file of a folder comes out as null; a damaged single file is an error. */
async function envelopesAt(path: string): Promise<(Envelope | null)[]> {
  if (!(await isFolder(path)))
    return [parseEnvelope(await readFileBounded(path, MAX_ENVELOPE_BYTES, 'envelope'))];
  return (await readStore(path)).map(({ id, bytes }) => {
    try {
      return envelopeId(bytes) === id ? parseEnvelope(bytes) : null;
    } catch (error) {
      if (error instanceof ZkLoraError) return null;
      throw error;
    }
  });
}

function verifyCommand(): Command {
  const command = walkOptions(
    new Command('verify').description('walk from an adapter to the allowed roots and explain every edge'),
  ).addHelpText(
    'after',
    '\nExample:\n  zklora lineage verify --store ./lineage --policy policy.json --subject adapter.zkl.json',
  );
  return runs<WalkOptions>(command, async (options, terminal) => {
    const verdict = await walk(options, terminal);
    terminal.result(describeVerdict(verdict), verdict);
    return verdict.valid ? EXIT_OK : EXIT_INVALID;
  });
}

function showCommand(): Command {
  const command = new Command('show')
    .description('list the statements of a store, without judging them')
    .requiredOption('--store <folder>', 'lineage store')
    .addHelpText('after', '\nExample:\n  zklora lineage show --store ./lineage');
  return runs<{ store: string }>(command, async ({ store }, terminal) => {
    const entries = (await readStore(store)).map(({ id, bytes }) => {
      try {
        const envelope = parseEnvelope(bytes);
        const keys = envelope.signatures.map(({ keyid }) => keyid);
        return { id, keys, statement: parseStatement(envelope.payload) };
      } catch (error) {
        if (!(error instanceof ZkLoraError)) throw error;
        return { id, problem: error.message };
      }
    });
    const lines = entries.flatMap((entry) => {
      if (entry.statement === undefined) return [`${entry.id.slice(0, 16)}  unreadable: ${entry.problem}`];
      const keys = entry.keys.map((key) => key.slice(0, 16)).join(', ');
      return [
        `${entry.id.slice(0, 16)}  by key ${keys} (not checked), ${entry.statement.predicate.issuedAt}`,
        ...describeStatement(entry.statement).map((line) => `  ${line}`),
      ];
    });
    terminal.result(lines.length === 0 ? 'the store is empty' : lines.join('\n'), { statements: entries });
    return EXIT_OK;
  });
}

function graphCommand(): Command {
  const command = walkOptions(new Command('graph').description('draw a lineage with its verdict'))
    .addOption(
      new Option('--format <format>', 'form of the picture')
        .choices(['tree', 'mermaid', 'svg', 'html'])
        .default('tree'),
    )
    .option('--out <file>', 'write to this file instead of stdout')
    .addHelpText(
      'after',
      '\nExample:\n  zklora lineage graph --store ./lineage --policy policy.json --subject adapter.zkl.json --format html --out lineage.html',
    );
  return runs<WalkOptions & { format: 'tree' | 'mermaid' | 'svg' | 'html'; out?: string }>(
    command,
    async (options, terminal) => {
      const verdict = await walk(options, terminal);
      const drawing = drawingOf(verdict);
      const draw = {
        tree: () => `${drawTree(drawing)}\n`,
        mermaid: () => drawMermaid(drawing),
        svg: () => drawSvg(drawing),
        html: () => drawHtml(drawing, verdict),
      };
      const picture = draw[options.format]();
      const { out, format } = options;
      if (out !== undefined) await writeFileAtomic(out, picture);
      terminal.result(out === undefined ? picture.trimEnd() : `wrote ${out}`, {
        valid: verdict.valid,
        format,
        ...(out === undefined ? { picture } : { out }),
      });
      return EXIT_OK;
    },
  );
}

function walkOptions(command: Command): Command {
  return command
    .requiredOption('--store <folder>', 'lineage store')
    .requiredOption('--policy <file>', 'whom and what you trust')
    .requiredOption('--subject <node>', `whose lineage: ${NODE}`)
    .option('--checkpoint <path>', 'checkpoint at hand, to be hashed and compared; repeatable', collect, [])
    .option(
      '--now <time>',
      'judge as of this time, e.g. 2026-01-31T12:00:00Z',
      timeOption,
      formatTime(Date.now()),
    );
}

async function walk(options: WalkOptions, terminal: Terminal): Promise<LineageVerdict> {
  const policy = await loadLineagePolicy(options.policy);
  const subject = await loadNode(options.subject, terminal);
  const listings = new Map<string, readonly TensorDigest[]>();
  for (const path of options.checkpoint) {
    terminal.progress(`hashing ${path}`);
    const { digest, tensors } = await digestCheckpoint(path);
    listings.set(digest, tensors);
  }
  const files = await readStore(options.store);
  return verifyLineage({ subject, files, policy, now: Date.parse(options.now), listings });
}

function describeVerdict(verdict: LineageVerdict): string {
  const unlisted = verdict.ignored.map((reason) => `ignored: ${describeReason(reason)}`);
  return [
    verdict.valid ? 'VALID: the lineage meets the policy' : 'INVALID: the lineage does not meet the policy',
    ...verdict.failures.map((reason) => `  ${describeReason(reason)}`),
    drawTree(drawingOf(verdict)),
    ...verdict.edges.flatMap(({ relation, status, reasons, step, tensorsChecked }) => [
      ...(status === 'refused'
        ? reasons.map((each) => `refused ${printable(relation)}: ${describeReason(each)}`)
        : []),
      ...(step?.tensorsUnchanged === true && status === 'verified'
        ? [
            `${printable(relation)}: tensors ${tensorsChecked ? 'compared, the same' : 'said to be the same, not compared (give both with --checkpoint)'}`,
          ]
        : []),
    ]),
    ...unlisted,
  ].join('\n');
}

function describeStatement(statement: Statement): string[] {
  const { predicate } = statement;
  if ('manifest' in predicate) {
    const { role, name, kind, digest } = predicate.manifest;
    return [`manifest of ${kind} ${digest.slice(0, 16)}: ${role} "${printable(name)}"`];
  }
  if ('ensemble' in predicate) {
    const { name, experts } = predicate.ensemble;
    const digest = statementSubjects(statement)[0]!.digest;
    return [`ensemble ${digest.slice(0, 16)}: "${printable(name)}", ${experts.length} experts and a router`];
  }
  return predicate.edges.map(({ subject, relation, parents, step }) => {
    const to = parents.map(({ kind, digest }) => `${kind} ${digest.slice(0, 16)}`).join(', ');
    const tool = step === null ? '' : ` with ${printable(step.tool)}`;
    return `${subject.kind} ${subject.digest.slice(0, 16)} ${printable(relation)} ${to}${tool}`;
  });
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

function timeOption(text: string): string {
  if (!timeSchema.safeParse(text).success) {
    throw new InvalidArgumentError('expected a time such as 2026-01-31T12:00:00Z');
  }
  return text;
}
