/**
 * First block that is not before a moment, found through a few headers. Looks back from the head in steps that double:
 * what settlement looks for is near it.
 *
 * @param timestamp seconds
 * @param head number of the newest block
 * @param timestampOf of a block, seconds; it does not fall from block to block, and several blocks may have the same
 * @returns `head` + 1 when every block is before the moment
 */
export async function firstBlockSince(
  timestamp: bigint,
  head: bigint,
  timestampOf: (block: bigint) => Promise<bigint>,
): Promise<bigint> {
  let low = 0n;
  let high = head + 1n;
  for (let step = 1n; step <= head + 1n; step *= 2n) {
    const block = head + 1n - step;
    if ((await timestampOf(block)) < timestamp) {
      low = block + 1n;
      break;
    }
    high = block;
  }
  while (low < high) {
    const middle = (low + high) / 2n;
    if ((await timestampOf(middle)) < timestamp) low = middle + 1n;
    else high = middle;
  }
  return low;
}
