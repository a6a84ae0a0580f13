/** Flags of `zklora serve` while it is measured. */

/** Every load asks far more than a stranger may. */
export const SERVE: readonly string[] = ['--no-meter'];

/** The same with the leakage meter counting. */
export const SERVE_METERED: readonly string[] | undefined = ['--max-revealed', '1'];
