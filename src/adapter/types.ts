/** One LoRA module as fixed-point integers; weight = integer * 2^exponent. Private to the contributor. */
export interface QuantizedModule {
  /** Path of the adapted module in the base model, e.g. `transformer.h.0.attn.c_attn`. */
  readonly name: string;
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** int16, row-major `[rank, inFeatures]`. */
  readonly a: Int16Array;
  readonly aExponent: number;
  /** int16, row-major `[rank, outFeatures]`: row j is column j of PEFT's `lora_B.weight`. */
  readonly bT: Int16Array;
  readonly bExponent: number;
  /** alpha / r, or alpha / sqrt(r) for rsLoRA. */
  readonly scaling: number;
}

/** Public description of one committed module. */
export interface CommittedModule {
  readonly name: string;
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly aExponent: number;
  readonly bExponent: number;
  readonly scaling: number;
  /** First place of the A rows in the evaluation domain, [0, N - inFeatures]. */
  readonly columnOffset: number;
  /** Uncompressed G1 points, 64 bytes each (x then y, big-endian), `[rank]`, hex. */
  readonly aRows: readonly string[];
  /** Commitments to the columns of B, same encoding, `[rank]`. */
  readonly bColumns: readonly string[];
}

/** adapter.zkl.json: what the base-model user pins before evaluating. */
export interface AdapterCommitment {
  readonly format: 'zklora/adapter/v1';
  /** Id of the parameter set that the points belong to, 32 bytes, hex. */
  readonly parametersId: string;
  /** Ed25519 public key of the contributor, 32 bytes, hex. */
  readonly contributorKey: string;
  /** Digest of the base model, hex; docs/formats.md. */
  readonly baseDigest: string;
  /** Head of the lineage, 32 bytes, hex; zeros where none is claimed. */
  readonly lineageDigest: string;
  /** Public salt of this registration, 32 random bytes, hex. */
  readonly salt: string;
  /** Size N of the evaluation domain, a power of two. */
  readonly domainSize: number;
  readonly modules: readonly CommittedModule[];
  /** Registration proof, hex; null without one. Not part of the adapter id. */
  readonly registrationProof: string | null;
}
