import type { Engine } from '../../../src/algebra/index.js';
import {
  proveSession,
  type RankCheck,
  type VerificationResult,
  type VerifyOptions,
  verifyProof,
} from '../../../src/protocol/index.js';
import { developmentParameters, makeScenario, type Scenario } from '../../support/scenario.js';

/** An honest run with its proof: three modules, two of them on one input, two calls. */
export interface Subject extends Scenario {
  readonly proof: Uint8Array;
}

export async function makeSubject(engine: Engine, rankCheck: RankCheck = 'kzg'): Promise<Subject> {
  const scenario = await makeScenario(engine, await developmentParameters(), {
    shapes: [
      { rank: 2, inFeatures: 6, outFeatures: 4 },
      { rank: 1, inFeatures: 5, outFeatures: 3 },
      { rank: 3, inFeatures: 6, outFeatures: 2 },
    ],
    calls: [2, 1],
    inputs: [[0, 2], [1]],
    seed: 11,
  });
  return { ...scenario, proof: await proveSession({ ...scenario, rankCheck }) };
}

/** The verifier's verdict on the subject with some of its parts replaced. */
export function verifySubject(
  subject: Subject,
  replaced: Partial<Pick<VerifyOptions, 'adapter' | 'session' | 'proof' | 'parameters' | 'verificationKeys'>>,
): Promise<VerificationResult> {
  return verifyProof({
    engine: subject.engine,
    parameters: subject.parameters.set,
    verificationKeys: subject.parameters.vkey,
    adapter: subject.adapter,
    session: subject.session,
    proof: subject.proof,
    allowDevelopmentParameters: true,
    ...replaced,
  });
}
