/** Named maxima of everything about an ensemble that is counted from outside, each with its reason. */

/** ensemble.json of 1024 experts. */
export const MAX_ENSEMBLE_BYTES = 2 ** 20;

/** Values of one sample: a latent of 64 frames of 64 x 64 x 16. */
export const MAX_SAMPLE_VALUES = 2 ** 22;

/** Samples of one run. */
export const MAX_SAMPLES = 4096;

/** Values of all samples of a run, which lie in memory a few times over: 256 MiB in float32. */
export const MAX_RUN_VALUES = 2 ** 26;

/** Euler steps; more than a few hundred change nothing. */
export const MAX_STEPS = 1000;

/** Classes of a condition: ImageNet has 1000. */
export const MAX_CLASSES = 65_536;

/** Guidance weights in use stay below 20. */
export const MAX_GUIDANCE = 100;

/** plan.json: 4096 labels and 1024 adapters. */
export const MAX_PLAN_BYTES = 2 ** 20;

/** trace.json: rows and weights of every call of 4096 samples over 1000 steps would be larger; such runs are split. */
export const MAX_TRACE_BYTES = 64 * 2 ** 20;

/** Values in an ensemble's centroids file. */
export const MAX_CENTROID_VALUES = 2 ** 24;
