import { compareTensors, isUnchanged } from './compare.js';
import { checkpointDigest, type TensorDigest } from './digest.js';
import { type EdgeEvidence, Evidence } from './evidence.js';
import { type Manifest, manifestDigest } from './manifest.js';
import type { LineagePolicy } from './policy.js';
import { edgeProblem } from './relationRules.js';
import { nodeKey } from './statement.js';
import type { StoredFile } from './store.js';
import type { LineageCode, LineageReason, LineageVerdict, VerdictEdge, VerdictNode } from './verdict.js';
import { type LineageNode, ORIGIN_RELATIONS, type Relation } from './vocabulary.js';

/** What {@link verifyLineage} judges. */
export interface LineageQuestion {
  /** The adapter, or another node, whose lineage is asked for. */
  readonly subject: LineageNode;
  /** Content of a store, see `readStore`. */
  readonly files: readonly StoredFile[];
  readonly policy: LineagePolicy;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Tensors of checkpoints at hand, by the digest that they should have: re-checked, not believed. */
  readonly listings?: ReadonlyMap<string, readonly TensorDigest[]>;
}

/** An edge under construction: statements that agree on relation and parents are one edge. */
interface Edge {
  readonly evidence: EdgeEvidence;
  readonly signers: VerdictEdge['signers'][number][];
  readonly envelopes: string[];
  readonly reasons: LineageReason[];
  claimed: boolean;
  tensorsChecked: boolean;
}

interface Visit {
  readonly node: LineageNode;
  /** Verified edges, and how far they are walked. */
  readonly parents: { readonly node: LineageNode; readonly edge: Edge }[];
  next: number;
}

/**
 * Walks from a node to the roots that the policy allows, and explains every edge on the way.
 *
 * Pure: files, clock and policy come in as values. Only statements by trusted keys count, so files that others add
 * to a store change nothing; docs/lineage.md, "What verify checks", gives the rules.
 *
 * @throws ZkLoraError `LINEAGE_MALFORMED` when the policy names an invalid key
 */
export async function verifyLineage(question: LineageQuestion): Promise<LineageVerdict> {
  return walkLineage(question, await gatherEvidence(question));
}

/** Reads the statements of a question's store, for any number of walks over it. */
export function gatherEvidence({ files, policy, now }: Omit<LineageQuestion, 'subject'>): Promise<Evidence> {
  return Evidence.of(files, policy, now);
}

/** {@link verifyLineage} on statements that are already read. */
export function walkLineage(question: LineageQuestion, evidence: Evidence): LineageVerdict {
  return new Walk(question, evidence).run();
}

class Walk {
  readonly #question: LineageQuestion;
  readonly #evidence: Evidence;
  readonly #roots: ReadonlySet<string>;
  readonly #nodes: VerdictNode[] = [];
  readonly #edges: { readonly subject: LineageNode; readonly edge: Edge }[] = [];
  readonly #declared: VerdictEdge[] = [];
  readonly #failures: LineageReason[] = [];
  /** Longest way from a finished node to a root, in edges. */
  readonly #heights = new Map<string, number>();
  readonly #open = new Set<string>();

  constructor(question: LineageQuestion, evidence: Evidence) {
    this.#question = question;
    this.#evidence = evidence;
    this.#roots = new Set(question.policy.allowedRoots.map(nodeKey));
  }

  run(): LineageVerdict {
    const { subject, policy, now } = this.#question;
    if (policy.expires !== null && Date.parse(policy.expires) <= now) {
      this.#fail('policy-expired', `the policy expired on ${policy.expires}; renew it`);
    }
    this.#walk(subject);
    const height = this.#heights.get(nodeKey(subject)) ?? 0;
    if (height > policy.maximumDepth) {
      this.#fail(
        'too-deep',
        `the lineage is ${height} steps deep, the policy allows ${policy.maximumDepth}`,
        subject,
      );
    }
    const edges = [...this.#edges.map(({ edge }) => finished(edge)), ...this.#declared];
    const verified = new Set(
      edges.filter(({ status }) => status === 'verified').map(({ relation }) => relation),
    );
    for (const relation of policy.requiredRelations) {
      if (verified.has(relation)) continue;
      this.#fail('missing-relation', `the policy requires a verified edge "${relation}", and there is none`);
    }
    return {
      valid: this.#failures.length === 0,
      subject,
      nodes: this.#nodes,
      edges,
      failures: this.#failures,
      ignored: this.#evidence.ignored,
    };
  }

  /** Depth-first with a stack of its own: lineages may be deeper than the call stack. */
  #walk(start: LineageNode): void {
    const stack = [this.#enter(start)];
    for (let visit = stack.at(-1); visit !== undefined; visit = stack.at(-1)) {
      const key = nodeKey(visit.node);
      const parent = visit.parents[visit.next++];
      if (parent === undefined) {
        let height = 0;
        for (const { node } of visit.parents) {
          height = Math.max(height, 1 + (this.#heights.get(nodeKey(node)) ?? 0));
        }
        this.#heights.set(key, height);
        this.#open.delete(key);
        stack.pop();
      } else if (this.#open.has(nodeKey(parent.node))) {
        const message = 'the edge closes a circle of ancestors; one of its statements is false';
        parent.edge.reasons.push(this.#fail('cycle', message, visit.node));
      } else if (!this.#heights.has(nodeKey(parent.node))) {
        stack.push(this.#enter(parent.node));
      }
    }
  }

  /** Judges a node and its edges; returns the parents to walk to. */
  #enter(node: LineageNode): Visit {
    this.#open.add(nodeKey(node));
    const isRoot = this.#roots.has(nodeKey(node));
    const manifest = this.#judgeManifest(node, isRoot);
    this.#nodes.push({
      node,
      isRoot,
      name: manifest?.name ?? null,
      role: manifest?.role ?? null,
      objective: manifest?.objective ?? null,
      licence: manifest?.licence ?? null,
    });
    this.#checkListing(node);
    // what is said about a root changes nothing: the policy itself allows it
    if (isRoot) return { node, parents: [], next: 0 };
    const edges = this.#collectEdges(node);
    const good = edges.filter(isGood);
    this.#checkForks(node, good);
    for (const edge of good) this.#checkEdge(node, edge);
    if (manifest !== null) this.#checkDeclared(manifest, good);
    this.#checkReach(node, edges, manifest);
    const followed = good.filter(isGood);
    return {
      node,
      parents: followed.flatMap((edge) =>
        edge.evidence.edge.parents.map((parent) => ({ node: parent, edge })),
      ),
      next: 0,
    };
  }

  #collectEdges(node: LineageNode): Edge[] {
    const merged = new Map<string, Edge>();
    for (const evidence of this.#evidence.edgesOf(node)) {
      const problem = edgeProblem(evidence.edge);
      const reasons = [...evidence.reasons];
      if (problem !== null) {
        reasons.push({ code: 'relation-kind-mismatch', message: problem, node, envelope: evidence.envelope });
      }
      const counts = reasons.length === 0;
      const key = `${counts}|${edgeKey(evidence.edge)}${counts ? '' : `|${evidence.envelope}`}`;
      const edge = merged.get(key) ?? {
        evidence,
        signers: [],
        envelopes: [],
        reasons,
        claimed: reasons.length > 0 && reasons.every(({ code }) => code === 'key-unknown'),
        tensorsChecked: false,
      };
      merged.set(key, edge);
      edge.envelopes.push(evidence.envelope);
      for (const signer of evidence.signers) {
        if (!edge.signers.some(({ key: known }) => known === signer.key)) edge.signers.push(signer);
      }
      if (counts) this.#compareTensors(node, evidence, edge);
    }
    const edges = [...merged.values()];
    for (const edge of edges) this.#edges.push({ subject: node, edge });
    return edges;
  }

  /** A checkpoint has one origin, an adapter one base; membership in several ensembles is no contradiction. */
  #checkForks(node: LineageNode, good: readonly Edge[]): void {
    const origins = good.filter(({ evidence }) => isOrigin(evidence.edge.relation));
    const bases = good.filter(({ evidence }) => evidence.edge.relation === 'adapter-of');
    for (const group of [origins, bases]) {
      if (group.length < 2) continue;
      const message = `trusted keys disagree where it comes from: ${group.length} different statements; ask them which holds`;
      const reason = this.#fail('fork', message, node);
      for (const edge of group) edge.reasons.push(reason);
    }
  }

  #checkEdge(node: LineageNode, edge: Edge): void {
    const { relation, parents } = edge.evidence.edge;
    if (relation !== 'expert-of' && relation !== 'router-of') return;
    const member = this.#evidence.isMember(parents[0]!, node, relation);
    if (member === null) {
      const message = 'the ensemble has no manifest by a trusted key; add it to the store';
      edge.reasons.push(this.#fail('missing-manifest', message, parents[0]!));
    } else if (!member) {
      const message = `the signed ensemble manifest does not list it as ${relation === 'expert-of' ? 'an expert' : 'the router'}`;
      edge.reasons.push(this.#fail('not-in-ensemble', message, node));
    }
  }

  #compareTensors(node: LineageNode, { edge, envelope }: EdgeEvidence, target: Edge): void {
    if (edge.step?.tensorsUnchanged !== true || edge.parents.length !== 1) return;
    const after = this.#question.listings?.get(node.digest);
    const before = this.#question.listings?.get(edge.parents[0]!.digest);
    if (after === undefined || before === undefined) return;
    target.tensorsChecked = true;
    const comparison = compareTensors(before, after);
    if (isUnchanged(comparison)) return;
    const { changed, added, removed } = comparison;
    const message = `the step claims to copy tensors only, but ${changed.length} changed, ${added.length} were added and ${removed.length} are gone`;
    const reason: LineageReason = { code: 'tensors-mismatch', message, node, envelope };
    this.#failures.push(reason);
    target.reasons.push(reason);
  }

  #checkListing(node: LineageNode): void {
    const listing = node.kind === 'checkpoint' ? this.#question.listings?.get(node.digest) : undefined;
    if (listing === undefined || checkpointDigest(listing) === node.digest) return;
    this.#fail(
      'wrong-subject-digest',
      'the checkpoint at hand has another digest; fetch the right one',
      node,
    );
  }

  #judgeManifest(node: LineageNode, isRoot: boolean): Manifest | null {
    if (node.kind === 'ensemble') return null;
    const { policy } = this.#question;
    const found = this.#evidence.manifestsOf(node);
    const trusted = new Map<string, Manifest>();
    for (const { manifest, signers } of found) {
      if (signers.length > 0) trusted.set(manifestDigest(manifest), manifest);
    }
    if (trusted.size > 1) {
      this.#fail(
        'manifest-conflict',
        `trusted keys signed ${trusted.size} different manifests for it; ask which holds`,
        node,
      );
    }
    const manifest = [...trusted.values()][0] ?? null;
    const restricted = policy.forbiddenObjectives.length + policy.forbiddenLicences.length > 0;
    if (manifest === null) {
      if (isRoot || !(policy.requireManifests || restricted)) return null;
      this.#failures.push(...found.flatMap(({ reasons }) => reasons));
      this.#fail('missing-manifest', 'it has no manifest by a trusted key; add one to the store', node);
      return null;
    }
    const { objective, licence } = manifest;
    if (objective !== null && policy.forbiddenObjectives.includes(objective)) {
      this.#fail('forbidden-objective', `its objective ${objective} is forbidden by the policy`, node);
    }
    const forbidden = policy.forbiddenLicences.map((each) => each.toLowerCase());
    if (forbidden.length > 0 && !isRoot && licence === null) {
      this.#fail(
        'forbidden-licence',
        'it declares no licence, and the policy forbids some; have one declared',
        node,
      );
    } else if (licence !== null && forbidden.includes(licence.toLowerCase())) {
      this.#fail('forbidden-licence', 'its licence is forbidden by the policy', node);
    }
    return manifest;
  }

  /** Parents that the manifest names: the same as signed, or claimed only. */
  #checkDeclared(manifest: Manifest, good: readonly Edge[]): void {
    const subject: LineageNode = { kind: manifest.kind, digest: manifest.digest };
    for (const declared of manifest.parents) {
      const edge = { subject, ...declared };
      const signed = good.filter(({ evidence }) => evidence.edge.relation === declared.relation);
      if (signed.some(({ evidence }) => edgeKey(evidence.edge) === edgeKey(edge))) continue;
      const membership = declared.relation === 'expert-of' || declared.relation === 'router-of';
      if (signed.length > 0 && !membership) {
        this.#fail(
          'manifest-mismatch',
          `its manifest names other parents for "${declared.relation}" than the signed edge`,
          subject,
        );
      }
      this.#declared.push({
        ...edge,
        status: 'claimed',
        signers: [],
        envelopes: [],
        tensorsChecked: false,
        reasons: [],
      });
    }
  }

  /** Whether the node leads on towards a root. */
  #checkReach(node: LineageNode, edges: readonly Edge[], manifest: Manifest | null): void {
    if (node.kind === 'ensemble') {
      // reached over a membership, it is no ancestor; asked for itself, it has to be an allowed root
      if (nodeKey(node) !== nodeKey(this.#question.subject)) return;
      this.#fail('root-not-allowed', 'the policy does not allow this ensemble as a root', node);
      return;
    }
    const leads = edges.filter(isGood).some(({ evidence }) => {
      const { relation, parents } = evidence.edge;
      if (node.kind === 'adapter') return relation === 'adapter-of';
      return isOrigin(relation) || this.#roots.has(nodeKey(parents[0]!));
    });
    if (leads) return;
    const refused = edges.filter((edge) => !isGood(edge)).flatMap(({ reasons }) => reasons);
    const ends = edges.some(isGood) || (manifest !== null && manifest.parents.length === 0);
    if (refused.length > 0) {
      this.#failures.push(...refused.filter((reason) => !this.#failures.includes(reason)));
    } else if (ends && node.kind !== 'adapter') {
      const message = 'the lineage ends here, and the policy does not allow it as a root';
      this.#fail('root-not-allowed', message, node);
    } else {
      const message = 'no statement says where it comes from, and it is no allowed root; add the statement';
      this.#fail('missing-parent', message, node);
    }
  }

  #fail(code: LineageCode, message: string, node?: LineageNode): LineageReason {
    const reason: LineageReason = { code, message, ...(node === undefined ? {} : { node }) };
    this.#failures.push(reason);
    return reason;
  }
}

function isGood({ reasons, signers }: Edge): boolean {
  return signers.length > 0 && reasons.length === 0;
}

function isOrigin(relation: string): boolean {
  return ORIGIN_RELATIONS.has(relation as Relation);
}

/** Relation and parents, whatever the parents' order. */
function edgeKey({ relation, parents }: { relation: string; parents: readonly LineageNode[] }): string {
  return `${relation}|${parents.map(nodeKey).sort().join(',')}`;
}

function finished({ evidence, signers, envelopes, reasons, claimed, tensorsChecked }: Edge): VerdictEdge {
  const { subject, relation, parents, step } = evidence.edge;
  const verified = signers.length > 0 && reasons.length === 0;
  const status = verified ? 'verified' : claimed ? 'claimed' : 'refused';
  return { subject, relation, parents, status, signers, envelopes, step, tensorsChecked, reasons };
}
