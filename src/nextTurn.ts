/**
 * Lets other work of this thread have its turn.
 *
 * The platform's own means under Node, without an import: bundlers for browsers find no Node module in the verifier.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if ('setImmediate' in globalThis) setImmediate(resolve);
    else setTimeout(resolve, 0);
  });
}
