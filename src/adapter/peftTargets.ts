import { z } from 'zod';
import { ZkLoraError } from '../errors.js';
import { compileRegex } from './boundedRegex.js';
import { MAX_MODULES, MAX_NAME_LENGTH } from './limits.js';
import type { NameMatcher } from './namePattern.js';
import { quoted } from './quoted.js';
import type { MatchSteps } from './regexProgram.js';

/** Names in one list: "all-linear" is saved as the path of every linear layer. */
const MAX_TARGETS = 4 * MAX_MODULES;
/** Characters of an expression. */
const MAX_EXPRESSION = 4096;
/** What PEFT replaces by the linear layers of the model; saved only by programs that write the file themselves. */
const ALL_LINEAR = 'all-linear';

const names = z.array(z.string().max(MAX_NAME_LENGTH)).max(MAX_TARGETS);
const layer = z.number().int().min(0);

/** Fields of `adapter_config.json` that say which modules are adapted. */
export const targetFields = {
  target_modules: z.union([names, z.string().max(MAX_EXPRESSION)]).nullish(),
  exclude_modules: z.union([names, z.string().max(MAX_EXPRESSION)]).nullish(),
  layers_to_transform: z.union([layer, z.array(layer).max(MAX_TARGETS)]).nullish(),
  layers_pattern: z.union([z.string().max(MAX_NAME_LENGTH), names]).nullish(),
};

type TargetFields = z.infer<z.ZodObject<typeof targetFields>>;

/** Which modules a configuration adapts. */
export interface Targets {
  readonly isTargeted: NameMatcher;
  /** Entries of the lists that name none of the given modules: of target_modules, and layers as `layer 3`. */
  readonly unused: (modules: readonly string[]) => string[];
}

/**
 * Reads PEFT's rule (peft/tuners/tuners_utils.py, `check_target_module_exists`): a list names whole paths or their ends,
 * a string is an expression for the whole path, exclude_modules wins, and layers_to_transform keeps the
 * modules under a numbered layer. Of two numbers in a path PEFT takes the last one up to 0.17 and the first one later: here
 * either may be listed.
 *
 * @param steps see {@link compileRegex}
 * @throws ZkLoraError `ADAPTER_UNSUPPORTED` for an expression that is not taken
 */
export function parseTargets(fields: TargetFields, steps?: MatchSteps): Targets {
  const target = fields.target_modules ?? null;
  const named = nameMatcher('target_modules', target, steps);
  const excluded = nameMatcher('exclude_modules', fields.exclude_modules ?? null, steps);
  const layers = layerNumbers(fields.layers_to_transform ?? []);
  const above = layerNames(fields.layers_pattern ?? []);
  const isTargeted = (name: string): boolean => {
    if (excluded?.(name)) return false;
    if (named !== undefined && !named(name)) return false;
    if (layers.size === 0 || !Array.isArray(target) || target.includes(name)) return true;
    return numbersOf(name, above).some((number) => layers.has(number));
  };
  const unused = (modules: readonly string[]): string[] => {
    const list = Array.isArray(target) ? target : [];
    const idle = list.filter((entry) => !excluded?.(entry) && !modules.some((name) => endsIn(name, entry)));
    const used = new Set(modules.flatMap((name) => numbersOf(name, above)));
    return [...idle, ...[...layers].filter((number) => !used.has(number)).map((number) => `layer ${number}`)];
  };
  return { isTargeted, unused };
}

function nameMatcher(
  field: string,
  value: string | readonly string[] | null,
  steps: MatchSteps | undefined,
): NameMatcher | undefined {
  if (value === null || value.length === 0) return undefined;
  if (typeof value !== 'string') {
    const whole = new Set(value);
    // every end of the name that begins behind a dot
    return (name) => {
      for (let at = 0; at !== -1; at = name.indexOf('.', at + 1)) {
        if (whole.has(at === 0 ? name : name.slice(at + 1))) return true;
      }
      return false;
    };
  }
  if (value.toLowerCase() === ALL_LINEAR) return undefined;
  const matches = compileRegex(value, true, steps);
  if (matches === null) {
    throw new ZkLoraError(
      'ADAPTER_UNSUPPORTED',
      `the expression ${quoted(value)} in ${field} of the adapter's configuration is not supported; list the modules by name instead`,
    );
  }
  return matches;
}

function endsIn(name: string, entry: string): boolean {
  return name === entry || name.endsWith(`.${entry}`);
}

function layerNumbers(value: number | readonly number[]): ReadonlySet<number> {
  return new Set(typeof value === 'number' ? [value] : value);
}

function layerNames(value: string | readonly string[]): ReadonlySet<string> {
  const list = (typeof value === 'string' ? [value] : value).filter((name) => name !== '');
  const odd = list.find((name) => !/^[A-Za-z0-9_-]+$/.test(name));
  if (odd !== undefined) {
    throw new ZkLoraError(
      'ADAPTER_UNSUPPORTED',
      `the name ${quoted(odd)} in layers_pattern of the adapter's configuration is not supported; give the name of one part of a path`,
    );
  }
  return new Set(list);
}

/**
 * Numbered parts of a path that stand before another part and behind one called so; without names, behind any part but
 * the first, as in PEFT.
 */
function numbersOf(name: string, above: ReadonlySet<string>): number[] {
  const parts = name.split('.');
  return parts.flatMap((part, i) => {
    const inside = i < parts.length - 1 && /^[0-9]{1,9}$/.test(part);
    const counts = above.size === 0 ? i > 1 : i > 0 && above.has(parts[i - 1]!);
    return inside && counts ? [Number(part)] : [];
  });
}
