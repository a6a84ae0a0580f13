import { concatBytes, u32 } from './bytes.js';
import { power } from './field.js';
import type { Group, ProvenModule } from './groups.js';
import type { Element, ProofVersion, ReferenceGroupProof, ReferenceProof } from './proof.js';
import { Transcript } from './transcript.js';

/** What step 1 absorbs. */
export interface StatementIds {
  readonly version: ProofVersion;
  readonly parametersId: Uint8Array;
  readonly adapterId: Uint8Array;
  readonly sessionDigest: Uint8Array;
  /** N and T. */
  readonly domainSize: number;
  readonly tokens: number;
}

/** Challenges of one linear-form argument. */
export interface FormChallenges {
  readonly x: bigint;
  readonly c: bigint;
  readonly folds: readonly bigint[];
}

/** All challenges that the equations use; `batch` is not needed where they are checked one by one. */
export interface Challenges {
  readonly u: bigint;
  readonly v: bigint;
  readonly t: bigint;
  readonly rho: bigint;
  readonly z: bigint;
  /** Version 1; 1 in version 2, whose pairs are those of one group. */
  readonly kappa: bigint;
  /** Version 1, one for each group. */
  readonly forms: readonly FormChallenges[];
  /** Version 2; 0 in version 1. */
  readonly nu: bigint;
}

const isZero = (value: bigint) => value === 0n;

/** Replays the table of docs/protocol.md section 6, "Transcript". */
export function drawChallenges(
  ids: StatementIds,
  modules: readonly ProvenModule[],
  groups: readonly Group[],
  proof: ReferenceProof,
): Challenges {
  const transcript = new Transcript(`zklora/proof/v${ids.version}`);
  const absorb = (label: string, element: Element<unknown>) => transcript.absorb(label, element.bytes);
  transcript.absorb('parameters', ids.parametersId);
  transcript.absorb('adapter', ids.adapterId);
  transcript.absorb('session', ids.sessionDigest);
  transcript.absorb('sizes', concatBytes(u32(ids.domainSize), u32(ids.tokens)));
  const words = (rows: readonly (readonly number[])[]) => concatBytes(...rows.flat().map(u32));
  transcript.absorb(
    'modules',
    words(modules.map((m) => [m.index, m.input, m.rank, m.inFeatures, m.outFeatures, m.columnOffset])),
  );
  if (ids.version === 1) {
    transcript.absorb('groups', words(groups.map((group) => [group.circuit, group.positions.length])));
  } else transcript.absorb('pairs', u32(groups[0]!.pairs));
  const [u, v, t] = ['u', 'v', 't'].map((label) => transcript.challenge(label)) as [bigint, bigint, bigint];
  for (const group of proof.groups) {
    absorb('D', group.d);
    absorb('R', group.r);
    absorb('A', group.a);
    absorb('B', group.b);
    absorb('C', group.c);
  }
  for (const block of proof.blocks) {
    absorb('p', block.p);
    absorb('q', block.q);
  }
  const rho = transcript.challenge('rho');
  let kappa = 1n;
  let forms: FormChallenges[] = [];
  if (ids.version === 1) {
    for (const group of proof.groups) absorb('S', group.s);
    kappa = transcript.challenge('kappa');
    forms = proof.groups.map((group) => drawForm(transcript, group));
  }
  absorb('phi', proof.phi);
  absorb('Q', proof.q);
  const inDomain = (value: bigint) => power(value, BigInt(ids.domainSize)) === 1n;
  const z = transcript.challenge('z', (value) => value === 0n || inDomain(value));
  let nu = 0n;
  if (ids.version === 2) {
    absorb('e', proof.e);
    for (const block of proof.blocks) absorb('qz', block.qAtZ);
    nu = transcript.challenge('nu');
  }
  return { u, v, t, rho, kappa, forms, z, nu };
}

function drawForm(transcript: Transcript, group: ReferenceGroupProof): FormChallenges {
  transcript.absorb('Dr', group.dr.bytes);
  transcript.absorb('sr', group.sr.bytes);
  const x = transcript.challenge('x');
  const c = transcript.challenge('c', isZero);
  const folds = group.rounds.map(({ left, right }) => {
    transcript.absorb('left', left.bytes);
    transcript.absorb('right', right.bytes);
    return transcript.challenge('fold', isZero);
  });
  transcript.absorb('final', group.final.bytes);
  return { x, c, folds };
}
