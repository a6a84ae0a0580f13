import { describe, expect, it } from 'vitest';
import { parseTargets } from '../../src/adapter/peftTargets.js';
import { refusal } from './refusal.js';

const targeted = (fields: Parameters<typeof parseTargets>[0], name: string) =>
  parseTargets(fields).isTargeted(name);

describe('parseTargets', () => {
  it.each<[Parameters<typeof parseTargets>[0], string, boolean]>([
    [{}, 'any.thing', true],
    [{ target_modules: [] }, 'any.thing', true],
    [{ target_modules: 'all-linear' }, 'any.thing', true],
    [{ target_modules: 'All-Linear', exclude_modules: ['thing'] }, 'any.thing', false],
    [{ target_modules: ['q'] }, 'h.0.q', true],
    [{ target_modules: ['q'] }, 'h.0.xq', false],
    [{ target_modules: ['0.q'] }, 'h.0.q', true],
    [{ target_modules: ['h.0.q'] }, 'h.0.q', true],
    [{ target_modules: ['h.0'] }, 'h.0.q', false],
    [{ target_modules: '.*q' }, 'h.0.q', true],
    [{ target_modules: 'q' }, 'h.0.q', false],
    [{ target_modules: '.*q', exclude_modules: String.raw`h\.0\..*` }, 'h.0.q', false],
    [{ target_modules: ['q'], layers_to_transform: [1, 3] }, 'm.h.3.q', true],
    [{ target_modules: ['q'], layers_to_transform: [1, 3] }, 'm.h.2.q', false],
    [{ target_modules: ['q'], layers_to_transform: 2 }, 'm.h.2.q', true],
    [{ target_modules: ['q'], layers_to_transform: 2 }, 'h.2.q', false],
    [{ target_modules: ['q'], layers_to_transform: 2, layers_pattern: 'h' }, 'h.2.q', true],
    [{ target_modules: ['q'], layers_to_transform: 2, layers_pattern: ['x', 'g'] }, 'm.h.2.q', false],
    [{ target_modules: ['q'], layers_to_transform: 2 }, 'q', true],
    [{ target_modules: ['q'], layers_to_transform: [] }, 'm.h.2.q', true],
    [{ target_modules: '.*q', layers_to_transform: 2 }, 'm.h.1.q', true],
    // the layer in PEFT 0.18 and later, the expert before
    [{ target_modules: ['q'], layers_to_transform: 1 }, 'm.layers.1.experts.0.q', true],
    [{ target_modules: ['q'], layers_to_transform: 0 }, 'm.layers.1.experts.0.q', true],
    [{ target_modules: ['q'], layers_to_transform: 5 }, 'm.layers.1.experts.0.q', false],
  ])('%j on %s: %s', (fields, name, expected) => {
    expect(targeted(fields, name)).toBe(expected);
  });

  it('lists names and layers that no module has, but not excluded ones', () => {
    const fields = {
      target_modules: ['q', 'k', 'lm_head'],
      exclude_modules: ['lm_head'],
      layers_to_transform: [0, 7],
    };
    expect(parseTargets(fields).unused(['m.h.0.q'])).toEqual(['k', 'layer 7']);
    expect(parseTargets({ target_modules: '.*q' }).unused(['v'])).toEqual([]);
  });

  it.each<[Parameters<typeof parseTargets>[0], string]>([
    [{ target_modules: String.raw`(q)\1` }, 'in target_modules'],
    [{ exclude_modules: '(?<=a)q' }, 'in exclude_modules'],
    [{ target_modules: ['q'], layers_to_transform: 1, layers_pattern: 'h.*' }, 'in layers_pattern'],
  ])('refuses %j by name', (fields, message) => {
    const error = refusal(() => parseTargets(fields));
    expect(error.code).toBe('ADAPTER_UNSUPPORTED');
    expect(error.message).toContain(message);
  });
});
