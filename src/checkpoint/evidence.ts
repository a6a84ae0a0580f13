import { ZkLoraError } from '../errors.js';
import {
  type Envelope,
  envelopeId,
  isEnvelopeSignedBy,
  parseEnvelope,
  type VerificationKey,
  verificationKey,
} from './dsse.js';
import { ensembleDigest } from './ensembleManifest.js';
import type { Manifest } from './manifest.js';
import { isPermitted, type LineagePolicy, type Permission, type PolicyKey } from './policy.js';
import {
  type AssertedEdge,
  nodeKey,
  parseStatement,
  type Statement,
  statementSubjects,
} from './statement.js';
import type { StoredFile } from './store.js';
import type { LineageCode, LineageReason, Signer } from './verdict.js';
import { isRelation, type LineageNode } from './vocabulary.js';

/** Who stands behind a statement for one permission: signers that count, and why the others do not. */
export interface Support {
  readonly signers: readonly Signer[];
  readonly reasons: readonly LineageReason[];
}

/** Bytes of files whose signatures are under way at a time; {@link FILE_COST} makes that 256 small ones. */
const BATCH_BYTES = 16 * 2 ** 20;
/** What a file counts for besides its bytes: the objects of a signature check. */
const FILE_COST = 2 ** 16;

/** A parsed statement. */
interface Record {
  readonly envelope: Envelope;
  readonly id: string;
  readonly statement: Statement;
  /** Keys of the statement's subjects. */
  readonly subjects: ReadonlySet<string>;
  /** Set once the signatures are checked. */
  checked: Checked;
}

/** Keys of the policy that signed a statement, and what is wrong with its other signatures. */
interface Checked {
  readonly keys: readonly PolicyKey[];
  readonly reasons: readonly LineageReason[];
}

/** One edge as one statement asserts it. */
export interface EdgeEvidence extends Support {
  readonly edge: AssertedEdge;
  readonly envelope: string;
}

/** One manifest of a node as one statement gives it. */
export interface ManifestEvidence extends Support {
  readonly manifest: Manifest;
  readonly envelope: string;
}

interface EdgePlace {
  readonly record: Record;
  readonly edge: AssertedEdge;
}

interface ManifestPlace {
  readonly record: Record;
  readonly manifest: Manifest;
}

/** All statements of a store, by the node that they are about. */
export class Evidence {
  /** Files that could not be read as statements. */
  readonly ignored: LineageReason[] = [];
  readonly #policy: LineagePolicy;
  readonly #now: number;
  readonly #keys = new Map<string, { key: PolicyKey; verify: VerificationKey }>();
  readonly #edges = new Map<string, EdgePlace[]>();
  readonly #manifests = new Map<string, ManifestPlace[]>();
  /** Members of an ensemble, by ensemble: node keys of experts and routers. */
  readonly #ensembles = new Map<string, { record: Record; experts: Set<string>; router: string }[]>();

  private constructor(policy: LineagePolicy, now: number) {
    this.#policy = policy;
    this.#now = now;
    for (const key of policy.keys) this.#keys.set(key.key, { key, verify: verificationKey(key.key) });
  }

  /**
   * Reads the files of a store and checks their signatures.
   *
   * @param now milliseconds since 1970
   * @throws ZkLoraError `LINEAGE_MALFORMED` when the policy names an invalid key
   */
  static async of(files: readonly StoredFile[], policy: LineagePolicy, now: number): Promise<Evidence> {
    const evidence = new Evidence(policy, now);
    // one batch is parsed here while the thread pool checks the one before
    let underWay: Promise<unknown> = Promise.resolve();
    for (let at = 0; at < files.length; ) {
      const checks: Promise<void>[] = [];
      for (let cost = 0; at < files.length && cost < BATCH_BYTES; at++) {
        const file = files[at]!;
        cost += file.bytes.length + FILE_COST;
        const record = evidence.#read(file);
        if (record !== null) checks.push(evidence.#check(record));
      }
      await underWay;
      underWay = Promise.all(checks);
    }
    await underWay;
    return evidence;
  }

  /** What statements say about the parents of a node. */
  edgesOf(node: LineageNode): EdgeEvidence[] {
    return (this.#edges.get(nodeKey(node)) ?? []).map(({ record, edge }) => {
      const about = { node, envelope: record.id };
      if (!isRelation(edge.relation)) {
        const message = 'the relation is none that this version knows; update, or have it signed again';
        return {
          edge,
          envelope: record.id,
          signers: [],
          reasons: [{ code: 'unknown-relation', message, ...about }],
        };
      }
      if (!record.subjects.has(nodeKey(edge.subject))) {
        const message =
          'the edge is about a digest that is no subject of its statement; have it signed again';
        return {
          edge,
          envelope: record.id,
          signers: [],
          reasons: [{ code: 'wrong-subject-digest', message, ...about }],
        };
      }
      return { edge, envelope: record.id, ...this.#support(record, edge.relation, node) };
    });
  }

  /** Manifests of a node, those inside ensemble manifests included. */
  manifestsOf(node: LineageNode): ManifestEvidence[] {
    return (this.#manifests.get(nodeKey(node)) ?? []).map(({ record, manifest }) => {
      const envelope = record.id;
      if (nodeKey(manifest) !== nodeKey(node)) {
        const message = 'the manifest describes another digest than its statement; have it signed again';
        return {
          manifest,
          envelope,
          signers: [],
          reasons: [{ code: 'wrong-subject-digest', message, node, envelope }],
        };
      }
      return { manifest, envelope, ...this.#support(record, 'manifest', node) };
    });
  }

  /** Whether a trusted manifest of the ensemble lists the member; null without such a manifest. */
  isMember(ensemble: LineageNode, member: LineageNode, relation: 'expert-of' | 'router-of'): boolean | null {
    const known = this.#ensembles.get(nodeKey(ensemble)) ?? [];
    const trusted = known.filter(
      ({ record }) => this.#support(record, 'manifest', ensemble).signers.length > 0,
    );
    if (trusted.length === 0) return null;
    const key = nodeKey(member);
    return trusted.every(({ experts, router }) =>
      relation === 'expert-of' ? experts.has(key) : router === key,
    );
  }

  #read({ id, bytes }: StoredFile): Record | null {
    if (envelopeId(bytes) !== id) {
      this.#ignore('wrong-envelope-name', 'the file does not hold what its name says; fetch it again', id);
      return null;
    }
    let envelope: Envelope;
    try {
      envelope = parseEnvelope(bytes);
    } catch (error) {
      this.#ignore('malformed-envelope', messageOf(error), id);
      return null;
    }
    let statement: Statement;
    try {
      statement = parseStatement(envelope.payload);
    } catch (error) {
      this.#ignore('malformed-statement', messageOf(error), id);
      return null;
    }
    const subjects = new Set(statementSubjects(statement).map(nodeKey));
    const record: Record = { envelope, id, statement, subjects, checked: { keys: [], reasons: [] } };
    this.#index(record);
    return record;
  }

  #index(record: Record): void {
    const { statement } = record;
    const subjects = statementSubjects(statement);
    if ('edges' in statement.predicate) {
      for (const edge of statement.predicate.edges)
        push(this.#edges, nodeKey(edge.subject), { record, edge });
      return;
    }
    const subject = subjects[0]!;
    if ('manifest' in statement.predicate) {
      push(this.#manifests, nodeKey(subject), { record, manifest: statement.predicate.manifest });
      return;
    }
    const { ensemble } = statement.predicate;
    if (subject.kind !== 'ensemble' || ensembleDigest(ensemble) !== subject.digest) {
      this.#ignore(
        'wrong-subject-digest',
        'the ensemble manifest has another digest than its statement says',
        record.id,
      );
      return;
    }
    for (const manifest of [...ensemble.experts, ensemble.router]) {
      push(this.#manifests, nodeKey(manifest), { record, manifest });
    }
    push(this.#ensembles, nodeKey(subject), {
      record,
      experts: new Set(ensemble.experts.map(nodeKey)),
      router: nodeKey(ensemble.router),
    });
  }

  #support(record: Record, permission: Permission, node: LineageNode): Support {
    const { keys, reasons } = record.checked;
    const permitted = keys.filter((key) => isPermitted(this.#policy, key, permission));
    if (permitted.length > 0) {
      return { signers: permitted.map(({ name, key }) => ({ name, key })), reasons: [] };
    }
    const about = { node, envelope: record.id };
    const refused = keys.map((key): LineageReason => {
      const message = `the key of ${key.name} may not sign "${permission}"; change its roles in the policy or have another key sign`;
      return { code: 'key-not-permitted', message, ...about };
    });
    return { signers: [], reasons: [...reasons.map((reason) => ({ ...reason, node })), ...refused] };
  }

  async #check(record: Record): Promise<void> {
    const { envelope, id, statement } = record;
    const keys: PolicyKey[] = [];
    const reasons: LineageReason[] = [];
    const refuse = (code: LineageCode, message: string) => reasons.push({ code, message, envelope: id });
    const early = Date.parse(statement.predicate.issuedAt) > this.#now;
    for (const { keyid, signature } of envelope.signatures) {
      const known = this.#keys.get(keyid);
      if (known === undefined) {
        refuse('key-unknown', `the policy does not name the key ${keyid.slice(0, 16)}...; a claim only`);
      } else if (known.key.revoked) {
        refuse(
          'key-revoked',
          `the key of ${known.key.name} is revoked; have the statement signed by another key`,
        );
      } else if (known.key.expires !== null && Date.parse(known.key.expires) <= this.#now) {
        refuse(
          'key-expired',
          `the key of ${known.key.name} expired on ${known.key.expires}; have it signed again`,
        );
      } else if (early) {
        refuse('issued-in-future', 'the statement is dated in the future; check the clocks');
      } else if (!(await isEnvelopeSignedBy(envelope, signature, known.verify))) {
        refuse('bad-signature', `the signature of ${known.key.name} does not fit; fetch the statement again`);
      } else if (!keys.includes(known.key)) keys.push(known.key);
    }
    record.checked = { keys, reasons };
  }

  #ignore(code: LineageCode, message: string, envelope: string): void {
    this.ignored.push({ code, message, envelope });
  }
}

function messageOf(error: unknown): string {
  if (error instanceof ZkLoraError) return error.message;
  throw error;
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
