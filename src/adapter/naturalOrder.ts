/**
 * Orders module paths as people count layers: runs of digits compare as numbers, everything else by UTF-16 code
 * unit, so that `h.2` comes before `h.10`. A total order: equal only for equal strings.
 */
export function compareNatural(a: string, b: string): number {
  const partsA = a.match(PARTS) ?? [];
  const partsB = b.match(PARTS) ?? [];
  for (let i = 0; i < Math.min(partsA.length, partsB.length); i++) {
    const order = compareParts(partsA[i]!, partsB[i]!);
    if (order !== 0) return order;
  }
  return partsA.length - partsB.length || compareText(a, b);
}

const PARTS = /[0-9]+|[^0-9]+/g;

function compareParts(a: string, b: string): number {
  if (!isDigits(a) || !isDigits(b)) return compareText(a, b);
  const digitsA = a.replace(/^0+/, '');
  const digitsB = b.replace(/^0+/, '');
  return digitsA.length - digitsB.length || compareText(digitsA, digitsB);
}

function isDigits(part: string): boolean {
  return part.charAt(0) >= '0' && part.charAt(0) <= '9';
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
