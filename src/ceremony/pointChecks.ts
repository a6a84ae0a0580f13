import type { Engine } from '../algebra/index.js';
import { areInSubgroup, firstInvalidPoint } from '../algebra/pointBatch.js';
import type { GroupName } from '../algebra/points.js';

/**
 * Refuses points with a coordinate not below Q, off the curve or, in G2, outside the subgroup.
 *
 * @param points affine, in ffjavascript's form
 * @param refuse makes the error
 */
export async function requirePoints(
  engine: Engine,
  group: GroupName,
  points: Uint8Array,
  identity: 'allowed' | 'refused',
  refuse: (reason: string) => Error,
): Promise<void> {
  const invalid = firstInvalidPoint(engine, group, points, identity);
  if (invalid !== null) throw refuse(`point ${invalid} is no point of ${group}`);
  if (group === 'G2' && !(await areInSubgroup(engine, points))) {
    throw refuse('a point lies outside the subgroup of G2');
  }
}
