import { adapterId } from '../adapter/commitment.js';
import type { AdapterCommitment } from '../adapter/types.js';
import { checkpointDigest, type TensorDigest } from './digest.js';
import { envelopeId } from './dsse.js';
import type { Evidence } from './evidence.js';
import { type LineageHead, lineageHeadDigest } from './lineageHead.js';
import { nodeKey } from './statement.js';
import type { StoredFile } from './store.js';
import type { LineageCode, LineageReason, LineageVerdict, VerdictEdge } from './verdict.js';
import { gatherEvidence, type LineageQuestion, walkLineage } from './verifyLineage.js';
import type { LineageNode } from './vocabulary.js';

/** The ONNX model that a session ran on, as it lies at hand. */
export interface ModelAtHand {
  /** Digest as in commitments, hex; see `baseModelDigest`. */
  readonly sha256: string;
  readonly tensors: readonly TensorDigest[];
}

/** What {@link verifyAdapterLineage} judges. */
export interface AdapterLineageQuestion extends Omit<LineageQuestion, 'subject'> {
  /** The pinned commitment. */
  readonly adapter: AdapterCommitment;
  /** The head that the commitment names, from the store; undefined when the store has none. */
  readonly head: LineageHead | undefined;
  /** Checked when it is given. */
  readonly model?: ModelAtHand;
}

/** A verdict over the lineage that an adapter commitment is bound to. */
export interface AdapterLineageVerdict extends LineageVerdict {
  /** Whether a model was at hand and compared with the head; without it nothing is known about the file of a session. */
  readonly modelChecked: boolean;
}

/**
 * Judges the lineage that an adapter commitment is bound to: `verifyLineage` from the adapter id, that the
 * statements it rests on are those that the commitment's lineage digest covers, and that none of these was withheld.
 *
 * docs/lineage.md, "Bound to the proof".
 *
 * @throws ZkLoraError `LINEAGE_MALFORMED` when the policy names an invalid key
 */
export async function verifyAdapterLineage(question: AdapterLineageQuestion): Promise<AdapterLineageVerdict> {
  const { adapter, head, model, ...rest } = question;
  const subject: LineageNode = { kind: 'adapter', digest: adapterId(adapter) };
  const evidence = await gatherEvidence(rest);
  const verdict = walkLineage({ ...rest, subject }, evidence);
  const failures = [...verdict.failures];
  const bound = head !== undefined && lineageHeadDigest(head) === adapter.lineageDigest ? head : undefined;
  if (bound === undefined) {
    failures.push(
      reason(
        'head-missing',
        /^0+$/.test(adapter.lineageDigest)
          ? 'the adapter was registered without a lineage; have it registered with one'
          : 'the store does not hold the lineage head that the adapter was registered with; add it',
        subject,
      ),
    );
  } else {
    failures.push(...withheld(bound, question.files, subject));
    failures.push(...outsideHead(verdict, subject, bound));
    if (model !== undefined) failures.push(...notTheModel(question, evidence, model, bound));
  }
  const modelChecked = bound !== undefined && model !== undefined;
  return { ...verdict, valid: failures.length === 0, failures, modelChecked };
}

/** The store holds everything that the head lists: a fork or an ensemble's manifest left out could make it look whole. */
function withheld(head: LineageHead, files: readonly StoredFile[], subject: LineageNode): LineageReason[] {
  // by content: a file under another name counts for nothing in the walk
  const held = new Set(files.filter(({ id, bytes }) => envelopeId(bytes) === id).map(({ id }) => id));
  const missing = head.envelopes.filter((id) => !held.has(id));
  if (missing.length === 0) return [];
  const message = `the store lacks ${missing.length} of the ${head.envelopes.length} statements that the head lists; add them`;
  return [{ ...reason('head-incomplete', message, subject), envelope: missing[0]! }];
}

/** The base is the head's, and each other edge has a statement that the head covers. */
function outsideHead({ edges }: LineageVerdict, subject: LineageNode, head: LineageHead): LineageReason[] {
  const covered = new Set(head.envelopes);
  return edges.filter(isVerified).flatMap((edge) => {
    if (nodeKey(edge.subject) === nodeKey(subject)) {
      if (edge.relation !== 'adapter-of' || edge.parents[0]?.digest === head.base) return [];
      const message = 'it is signed as an adapter of another checkpoint than the one it was registered for';
      return [reason('base-mismatch', message, edge.parents[0])];
    }
    if (edge.subject.kind === 'adapter' || edge.envelopes.some((id) => covered.has(id))) return [];
    const message = 'the statement came after the registration: the lineage head does not cover it';
    return [reason('not-in-head', message, edge.subject)];
  });
}

/** The model is the registered file, and holds the base's weights: itself, or exported from it by a trusted key's word. */
function notTheModel(
  question: AdapterLineageQuestion,
  evidence: Evidence,
  model: ModelAtHand,
  head: LineageHead,
): LineageReason[] {
  const { adapter, head: _, model: __, ...rest } = question;
  const node: LineageNode = { kind: 'checkpoint', digest: checkpointDigest(model.tensors) };
  if (model.sha256 !== adapter.baseDigest) {
    return [reason('model-mismatch', 'the model is not the file that the adapter was registered for', node)];
  }
  if (node.digest === head.base) return [];
  const { edges } = walkLineage({ ...rest, subject: node }, evidence);
  const exported = edges.some(
    (edge) =>
      isVerified(edge) &&
      nodeKey(edge.subject) === nodeKey(node) &&
      edge.relation === 'exported-from' &&
      edge.parents[0]?.digest === head.base,
  );
  if (exported) return [];
  const message =
    'no trusted key says that the model was exported from the base checkpoint; add the statement';
  return [reason('model-not-exported', message, node)];
}

function isVerified({ status }: VerdictEdge): boolean {
  return status === 'verified';
}

function reason(code: LineageCode, message: string, node?: LineageNode): LineageReason {
  return { code, message, ...(node === undefined ? {} : { node }) };
}
