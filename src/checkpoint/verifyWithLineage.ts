import { type VerificationResult, type VerifyOptions, verifyProof } from '../protocol/verify.js';
import {
  type AdapterLineageQuestion,
  type AdapterLineageVerdict,
  verifyAdapterLineage,
} from './verifyAdapterLineage.js';

/** One verdict over a proof and the lineage of its adapter. */
export type BoundVerdict =
  | {
      readonly valid: true;
      readonly proof: VerificationResult & { readonly valid: true };
      readonly lineage: AdapterLineageVerdict;
    }
  | {
      readonly valid: false;
      /** The proof's reason, or `LINEAGE_INVALID`. */
      readonly reason: (VerificationResult & { readonly valid: false })['reason'] | 'LINEAGE_INVALID';
      readonly message: string;
      readonly proof: VerificationResult;
      readonly lineage: AdapterLineageVerdict;
    };

/**
 * Verifies a proof and the lineage of the adapter that it is about; valid when both are.
 *
 * Proof and lineage meet in the adapter id: the commitment holds the lineage digest, the id is its hash, and the
 * proof is about that id.
 *
 * @param lineage the verifier's own policy, clock, and what the store holds
 * @throws ZkLoraError as `verifyProof` and {@link verifyAdapterLineage}
 * @example
 * const files = await readStore(folder);
 * const head = readLineageHead(folder, adapter.lineageDigest);
 * const verdict = await verifyWithLineage(proofOptions, { files, head, policy, now: Date.now() });
 */
export async function verifyWithLineage(
  proofOptions: VerifyOptions,
  lineage: Omit<AdapterLineageQuestion, 'adapter'>,
): Promise<BoundVerdict> {
  const judged = await verifyAdapterLineage({ ...lineage, adapter: proofOptions.adapter });
  const proof = await verifyProof(proofOptions);
  if (!proof.valid) {
    return { valid: false, reason: proof.reason, message: proof.message, proof, lineage: judged };
  }
  if (judged.valid) return { valid: true, proof, lineage: judged };
  const [first] = judged.failures;
  const message = `the proof holds, the lineage does not: ${first?.code}, ${first?.message}`;
  return { valid: false, reason: 'LINEAGE_INVALID', message, proof, lineage: judged };
}
