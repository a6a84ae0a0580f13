import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { TensorProtoSchema } from '../../src/inference/gen/onnx_pb.js';
import { indexGraph, MAX_NAME_LENGTH } from '../../src/inference/graph.js';
import { floats, graph, graphAttribute, node, toyModel } from './builder.js';

const malformed = (message: RegExp) =>
  expect.objectContaining({ code: 'ONNX_MALFORMED', message: expect.stringMatching(message) });

function failure(main: ReturnType<typeof graph>): unknown {
  try {
    indexGraph(main);
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('indexGraph', () => {
  it('counts what subgraphs read as reads of their node', () => {
    const index = indexGraph(toyModel().graph);
    const branch = index.nodes.find(({ proto }) => proto.opType === 'If')!;
    expect([...branch.reads].sort()).toEqual(['/proj/Add_output', 'mixed', 'yes']);
  });

  it('does not count names that a subgraph defines itself', () => {
    const inner = graph({
      inputs: ['step'],
      initializers: [floats('w', [1])],
      nodes: [
        node('Mul', '', ['step', 'w'], ['local']),
        node('Add', '', ['local', 'outer'], ['result']),
        node(
          'If',
          '',
          ['local'],
          ['deep'],
          [
            graphAttribute(
              'then_branch',
              graph({ inputs: [], nodes: [node('Neg', '', ['outer2'], ['n'])], outputs: ['n'] }),
            ),
          ],
        ),
      ],
      outputs: ['result', 'captured_output'],
    });
    const index = indexGraph(
      graph({
        initializers: [floats('outer', [1]), floats('outer2', [1]), floats('captured_output', [1])],
        nodes: [node('Loop', '', ['ids'], ['logits'], [graphAttribute('body', inner)])],
      }),
    );
    expect([...index.nodes[0]!.reads].sort()).toEqual(['captured_output', 'ids', 'outer', 'outer2']);
  });

  it('takes initializers that are listed as inputs for stored values', () => {
    const index = indexGraph(
      graph({
        inputs: ['ids', 'w'],
        initializers: [floats('w', [1])],
        nodes: [node('Add', '', ['ids', 'w'], ['logits'])],
      }),
    );
    expect(index.inputs).toEqual(['ids']);
  });

  it('leaves out optional inputs and outputs', () => {
    const index = indexGraph(graph({ nodes: [node('Clip', '', ['ids', '', 'ids'], ['logits', ''])] }));
    expect(index.nodes[0]).toMatchObject({ reads: ['ids'], writes: ['logits'] });
  });

  const id = (input: string, output: string) => node('Identity', '', [input], [output]);
  it.each([
    [
      'a cycle',
      graph({ nodes: [id('b', 'a'), id('a', 'b'), id('b', 'logits')] }),
      /not sorted or has a cycle/,
    ],
    ['a node that reads itself', graph({ nodes: [id('logits', 'logits')] }), /not sorted or has a cycle/],
    ['an unsorted graph', graph({ nodes: [id('a', 'logits'), id('ids', 'a')] }), /not sorted or has a cycle/],
    ['an undefined value', graph({ nodes: [id('nowhere', 'logits')] }), /"nowhere" that nothing writes/],
    ['an undefined output', graph({ nodes: [id('ids', 'a')] }), /"logits" that nothing writes/],
    [
      'two writers of one value',
      graph({ nodes: [id('ids', 'logits'), id('ids', 'logits')] }),
      /defines .* twice/,
    ],
    [
      'a node that writes an input',
      graph({ nodes: [id('ids', 'ids'), id('ids', 'logits')] }),
      /defines .* twice/,
    ],
    [
      'a node that writes twice',
      graph({ nodes: [node('Split', '', ['ids'], ['logits', 'logits'])] }),
      /twice/,
    ],
    [
      'two initializers of one name',
      graph({ initializers: [floats('w', [1]), floats('w', [1])], nodes: [id('w', 'logits')] }),
      /"w" twice/,
    ],
    [
      'two inputs of one name',
      graph({ inputs: ['ids', 'ids'], nodes: [id('ids', 'logits')] }),
      /"ids" twice/,
    ],
    [
      'an output listed twice',
      graph({ nodes: [id('ids', 'logits')], outputs: ['logits', 'logits'] }),
      /output twice/,
    ],
    ['no output', graph({ nodes: [id('ids', 'logits')], outputs: [] }), /no output/],
    [
      'a nameless initializer',
      graph({ initializers: [floats('', [1])], nodes: [id('ids', 'logits')] }),
      /name is missing/,
    ],
    ['an endless name', graph({ nodes: [id('x'.repeat(MAX_NAME_LENGTH + 1), 'logits')] }), /longer than/],
    [
      'external data in a subgraph',
      graph({
        nodes: [
          node(
            'If',
            '',
            ['ids'],
            ['logits'],
            [
              graphAttribute(
                'then_branch',
                graph({
                  initializers: [
                    create(TensorProtoSchema, {
                      name: 'w',
                      externalData: [{ key: 'location', value: '/etc/passwd' }],
                    }),
                  ],
                  nodes: [id('w', 'logits')],
                }),
              ),
            ],
          ),
        ],
      }),
      /external data inside/,
    ],
    [
      'external data inside an attribute',
      graph({
        nodes: [
          node(
            'Constant',
            '',
            [],
            ['logits'],
            [{ name: 'value', t: { externalData: [{ key: 'location', value: 'x' }] } }],
          ),
        ],
      }),
      /external data/,
    ],
  ])('refuses %s', (_, main, message) => {
    expect(failure(main)).toEqual(malformed(message));
  });

  it('cleans foreign names in messages', () => {
    const error = failure(graph({ nodes: [id(`\u001b[31m${'long'.repeat(100)}\n`, 'logits')] })) as Error;
    expect(error.message).toMatch(/^[\x20-\x7e]+$/);
    expect(error.message.length).toBeLessThan(250);
  });
});
