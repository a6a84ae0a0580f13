import { type G1Point, g1Generator, randomScalar } from '../../../src/algebra/index.js';
import { parseBinFile } from '../../../src/circuit/binfile.js';
import { inverse, mod } from '../../reference/field.js';
import { combine, pointsOf } from './points.js';
import { type GroupRun, proveProducts, type Run } from './prover.js';

/** sum_l p_l q_l - claim */
export function excess({ p, q, claim }: GroupRun): bigint {
  return mod(p.reduce((sum, value, l) => sum + value * q[l]!, 0n) - claim);
}

/** Changes p_l so that the products add up to the claim: a witness for Groth16, but not the committed weights'. */
export function fitProducts(group: GroupRun, l = 0): void {
  group.p[l] = mod(group.p[l]! - excess(group) * inverse(group.q[l]!));
}

/** A Groth16 proof of what p and q really give, whatever the session claims. */
export async function proveTrueProducts({ setting }: Run, group: GroupRun): Promise<void> {
  group.groth16 = await proveProducts(setting, group, { y: mod(group.claim + excess(group)) });
}

/** Section 2 of a .zkey: n8q | q | n8r | r | nVars | nPublic | domainSize | alpha1 | beta1 | beta2 | gamma2 | delta1. */
const HEADER_SECTION = 2;
const DELTA_OFFSET = 2 * (4 + 32) + 12 + 2 * 64 + 2 * 128;

/** delta in G1, from the proving key. */
export async function deltaInG1({ setting }: Run, { key }: GroupRun): Promise<G1Point> {
  const sections = parseBinFile(await setting.parameters.zkey(key.pairs), 'zkey', 1, 'PARAMETERS_MALFORMED');
  return sections.get(HEADER_SECTION)!.slice(DELTA_OFFSET, DELTA_OFFSET + 64) as G1Point;
}

/**
 * A Groth16 proof of any claim, for nobody's witness: A = alpha, B = beta, C = d G and
 * D = -IC_0 - claim IC_1 - d delta. It satisfies (2), and nobody knows an opening of D in IC_2...
 */
export async function forgeCommitment(run: Run, group: GroupRun): Promise<void> {
  const { engine } = run.setting;
  const { alpha, beta, ic } = group.key;
  const [constant, y] = pointsOf(ic);
  const d = randomScalar();
  group.d = await combine(engine, [
    [-1n, constant!],
    [-group.claim, y!],
    [-d, await deltaInG1(run, group)],
  ]);
  group.groth16 = { a: alpha, b: beta, c: await combine(engine, [[d, g1Generator(engine)]]) };
}

/** A step that treats each group alike. */
export function each(act: (run: Run, group: GroupRun) => void | Promise<void>): (run: Run) => Promise<void> {
  return async (run) => {
    for (const group of run.groups) await act(run, group);
  };
}
