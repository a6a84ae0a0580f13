import { bn254 } from '@noble/curves/bn254.js';
import { describe, expect, it } from 'vitest';
import { decodeG2, type G1Point, hashToG1 } from '../../src/algebra/index.js';
import { concatBytes, u32 } from '../../src/bytes.js';
import {
  absorbFinal,
  drawBatch,
  drawFold,
  drawForm,
  drawGroupWeight,
  drawOpening,
  drawPairs,
  drawPoint,
  drawResponse,
  startTranscript,
} from '../../src/protocol/challenges.js';
import { encodeProofFile, type GroupProof, type Proof } from '../../src/protocol/index.js';
import type { Statement } from '../../src/protocol/statement.js';
import { Transcript } from '../../src/protocol/transcript.js';
import { replayChallenges } from '../../src/protocol/verifyEquations.js';
import { bytes32 } from '../reference/bytes.js';
import { drawChallenges } from '../reference/challenges.js';
import { parseProof } from '../reference/proof.js';

/** Everything that is absorbed, and nothing that proves anything. */
interface Absorbed {
  readonly statement: Statement;
  readonly proof: Proof;
}

const known = new Map<string, G1Point>();

/** A point that belongs to a name. */
function g1(name: string): G1Point {
  const point = known.get(name) ?? (hashToG1(`test/${name}`) as G1Point);
  known.set(name, point);
  return point;
}

const g2 = (multiple: bigint) => {
  const { x, y } = bn254.G2.Point.BASE.multiply(multiple).toAffine();
  return decodeG2(Uint8Array.of(...[x.c1, x.c0, y.c1, y.c0].flatMap((c) => [...bytes32(c)])));
};

const groupProof = (g: number): GroupProof => ({
  committed: g1(`D${g}`),
  mask: g1(`R${g}`),
  groth16: { a: g1(`A${g}`), b: g2(BigInt(g + 2)), c: g1(`C${g}`) },
  formValue: BigInt(1000 + g),
  linearForm: {
    mask: g1(`Dr${g}`),
    maskValue: BigInt(2000 + g),
    rounds: Array.from({ length: 5 }, (_, i) => ({ left: g1(`left${g}.${i}`), right: g1(`right${g}.${i}`) })),
    final: BigInt(3000 + g),
  },
});

/** Two groups of two modules each. */
const example = (): Absorbed => ({
  statement: {
    rankCheck: 'groth16',
    parametersId: new Uint8Array(32).fill(1),
    adapterId: new Uint8Array(32).fill(2),
    sessionDigest: new Uint8Array(32).fill(3),
    domainSize: 512,
    tokens: 7,
    modules: [0, 2, 3, 5].map((index) => ({
      index,
      input: index % 2,
      rank: 6 + index,
      inFeatures: 20 + index,
      outFeatures: 30 + index,
      columnOffset: index,
    })),
    groups: [
      { circuit: 15, pairs: 14, members: [0, 1] },
      { circuit: 31, pairs: 20, members: [2, 3] },
    ],
  },
  proof: {
    modules: [0, 2, 3, 5],
    groups: [groupProof(0), groupProof(1)],
    blocks: [],
    sum: {
      runningSum: g1('phi'),
      quotient: g1('Q'),
      shifted: 4000n,
      opening: g1('W'),
      shiftedOpening: g1("W'"),
    },
  },
});

/** Every challenge in the order in which it is drawn, by name. */
function challenges({ statement, proof }: Absorbed): [string, bigint][] {
  const { transcript, challenges: first } = startTranscript(statement);
  const drawn: [string, bigint][] = [
    ['u', first.u],
    ['v', first.v],
    ['t', first.t],
    ['rho', drawForm(transcript, proof.groups)],
    [
      'kappa',
      drawGroupWeight(
        transcript,
        proof.groups.map(({ formValue }) => formValue),
      ),
    ],
  ];
  proof.groups.forEach(({ linearForm }, g) => {
    const { x, c } = drawResponse(transcript, linearForm);
    drawn.push([`x${g}`, x], [`c${g}`, c]);
    linearForm.rounds.forEach(({ left, right }, i) => {
      drawn.push([`fold${g}.${i}`, drawFold(transcript, left, right)]);
    });
    absorbFinal(transcript, linearForm.final);
  });
  drawn.push(['z', drawPoint(transcript, statement.domainSize, proof.sum)]);
  drawOpening(transcript, proof.sum.shifted, []);
  drawn.push(['batch', drawBatch(transcript, proof.sum)]);
  return drawn;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends object ? Mutable<T[K]> : T[K] };
type Edit = (absorbed: Mutable<Absorbed>) => void;

/** Each absorbed item with the first challenge that depends on it and a change of it. */
const items: [item: string, first: string, edit: Edit][] = [
  [
    'parameters',
    'u',
    ({ statement }) => {
      statement.parametersId[31]! ^= 1;
    },
  ],
  [
    'adapter',
    'u',
    ({ statement }) => {
      statement.adapterId[0]! ^= 1;
    },
  ],
  [
    'session',
    'u',
    ({ statement }) => {
      statement.sessionDigest[16]! ^= 128;
    },
  ],
  [
    'N',
    'u',
    ({ statement }) => {
      statement.domainSize = 1024;
    },
  ],
  [
    'T',
    'u',
    ({ statement }) => {
      statement.tokens = 8;
    },
  ],
  [
    'one module less',
    'u',
    ({ statement }) => {
      statement.modules.pop();
    },
  ],
  [
    'one group less',
    'u',
    ({ statement }) => {
      statement.groups.pop();
    },
  ],
  [
    'two modules exchanged',
    'u',
    ({ statement }) => {
      statement.modules.reverse();
    },
  ],
  [
    'one module moved to another group',
    'u',
    ({ statement }) => {
      statement.groups[0]!.members.push(2);
    },
  ],
  [
    'K of a group',
    'u',
    ({ statement }) => {
      statement.groups[1]!.circuit = 63;
    },
  ],
  ...(['index', 'input', 'rank', 'inFeatures', 'outFeatures', 'columnOffset'] as const).flatMap((field) =>
    [0, 3].map((module): [string, string, Edit] => [
      `${field} of module ${module}`,
      'u',
      ({ statement }) => {
        statement.modules[module]![field] += 256;
      },
    ]),
  ),
  ...[0, 1].flatMap((g): [string, string, Edit][] => [
    [
      `D${g}`,
      'rho',
      ({ proof }) => {
        proof.groups[g]!.committed = g1('other');
      },
    ],
    [
      `R${g}`,
      'rho',
      ({ proof }) => {
        proof.groups[g]!.mask = g1('other');
      },
    ],
    [
      `A${g}`,
      'rho',
      ({ proof }) => {
        proof.groups[g]!.groth16.a = g1('other');
      },
    ],
    [
      `B${g}`,
      'rho',
      ({ proof }) => {
        proof.groups[g]!.groth16.b = g2(9n);
      },
    ],
    [
      `C${g}`,
      'rho',
      ({ proof }) => {
        proof.groups[g]!.groth16.c = g1('other');
      },
    ],
    [
      `S${g}`,
      'kappa',
      ({ proof }) => {
        proof.groups[g]!.formValue += 1n;
      },
    ],
    [
      `Dr${g}`,
      `x${g}`,
      ({ proof }) => {
        proof.groups[g]!.linearForm.mask = g1('other');
      },
    ],
    [
      `sr${g}`,
      `x${g}`,
      ({ proof }) => {
        proof.groups[g]!.linearForm.maskValue += 1n;
      },
    ],
    ...[0, 1, 2, 3, 4].flatMap((i): [string, string, Edit][] => [
      [
        `left${g}.${i}`,
        `fold${g}.${i}`,
        ({ proof }) => {
          proof.groups[g]!.linearForm.rounds[i]!.left = g1('other');
        },
      ],
      [
        `right${g}.${i}`,
        `fold${g}.${i}`,
        ({ proof }) => {
          proof.groups[g]!.linearForm.rounds[i]!.right = g1('other');
        },
      ],
      [
        `left and right ${g}.${i} exchanged`,
        `fold${g}.${i}`,
        ({ proof }) => {
          const round = proof.groups[g]!.linearForm.rounds[i]!;
          [round.left, round.right] = [round.right, round.left];
        },
      ],
    ]),
    [
      `final${g}`,
      g === 0 ? 'x1' : 'z',
      ({ proof }) => {
        proof.groups[g]!.linearForm.final += 1n;
      },
    ],
  ]),
  [
    'groups exchanged',
    'rho',
    ({ proof }) => {
      proof.groups.reverse();
    },
  ],
  [
    'phi',
    'z',
    ({ proof }) => {
      proof.sum.runningSum = g1('other');
    },
  ],
  [
    'Q',
    'z',
    ({ proof }) => {
      proof.sum.quotient = g1('other');
    },
  ],
  [
    'e',
    'batch',
    ({ proof }) => {
      proof.sum.shifted += 1n;
    },
  ],
  [
    'W',
    'batch',
    ({ proof }) => {
      proof.sum.opening = g1('other');
    },
  ],
  [
    'Wshifted',
    'batch',
    ({ proof }) => {
      proof.sum.shiftedOpening = g1('other');
    },
  ],
  [
    'W and Wshifted exchanged',
    'batch',
    ({ proof: { sum } }) => {
      [sum.opening, sum.shiftedOpening] = [sum.shiftedOpening, sum.opening];
    },
  ],
];

describe('changing an absorbed item changes every later challenge and no earlier one', () => {
  const before = challenges(example());

  it.each(items)('%s, from %s on', (_, first, edit) => {
    const changed = example();
    edit(changed as unknown as Mutable<Absorbed>);
    const after = new Map(challenges(changed));
    const from = before.findIndex(([name]) => name === first);
    expect(from).toBeGreaterThanOrEqual(0);
    before.forEach(([name, value], i) => {
      if (!after.has(name)) return;
      if (i < from) expect(after.get(name), name).toBe(value);
      else expect(after.get(name), name).not.toBe(value);
    });
  });

  it('all challenges differ from each other', () => {
    expect(new Set(before.map(([, value]) => value)).size).toBe(before.length);
    expect(before).toHaveLength(5 + 2 * 7 + 2);
  });
});

describe('the whole transcript', () => {
  it('is the one of docs/protocol.md', () => {
    const { statement, proof } = example();
    const hex = (id: Uint8Array) => Buffer.from(id).toString('hex');
    const file = encodeProofFile({
      rankCheck: 'groth16',
      parametersId: hex(statement.parametersId),
      adapterId: hex(statement.adapterId),
      sessionDigest: hex(statement.sessionDigest),
      proofs: [proof],
    });
    const groups = statement.groups.map(({ members, ...sizes }) => ({ ...sizes, positions: members }));
    const drawn = drawChallenges(
      { version: 1, ...statement },
      statement.modules,
      groups,
      parseProof(file).proofs[0]!,
    );
    const { u, v, t, rho, kappa, forms, z } = drawn;
    const inOrder = [u, v, t, rho, kappa, ...forms.flatMap(({ x, c, folds }) => [x, c, ...folds]), z];
    expect(challenges({ statement, proof }).map(([, value]) => value)).toEqual([
      ...inOrder,
      expect.anything(),
    ]);
  });

  it('has not changed: vector', () => {
    const vector = challenges(example()).map(([name, value]) => `${name} ${value.toString(16)}`);
    expect(vector).toMatchInlineSnapshot(`
      [
        "u 2d810963b86f1c50eed40ae39d52771af70ff745f553709231f1d9cd85b39a20",
        "v 6aff322cbd2c861258b3e7aa7b0c3c866183c4c083f1ba4336a99917fcdfa5b",
        "t 1f4ddc4a084a0f0aeaceec58933b34d84974f0c4159bf2f370c6984ddfd8d3a6",
        "rho 2a51be998cb281e98b61849089cc72853791de508acdda9eb96b38b93e2f610f",
        "kappa 2a1b66c85a622c8186c37b62627bad1e262b6896874079236348e39fac33d67f",
        "x0 23230bafd353b767cac0ba0bbc60581f2c91c949b0223a4fae47d06e5bc9406f",
        "c0 129d30d68c2f0704ec014957758c509dd19dafead53c39286b66ed70a268eaba",
        "fold0.0 19a7d899ebeb1b1ca6b26aec1eee1666020c6e25179de9efcb1fc9c3988a0ca8",
        "fold0.1 29bb1bcdcb73137239da61e594bbf45e46d692633379ece5c92a1dfd45b34eef",
        "fold0.2 1231e532c451aafa8fb91dd5a2e141ed10671eec8c15df19cfaeb005a92f9876",
        "fold0.3 48a87286f712d58b9d69ff68034f3298758804d6e9ca5595a73840891624dfc",
        "fold0.4 1b086503b23e36620f040fdf68cf6b9dc8f76a270acf2de0a840dd6085db4fb9",
        "x1 13568031275f97d19b919d0fe2b68921e6c121ab47a4d19a9023d3515cb567ca",
        "c1 7cd2cf442c94bd1cc99bff7d88cb35ffb975a923405e738d54965fc87b9fceb",
        "fold1.0 283d08bcc2ab1b09af730c33ca731a6421983525e6d132d1259ff0a413b28e8c",
        "fold1.1 16fb6e57302c737d536d6707a509032c052a5f4105378ac0a86931931db2a0a7",
        "fold1.2 9db18e8fef6f97e1c4f029f2120ad89d257cd9461a8b6b7c187a87a5f7a0434",
        "fold1.3 a2dc892f8ac1b87778ceda7d24ada4872487245df9597f3cc54a33d5c229170",
        "fold1.4 26bc98a5ca15765cc2759bf57102e788a75bd165895f74c88ec233c3eecba67c",
        "z 8d35b52552dd40cb9c927633572492bb57014396658ca5e0268861724d0a392",
        "batch 29e7fe4fb320243cbd0ab707340127c1c8e4b900807c864d3adaf99a48ae9cd7",
      ]
    `);
  });
});

describe('the transcript of version 2', () => {
  /** Two blocks. */
  const ofPairs = (): Absorbed => {
    const { statement, proof } = example();
    return {
      statement: {
        ...statement,
        rankCheck: 'kzg',
        groups: [{ circuit: 0, pairs: 34, members: [0, 1, 2, 3] }],
      },
      proof: {
        ...proof,
        groups: [],
        blocks: [0, 1].map((g) => ({ p: g1(`p${g}`), q: g1(`q${g}`), qAtPoint: BigInt(5000 + g) })),
      },
    };
  };
  const drawn = ({ statement, proof: { blocks, sum } }: Absorbed): Map<string, bigint> => {
    const { transcript, challenges: first } = startTranscript(statement);
    return new Map([
      ...Object.entries(first),
      ['rho', drawPairs(transcript, blocks)],
      ['z', drawPoint(transcript, statement.domainSize, sum)],
      [
        'nu',
        drawOpening(
          transcript,
          sum.shifted,
          blocks.map(({ qAtPoint }) => qAtPoint),
        ),
      ],
      ['batch', drawBatch(transcript, sum)],
    ]);
  };
  const before = drawn(ofPairs());
  const order = ['u', 'v', 't', 'rho', 'z', 'nu', 'batch'];

  it('is the one of docs/protocol.md, and not that of version 1', () => {
    const transcript = new Transcript('zklora/proof/v2');
    const { statement, proof } = ofPairs();
    transcript.absorb('parameters', statement.parametersId);
    transcript.absorb('adapter', statement.adapterId);
    transcript.absorb('session', statement.sessionDigest);
    transcript.absorb('sizes', concatBytes(u32(512), u32(7)));
    const words = statement.modules.flatMap((m) => [
      m.index,
      m.input,
      m.rank,
      m.inFeatures,
      m.outFeatures,
      m.columnOffset,
    ]);
    transcript.absorb('modules', concatBytes(...words.map(u32)));
    transcript.absorb('pairs', u32(34));
    const values = [['u', 'v', 't'].map((label) => transcript.challenge(label))].flat();
    for (const { p, q } of proof.blocks) {
      transcript.absorbPoint('p', p);
      transcript.absorbPoint('q', q);
    }
    values.push(transcript.challenge('rho'));
    transcript.absorbPoint('phi', proof.sum.runningSum);
    transcript.absorbPoint('Q', proof.sum.quotient);
    values.push(transcript.challenge('z'));
    transcript.absorbScalar('e', proof.sum.shifted);
    for (const { qAtPoint } of proof.blocks) transcript.absorbScalar('qz', qAtPoint);
    values.push(transcript.challenge('nu'));
    transcript.absorbPoint('W', proof.sum.opening);
    transcript.absorbPoint('Wshifted', proof.sum.shiftedOpening);
    values.push(transcript.challenge('batch'));
    expect(order.map((name) => before.get(name))).toEqual(values);
    const replayed = replayChallenges(statement, proof);
    expect(replayed).toMatchObject({ ...Object.fromEntries(before), kappa: 1n, groups: [] });
  });

  it('is replayed by the reference from the bytes of the file', () => {
    const { statement, proof } = ofPairs();
    const hex = (id: Uint8Array) => Buffer.from(id).toString('hex');
    const bytes = encodeProofFile({
      rankCheck: 'kzg',
      parametersId: hex(statement.parametersId),
      adapterId: hex(statement.adapterId),
      sessionDigest: hex(statement.sessionDigest),
      proofs: [proof],
    });
    const groups = statement.groups.map(({ members, ...sizes }) => ({ ...sizes, positions: members }));
    const read = parseProof(bytes).proofs[0]!;
    const { kappa, forms, ...challenges } = drawChallenges(
      { version: 2, ...statement },
      statement.modules,
      groups,
      read,
    );
    expect([kappa, forms]).toEqual([1n, []]);
    expect({ ...challenges, batch: expect.any(BigInt) }).toEqual(Object.fromEntries(before));
  });

  it('has not changed: vector', () => {
    const vector = order.map((name) => `${name} ${before.get(name)!.toString(16)}`);
    expect(vector).toMatchInlineSnapshot(`
      [
        "u f81969c9b529dca929fca97b113146299f0246c1c6d87a831aa4d2de2d57cba",
        "v 2cae4a5cc8541a85cddd74d92507c557fef6f2e0fbac7a8bd26ffdef8563dff1",
        "t 14876d9a73d2b30ae93d6af6076c2801cf8124a31f397c21a5e6c5fc21ecfb2f",
        "rho 1f6b4e5fd8c026efa3c3aa4c9034cd694cd776cb915e8640981e9e20831aa97d",
        "z 4d01f8d4b3ea59f96d1c12264c4e3e27e2553b4ef4fae330af097f19d4a3772",
        "nu 2256fc194dbe4a9aff1d6ea65859efcfb230e44c7b4ab46bd82e0405d675c23",
        "batch 17210371189653500969bc2ebe378aad5fe3545f8b89dd74e70d14647553d738",
      ]
    `);
  });

  const OF_THE_SUM = ['phi', 'Q', 'W', 'Wshifted', 'W and Wshifted exchanged'];
  const edits: [item: string, first: string, edit: Edit][] = [
    ...items.filter(([item, first]) => first === 'u' && !/group|circuit/.test(item)),
    ...items.filter(([item]) => OF_THE_SUM.includes(item)),
    [
      'pairs',
      'u',
      ({ statement }) => {
        statement.groups[0]!.pairs += 1;
      },
    ],
    [
      'the rank check',
      'u',
      ({ statement }) => {
        statement.rankCheck = 'groth16';
      },
    ],
    ...[0, 1].flatMap((g): [string, string, Edit][] => [
      [
        `p${g}`,
        'rho',
        ({ proof }) => {
          proof.blocks[g]!.p = g1('other');
        },
      ],
      [
        `q${g}`,
        'rho',
        ({ proof }) => {
          proof.blocks[g]!.q = g1('other');
        },
      ],
      [
        `qz${g}`,
        'nu',
        ({ proof }) => {
          proof.blocks[g]!.qAtPoint += 1n;
        },
      ],
    ]),
    ['blocks exchanged', 'rho', ({ proof }) => void proof.blocks.reverse()],
    ['one block less', 'rho', ({ proof }) => void proof.blocks.pop()],
    [
      'p and q exchanged',
      'rho',
      ({ proof }) => {
        const block = proof.blocks[1]!;
        [block.p, block.q] = [block.q, block.p];
      },
    ],
    [
      'the values of q exchanged',
      'nu',
      ({ proof }) => {
        const [first, second] = proof.blocks;
        [first!.qAtPoint, second!.qAtPoint] = [second!.qAtPoint, first!.qAtPoint];
      },
    ],
    [
      'phi and Q exchanged',
      'z',
      ({ proof: { sum } }) => {
        [sum.runningSum, sum.quotient] = [sum.quotient, sum.runningSum];
      },
    ],
    [
      'e and the value of q exchanged',
      'nu',
      ({ proof: { sum, blocks } }) => {
        [sum.shifted, blocks[0]!.qAtPoint] = [blocks[0]!.qAtPoint, sum.shifted];
      },
    ],
    [
      'e',
      'nu',
      ({ proof }) => {
        proof.sum.shifted += 1n;
      },
    ],
  ];

  it.each(edits)('changes with %s from %s on', (_, first, edit) => {
    const changed = ofPairs();
    edit(changed as unknown as Mutable<Absorbed>);
    const after = drawn(changed);
    for (const [i, name] of order.entries()) {
      if (i < order.indexOf(first)) expect(after.get(name), name).toBe(before.get(name));
      else expect(after.get(name), name).not.toBe(before.get(name));
    }
  });
});
