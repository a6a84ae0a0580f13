import type { AdapterCommitment, CommittedModule } from '../../src/adapter/types.js';

/** A well-formed module with made-up points. */
export function sampleModule(change: Partial<CommittedModule> = {}): CommittedModule {
  return {
    name: 'h.0.attn',
    rank: 2,
    inFeatures: 512,
    outFeatures: 3,
    aExponent: -20,
    bExponent: -18,
    scaling: 2,
    columnOffset: 0,
    aRows: ['01'.repeat(64), '02'.repeat(64)],
    bColumns: ['03'.repeat(64), '04'.repeat(64)],
    ...change,
  };
}

/** A well-formed commitment with made-up points. */
export function sampleCommitment(change: Partial<AdapterCommitment> = {}): AdapterCommitment {
  return {
    format: 'zklora/adapter/v1',
    parametersId: '11'.repeat(32),
    contributorKey: '22'.repeat(32),
    baseDigest: '33'.repeat(32),
    lineageDigest: '00'.repeat(32),
    salt: '44'.repeat(32),
    domainSize: 512,
    modules: [sampleModule()],
    registrationProof: null,
    ...change,
  };
}
