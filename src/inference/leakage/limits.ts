/** Named maxima of the leakage meter and its ledger, each with its reason. */

/**
 * Bases and rows in memory. 32 inputs of 4096 features at a twelfth of their directions take 440 MB for all users together,
 * and up to 120 MB for each of them.
 */
export const MAX_METER_BYTES = 4 * 2 ** 30;

/** Sessions that one ledger knows of; a digest of each is held in memory, so that no header opens a second one. */
export const MAX_LEDGER_OPENINGS = 2 ** 20;

/**
 * Keys that were refused for what their rows reveal. It depends on the weights: each such refusal tells its user one bit
 * about them, so that their number is bounded. A key asks nothing more after it.
 */
export const MAX_BUDGET_REFUSALS = 1024;

/** One record of a ledger: the rows of one message, and room for what names them. */
export const MAX_LEDGER_RECORD_BYTES = 64 * 2 ** 20 + 2 ** 16;
