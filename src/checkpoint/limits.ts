/** Named maxima of everything about checkpoints and lineage that is counted from outside, each with its reason. */

/** Tensors of one checkpoint, all shards together: a 256-expert, 61-layer mixture of experts has about 92,000. */
export const MAX_CHECKPOINT_TENSORS = 400_000;

/** JSON header of one safetensors file: the format's own limit (100 MB) in a power of two. */
export const MAX_CHECKPOINT_HEADER_BYTES = 128 * 2 ** 20;

/** Shards of one checkpoint; the largest published ones have below 200. */
export const MAX_SHARDS = 4096;

/** A `*.safetensors.index.json`: 400,000 names of 100 characters with their file names. */
export const MAX_INDEX_BYTES = 64 * 2 ** 20;

/** UTF-8 bytes of a tensor's name; published ones stay below 200. */
export const MAX_TENSOR_NAME_BYTES = 1024;

/** Initializer values that an ONNX file keeps as varints instead of raw bytes: exporters do so for small constants. */
export const MAX_VARINT_DATA_BYTES = 64 * 2 ** 20;

/** Entries of an ONNX tensor's `external_data`: the format names six keys. */
export const MAX_EXTERNAL_ENTRIES = 16;

/** Levels of the Merkle tree: 2^32 leaves have 32. */
export const MAX_TREE_DEPTH = 32;

/** A manifest, tensor proof or configuration file: a few KB; 1 MiB leaves room for long argument lists. */
export const MAX_MANIFEST_BYTES = 2 ** 20;

/** A model card: published ones stay below 200 KB. */
export const MAX_CARD_BYTES = 4 * 2 ** 20;

/** Base models that a model card names: merges list a few dozen. */
export const MAX_CLAIMS = 256;

/** Parents of one step: merges of dozens of models are published. */
export const MAX_PARENTS = 256;

/** Arguments of the step that made a checkpoint: an export names each transposed or renamed weight, at most 723 in a 70B model. */
export const MAX_ARGUMENTS = 4096;

/** Memory for transposing one tensor; a larger one is read several times. */
export const TRANSPOSE_BYTES = 64 * 2 ** 20;

/** Characters of a name, tool, argument or licence. */
export const MAX_TEXT_LENGTH = 1024;

/** Experts of an ensemble: the published one has 8. */
export const MAX_EXPERTS = 1024;

/** Files of an ensemble folder besides its experts and router: tokenizers have about 10. */
export const MAX_ENSEMBLE_FILES = 4096;

/** Edges signed at once; with 2^20 bytes of JSON each statement is parsed whole. */
export const MAX_STATEMENT_EDGES = 1024;

/** One envelope: base64 of an ensemble manifest of 1024 experts. */
export const MAX_ENVELOPE_BYTES = 4 * 2 ** 20;

/** Signatures of one envelope. */
export const MAX_SIGNATURES = 16;

/** Envelopes of one store: ten times a 10,000-edge lineage. */
export const MAX_ENVELOPES = 100_000;

/** Keys, roots and other entries of a policy. */
export const MAX_POLICY_ENTRIES = 4096;

/** A lineage head: 67 characters for each envelope of a full store. */
export const MAX_HEAD_BYTES = 8 * 2 ** 20;

/** Steps from the adapter to a root that a policy may allow. */
export const MAX_LINEAGE_DEPTH = 100_000;
