// Remakes fixtures/example: a commitment, a short session and its proof, with the bundled adapter and the
// development parameters. Two real processes tell the story through the command line, so that a change of any
// format is followed by running this again.
//
//   npm run example:make
import { cp, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runZklora, ZkloraProcess } from '../dist/cli/childProcess.js';

/** One sequence: each token costs 44 KB of session. */
const TOKENS = 8;
const MAX_BYTES = 500_000;

const root = fileURLToPath(new URL('..', import.meta.url));
const fixture = (path) => join(root, 'fixtures', path);
const example = fixture('example');
const model = ['--base', fixture('gpt2-tiny/base/model.onnx')];
const adapter = ['--adapter', fixture('gpt2-tiny/adapter')];
const parameters = ['--parameters', fixture('params/development')];

const work = await mkdtemp(join(tmpdir(), 'zklora-example-'));
try {
  await runZklora(['register', ...adapter, ...model, ...parameters, '--out', work]);
  const commitment = ['--commitment', join(work, 'adapter.zkl.json')];
  const secret = join(work, 'adapter.secret');
  const session = join(work, 'session');

  const serving = ['--secret', secret, '--sessions', join(work, 'served'), '--listen', '127.0.0.1:0'];
  const contributor = new ZkloraProcess([
    'serve',
    '--max-revealed',
    '1',
    ...adapter,
    ...commitment,
    ...parameters,
    ...serving,
  ]);
  try {
    const { address } = await contributor.next();
    const text = ['--text', fixture('gpt2-tiny/text/heldout.txt')];
    const cut = ['--sequence-length', String(TOKENS), '--sequences', '1'];
    const peer = ['--contributor', address, '--session', session, '--prove'];
    await runZklora(['evaluate', ...model, ...commitment, ...text, ...cut, ...peer]);
  } finally {
    contributor.stop();
    await contributor.exitCode();
  }
  await rename(join(session, 'proof.zkl'), join(work, 'proof.zkl'));
  // the user's key of the session, and the losses: of no use to who verifies
  for (const name of ['session.access', 'evaluation.jsonl']) await rm(join(session, name));

  const verdict = await runZklora([
    'verify',
    ...commitment,
    ...parameters,
    ...['--proof', join(work, 'proof.zkl'), '--session', session, '--allow-development-params'],
  ]);
  const { adapterId, parametersId } = verdict;
  await writeFile(join(work, 'pins.json'), `${JSON.stringify({ adapterId, parametersId }, null, 2)}\n`);

  const files = ['adapter.zkl.json', 'pins.json', 'proof.zkl', 'session'];
  await refuseSecrets(files, JSON.parse(await readFile(secret, 'utf8')));
  for (const name of files) {
    await rm(join(example, name), { recursive: true, force: true });
    await cp(join(work, name), join(example, name), { recursive: true });
  }
  const bytes = await folderBytes(example);
  if (bytes > MAX_BYTES) throw new Error(`fixtures/example has ${bytes} bytes, more than ${MAX_BYTES}`);
  process.stdout.write(`fixtures/example: adapter ${adapterId}, ${bytes} bytes\n`);
} finally {
  await rm(work, { recursive: true, force: true });
}

async function* filesBelow(path) {
  if (!(await stat(path)).isDirectory()) yield path;
  else for (const name of await readdir(path)) yield* filesBelow(join(path, name));
}

async function folderBytes(dir) {
  let total = 0;
  for await (const path of filesBelow(dir)) total += (await stat(path)).size;
  return total;
}

/** Nothing that is committed holds the blinding secret or the contributor's key. */
async function refuseSecrets(names, { blindingSecret, contributorSecretKey }) {
  for (const name of names) {
    for await (const path of filesBelow(join(work, name))) {
      const bytes = await readFile(path);
      for (const hex of [blindingSecret, contributorSecretKey]) {
        if (bytes.includes(hex) || bytes.includes(Buffer.from(hex, 'hex')))
          throw new Error(`secret in ${path}`);
      }
    }
  }
}
