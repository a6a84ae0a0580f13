/** Named maxima of settlement, each with its reason. */
import { MAX_TOTAL_RANK } from '../adapter/limits.js';

/** Rows of one adapter: a row of A and a column of B for each rank. */
export const MAX_SETTLEMENT_ROWS = 2 * MAX_TOTAL_RANK;

/** Depth of a tree over {@link MAX_SETTLEMENT_ROWS} leaves. */
export const MAX_TREE_DEPTH = 17;

/**
 * Entries of the longest row that can be disputed in one transaction: 64 KiB of ciphertext, and less than the 2^24 gas of
 * EIP-7825 in a domain of this size. In a larger domain even shorter rows can cost more.
 */
export const MAX_DISPUTABLE_ENTRIES = 2 ** 15;

/** Shortest reveal or dispute window, seconds: more than two epochs of Ethereum, after which a block is final. */
export const MIN_WINDOW_SECONDS = 30 * 60;

/** Longest window, seconds: money is never locked longer by a slip of the pen. */
export const MAX_WINDOW_SECONDS = 90 * 24 * 60 * 60;

/** Size of an offer or receipt file: some twenty short members. */
export const MAX_OFFER_BYTES = 8192;
