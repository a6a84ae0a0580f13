// What a program that installed zklora writes: types and values of every entry point of the package.
import {
  type ErrorCode,
  type InvalidReason,
  type VerificationResult,
  type verifyProof,
  ZkLoraError,
} from 'zklora';
import { applyExact, parseAdapterCommitment, type QuantizedModule } from 'zklora/adapter';
import { decodeG1Compressed, loadEngine } from 'zklora/algebra';
import { CIRCUIT_SIZES, openParameters } from 'zklora/circuit';
import { openSessionRecord } from 'zklora/inference';
import { commitRows } from 'zklora/kzg';
import { decodeProofFile, type ProofFile } from 'zklora/protocol';
import { verifyProof as verifyInBrowser } from 'zklora/protocol/verify';

interface Types {
  errorCode: ErrorCode;
  reason: InvalidReason;
  verdict: VerificationResult;
  weights: QuantizedModule['a'];
  proofs: ProofFile['proofs'];
  engine: Awaited<ReturnType<typeof loadEngine>>;
  header: Awaited<ReturnType<typeof openSessionRecord>>['header'];
  parameters: Awaited<ReturnType<typeof openParameters>>['set'];
}
type AnyOf<T> = { [K in keyof T]: 0 extends 1 & T[K] ? K : never }[keyof T];

/** Fails to compile where a type has silently become `any`. */
export const noneIsAny: [AnyOf<Types>] extends [never] ? true : AnyOf<Types> = true;

const verify: typeof verifyProof = verifyInBrowser;
const functions: readonly unknown[] = [
  verify,
  commitRows,
  applyExact,
  decodeG1Compressed,
  loadEngine,
  openParameters,
  openSessionRecord,
];
if (functions.some((value) => typeof value !== 'function')) throw new Error('an export is missing');
if (CIRCUIT_SIZES.length === 0) throw new Error('a constant is missing');

function codeOf(call: () => unknown): ErrorCode | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return error instanceof ZkLoraError ? error.code : undefined;
  }
}
if (codeOf(() => decodeProofFile(new Uint8Array())) !== 'PROOF_MALFORMED') throw new Error('no typed error');
if (codeOf(() => parseAdapterCommitment('{}')) !== 'COMMITMENT_MALFORMED') throw new Error('no typed error');
