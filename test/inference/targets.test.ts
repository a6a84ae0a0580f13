import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  AttributeProto_AttributeType as AttributeType,
  StringStringEntryProtoSchema,
} from '../../src/inference/gen/onnx_pb.js';
import { indexGraph } from '../../src/inference/graph.js';
import { findTargets, type ModuleShape } from '../../src/inference/targets.js';
import { floats, graph, intAttribute, node, toyModel, toyModules } from './builder.js';

function targets(main: ReturnType<typeof graph>, modules: ModuleShape[]) {
  return findTargets(indexGraph(main), modules);
}

function failure(main: ReturnType<typeof graph>, modules: ModuleShape[]): unknown {
  try {
    targets(main, modules);
  } catch (error) {
    return error;
  }
  return undefined;
}

const error = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

/** One projection with the given weight and attributes. */
function single(
  op: string,
  dims: number[],
  attributes: ReturnType<typeof intAttribute>[] = [],
  name = `/fc/${op}`,
) {
  return graph({
    initializers: [floats('w', dims)],
    nodes: [node('Cast', '', ['ids'], ['x']), node(op, name, ['x', 'w'], ['logits'], attributes)],
  });
}

describe('findTargets', () => {
  it('finds MatMul with and without bias, through shared weights', () => {
    const found = targets(toyModel().graph, toyModules(['attn.v', 'proj', 'head']));
    expect(found.map(({ module, input, output }) => [module, input, output])).toEqual([
      [0, 'x', 'v'],
      [1, 'mixed', '/proj/Add_output'],
      [2, 'after', 'logits'],
    ]);
  });

  it.each([
    ['Gemm', [4, 7], [], 4, 7],
    ['Gemm', [7, 4], [intAttribute('transB', 1)], 4, 7],
    ['MatMul', [4, 7], [], 4, 7],
  ] as const)('reads the features of %s with weight %j', (op, dims, attributes, inFeatures, outFeatures) => {
    const main = single(op, [...dims], [...attributes]);
    expect(targets(main, [{ name: 'fc', inFeatures, outFeatures }])).toHaveLength(1);
    expect(failure(main, [{ name: 'fc', inFeatures: outFeatures, outFeatures: inFeatures }])).toEqual(
      error('SHAPE_MISMATCH', /maps 4 to 7 features in the base model but 7 to 4/),
    );
  });

  it('follows weights through Constant, Transpose and Cast', () => {
    const main = graph({
      nodes: [
        node('Cast', '', ['ids'], ['x']),
        node('Constant', '', [], ['c'], [{ name: 'value', t: floats('', [7, 4]) }]),
        node('Cast', '', ['c'], ['cc']),
        node('Transpose', '', ['cc'], ['w'], [{ name: 'perm', ints: [1n, 0n] }]),
        node('MatMul', '/fc/MatMul', ['x', 'w'], ['logits']),
      ],
    });
    expect(targets(main, [{ name: 'fc', inFeatures: 4, outFeatures: 7 }])).toHaveLength(1);
  });

  const floatAttribute = (name: string, f: number) => ({ name, type: AttributeType.FLOAT, f });

  it('takes a Gemm with any beta, and refuses a factor on its product, a turned input and a weight on the left', () => {
    const fc = [{ name: 'fc', inFeatures: 4, outFeatures: 4 }];
    const gemm = (...attributes: ReturnType<typeof floatAttribute>[]) =>
      graph({
        initializers: [floats('w', [4, 4])],
        nodes: [
          node('Cast', '', ['ids'], ['x']),
          node('Gemm', '/fc/Gemm', ['x', 'w'], ['logits'], attributes),
        ],
      });
    expect(targets(gemm(floatAttribute('alpha', 1), floatAttribute('beta', 2)), fc)).toHaveLength(1);
    const refused = error('BASE_MODEL_MISMATCH', /"fc" of the base model computes with "Gemm".* alpha 1$/);
    expect(failure(gemm(floatAttribute('alpha', 2)), fc)).toEqual(refused);
    expect(failure(single('Gemm', [4, 4], [intAttribute('transA', 1)]), fc)).toEqual(refused);
    const left = graph({
      initializers: [floats('w', [4, 4])],
      nodes: [node('Cast', '', ['ids'], ['x']), node('MatMul', '/fc/MatMul', ['w', 'x'], ['logits'])],
    });
    expect(failure(left, fc)).toEqual(error('BASE_MODEL_MISMATCH', /"fc" of the base model computes with/));
  });

  /** A node as torch.export's exporter writes it. */
  const scoped = (op: string, scopes: string, input: string[], output: string[]) => {
    const made = node(op, `node_${output[0]}`, input, output);
    made.metadataProps.push(
      create(StringStringEntryProtoSchema, { key: 'pkg.torch.onnx.name_scopes', value: scopes }),
    );
    return made;
  };

  it('reads the modules of torch.export graphs from metadata, with the bias of the same call', () => {
    const main = graph({
      initializers: [floats('w', [4, 4]), floats('b', [4]), floats('w2', [4, 4])],
      nodes: [
        node('Cast', '', ['ids'], ['x']),
        scoped('MatMul', "['', 'm', 'm.layers.0', 'm.layers.0.fc', 'linear']", ['x', 'w'], ['p']),
        scoped('Add', "['', 'm', 'm.layers.0', 'm.layers.0.fc', 'linear']", ['p', 'b'], ['y']),
        scoped('MatMul', "['', 'm', 'm.layers.1', 'm.layers.1.fc', 'linear_1']", ['y', 'w2'], ['logits']),
      ],
    });
    const of = (...names: string[]) => names.map((name) => ({ name, inFeatures: 4, outFeatures: 4 }));
    expect(targets(main, of('m.layers.0.fc')).map(({ output }) => output)).toEqual(['y']);
    // a wrapper around the adapted model: one prefix for all modules
    expect(targets(main, of('layers.0.fc', 'layers.1.fc')).map(({ output }) => output)).toEqual([
      'y',
      'logits',
    ]);
    expect(failure(main, of('fc'))).toEqual(error('MODULE_NOT_FOUND', /no module "fc"/));
    expect(failure(main, of('layers.0.fc', 'm.layers.1.fc'))).toEqual(
      error('MODULE_NOT_FOUND', /"layers.0.fc"/),
    );
  });

  it('refuses a module of a torch.export graph that runs twice', () => {
    const main = graph({
      initializers: [floats('w', [4, 4])],
      nodes: [
        node('Cast', '', ['ids'], ['x']),
        scoped('MatMul', "['', 'fc', 'linear']", ['x', 'w'], ['y']),
        scoped('MatMul', "['', 'fc', 'linear_1']", ['y', 'w'], ['logits']),
      ],
    });
    expect(failure(main, [{ name: 'fc', inFeatures: 4, outFeatures: 4 }])).toEqual(
      error('BASE_MODEL_MISMATCH', /more than once/),
    );
  });

  it('takes no module from metadata that is no list of paths', () => {
    for (const scopes of ['', "['']", "['', 'linear']", 'x'.repeat(20_000)]) {
      const main = graph({
        initializers: [floats('w', [4, 4])],
        nodes: [node('Cast', '', ['ids'], ['x']), scoped('MatMul', scopes, ['x', 'w'], ['logits'])],
      });
      expect(failure(main, [{ name: 'fc', inFeatures: 4, outFeatures: 4 }])).toEqual(
        error('MODULE_NOT_FOUND', /no module names/),
      );
    }
  });

  it('lists near names when a module is missing', () => {
    const missing = failure(toyModel().graph, toyModules(['attn.o', 'proj']));
    expect(missing).toEqual(error('MODULE_NOT_FOUND', /no module "attn\.o" \(near: "attn\.[qkv]"/));
    expect(missing).toMatchObject({ details: { missing: 1, module: 'attn.o' } });
    expect(
      failure(single('Gemm', [4, 7], [], 'Gemm_0'), [{ name: 'fc', inFeatures: 4, outFeatures: 7 }]),
    ).toEqual(error('MODULE_NOT_FOUND', /no module names: export it/));
  });

  it('does not take a product of activations for a module', () => {
    const main = graph({
      nodes: [node('Cast', '', ['ids'], ['x']), node('MatMul', '/attn/MatMul', ['x', 'x'], ['logits'])],
    });
    expect(failure(main, [{ name: 'attn', inFeatures: 4, outFeatures: 4 }])).toEqual(
      error('BASE_MODEL_MISMATCH', /"attn" of the base model computes with "MatMul"/),
    );
  });

  it('refuses a target name that two nodes carry', () => {
    const main = graph({
      initializers: [floats('w', [4, 4]), floats('other', [4, 4], new Float32Array(16).fill(2))],
      nodes: [
        node('Cast', '', ['ids'], ['x']),
        node('MatMul', '/fc/MatMul', ['x', 'w'], ['a']),
        node('MatMul', '/fc/MatMul', ['a', 'other'], ['logits']),
      ],
    });
    expect(failure(main, [{ name: 'fc', inFeatures: 4, outFeatures: 4 }])).toEqual(
      error('ONNX_MALFORMED', /two nodes/),
    );
  });

  it('refuses a module that runs twice, but not a sibling with a number', () => {
    const twice = (second: string) =>
      graph({
        initializers: [floats('w', [4, 4]), floats('other', [4, 4], new Float32Array(16).fill(2))],
        nodes: [
          node('Cast', '', ['ids'], ['x']),
          node('MatMul', '/fc/MatMul', ['x', 'w'], ['a']),
          node('MatMul', '/fc_1/MatMul', ['a', second], ['logits']),
        ],
      });
    const module = { name: 'fc', inFeatures: 4, outFeatures: 4 };
    expect(failure(twice('w'), [module])).toEqual(error('BASE_MODEL_MISMATCH', /more than once/));
    expect(targets(twice('other'), [module])).toHaveLength(1);
  });

  it('refuses one module named twice by the adapter', () => {
    expect(failure(toyModel().graph, toyModules(['proj', 'proj']))).toEqual(
      error('ADAPTER_MALFORMED', /twice/),
    );
  });

  it('leaves the bias alone when the product is read elsewhere too', () => {
    const main = graph({
      initializers: [floats('w', [4, 4]), floats('b', [4])],
      nodes: [
        node('Cast', '', ['ids'], ['x']),
        node('MatMul', '/fc/MatMul', ['x', 'w'], ['y']),
        node('Add', '/fc/Add', ['y', 'b'], ['z']),
        node('Add', '/Add', ['y', 'z'], ['logits']),
      ],
    });
    expect(targets(main, [{ name: 'fc', inFeatures: 4, outFeatures: 4 }])[0]!.output).toBe('y');
  });
});
