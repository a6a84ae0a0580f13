import type { AssertedEdge } from './statement.js';
import type { LineageNode } from './vocabulary.js';

/** Why a statement does not count or a lineage does not hold; each cause has its own code. */
export type LineageCode =
  // the file
  | 'wrong-envelope-name'
  | 'malformed-envelope'
  | 'malformed-statement'
  // the signatures
  | 'bad-signature'
  | 'key-unknown'
  | 'key-revoked'
  | 'key-expired'
  | 'key-not-permitted'
  | 'issued-in-future'
  // one statement
  | 'unknown-relation'
  | 'relation-kind-mismatch'
  | 'wrong-subject-digest'
  | 'tensors-mismatch'
  // statements together
  | 'cycle'
  | 'fork'
  | 'missing-parent'
  | 'manifest-conflict'
  | 'manifest-mismatch'
  | 'missing-manifest'
  | 'not-in-ensemble'
  // the adapter's registration
  | 'head-missing'
  | 'head-incomplete'
  | 'base-mismatch'
  | 'not-in-head'
  | 'model-mismatch'
  | 'model-not-exported'
  // the policy
  | 'root-not-allowed'
  | 'too-deep'
  | 'missing-relation'
  | 'forbidden-objective'
  | 'forbidden-licence'
  | 'policy-expired';

/** One reason, in one line. */
export interface LineageReason {
  readonly code: LineageCode;
  readonly message: string;
  /** The node that it is about. */
  readonly node?: LineageNode;
  /** The envelope that it is about. */
  readonly envelope?: string;
}

/** A signer that counts. */
export interface Signer {
  readonly name: string;
  /** Ed25519 public key, hex. */
  readonly key: string;
}

/**
 * One edge of the walk.
 *
 * `verified`: a trusted key signed it and nothing contradicts it. `claimed`: somebody says so, no trusted key does.
 * `refused`: signed, but for the reasons given it does not count.
 */
export interface VerdictEdge {
  readonly subject: LineageNode;
  readonly relation: string;
  readonly parents: readonly LineageNode[];
  readonly status: 'verified' | 'claimed' | 'refused';
  readonly signers: readonly Signer[];
  readonly envelopes: readonly string[];
  readonly step: AssertedEdge['step'];
  /** Whether the tensors of both ends were compared, as the step claims that they are the same. */
  readonly tensorsChecked: boolean;
  readonly reasons: readonly LineageReason[];
}

/** One node of the walk. */
export interface VerdictNode {
  readonly node: LineageNode;
  readonly isRoot: boolean;
  /** From a manifest by a trusted key; null without one. */
  readonly name: string | null;
  readonly role: string | null;
  readonly objective: string | null;
  readonly licence: string | null;
}

/** The verdict over the lineage of one node. */
export interface LineageVerdict {
  readonly valid: boolean;
  readonly subject: LineageNode;
  /** In the order of the walk, the subject first. */
  readonly nodes: readonly VerdictNode[];
  readonly edges: readonly VerdictEdge[];
  /** Why the lineage does not hold; empty exactly when it is valid. */
  readonly failures: readonly LineageReason[];
  /** Files of the store that count for nothing. They never make a lineage invalid: anybody can add files. */
  readonly ignored: readonly LineageReason[];
}
