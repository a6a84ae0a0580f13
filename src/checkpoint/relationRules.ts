import type { AssertedEdge } from './statement.js';
import { isRelation } from './vocabulary.js';

/**
 * What is wrong with the kinds and the number of an edge's ends, or null.
 *
 * adapter-of leads from an adapter to a checkpoint, expert-of and router-of from a checkpoint to an ensemble, and
 * every origin relation between nodes of one kind, which is no ensemble: that is what its manifest says it is.
 * Only merged-from has more than one parent.
 */
export function edgeProblem({ subject, relation, parents }: AssertedEdge): string | null {
  if (!isRelation(relation)) return null;
  const many = relation === 'merged-from';
  if (many ? parents.length < 2 : parents.length !== 1) {
    return many ? 'merged-from needs at least two parents' : `${relation} has exactly one parent`;
  }
  if (new Set(parents.map(({ digest }) => digest)).size !== parents.length) return 'a parent is named twice';
  const kinds = parents.map(({ kind }) => kind);
  if (relation === 'adapter-of') {
    return subject.kind === 'adapter' && kinds[0] === 'checkpoint'
      ? null
      : 'adapter-of leads from an adapter to a checkpoint';
  }
  if (relation === 'expert-of' || relation === 'router-of') {
    return subject.kind === 'checkpoint' && kinds[0] === 'ensemble'
      ? null
      : `${relation} leads from a checkpoint to an ensemble`;
  }
  return subject.kind !== 'ensemble' && kinds.every((kind) => kind === subject.kind)
    ? null
    : `${relation} leads between nodes of one kind, checkpoint or adapter`;
}
