import { ed25519 } from '@noble/curves/ed25519.js';
import {
  type AdapterCommitment,
  type AdapterSecret,
  adapterId,
  applyExact,
  domainSizeFor,
  type QuantizedModule,
  registerAdapter,
} from '../../src/adapter/index.js';
import type { Engine } from '../../src/algebra/index.js';
import { bytesToHex } from '../../src/bytes.js';
import { openParameters, type ParameterStore } from '../../src/circuit/index.js';
import type { Session, SessionCall, SessionHeader } from '../../src/protocol/index.js';

/** The committed development parameters: domains 512 and 1024; 15, 63 and 255 pairs. */
export function developmentParameters(): Promise<ParameterStore> {
  return openParameters(new URL('../../fixtures/params/development', import.meta.url).pathname);
}

/** Deterministic 32-bit generator (mulberry32), so that every run sees the same weights and activations. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Shape of one module. */
export interface Shape {
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/** Random int16 module; entries small enough for every exactness bound. */
export function randomModule(name: string, shape: Shape, random: () => number): QuantizedModule {
  const entries = (count: number) =>
    Int16Array.from({ length: count }, () => Math.floor((random() - 0.5) * 2 ** 14));
  return {
    name,
    ...shape,
    a: entries(shape.rank * shape.inFeatures),
    aExponent: -14,
    bT: entries(shape.rank * shape.outFeatures),
    bExponent: -15,
    scaling: 2,
  };
}

/** Seed of the salts of sessions held in memory. */
export const SESSION_SEED = new Uint8Array(32).fill(5);

/** A session held in memory. */
export class MemorySession implements Session {
  readonly header: SessionHeader;
  readonly seed: Uint8Array;
  readonly calls: SessionCall[];

  constructor(header: SessionHeader, calls: readonly SessionCall[], seed: Uint8Array = SESSION_SEED) {
    this.header = header;
    this.seed = seed;
    this.calls = [...calls];
  }

  get callCount(): number {
    return this.calls.length;
  }

  async readCall(index: number): Promise<SessionCall> {
    return this.calls[index]!;
  }

  /** Deep copy, for tampering. */
  clone(): MemorySession {
    return new MemorySession(structuredClone(this.header), structuredClone(this.calls), this.seed.slice());
  }
}

/** Everything an honest run produces up to the proof. */
export interface Scenario {
  readonly engine: Engine;
  readonly parameters: ParameterStore;
  readonly modules: readonly QuantizedModule[];
  readonly adapter: AdapterCommitment;
  readonly secret: AdapterSecret;
  readonly session: MemorySession;
}

/** Options of {@link makeScenario}. */
export interface ScenarioOptions {
  readonly shapes: readonly Shape[];
  /** Tokens of each call. */
  readonly calls: readonly number[];
  /** Modules that share an input; by default each has its own. */
  readonly inputs?: readonly (readonly number[])[];
  readonly seed?: number;
  readonly lineageDigest?: string;
}

/** Registers a random adapter and holds a session with it. */
export async function makeScenario(
  engine: Engine,
  parameters: ParameterStore,
  options: ScenarioOptions,
): Promise<Scenario> {
  const random = seeded(options.seed ?? 1);
  const modules = options.shapes.map((shape, i) => randomModule(`layer.${i}`, shape, random));
  const { commitment, secret } = await registerAdapter({
    engine,
    srs: await parameters.srs(domainSizeFor(modules)),
    parametersId: parameters.id,
    modules,
    baseDigest: '11'.repeat(32),
    ...(options.lineageDigest === undefined ? {} : { lineageDigest: options.lineageDigest }),
  });
  const inputs = options.inputs ?? modules.map((_, i) => [i]);
  const session = holdSession(commitment, modules, inputs, options.calls, random);
  return { engine, parameters, modules, adapter: commitment, secret, session };
}

/** Session whose deltas are computed with the given weights. */
export function holdSession(
  adapter: AdapterCommitment,
  modules: readonly QuantizedModule[],
  inputs: readonly (readonly number[])[],
  callTokens: readonly number[],
  random: () => number,
): MemorySession {
  const header: SessionHeader = {
    format: 'zklora/session/v1',
    adapterId: adapterId(adapter),
    contributorKey: adapter.contributorKey,
    userKey: bytesToHex(ed25519.getPublicKey(new Uint8Array(32).fill(9))),
    nonce: '22'.repeat(32),
    inputs,
  };
  const members = inputs.flat().sort((a, b) => a - b);
  const calls = callTokens.map((tokens): SessionCall => {
    const rows = inputs.map((users) => ({
      x: Int16Array.from({ length: tokens * modules[users[0]!]!.inFeatures }, () =>
        Math.floor((random() - 0.5) * 65535),
      ),
      exponents: Int16Array.from({ length: tokens }, () => Math.floor(random() * 20) - 20),
    }));
    const inputOf = (module: number) => inputs.findIndex((users) => users.includes(module));
    return {
      tokens,
      inputs: rows,
      outputs: members.map((module) => applyExact(modules[module]!, rows[inputOf(module)]!.x, tokens)),
    };
  });
  return new MemorySession(header, calls);
}
