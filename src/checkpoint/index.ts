export {
  checkExport,
  type ExportCheck,
  exportEdge,
  type MatchedTensor,
  renamedTensors,
} from './checkExport.js';
export { type Claim, claimsOfCard, claimsOfModelIndex, claimsOfPeft, readClaims } from './claims.js';
export { compareTensors, isUnchanged, type TensorComparison } from './compare.js';
export { checkpointDigest, compareUtf8, type Inclusion, type TensorDigest } from './digest.js';
export { type Drawing, drawingOf } from './drawing.js';
export { drawHtml, drawSvg } from './drawSvg.js';
export { drawMermaid, drawTree } from './drawText.js';
export {
  type Envelope,
  envelopeId,
  PAYLOAD_TYPE,
  parseEnvelope,
  preAuthEncoding,
  serializeEnvelope,
  signEnvelope,
} from './dsse.js';
export { type EnsembleDescription, parseEnsembleDescription } from './ensembleDescription.js';
export { checkEnsembleManifest, type EnsembleManifest, ensembleDigest } from './ensembleManifest.js';
export { type ImportedEnsemble, importEnsemble } from './importEnsemble.js';
export {
  type LineageHead,
  lineageHeadDigest,
  makeLineageHead,
  parseLineageHead,
  serializeLineageHead,
} from './lineageHead.js';
export {
  checkManifest,
  type Manifest,
  type ManifestParent,
  manifestDigest,
  parseManifest,
  serializeManifest,
} from './manifest.js';
export { type DigestedCheckpoint, digestCheckpoint, openCheckpoint } from './openCheckpoint.js';
export { checkLineagePolicy, type LineagePolicy, parseLineagePolicy } from './policy.js';
export { makeSigningKey, readSigningKey, type SigningKey } from './signingKey.js';
export {
  type EdgeToAttest,
  ENSEMBLE_PREDICATE,
  edgesStatement,
  ensembleStatement,
  LINEAGE_PREDICATE,
  MANIFEST_PREDICATE,
  manifestStatement,
  parseStatement,
  type Statement,
  serializeStatement,
  statementSubjects,
} from './statement.js';
export {
  addHeadToStore,
  addToStore,
  readLineageHead,
  readLineageHeads,
  readStore,
  type StoredFile,
} from './store.js';
export { parseTensorProof, proveTensor, type TensorProof, verifyTensor } from './tensorProof.js';
export type { Checkpoint, TensorSource } from './tensorSource.js';
export type { LineageCode, LineageReason, LineageVerdict, VerdictEdge, VerdictNode } from './verdict.js';
export {
  type AdapterLineageQuestion,
  type AdapterLineageVerdict,
  type ModelAtHand,
  verifyAdapterLineage,
} from './verifyAdapterLineage.js';
export { type LineageQuestion, verifyLineage } from './verifyLineage.js';
export { type BoundVerdict, verifyWithLineage } from './verifyWithLineage.js';
export {
  formatTime,
  isRelation,
  type Kind,
  type LineageNode,
  ORIGIN_RELATIONS,
  RELATIONS,
  type Relation,
  type Step,
} from './vocabulary.js';
