import { describe, expect, it } from 'vitest';
import { nearestNames, parseNodeName } from '../../src/inference/moduleNames.js';

describe('parseNodeName', () => {
  it.each([
    ['/transformer/h.0/attn/c_attn/Gemm', ['transformer.h.0.attn.c_attn']],
    ['/model/layers.11/self_attn/q_proj/MatMul', ['model.layers.11.self_attn.q_proj']],
    ['/lm_head/MatMul', ['lm_head']],
    ['/mlp/mlp.0/Gemm', ['mlp.0', 'mlp.mlp.0']],
    ['/mlp/mlp.2/mlp.2.0/MatMul', ['mlp.2.0', 'mlp.mlp.2.mlp.2.0']],
    ['/block/mlp/mlp.0/Gemm', ['block.mlp.0', 'block.mlp.mlp.0']],
    // A scope that only begins like its parent is not a repetition.
    ['/mlp/mlp2/Gemm', ['mlp.mlp2']],
  ])('%s', (name, paths) => {
    expect(parseNodeName(name)?.paths).toEqual(paths);
  });

  it.each(['', 'Gemm_12', '/MatMul', '//MatMul', '/a//MatMul'])('says nothing about %j', (name) => {
    expect(parseNodeName(name)).toBeUndefined();
  });
});

describe('nearestNames', () => {
  it('prefers equal ends, then few edits', () => {
    const known = ['h.0.attn.c_attn', 'h.1.attn.c_attn', 'h.0.attn.c_proj', 'lm_head'];
    expect(nearestNames('transformer.h.0.attn.c_attn', known, 2)).toEqual([
      'h.0.attn.c_attn',
      'h.1.attn.c_attn',
    ]);
    expect(nearestNames('h.0.attn.c_atn', known, 1)).toEqual(['h.0.attn.c_attn']);
    expect(nearestNames('x', [], 3)).toEqual([]);
  });
});
