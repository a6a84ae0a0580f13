// Writes docs/formats-example.md: the bundled files byte by byte, as docs/formats.md describes them. It reads them by
// that page alone, with nothing from src/, and refuses to write what does not fit together.
//
//   npm run docs:example [-- --print]
//
// Part of `npm run example:make`; test/docs.test.ts compares the page with what this prints.
import { createHash, hkdfSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import canonicalize from 'canonicalize';

const R = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;
const root = fileURLToPath(new URL('..', import.meta.url));
const file = (path) => readFile(join(root, 'fixtures', path));
const json = async (path) => JSON.parse(await file(path));

const utf8 = (text) => Buffer.from(text);
const fromHex = (text) => Buffer.from(text, 'hex');
const u32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const i16 = (value) => {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
};
const sha256 = (...parts) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const labelled = (label, ...parts) => sha256(utf8(label), Buffer.of(0), ...parts);
const jcs = (value) => utf8(canonicalize(value));

function demand(condition, what) {
  if (!condition) throw new Error(`docs/formats.md and fixtures/example disagree: ${what}`);
}

/** Hex in groups of four bytes; long runs are cut in the middle. */
function hex(bytes, most = 32) {
  const groups = (part) => part.toString('hex').replace(/.{8}(?=.)/g, '$& ');
  if (bytes.length <= most) return groups(bytes);
  return `${groups(bytes.subarray(0, most / 2))} .. ${groups(bytes.subarray(-most / 4))}`;
}

const table = (rows) => [
  '| offset | bytes | hex | content |',
  '|---|---|---|---|',
  ...rows.map(([at, length, value, what]) => `| ${at} | ${length} | \`${value}\` | ${what} |`),
];

/** Walks through bytes and notes a row for each field. */
class Walk {
  at = 0;
  rows = [];
  constructor(bytes) {
    this.bytes = bytes;
  }
  take(length, what) {
    const part = this.bytes.subarray(this.at, this.at + length);
    demand(part.length === length, `${what} is cut`);
    this.rows.push([this.at, length, hex(part), typeof what === 'function' ? what(part) : what]);
    this.at += length;
    return part;
  }
  end() {
    demand(this.at === this.bytes.length, 'bytes behind the end');
    return table(this.rows);
  }
}

const number = (name) => (part) => `${name} = ${part.readUIntBE(0, part.length)}`;
const quoted = (bytes, most = 200) => {
  const text = bytes.toString();
  return text.length <= most ? text : `${text.slice(0, most)}...`;
};
const code = (...lines) => lines.map((line) => `    ${line}`);

function adapterPart(adapter, params) {
  const { registrationProof, ...identified } = adapter;
  const bytes = jcs(identified);
  const id = labelled('zklora/adapter/v1', bytes);
  const [module] = adapter.modules;
  const point = fromHex(module.aRows[0]);
  const x = `${hex(point.subarray(0, 32))}`;
  const lines = [
    '## Adapter commitment',
    '',
    `\`adapter.zkl.json\` without \`registrationProof\`, as JCS (RFC 8785), has ${bytes.length} bytes:`,
    '',
    ...code(quoted(bytes)),
    '',
    'The label, a zero byte and these bytes give the **adapter id**:',
    '',
    ...code(
      `${hex(utf8('zklora/adapter/v1'))} 00 ${hex(bytes.subarray(0, 8))} ..`,
      `SHA-256: ${id.toString('hex')}`,
    ),
    '',
    `The first row of A of module 0, \`${module.name}\` (rank ${module.rank}, ${module.inFeatures} to ${module.outFeatures}, column offset ${module.columnOffset}): x | y, each below Q.`,
    '',
    ...code(`x ${x}`, `y ${hex(point.subarray(32))}`),
    '',
    '### Registration proof',
    '',
  ];
  const walk = new Walk(fromHex(registrationProof));
  demand(walk.bytes.length === 6322, 'length of the registration proof');
  walk.take(21, '"zklora-registration", 00, version 1');
  demand(walk.take(32, 'parameter-set id').equals(params), 'parameter-set id of the registration proof');
  demand(walk.take(32, 'adapter id').equals(id), 'adapter id of the registration proof');
  walk.take(32, '[G]');
  const sketch = (i) => (part) => `v_${i} = ${BigInt.asIntN(104, BigInt(`0x${part.toString('hex')}`))}`;
  walk.take(13, sketch(0));
  walk.take(13, sketch(1));
  walk.take(13 * 462, 'v_2 .. v_463');
  walk.take(13, sketch(464));
  for (const name of ['[phi]', '[Q]', 'e', 'W', "W'"]) walk.take(32, name);
  return { id, lines: [...lines, ...walk.end(), ''] };
}

/** No secret of the bundled adapter is kept: this one is made up. */
function secretPart(adapter, id) {
  const counting = (from) => Buffer.from(Array.from({ length: 32 }, (_, i) => from + i));
  const secret = {
    format: 'zklora/secret/v1',
    adapterId: id.toString('hex'),
    blindingSecret: counting(0).toString('hex'),
    contributorSecretKey: counting(0x20).toString('hex'),
  };
  const { name } = adapter.modules[0];
  const info = Buffer.concat([
    utf8('zklora/blinder/v1'),
    u32(utf8(name).length),
    utf8(name),
    utf8('A'),
    u32(0),
  ]);
  const okm = Buffer.from(hkdfSync('sha256', counting(0), fromHex(adapter.salt), info, 64));
  const blinder = (BigInt(`0x${okm.toString('hex')}`) % R).toString(16).padStart(64, '0');
  return [
    '## Secret',
    '',
    'The secret of the bundled adapter is not kept. One with counting bytes would be, as `adapter.secret`,',
    '',
    ...code(...JSON.stringify(secret, null, 2).split('\n')),
    '',
    `and with the commitment's salt \`${adapter.salt}\` it would blind row 0 of A of module \`${name}\` with:`,
    '',
    ...code(`info     ${hex(info, 200)}`, `HKDF     ${hex(okm, 64)}`, `mod R    ${hex(fromHex(blinder))}`),
    '',
  ];
}

function tensorsOf(bytes) {
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, 8 + length));
  const of = (name) => {
    const {
      data_offsets: [begin, end],
    } = header[name];
    return bytes.subarray(8 + length + begin, 8 + length + end);
  };
  return { length, header, of };
}

/** Head of the tree over rows, docs/protocol.md section 4. */
function treeHead(level) {
  let nodes = level;
  while (nodes.length > 1) {
    const next = [];
    for (let i = 0; i < nodes.length; i += 2) {
      next.push(i + 1 < nodes.length ? labelled('zklora/session/node/v1', nodes[i], nodes[i + 1]) : nodes[i]);
    }
    nodes = next;
  }
  return nodes[0];
}

function sessionPart({ header, secret, call, closing, adapter, id }) {
  demand(header.adapterId === id.toString('hex'), 'adapter id of the session');
  const headerDigest = labelled('zklora/session/header/v1', jcs(header));
  const tensors = tensorsOf(call);
  const members = header.inputs.flat().sort((a, b) => a - b);
  const tokens = tensors.header['input.0.exponents'].shape[0];
  const seed = fromHex(secret.seed);
  const salt = (i) => {
    const info = Buffer.concat([utf8('zklora/session/salt/v1'), Buffer.of(0), u32(Math.floor(i / 128))]);
    const block = Buffer.from(hkdfSync('sha256', seed, Buffer.alloc(0), info, 4096));
    return block.subarray(32 * (i % 128), 32 * (i % 128) + 32);
  };
  const rowParts = (t, j) => {
    const { inFeatures: n, outFeatures: k } = adapter.modules[members[j]];
    const input = header.inputs.findIndex((users) => users.includes(members[j]));
    const x = tensors.of(`input.${input}.x`).subarray(2 * n * t, 2 * n * (t + 1));
    const y = tensors.of(`module.${members[j]}.y`).subarray(8 * k * t, 8 * k * (t + 1));
    const exponent = tensors.of(`input.${input}.exponents`).readInt16LE(2 * t);
    return [
      salt(t * members.length + j),
      u32(t),
      u32(0),
      u32(members[j]),
      i16(exponent),
      u32(x.length),
      u32(y.length),
      x,
      y,
    ];
  };
  const leaves = [];
  for (let t = 0; t < tokens; t++) {
    for (let j = 0; j < members.length; j++)
      leaves.push(labelled('zklora/session/row/v1', ...rowParts(t, j)));
  }
  const head = treeHead(leaves);
  const digest = labelled('zklora/session/v1', headerDigest, u32(closing.calls), u32(tokens), head);
  demand(digest.toString('hex') === closing.digest, 'session digest');
  const walk = new Walk(Buffer.concat([utf8('zklora/session/row/v1'), Buffer.of(0), ...rowParts(0, 0)]));
  walk.take(22, '"zklora/session/row/v1", 00');
  walk.take(32, 'salt_0');
  walk.take(4, number('token row'));
  walk.take(4, number('call'));
  walk.take(4, number('module'));
  walk.take(2, (part) => `exponent = ${part.readInt16BE()}`);
  const xBytes = walk.take(4, number('bytes of x')).readUInt32BE();
  const yBytes = walk.take(4, number('bytes of y')).readUInt32BE();
  walk.take(xBytes, (part) => `x, little-endian: ${part.readInt16LE(0)}, ${part.readInt16LE(2)}, ..`);
  walk.take(yBytes, (part) => `y, little-endian: ${part.readBigInt64LE(0)}, ${part.readBigInt64LE(8)}, ..`);
  const lines = [
    '## Session',
    '',
    '`session.json` as JCS, and what the label and these bytes give (the header digest):',
    '',
    ...code(quoted(jcs(header), 120), `SHA-256: ${headerDigest.toString('hex')}`),
    '',
    '`session.secret` has the seed of the salts:',
    '',
    ...code(hex(seed)),
    '',
    '### A call',
    '',
    `\`calls/000000.safetensors\` has ${call.length} bytes, ${tensors.length} of them header:`,
    '',
    ...table([
      [0, 8, hex(call.subarray(0, 8)), `length of the header, little-endian: ${tensors.length}`],
      [
        8,
        tensors.length,
        hex(call.subarray(8, 8 + tensors.length)),
        `\`${quoted(call.subarray(8, 8 + tensors.length), 90).replaceAll('|', '\\|')}\``,
      ],
      [8 + tensors.length, call.length - 8 - tensors.length, hex(call.subarray(8 + tensors.length)), 'data'],
    ]),
    '',
    '### The first leaf',
    '',
    'What is hashed for token row 0 of the first module:',
    '',
    ...walk.end(),
    '',
    ...code(
      `leaf 0:             ${leaves[0].toString('hex')}`,
      `head of ${String(leaves.length).padEnd(5)} leaves: ${head.toString('hex')}`,
      `session digest:     ${digest.toString('hex')}`,
    ),
    '',
    'The session digest is H of these bytes:',
    '',
    ...table([
      [0, 18, hex(Buffer.concat([utf8('zklora/session/v1'), Buffer.of(0)])), '"zklora/session/v1", 00'],
      [18, 32, hex(headerDigest), 'header digest'],
      [50, 4, hex(u32(closing.calls)), `calls = ${closing.calls}`],
      [54, 4, hex(u32(tokens)), `token rows = ${tokens}`],
      [58, 32, hex(head), 'head of the tree'],
    ]),
    '',
    '`close.json` has the digest, and both signatures of H("zklora/close/v1" | 00 | digest):',
    '',
    ...code(
      `signed       ${labelled('zklora/close/v1', digest).toString('hex')}`,
      `user         ${hex(fromHex(closing.userSignature), 64)}`,
      `contributor  ${hex(fromHex(closing.contributorSignature), 64)}`,
    ),
    '',
  ];
  return { digest, lines };
}

function proofPart(bytes, ids) {
  const walk = new Walk(bytes);
  const version = walk.take(14, (part) => `"zklora-proof", 00, version ${part.at(-1)}`).at(-1);
  demand(version === 1 || version === 2, 'version of the proof');
  for (const [name, value] of ids) demand(walk.take(32, name).equals(value), `${name} of the proof`);
  const proofs = walk.take(2, number('proofs')).readUInt16BE();
  for (let p = 0; p < proofs; p++) {
    const modules = walk.take(2, number('modules')).readUInt16BE();
    walk.take(
      2 * modules,
      (part) => `modules ${part.readUInt16BE()} .. ${part.readUInt16BE(part.length - 2)}`,
    );
    const [kind, takePart] = version === 2 ? ['blocks', takeBlock] : ['groups', takeGroup];
    const parts = walk.take(2, number(kind)).readUInt16BE();
    for (let g = 0; g < parts; g++) takePart(walk, g);
    for (const name of ['[phi]', '[Q]', 'e', 'W', "W'"]) walk.take(32, name);
  }
  return ['## Proof', '', `\`proof.zkl\`, ${bytes.length} bytes:`, '', ...walk.end(), ''];
}

function takeBlock(walk, g) {
  for (const name of [`[p_${g}]`, `[q_${g}]`, `qz_${g}`]) walk.take(32, name);
}

function takeGroup(walk) {
  for (const [size, name] of [
    [32, 'D'],
    [32, '[R]'],
    [32, 'A'],
    [64, 'B'],
    [32, 'C'],
    [32, 'S'],
    [32, 'D_r'],
    [32, 's_r'],
  ])
    walk.take(size, name);
  const rounds = walk.take(1, number('rounds')).readUInt8();
  for (let i = 0; i < rounds; i++) {
    walk.take(32, `left ${i}`);
    walk.take(32, `right ${i}`);
  }
  walk.take(32, 'final');
}

async function parametersPart(folder, set) {
  const bytes = jcs(set);
  const id = labelled('zklora/params/v1', bytes);
  const [circuit] = set.circuits;
  const vkey = await file(`${folder}/rank_check_${circuit.pairs}.vkey`);
  demand(sha256(vkey).toString('hex') === circuit.vkeySha256, 'digest of the verification key');
  const walk = new Walk(vkey);
  walk.take(64, 'alpha, G1: x, y');
  walk.take(128, 'beta, G2: x.c1, x.c0, y.c1, y.c0');
  walk.take(128, 'gamma: the generator of G2');
  walk.take(128, 'delta');
  const points = 2 * circuit.pairs + 4;
  walk.take(64, 'IC_0 (constant)');
  walk.take(64, 'IC_1 (y)');
  walk.take(64, 'IC_2 (mu)');
  walk.take(64, 'IC_3 (b)');
  walk.take(64 * (points - 4), `IC_4 .. IC_${points - 1} (p, q)`);
  const powers = await file(`${folder}/powers.g1`);
  demand(sha256(powers).toString('hex') === set.powers.sha256, 'digest of the powers');
  const lines = [
    '## Parameter set',
    '',
    `\`params.json\` of fixtures/${folder} as JCS has ${bytes.length} bytes:`,
    '',
    ...code(quoted(bytes)),
    '',
    'Its **parameter-set id**, H("zklora/params/v1" | 00 | JCS):',
    '',
    ...code(id.toString('hex')),
    '',
    `\`powers.g1\`, ${set.powers.count} points: tau^0 G = G and tau G.`,
    '',
    ...table([
      [0, 64, hex(powers.subarray(0, 64), 64), 'G = (1, 2)'],
      [64, 64, hex(powers.subarray(64, 128), 64), 'tau G'],
    ]),
    '',
    `\`rank_check_${circuit.pairs}.vkey\`, ${vkey.length} bytes:`,
    '',
    ...walk.end(),
    '',
  ];
  return { id, lines };
}

async function page() {
  const set = await json('params/development/params.json');
  const params = await parametersPart('params/development', set);
  const adapter = await json('example/adapter.zkl.json');
  demand(adapter.parametersId === params.id.toString('hex'), 'parameter-set id of the commitment');
  const commitment = adapterPart(adapter, params.id);
  const session = sessionPart({
    header: await json('example/session/session.json'),
    secret: await json('example/session/session.secret'),
    closing: await json('example/session/close.json'),
    call: await file('example/session/calls/000000.safetensors'),
    adapter,
    id: commitment.id,
  });
  const proof = proofPart(await file('example/proof.zkl'), [
    ['parameter-set id', params.id],
    ['adapter id', commitment.id],
    ['session digest', session.digest],
  ]);
  return [
    '# A worked example of the files',
    '',
    'The files of [fixtures/example](../fixtures/example/README.md), byte by byte, as [formats.md](formats.md) defines them. Written by',
    '`npm run docs:example`, which reads them by that page alone. Long runs of bytes are cut in the middle (`..`).',
    '',
    ...params.lines,
    ...commitment.lines,
    ...secretPart(adapter, commitment.id),
    ...session.lines,
    ...proof,
  ].join('\n');
}

const text = `${(await page()).trimEnd()}\n`;
if (process.argv.includes('--print')) process.stdout.write(text);
else await writeFile(join(root, 'docs/formats-example.md'), text);
