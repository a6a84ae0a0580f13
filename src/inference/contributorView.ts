import { ZkLoraError } from '../errors.js';
import { printable } from './graph.js';
import type { CutModel } from './graphModel.js';
import type { StageInput } from './stageRunner.js';
import type { ModuleShape } from './targets.js';

/**
 * Modules of several adapters, each once, in the order in which they first appear.
 *
 * @throws ZkLoraError `SHAPE_MISMATCH` for a module that two adapters give different shapes.
 */
export function unionModules(adapters: readonly (readonly ModuleShape[])[]): ModuleShape[] {
  const union = new Map<string, ModuleShape>();
  for (const { name, inFeatures, outFeatures } of adapters.flat()) {
    const known = union.get(name);
    if (known === undefined) union.set(name, { name, inFeatures, outFeatures });
    else if (known.inFeatures !== inFeatures || known.outFeatures !== outFeatures) {
      throw new ZkLoraError(
        'SHAPE_MISMATCH',
        `two adapters disagree about the shape of module ${printable(name)}; they are for different base models`,
      );
    }
  }
  return [...union.values()];
}

/** What one contributor sees of a model that was cut for the adapters of several. */
export interface ContributorView {
  /** As if the model had been cut for this contributor's modules alone. */
  readonly model: CutModel;
  /** Its own number of a stage of the whole model; undefined where it is not asked. */
  ownStage(stage: number): number | undefined;
  /** Its part of a stage's inputs, by its own input numbers. */
  ownInputs(inputs: readonly StageInput[]): StageInput[];
  /** Index of an own module in the whole model. */
  readonly unionModule: readonly number[];
}

/**
 * @param union cut for all modules of `modules` at least
 * @param modules of the contributor's adapter, in its order
 */
export function viewOf(union: CutModel, modules: readonly ModuleShape[]): ContributorView {
  const indices = new Map(union.modules.map(({ name }, index) => [name, index]));
  const unionModule = modules.map(({ name }) => {
    const index = indices.get(name);
    if (index === undefined)
      throw new ZkLoraError('INTERNAL', "the model was not opened for a set's modules");
    return index;
  });
  const own = new Map(unionModule.map((index, module) => [index, module]));
  // a session's header wants inputs ordered by their first module
  const groups = union.inputs
    .map((users, input) => ({ input, users: users.flatMap((index) => own.get(index) ?? []) }))
    .map(({ input, users }) => ({ input, users: users.sort((a, b) => a - b) }))
    .filter(({ users }) => users.length > 0)
    .sort((a, b) => a.users[0]! - b.users[0]!);
  const ownInput = new Map(groups.map(({ input }, index) => [input, index]));
  const stages: number[][] = [];
  const stageNumbers = new Map<number, number>();
  for (const [stage, asked] of union.stages.entries()) {
    const inputs = asked.flatMap((input) => ownInput.get(input) ?? []);
    if (inputs.length === 0) continue;
    stageNumbers.set(stage, stages.length);
    stages.push(inputs.sort((a, b) => a - b));
  }
  const { digest, feeds } = union;
  return {
    model: { digest, feeds, modules, inputs: groups.map(({ users }) => users), stages },
    ownStage: (stage) => stageNumbers.get(stage),
    ownInputs: (inputs) =>
      inputs
        .flatMap(({ input, ...rest }) => {
          const index = ownInput.get(input);
          return index === undefined ? [] : { ...rest, input: index };
        })
        .sort((a, b) => a.input - b.input),
    unionModule,
  };
}
