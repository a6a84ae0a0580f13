/** One element of a proof file. */
export interface ProofSpan {
  /** As docs/formats.md names it, with the group or block, and the round, where there are several. */
  readonly name: string;
  readonly kind: 'count' | 'id' | 'scalar' | 'g1' | 'g2';
  readonly offset: number;
  readonly length: number;
}

/** Elements of proof.zkl with their offsets (docs/formats.md, "Proof"); the file must be well formed. */
export function proofLayout(file: Uint8Array): ProofSpan[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const spans: ProofSpan[] = [];
  let at = 0;
  const take = (name: string, kind: ProofSpan['kind'], length: number) => {
    spans.push({ name, kind, offset: at, length });
    at += length;
  };
  const version = view.getUint8(13);
  take('magic', 'count', 14);
  for (const name of ['parameters', 'adapter', 'session']) take(name, 'id', 32);
  const proofs = view.getUint16(at);
  take('proofs', 'count', 2);
  for (let i = 0; i < proofs; i++) {
    const modules = view.getUint16(at);
    take('modules', 'count', 2);
    for (let m = 0; m < modules; m++) take(`module ${m}`, 'count', 2);
    const parts = view.getUint16(at);
    take(version === 1 ? 'groups' : 'blocks', 'count', 2);
    for (let g = 0; g < parts; g++) {
      if (version === 2) {
        for (const name of ['p', 'q']) take(`${name} ${g}`, 'g1', 32);
        take(`qz ${g}`, 'scalar', 32);
        continue;
      }
      for (const name of ['D', 'R', 'A']) take(`${name} ${g}`, 'g1', 32);
      take(`B ${g}`, 'g2', 64);
      take(`C ${g}`, 'g1', 32);
      take(`S ${g}`, 'scalar', 32);
      take(`Dr ${g}`, 'g1', 32);
      take(`sr ${g}`, 'scalar', 32);
      const rounds = view.getUint8(at);
      take(`rounds ${g}`, 'count', 1);
      for (let round = 0; round < rounds; round++) {
        take(`left ${g}.${round}`, 'g1', 32);
        take(`right ${g}.${round}`, 'g1', 32);
      }
      take(`final ${g}`, 'scalar', 32);
    }
    take('phi', 'g1', 32);
    take('Q', 'g1', 32);
    take('e', 'scalar', 32);
    take('W', 'g1', 32);
    take('Wshifted', 'g1', 32);
  }
  if (at !== file.length) throw new Error('not a proof file');
  return spans;
}
