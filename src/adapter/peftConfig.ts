import { z } from 'zod';
import { ZkLoraError } from '../errors.js';
import { parseJsonBytes } from '../jsonText.js';
import { MAX_NAME_LENGTH, MAX_RANK, MAX_SCALING, MIN_SCALING } from './limits.js';
import { compilePatternKey, type NameMatcher, parseNamePattern } from './namePattern.js';
import { parseTargets, type Targets, targetFields } from './peftTargets.js';
import { quoted } from './quoted.js';
import { MatchSteps } from './regexProgram.js';

/** What this library needs of `adapter_config.json`. */
export interface PeftConfig {
  readonly baseModelName: string | null;
  readonly rank: number;
  readonly alpha: number;
  readonly useRslora: boolean;
  readonly rankPatterns: readonly PatternValue[];
  readonly alphaPatterns: readonly PatternValue[];
  readonly targets: Targets;
}

interface PatternValue {
  readonly matches: NameMatcher;
  readonly value: number;
}

/** Entries of rank_pattern or alpha_pattern: one for each of at most 4096 modules. */
const MAX_PATTERNS = 4096;
/** Entries that are expressions: each is matched with each module. */
const MAX_EXPRESSIONS = 128;
const MAX_BASE_NAME_LENGTH = 4096;

/** Fields whose use changes what the adapter computes, with the name that users know them by. */
const UNSUPPORTED_FIELDS: Readonly<Record<string, string>> = {
  alora_invocation_tokens: 'activated LoRA (adapter on only after a token sequence)',
  arrow_config: 'Arrow routing',
  enable_lora: 'merged linear layers',
  ensure_weight_tying: 'tied adapter weights',
  layer_replication: 'layer replication',
  loftq_config: 'LoftQ (the base weights are changed too)',
  lora_bias: 'a bias on lora_B',
  megatron_config: 'Megatron parallel layers',
  modules_to_save: 'fully trained modules beside the adapter',
  target_parameters: 'adapted parameters outside linear layers',
  trainable_token_indices: 'trained token embeddings',
  use_bdlora: 'block-diagonal LoRA',
  use_dora: 'DoRA',
  use_qalora: 'QA-LoRA (pooled inputs)',
};

/**
 * Fields that do not change what a saved adapter computes, and those that are read above. The init-method configs
 * matter only with their `init_lora_weights` value.
 */
const NEUTRAL_FIELDS: ReadonlySet<string> = new Set([
  'alpha_pattern',
  'auto_mapping',
  'base_model_name_or_path',
  'bias',
  'corda_config',
  'eva_config',
  'exclude_modules',
  'fan_in_fan_out',
  'inference_mode',
  'init_lora_weights',
  'layers_pattern',
  'layers_to_transform',
  'lora_alpha',
  'lora_dropout',
  'lora_ga_config',
  'megatron_core',
  'peft_type',
  'peft_version',
  'qalora_group_size',
  'r',
  'rank_pattern',
  'revision',
  'runtime_config',
  'target_modules',
  'task_type',
  'use_rslora',
]);

/** Initialisations that leave the base weights alone; the others (PiSSA, OLoRA, CorDA, LoftQ, ...) subtract from them. */
const NEUTRAL_INITIALISATIONS: ReadonlySet<unknown> = new Set([
  undefined,
  null,
  true,
  false,
  'gaussian',
  'eva',
  'orthogonal',
]);

const rank = z.number().int().min(1).max(MAX_RANK);
const alpha = z.number().refine((value) => Number.isFinite(value) && value !== 0);
const schema = z.object({
  base_model_name_or_path: z.string().max(MAX_BASE_NAME_LENGTH).nullish(),
  r: rank,
  lora_alpha: alpha,
  use_rslora: z.boolean().nullish(),
  rank_pattern: z.record(z.string(), rank).nullish(),
  alpha_pattern: z.record(z.string(), alpha).nullish(),
  ...targetFields,
});

const FIELD_RULES: Readonly<Record<string, string>> = {
  base_model_name_or_path: 'must be a string or null',
  r: `must be a rank from 1 to ${MAX_RANK}`,
  lora_alpha: 'must be a number other than 0',
  use_rslora: 'must be true or false',
  rank_pattern: `must map module names to ranks from 1 to ${MAX_RANK}`,
  alpha_pattern: 'must map module names to numbers other than 0',
  target_modules: 'must be a list of names or one expression',
  exclude_modules: 'must be a list of names or one expression',
  layers_to_transform: 'must be a layer number or a list of them',
  layers_pattern: 'must be a name or a list of names',
};

/**
 * Reads PEFT's `adapter_config.json` (huggingface/peft, `LoraConfig`) and refuses, by name, each feature that
 * would make the adapter compute something else than `scaling * B A x` on each adapted linear layer. A field
 * this version does not know is refused unless it is switched off (null, false, or empty).
 *
 * @throws ZkLoraError `ADAPTER_MALFORMED`, `ADAPTER_UNSUPPORTED`
 */
export function parsePeftConfig(bytes: Uint8Array): PeftConfig {
  const value = parseJsonBytes(bytes, 'ADAPTER_MALFORMED', 'adapter_config.json');
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed('it is not a JSON object');
  }
  const fields = value as Record<string, unknown>;
  refuseUnsupported(fields);

  const parsed = schema.safeParse(fields);
  if (!parsed.success) {
    const field = String(parsed.error.issues[0]?.path[0]);
    throw malformed(`${field} ${FIELD_RULES[field] ?? 'is not valid'}`);
  }
  const config = parsed.data;
  const steps = new MatchSteps();
  return {
    baseModelName: config.base_model_name_or_path ?? null,
    rank: config.r,
    alpha: config.lora_alpha,
    useRslora: config.use_rslora ?? false,
    rankPatterns: parsePatterns('rank_pattern', config.rank_pattern ?? {}, steps),
    alphaPatterns: parsePatterns('alpha_pattern', config.alpha_pattern ?? {}, steps),
    targets: parseTargets(config, steps),
  };
}

/**
 * Rank and scaling that the configuration gives to a module: alpha / r, with rsLoRA alpha / sqrt(r)
 * (https://arxiv.org/abs/2312.03732). The first matching pattern wins, separately for rank and alpha.
 *
 * @throws ZkLoraError `ADAPTER_UNSUPPORTED` when the scaling is out of range.
 */
export function moduleSettings(config: PeftConfig, name: string): { rank: number; scaling: number } {
  const rank = config.rankPatterns.find(({ matches }) => matches(name))?.value ?? config.rank;
  const alpha = config.alphaPatterns.find(({ matches }) => matches(name))?.value ?? config.alpha;
  const scaling = alpha / (config.useRslora ? Math.sqrt(rank) : rank);
  if (!(Math.abs(scaling) >= MIN_SCALING && Math.abs(scaling) <= MAX_SCALING)) {
    throw new ZkLoraError(
      'ADAPTER_UNSUPPORTED',
      `lora_alpha of module ${quoted(name)} gives a scaling outside 2^-64 to 2^64; set it to a usual value`,
    );
  }
  return { rank, scaling };
}

function refuseUnsupported(fields: Readonly<Record<string, unknown>>): void {
  const peftType = fields.peft_type;
  if (typeof peftType !== 'string') throw malformed('peft_type is missing');
  if (peftType !== 'LORA') throw unsupported(`peft_type ${quoted(peftType)}`, 'only LORA adapters are');

  for (const [field, value] of Object.entries(fields)) {
    if (NEUTRAL_FIELDS.has(field) || isOff(value)) continue;
    const feature = Object.hasOwn(UNSUPPORTED_FIELDS, field) ? UNSUPPORTED_FIELDS[field] : undefined;
    if (feature !== undefined) throw unsupported(`${field}, ${feature},`, 'train without it');
    throw unsupported(`the field ${quoted(field)}`, 'this version does not know what it changes');
  }
  if (fields.bias !== undefined && fields.bias !== null && fields.bias !== 'none') {
    throw unsupported(`bias other than "none" (trained bias vectors)`, 'train with bias="none"');
  }
  const init = fields.init_lora_weights;
  if (!NEUTRAL_INITIALISATIONS.has(init)) {
    const shown = typeof init === 'string' ? quoted(init) : 'of this form';
    throw unsupported(
      `init_lora_weights ${shown}, which changes the base weights too,`,
      'save with path_initial_model_for_weight_conversion to get an ordinary LoRA',
    );
  }
}

function isOff(value: unknown): boolean {
  if (value === null || value === false || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function parsePatterns(
  field: string,
  patterns: Readonly<Record<string, number>>,
  steps: MatchSteps,
): PatternValue[] {
  const entries = Object.entries(patterns);
  if (entries.length > MAX_PATTERNS) throw malformed(`${field} has more than ${MAX_PATTERNS} entries`);
  const expressions = entries.filter(([key]) => parseNamePattern(key) === null).length;
  if (expressions > MAX_EXPRESSIONS) throw malformed(`${field} has more than ${MAX_EXPRESSIONS} expressions`);
  return entries.map(([key, value]) => {
    if (key.length > MAX_NAME_LENGTH)
      throw malformed(`${field} has a key over ${MAX_NAME_LENGTH} characters`);
    const matches = compilePatternKey(key, steps);
    if (matches === null) {
      throw unsupported(`the pattern ${quoted(key)} in ${field}`, 'list the modules by name instead');
    }
    return { matches, value };
  });
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError(
    'ADAPTER_MALFORMED',
    `adapter_config.json is not usable: ${problem}; save the adapter again with PEFT's save_pretrained`,
  );
}

function unsupported(what: string, advice: string): ZkLoraError {
  return new ZkLoraError(
    'ADAPTER_UNSUPPORTED',
    `${what} in the adapter's configuration is not supported; ${advice}`,
  );
}
