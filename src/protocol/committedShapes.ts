import type { AdapterCommitment, QuantizedModule } from '../adapter/types.js';

/** Whether weights have the names, order and sizes of a commitment's modules. */
export function hasCommittedShapes(modules: readonly QuantizedModule[], adapter: AdapterCommitment): boolean {
  return (
    modules.length === adapter.modules.length &&
    adapter.modules.every((committed, i) => {
      const own = modules[i]!;
      return (
        own.name === committed.name &&
        own.rank === committed.rank &&
        own.inFeatures === committed.inFeatures &&
        own.outFeatures === committed.outFeatures
      );
    })
  );
}
