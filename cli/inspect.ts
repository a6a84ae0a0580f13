import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Command } from 'commander';
import {
  adapterId,
  parseAdapterCommitment,
  parseAdapterSecret,
  parseSafetensors,
  readPeftAdapter,
} from '../src/adapter/index.js';
import { CEREMONY_FILE, parseCeremonyState } from '../src/ceremony/state.js';
import { lineageHeadDigest, parseLineageHead } from '../src/checkpoint/index.js';
import { parameterSetId, parseParameterSet } from '../src/circuit/parameters.js';
import { ZkLoraError } from '../src/errors.js';
import { readFileBounded } from '../src/files.js';
import { ANSWERED_FILE, answeredRows, readAnswered } from '../src/inference/answeredJournal.js';
import { readEvaluation } from '../src/inference/evaluationJournal.js';
import {
  checkClosing,
  EVALUATION_FILE,
  openSessionRecord,
  type SessionRecord,
} from '../src/inference/record.js';
import { parseRowOpening } from '../src/inference/rowOpening.js';
import {
  parseSessionAccess,
  parseSessionClosing,
  parseSessionHeader,
  parseSessionSecret,
} from '../src/inference/sessionHeader.js';
import { decodeProofFile, sessionModules } from '../src/protocol/index.js';
import { runs } from './command.js';
import { EXIT_OK } from './exitCodes.js';
import { summarizeLedger } from './inspectLedger.js';
import { describeCeremony, describeParameters } from './paramsText.js';
import { formatBytes } from './terminal.js';

/** Files that inspect reads whole. */
const MAX_INSPECT_BYTES = 1024 * 2 ** 20;

/** `zklora inspect` */
export function inspectCommand(): Command {
  const command = new Command('inspect')
    .description('show what a file or folder of zklora holds; never shows secrets or weights')
    .argument(
      '<path>',
      'adapter.zkl.json, adapter.secret, proof.zkl, params.json, session or PEFT folder, ...',
    )
    .addHelpText('after', '\nExample:\n  zklora inspect proof.zkl');
  return runs(command, async (_, terminal) => {
    const { text, value } = await inspect(command.args[0]!);
    terminal.result(text, value);
    return EXIT_OK;
  });
}

interface Inspection {
  readonly text: string;
  readonly value: object;
}

async function inspect(path: string): Promise<Inspection> {
  const info = await stat(path).catch((cause: unknown) => {
    throw new ZkLoraError('FILE_NOT_FOUND', `${path} does not exist: check the path`, { cause });
  });
  if (info.isDirectory()) return inspectFolder(path);
  if (basename(path) === 'adapter_config.json') return inspectFolder(dirname(path));
  if (basename(path) === ANSWERED_FILE) return inspectAnswered(dirname(path));
  if (path.endsWith('.ledger')) return inspectLedger(path);
  if (basename(path) === EVALUATION_FILE) return inspectEvaluation(dirname(path));
  const bytes = await readFileBounded(path, MAX_INSPECT_BYTES, 'file');
  if (bytes[0] === 'z'.charCodeAt(0)) return inspectProof(bytes);
  if (path.endsWith('.safetensors')) return inspectTensors(bytes);
  return inspectJson(new TextDecoder().decode(bytes), path);
}

async function inspectEvaluation(dir: string): Promise<Inspection> {
  const { header, entries } = await readEvaluation(dir);
  const passes = entries.filter(({ kind }) => kind === 'pass').length;
  const { model, texts, sequence, batch, contributors } = header;
  return list(
    'evaluation under way or done',
    [
      ['base model', model],
      ...texts.map(({ name }): [string, string] => ['text', name]),
      ['sequences', `of ${sequence} tokens, ${batch} in a pass`],
      ...contributors.map(({ name, weight }): [string, string] => [
        'contributor',
        `${name}, weight ${weight}`,
      ]),
      ['passes measured', String(passes)],
      ['contributors left out', String(entries.length - passes)],
    ],
    { kind: 'evaluation', ...header, passes, drops: entries.length - passes },
  );
}

async function inspectLedger(path: string): Promise<Inspection> {
  const summary = await summarizeLedger(path);
  const { adapterId: id, sessions, users, stages, refusedKeys } = summary;
  return list(
    'leakage ledger',
    [
      ['adapter id', id],
      ['sessions opened', String(sessions)],
      ['user keys', String(users)],
      ['answered stages', String(stages)],
      ['keys refused for what they had learnt', String(refusedKeys)],
      ['', 'zklora leakage shows what was revealed'],
    ],
    summary,
  );
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function inspectFolder(dir: string): Promise<Inspection> {
  if (await exists(join(dir, 'session.json'))) return inspectSession(await openSessionRecord(dir));
  if (await exists(join(dir, 'params.json'))) return inspect(join(dir, 'params.json'));
  if (await exists(join(dir, CEREMONY_FILE))) return inspect(join(dir, CEREMONY_FILE));
  if (await exists(join(dir, 'adapter_config.json'))) {
    const { modules, baseModelName } = await readPeftAdapter(dir);
    const shapes = modules.map(({ name, rank, inFeatures, outFeatures }) => ({
      name,
      rank,
      inFeatures,
      outFeatures,
    }));
    return list(
      'PEFT adapter',
      [
        ['base model', baseModelName ?? 'not named'],
        ...shapes.map(({ name, rank, inFeatures, outFeatures }): [string, string] => [
          name,
          `rank ${rank}, ${inFeatures} -> ${outFeatures}`,
        ]),
      ],
      { kind: 'peft', baseModelName, modules: shapes },
    );
  }
  throw unknown(dir);
}

async function inspectSession(record: SessionRecord): Promise<Inspection> {
  const { header, callCount, closing } = record;
  const shapes: { inFeatures: number; outFeatures: number }[] = [];
  let tokens = 0;
  for (let i = 0; i < callCount; i++) {
    const call = await record.readCall(i);
    tokens += call.tokens;
    if (i > 0) continue;
    // the shapes that the record itself shows; an adapter commitment would say what they have to be
    sessionModules(header).forEach((module, position) => {
      const input = header.inputs.findIndex((users) => users.includes(module));
      shapes[module] = {
        inFeatures: call.inputs[input]!.x.length / call.tokens,
        outFeatures: call.outputs[position]!.length / call.tokens,
      };
    });
  }
  const edited = closing !== null && (await isEdited(record, shapes));
  const state =
    closing === null
      ? 'no: neither side has signed it'
      : `${edited ? 'EDITED since both sides signed' : 'yes, both sides signed'} ${closing.digest}`;
  return list(
    'session',
    [
      ['adapter', header.adapterId],
      ['contributor key', header.contributorKey],
      ['user key', header.userKey],
      ['modules', String(header.inputs.flat().length)],
      ['calls', String(callCount)],
      ['token rows', String(tokens)],
      ['closed', state],
    ],
    { kind: 'session', ...header, calls: callCount, tokens, closing, edited },
  );
}

/** What a contributor gave out in one session, by the journal beside its record. */
async function inspectAnswered(dir: string): Promise<Inspection> {
  const { header } = await openSessionRecord(dir);
  const stages = await readAnswered(dir, header);
  const rows = [...answeredRows(header, stages)]
    .sort(([a], [b]) => a - b)
    .map(([module, tokens]) => ({ module, tokens }));
  return list(
    'stages that the contributor answered',
    [
      ['adapter', header.adapterId],
      ['user key', header.userKey],
      ['stages', String(stages.length)],
      ...rows.map(({ module, tokens }): [string, string] => [
        `module ${module}`,
        counted(tokens, 'token row'),
      ]),
    ],
    {
      kind: 'answered stages',
      adapterId: header.adapterId,
      userKey: header.userKey,
      stages: stages.length,
      rows,
    },
  );
}

async function isEdited(record: SessionRecord, shapes: Parameters<typeof checkClosing>[1]): Promise<boolean> {
  try {
    await checkClosing(record, shapes);
    return false;
  } catch (error) {
    if (error instanceof ZkLoraError && error.code === 'SESSION_MISMATCH') return true;
    throw error;
  }
}

function inspectProof(bytes: Uint8Array): Inspection {
  const file = decodeProofFile(bytes);
  const { rankCheck, parametersId, adapterId: adapter, sessionDigest } = file;
  const proofs = file.proofs.map(({ modules, groups, blocks }) =>
    rankCheck === 'kzg' ? { modules, blocks: blocks.length } : { modules, groups: groups.length },
  );
  return list(
    "proof (claims below are the sender's; zklora verify checks them)",
    [
      ['size', formatBytes(bytes.length)],
      ['adapter', adapter],
      ['session', sessionDigest],
      ['parameters', parametersId],
      ['rank check', rankCheck],
      ...proofs.map(({ modules, blocks, groups }, i): [string, string] => {
        const parts = blocks === undefined ? counted(groups, 'circuit') : counted(blocks, 'block');
        return [`proof ${i}`, `${counted(modules.length, 'module')}, ${parts}`];
      }),
    ],
    {
      kind: 'proof',
      bytes: bytes.length,
      rankCheck,
      parametersId,
      adapterId: adapter,
      sessionDigest,
      proofs,
    },
  );
}

function inspectTensors(bytes: Uint8Array): Inspection {
  const { tensors, metadata } = parseSafetensors(bytes);
  const entries = [...tensors]
    .map(([name, { dtype, shape }]) => ({ name, dtype, shape }))
    .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  return list(
    'safetensors',
    entries.map(({ name, dtype, shape }) => [name, `${dtype} [${shape.join(', ')}]`]),
    { kind: 'safetensors', metadata, tensors: entries },
  );
}

function inspectJson(text: string, path: string): Inspection {
  let format: unknown;
  try {
    format = (JSON.parse(text) as { format?: unknown } | null)?.format;
  } catch (cause) {
    throw unknown(path, cause);
  }
  switch (format) {
    case 'zklora/adapter/v1': {
      const commitment = parseAdapterCommitment(text);
      const { modules, registrationProof, ...rest } = commitment;
      const proofBytes = registrationProof === null ? 0 : registrationProof.length / 2;
      const id = adapterId(commitment);
      const shapes = modules.map(({ aRows: _a, bColumns: _b, ...shape }) => shape);
      return list(
        'adapter commitment',
        [
          ['adapter id', id],
          ['contributor key', rest.contributorKey],
          ['base model', rest.baseDigest],
          ['lineage', rest.lineageDigest],
          ['parameters', rest.parametersId],
          ['domain', String(rest.domainSize)],
          [
            'registration proof',
            proofBytes === 0 ? 'none' : `${formatBytes(proofBytes)} (not checked here: zklora verify does)`,
          ],
          ...shapes.map(({ name, rank, inFeatures, outFeatures }): [string, string] => [
            name,
            `rank ${rank}, ${inFeatures} -> ${outFeatures}`,
          ]),
        ],
        {
          kind: 'adapter commitment',
          adapterId: id,
          ...rest,
          registrationProofBytes: proofBytes,
          modules: shapes,
        },
      );
    }
    case 'zklora/secret/v1': {
      const { adapterId: id } = parseAdapterSecret(text);
      return list('secret of an adapter (contents not shown)', [['adapter id', id]], {
        kind: 'secret',
        adapterId: id,
      });
    }
    case 'zklora/params/v1': {
      const set = parseParameterSet(text);
      return {
        text: describeParameters(set),
        value: { id: parameterSetId(set), ...set },
      };
    }
    case 'zklora/ceremony/v1': {
      const state = parseCeremonyState(text);
      return { text: describeCeremony(state), value: { ...state } };
    }
    case 'zklora/session/v1': {
      const header = parseSessionHeader(text);
      return list(
        'session header',
        [
          ['adapter', header.adapterId],
          ['user key', header.userKey],
        ],
        { kind: 'session header', ...header },
      );
    }
    case 'zklora/session-secret/v1': {
      parseSessionSecret(text);
      return list('secret of a session', [['seed of the row salts', '32 bytes, not shown']], {
        kind: 'session secret',
      });
    }
    case 'zklora/session-access/v1': {
      parseSessionAccess(text);
      return list('access to a session', [['session and key', 'not shown']], { kind: 'session access' });
    }
    case 'zklora/row-opening/v1': {
      const { header, row, call, module, exponent, x, y, path: siblings } = parseRowOpening(text);
      return list(
        'one row of a session (not checked here: zklora session verify-row does)',
        [
          ['adapter', header.adapterId],
          ['user key', header.userKey],
          ['place', `module ${module}, row ${row}, in call ${call}`],
          ['activations', `${x.length} integers, exponent ${exponent}`],
          ['deltas', `${y.length} integers`],
        ],
        {
          kind: 'row opening',
          adapterId: header.adapterId,
          userKey: header.userKey,
          module,
          row,
          call,
          exponent,
          inFeatures: x.length,
          outFeatures: y.length,
          pathLength: siblings.length,
        },
      );
    }
    case 'zklora/lineage-head/v1': {
      const head = parseLineageHead(new TextEncoder().encode(text));
      return list(
        'lineage head',
        [
          ['digest', lineageHeadDigest(head)],
          ['base', head.base],
          ['statements', String(head.envelopes.length)],
        ],
        { kind: 'lineage head', digest: lineageHeadDigest(head), ...head },
      );
    }
    case 'zklora/close/v1': {
      const closing = parseSessionClosing(text);
      return list(
        'session closing',
        [
          ['calls', String(closing.calls)],
          ['digest', closing.digest],
        ],
        { kind: 'session closing', ...closing },
      );
    }
    default:
      throw unknown(path);
  }
}

function list(title: string, rows: readonly (readonly [string, string])[], value: object): Inspection {
  const width = Math.max(...rows.map(([name]) => name.length));
  return {
    text: [
      title,
      ...rows.map(([name, text]) => `  ${printable(name).padEnd(width)}  ${printable(text)}`),
    ].join('\n'),
    value,
  };
}

/** Names in foreign files may hold terminal escapes. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function unknown(path: string, cause?: unknown): ZkLoraError {
  return new ZkLoraError(
    'USAGE',
    `${basename(path)} is no file of zklora: give an adapter commitment, proof, session, parameter set or PEFT adapter`,
    { cause },
  );
}
