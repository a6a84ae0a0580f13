import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { moduleSettings, parsePeftConfig } from '../../src/adapter/peftConfig.js';
import { accepts, refusal } from './refusal.js';

/** As PEFT 0.17 saves a plain LoRA. */
const PLAIN = {
  alpha_pattern: {},
  auto_mapping: null,
  base_model_name_or_path: 'gpt2',
  bias: 'none',
  corda_config: null,
  eva_config: null,
  exclude_modules: null,
  fan_in_fan_out: true,
  inference_mode: true,
  init_lora_weights: true,
  layer_replication: null,
  layers_pattern: null,
  layers_to_transform: null,
  loftq_config: {},
  lora_alpha: 16,
  lora_bias: false,
  lora_dropout: 0.05,
  megatron_config: null,
  megatron_core: 'megatron.core',
  modules_to_save: null,
  peft_type: 'LORA',
  qalora_group_size: 16,
  r: 8,
  rank_pattern: {},
  revision: null,
  target_modules: ['c_attn'],
  target_parameters: null,
  task_type: 'CAUSAL_LM',
  trainable_token_indices: null,
  use_dora: false,
  use_qalora: false,
  use_rslora: false,
};

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const parse = (change: object) => parsePeftConfig(encode({ ...PLAIN, ...change }));

describe('parsePeftConfig', () => {
  it('reads what PEFT saves', () => {
    expect(parse({})).toEqual({
      baseModelName: 'gpt2',
      rank: 8,
      alpha: 16,
      useRslora: false,
      rankPatterns: [],
      alphaPatterns: [],
      targets: expect.anything(),
    });
  });

  it('reads the few fields of old versions', () => {
    const old = {
      peft_type: 'LORA',
      r: 4,
      lora_alpha: 1,
      bias: 'none',
      enable_lora: null,
      merge_weights: false,
    };
    expect(parsePeftConfig(encode(old))).toMatchObject({ baseModelName: null, rank: 4, alpha: 1 });
  });

  it.each([
    [{ use_dora: true }, 'use_dora'],
    [{ modules_to_save: ['lm_head'] }, 'modules_to_save'],
    [{ bias: 'all' }, 'bias'],
    [{ bias: 'lora_only' }, 'bias'],
    [{ lora_bias: true }, 'lora_bias'],
    [{ init_lora_weights: 'loftq' }, 'init_lora_weights "loftq"'],
    [{ init_lora_weights: 'pissa' }, 'init_lora_weights "pissa"'],
    [{ init_lora_weights: 'pissa_niter_16' }, 'init_lora_weights "pissa_niter_16"'],
    [{ init_lora_weights: 'olora' }, 'init_lora_weights "olora"'],
    [{ init_lora_weights: 'corda' }, 'init_lora_weights "corda"'],
    [{ init_lora_weights: 'lora_ga' }, 'init_lora_weights "lora_ga"'],
    [{ init_lora_weights: 'future' }, 'init_lora_weights "future"'],
    [{ init_lora_weights: 7 }, 'init_lora_weights'],
    [{ loftq_config: { loftq_bits: 4 } }, 'loftq_config'],
    [{ target_parameters: ['experts.w'] }, 'target_parameters'],
    [{ trainable_token_indices: [1, 2] }, 'trainable_token_indices'],
    [{ megatron_config: { a: 1 } }, 'megatron_config'],
    [{ use_qalora: true }, 'use_qalora'],
    [{ alora_invocation_tokens: [5] }, 'alora_invocation_tokens'],
    [{ arrow_config: { top_k: 3 } }, 'arrow_config'],
    [{ use_bdlora: { nblocks: 2 } }, 'use_bdlora'],
    [{ layer_replication: [[0, 4]] }, 'layer_replication'],
    [{ ensure_weight_tying: true }, 'ensure_weight_tying'],
    [{ enable_lora: [true, false] }, 'enable_lora'],
    [{ peft_type: 'ADALORA' }, 'peft_type "ADALORA"'],
    [{ some_later_feature: 1 }, 'some_later_feature'],
    [{ toString: 'x' }, 'toString'],
    [{ rank_pattern: { '(a)\\1': 4 } }, 'in rank_pattern'],
    [{ rank_pattern: { '7': 4 } }, 'the pattern "7" in rank_pattern'],
    [{ alpha_pattern: { '(?<=a)b': 4 } }, 'in alpha_pattern'],
    [{ target_modules: '(?i)q' }, 'the expression "(?i)q" in target_modules'],
  ])('refuses %j by name', (change, feature) => {
    const error = refusal(() => parse(change));
    expect(error.code).toBe('ADAPTER_UNSUPPORTED');
    expect(error.message).toContain(feature);
  });

  it.each([
    [{ init_lora_weights: 'gaussian' }],
    [{ init_lora_weights: false }],
    [{ init_lora_weights: 'eva', eva_config: { rho: 2 } }],
    [{ init_lora_weights: 'orthogonal' }],
    [{ target_modules: '.*(q|v)_proj$', exclude_modules: ['x'] }],
    [{ target_modules: 'all-linear', layers_to_transform: [1], peft_version: '0.18.0' }],
    [{ some_later_feature: null, another: false, third: {}, fourth: [] }],
    [{ corda_config: { x: 1 }, runtime_config: { ephemeral_gpu_offload: false } }],
  ])('takes %j', (change) => {
    expect(parse(change).rank).toBe(8);
  });

  it.each([
    [{ r: 0 }, 'r must be'],
    [{ r: -1 }, 'r must be'],
    [{ r: 2.5 }, 'r must be'],
    [{ r: 4096 }, 'r must be'],
    [{ r: '8' }, 'r must be'],
    [{ r: null }, 'r must be'],
    [{ lora_alpha: 0 }, 'lora_alpha must be'],
    [{ lora_alpha: '16' }, 'lora_alpha must be'],
    [{ lora_alpha: null }, 'lora_alpha must be'],
    [{ use_rslora: 1 }, 'use_rslora must be'],
    [{ rank_pattern: { q: 0 } }, 'rank_pattern must'],
    [{ rank_pattern: [3] }, 'rank_pattern must'],
    [
      { rank_pattern: Object.fromEntries(Array.from({ length: 129 }, (_, i) => [`q${i}.*`, 1])) },
      'rank_pattern has more than 128 expressions',
    ],
    [{ target_modules: 3 }, 'target_modules must'],
    [{ target_modules: [3] }, 'target_modules must'],
    [{ exclude_modules: {} }, 'exclude_modules must'],
    [{ layers_to_transform: -1 }, 'layers_to_transform must'],
    [{ layers_pattern: 3 }, 'layers_pattern must'],
    [{ alpha_pattern: { q: null } }, 'alpha_pattern must'],
    [{ alpha_pattern: { ['q'.repeat(257)]: 1 } }, 'alpha_pattern has a key'],
    [{ base_model_name_or_path: 3 }, 'base_model_name_or_path must'],
    [{ peft_type: undefined }, 'peft_type is missing'],
  ])('refuses %j with a sentence', (change, message) => {
    const error = refusal(() => parse(change));
    expect(error.code).toBe('ADAPTER_MALFORMED');
    expect(error.message).toContain(message);
  });

  it.each([['null'], ['[]'], ['3'], ['{"r":NaN}'], ['{"r":1,"r":2}'], ['']])('refuses %s', (text) => {
    expect(refusal(() => parsePeftConfig(new TextEncoder().encode(text))).code).toBe('ADAPTER_MALFORMED');
  });

  it('answers any JSON object with a value or one of two codes', () => {
    const value = fc.jsonValue({ maxDepth: 2 });
    const change = fc.dictionary(fc.constantFrom(...Object.keys(PLAIN), 'x'), value, { maxKeys: 3 });
    fc.assert(
      fc.property(change, (fields) => {
        try {
          parse(fields);
        } catch (error) {
          const unsupported = (error as { code?: string }).code === 'ADAPTER_UNSUPPORTED';
          if (!unsupported) accepts('ADAPTER_MALFORMED', () => parse(fields));
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('moduleSettings', () => {
  it('divides alpha by r, or by its square root for rsLoRA', () => {
    expect(moduleSettings(parse({}), 'h.0.q')).toEqual({ rank: 8, scaling: 2 });
    expect(moduleSettings(parse({ use_rslora: true, r: 16 }), 'h.0.q')).toEqual({ rank: 16, scaling: 4 });
  });

  it('takes the first pattern that matches, rank and alpha apart', () => {
    const config = parse({
      rank_pattern: { '0.q': 4, q: 2, '^h.9.k': 1, '[x-z](1|2)': 3 },
      alpha_pattern: { k: 3, '1.q': 5 },
    });
    expect(moduleSettings(config, 'h.0.q')).toEqual({ rank: 4, scaling: 16 / 4 });
    expect(moduleSettings(config, 'h.1.q')).toEqual({ rank: 2, scaling: 5 / 2 });
    expect(moduleSettings(config, 'h.9.k')).toEqual({ rank: 1, scaling: 3 });
    expect(moduleSettings(config, 'model.h.9.k')).toEqual({ rank: 8, scaling: 3 / 8 });
    expect(moduleSettings(config, 'h.0.v')).toEqual({ rank: 8, scaling: 2 });
    expect(moduleSettings(config, 'h.z2')).toEqual({ rank: 3, scaling: 16 / 3 });
    expect(moduleSettings(config, 'h.az2')).toEqual({ rank: 8, scaling: 2 });
  });

  it('refuses expressions that take for ever with its modules, and then all others', () => {
    let nested = `${'.*'.repeat(100)}b`;
    for (let depth = 0; depth < 10; depth += 1) nested = `${'.*'.repeat(100)}(?!${nested})`;
    const config = parse({ target_modules: nested, rank_pattern: { '[q]': 4 } });
    expect(moduleSettings(config, 'q').rank).toBe(4);
    const names = Array.from({ length: 64 }, (_, i) => `${'a'.repeat(250)}.${i}`);
    expect(refusal(() => names.map(config.targets.isTargeted)).code).toBe('ADAPTER_UNSUPPORTED');
    expect(refusal(() => moduleSettings(config, 'q')).code).toBe('ADAPTER_UNSUPPORTED');
  });

  it('refuses a scaling that leaves the range of deltas', () => {
    for (const lora_alpha of [1e300, -1e300, 5e-324]) {
      expect(refusal(() => moduleSettings(parse({ lora_alpha }), 'q')).code).toBe('ADAPTER_UNSUPPORTED');
    }
    expect(moduleSettings(parse({ lora_alpha: -8 }), 'q').scaling).toBe(-1);
  });
});
