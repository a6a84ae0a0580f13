/**
 * The same statement proven directly, beside ours: one module, one token, in growing sizes.
 *
 * `node dist/bench/peers.js [--full]` writes bench/results/peers.json; --full goes as far as it can in ten minutes, otherwise 64 and
 * 512 weights.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { runChild } from './child.js';
import type { DirectShape } from './directCircuit.js';
import { benchParameters } from './parameters.js';
import type { PeerSetup, PeerStep } from './peer.js';
import { type Machine, machine } from './report.js';
import { CACHE, writeResult } from './results.js';
import { measureRow, type RowResult } from './rows.js';
import { writeTables } from './tables.js';

/** One size. */
export interface Peer {
  /** Of circuits/lora_direct.circom with snarkjs. */
  readonly direct: { readonly setup: PeerSetup; readonly prove: PeerStep; readonly verify: PeerStep };
  /** Of zklora, the same module and token. */
  readonly ours: Pick<RowResult, 'register' | 'prove' | 'verify'>;
}

/** bench/results/peers.json */
export interface PeersFile {
  readonly machine: Machine;
  readonly peers: readonly Peer[];
}

/** 64 and 512 weights; the others as far as the time goes. */
const SHAPES: readonly DirectShape[] = [
  [16, 2, 16],
  [32, 8, 32],
  [64, 8, 64],
  [128, 8, 128],
  [256, 8, 256],
];

/** Sizes that are measured always. */
const ALWAYS = 2;

/** Of the largest sizes together. */
const MAX_SECONDS = 600;

/** A size has twice the weights of the one before; its domain, and so the time of its set-up, may be a little more than twice. */
const GROWTH = 2.3;

/**
 * Measures and writes peers.json.
 *
 * @param full also the sizes beyond 512 weights that are expected to end within ten minutes
 */
export async function measurePeers(parameters: string, full: boolean): Promise<void> {
  const peers: Peer[] = [];
  const start = performance.now();
  let last = 0;
  for (const [i, shape] of SHAPES.entries()) {
    const began = performance.now();
    if (i >= ALWAYS && (!full || began - start + GROWTH * last > MAX_SECONDS * 1e3)) break;
    const peer = await measurePeer(parameters, shape);
    peers.push(peer);
    last = performance.now() - began;
    const { setup, prove } = peer.direct;
    process.stderr.write(
      `direct circuit, ${setup.weights} weights: set-up ${setup.setupSeconds.toFixed(0)} s, ` +
        `prove ${prove.seconds.toFixed(1)} s; ours ${peer.ours.prove.seconds.toFixed(2)} s\n`,
    );
  }
  const result: PeersFile = { machine: machine(), peers };
  await writeResult('peers', result);
}

async function measurePeer(parameters: string, shape: DirectShape): Promise<Peer> {
  const dir = join(CACHE, 'peer');
  await rm(dir, { recursive: true, force: true });
  const step = <T>(which: string) => runChild<T>('peer.js', [which, dir, JSON.stringify(shape)]);
  const direct = {
    setup: await step<PeerSetup>('setup'),
    prove: await step<PeerStep>('prove'),
    verify: await step<PeerStep>('verify'),
  };
  await rm(dir, { recursive: true, force: true });
  const { register, prove, verify } = await measureRow(
    { name: `peer-${shape.join('x')}`, layers: 1, perLayer: [shape], inputs: [0] },
    {
      parameters,
      scratch: join(CACHE, 'rows'),
      calls: [1],
      processes: 1,
      perModule: false,
      circuits: false,
      plain: false,
    },
  );
  return { direct, ours: { register, prove, verify } };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values } = parseArgs({ options: { full: { type: 'boolean', default: false } } });
  await measurePeers(await benchParameters(join(CACHE, 'params')), values.full);
  await writeTables();
}
