import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tensor } from '../../src/adapter/dtype.js';
import type { EnsembleDescription } from '../../src/checkpoint/index.js';
import { digestOf } from './lineageBuilder.js';
import { safetensorsBytes, tensor } from './tensorFiles.js';

/** Tensors of a small DiT expert, with the names of the published ensemble. */
export function expertTensors(seed: number): Map<string, Tensor> {
  return new Map([
    ['blocks.0.attn.in_proj_weight', tensor('F32', [12, 4], seed)],
    ['blocks.0.attn.out_proj.weight', tensor('F32', [4, 4], seed + 1)],
    ['blocks.0.cross_attn.in_proj_weight', tensor('F32', [12, 4], seed + 2)],
    ['blocks.0.mlp.0.weight', tensor('F32', [16, 4], seed + 3)],
    ['blocks.0.mlp.2.weight', tensor('F32', [4, 16], seed + 4)],
  ]);
}

/** The same tensors, two of them under other names: what a conversion of the objective may do. */
export function relabelled(tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map([...tensors].map(([name, each]) => [name.replace('.mlp.', '.feed_forward.'), each]));
}

/**
 * Writes an ensemble of `count` experts: `ddpm/` holds the checkpoints that the even, flow-matching experts were
 * converted from, `ensemble/` the published layout.
 */
export async function writeEnsemble(folder: string, count = 8): Promise<EnsembleDescription> {
  const put = async (path: string, data: Uint8Array | string) => {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), data);
  };
  for (let i = 0; i < count; i++) {
    const original = expertTensors(100 * i);
    const flow = i % 2 === 0;
    if (flow) await put(`ddpm/expert_${i}.safetensors`, safetensorsBytes(original));
    const weights = safetensorsBytes(flow ? relabelled(original) : original);
    await put(`ensemble/expert_${i}/diffusion_pytorch_model.safetensors`, weights);
    await put(
      `ensemble/expert_${i}/config.json`,
      JSON.stringify({ objective: flow ? 'flow_matching' : 'ddpm' }),
    );
  }
  const router = new Map([['head.weight', tensor('F32', [count, 4], 7)]]);
  await put('ensemble/router/pytorch_model.safetensors', safetensorsBytes(router));
  await put('ensemble/router/config.json', '{}');
  await put('ensemble/vae/diffusion_pytorch_model.safetensors', safetensorsBytes(expertTensors(9000)));
  await put('ensemble/text_encoder/model.safetensors', safetensorsBytes(expertTensors(9100)));
  await put('ensemble/tokenizer/vocab.json', '{"a":0}');
  await put('ensemble/model_index.json', '{"_class_name":"DiTPipeline"}');
  await put('ensemble/README.md', '---\nlicense: mit\n---\n');
  const step = {
    tool: 'convert_objective',
    version: '1',
    arguments: ['--to', 'flow-matching'],
    tensorsUnchanged: true,
  };
  const description: EnsembleDescription = {
    format: 'zklora/ensemble-description/v1',
    name: 'tiny paris',
    family: 'dit',
    modality: 'image',
    licence: 'mit',
    experts: Array.from({ length: count }, (_, i) => ({
      objective: i % 2 === 0 ? 'flow-matching' : 'ddpm',
      cluster: { centroidDigest: digestOf(`centroid ${i}`), data: `cluster ${i}` },
      parents:
        i % 2 === 0
          ? [{ relation: 'converted-from', parents: [{ path: `ddpm/expert_${i}.safetensors` }], step }]
          : [],
    })),
    router: { parents: [] },
  };
  await put('describe.json', JSON.stringify(description));
  return description;
}
