import type { Revealed } from './inputSpace.js';
import type { LeakageMeter } from './meter.js';

/** Figures of one module. */
export interface ModuleLeakage extends Revealed {
  readonly module: string;
  readonly inFeatures: number;
  readonly rank: number;
  /**
   * More rows until every direction is asked, at the directions per row so far; null before the first question, 0 when all are
   * asked.
   */
  readonly tokensLeft: number | null;
}

/** Figures of an adapter, for one user or for all of them. */
export interface AdapterLeakage {
  readonly modules: readonly ModuleLeakage[];
  /** Largest over the modules: what budgets are held against. */
  readonly counted: number;
  /** ||Delta W P||_F^2 over all modules, each scaled as the model applies it, against the same without P. */
  readonly measured: number;
}

/** @param user public key, hex; everybody without it */
export function adapterLeakage(meter: LeakageMeter, user?: string): AdapterLeakage {
  const modules = meter.modules.map(({ name, inFeatures, rank }, index) => {
    const revealed = meter.revealed(index, user);
    return { module: name, inFeatures, rank, ...revealed, tokensLeft: tokensLeft(revealed, inFeatures) };
  });
  const weights = meter.modules.map(({ total, scale }) => total * scale ** 2);
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  const known = weights.reduce((sum, weight, index) => sum + weight * modules[index]!.measured, 0);
  return {
    modules,
    counted: Math.max(...modules.map(({ counted }) => counted)),
    measured: all === 0 ? 0 : known / all,
  };
}

function tokensLeft({ tokens, directions }: Revealed, inFeatures: number): number | null {
  if (directions === inFeatures) return 0;
  return directions === 0 ? null : Math.ceil(((inFeatures - directions) * tokens) / directions);
}
