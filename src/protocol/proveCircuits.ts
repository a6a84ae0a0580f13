import { dotVectors, Fr } from '../algebra/index.js';
import { drawForm, drawGroupWeight } from './challenges.js';
import { formVector } from './linearForm.js';
import { proveLinearForm } from './linearFormProve.js';
import type { GroupProof, Proof } from './proof.js';
import { type CommittedGroup, commitGroup, type ProverContext } from './proveGroup.js';
import type { ReducedStatement, ReportStage } from './proveStatement.js';
import { finishSum, prepareSum } from './sumProve.js';

/** Shows the pairs' products by Groth16 over RankCheck, group by group; docs/protocol.md, "Groth16 with committed public inputs". */
export async function proveCircuits(
  context: ProverContext,
  { transcript, space, formMasks, checked, prepareLanes }: ReducedStatement,
  report: ReportStage,
): Promise<Omit<Proof, 'modules'>> {
  const { engine, statement, srs } = context;
  report('groth16');
  const commitGroups = async () => {
    const committed: CommittedGroup[] = [];
    for (const group of statement.groups) {
      committed.push(await commitGroup(context, group, space));
      await checked;
    }
    return committed;
  };
  const [committed, lanesFor] = await Promise.all([commitGroups(), prepareLanes(), checked]);
  const rho = drawForm(
    transcript,
    committed.map(({ points }) => points),
  );
  const forms = statement.groups.map(({ pairs }) => formVector(engine, rho, pairs));
  const formValues = committed.map(({ secrets }, g) => dotVectors(engine, forms[g]!, secrets.witness));
  const kappa = drawGroupWeight(transcript, formValues);

  let formValue = 0n;
  let mask: [bigint, bigint] = [0n, 0n];
  let weight = 1n;
  committed.forEach(({ secrets }, g) => {
    formValue = Fr.add(formValue, Fr.mul(weight, formValues[g]!));
    mask = [0, 1].map((i) => Fr.add(mask[i]!, Fr.mul(weight, secrets.maskCoefficients[i]!))) as [
      bigint,
      bigint,
    ];
    weight = Fr.mul(weight, kappa);
  });
  const lanes = lanesFor(rho, kappa);

  report('linear form');
  const proveForms = async (): Promise<GroupProof[]> => {
    const groups: GroupProof[] = [];
    for (const [g, { secrets, points }] of committed.entries()) {
      const linearForm = await proveLinearForm(
        engine,
        transcript,
        secrets.bases,
        forms[g]!,
        secrets.witness,
        formMasks[g]!,
      );
      groups.push({ ...points, formValue: formValues[g]!, linearForm });
    }
    return groups;
  };
  // the linear forms wait for their transcript at every round: the polynomials, which need none of it, fill the gaps
  const [groups, prepared] = await Promise.all([
    proveForms(),
    prepareSum(engine, srs, lanes, mask, formValue),
  ]);

  report('polynomials');
  const { sum } = await finishSum(engine, srs, transcript, lanes, prepared);
  return { groups, blocks: [], sum };
}
