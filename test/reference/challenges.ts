import { concatBytes, u32 } from './bytes.js';
import { power } from './field.js';
import type { Group, ProvenModule } from './groups.js';
import type { Element, ReferenceGroupProof, ReferenceProof } from './proof.js';
import { Transcript } from './transcript.js';

/** What step 1 absorbs. */
export interface StatementIds {
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
  readonly kappa: bigint;
  readonly forms: readonly FormChallenges[];
  readonly z: bigint;
}

const isZero = (value: bigint) => value === 0n;

/** Replays the table of docs/protocol.md section 6, "Transcript". */
export function drawChallenges(
  ids: StatementIds,
  modules: readonly ProvenModule[],
  groups: readonly Group[],
  proof: ReferenceProof,
): Challenges {
  const transcript = new Transcript();
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
  transcript.absorb('groups', words(groups.map((group) => [group.circuit, group.positions.length])));
  const [u, v, t] = ['u', 'v', 't'].map((label) => transcript.challenge(label)) as [bigint, bigint, bigint];
  for (const group of proof.groups) {
    absorb('D', group.d);
    absorb('R', group.r);
    absorb('A', group.a);
    absorb('B', group.b);
    absorb('C', group.c);
  }
  const rho = transcript.challenge('rho');
  for (const group of proof.groups) absorb('S', group.s);
  const kappa = transcript.challenge('kappa');
  const forms = proof.groups.map((group) => drawForm(transcript, group));
  absorb('phi', proof.phi);
  absorb('Q', proof.q);
  const inDomain = (value: bigint) => power(value, BigInt(ids.domainSize)) === 1n;
  const z = transcript.challenge('z', (value) => value === 0n || inDomain(value));
  return { u, v, t, rho, kappa, forms, z };
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
