/**
 * Column offsets for the A rows of an adapter, so that modules with different inputs share a lane of the evaluation
 * domain: their rows stand at disjoint places. docs/protocol.md, "Lanes".
 *
 * First-fit decreasing: wide inputs first, each in the first lane with room. Any other placement inside the domain is
 * as sound; this one needs at most 11/9 of the fewest lanes and one more (Yue,
 * 1991).
 *
 * @param widths inFeatures of each module, each at most `domainSize`
 * @param inputs module indices by input that they read; modules named nowhere have an input of their own
 * @returns offset of each module: modules of one input have the same
 */
export function placeColumns(
  widths: readonly number[],
  domainSize: number,
  inputs: readonly (readonly number[])[],
): number[] {
  const shared = new Set(inputs.flat());
  const alone = widths.flatMap((_, module) => (shared.has(module) ? [] : [[module]]));
  const groups = [...inputs, ...alone].map((modules) => ({
    modules,
    width: Math.max(...modules.map((module) => widths[module]!)),
  }));
  groups.sort((a, b) => b.width - a.width || a.modules[0]! - b.modules[0]!);
  const filled: number[] = [];
  const offsets = new Array<number>(widths.length).fill(0);
  for (const { modules, width } of groups) {
    const found = filled.findIndex((fill) => fill + width <= domainSize);
    const lane = found === -1 ? filled.length : found;
    const offset = filled[lane] ?? 0;
    filled[lane] = offset + width;
    for (const module of modules) offsets[module] = offset;
  }
  return offsets;
}
