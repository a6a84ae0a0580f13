export { type Alignment, alignment, nearestClusters } from './alignment.js';
export { expertClean, type Noisy, routerLogits } from './denoise.js';
export {
  type EnsembleFile,
  type ExpertFile,
  ensembleFileDigest,
  parseEnsembleFile,
  sampleValues,
} from './description.js';
export { type Ensemble, openEnsemble } from './ensemble.js';
export { type Judge, type Judgement, openJudge } from './judge.js';
export { gaussianNoise } from './noise.js';
export { cleanValue, ddpmTime, expertInput, guided } from './objective.js';
export { routerShares, topWeights } from './routing.js';
export { type EnsembleRun, type RunOptions, runEnsemble, type ServedAdapter, sessionFolder } from './run.js';
export { parseRunPlan, parseRunTrace, planDigest, planId, type RunPlan, type RunTrace } from './runFiles.js';
export {
  type ExpertCall,
  type Sampled,
  type SampleHooks,
  type Sampling,
  type StepTrace,
  sampleEnsemble,
  stepTimes,
} from './sampler.js';
export { checkSignedEnsemble, openSignedEnsemble } from './signed.js';
export {
  type ProvenRunReason,
  type ProvenRunToVerify,
  type ProvenRunVerdict,
  verifyProvenRun,
} from './verifyProvenRun.js';
export { type RunReason, type RunToVerify, type RunVerdict, verifyEnsembleRun } from './verifyRun.js';
