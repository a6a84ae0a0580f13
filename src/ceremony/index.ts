export { type CeremonyReport, type CheckCeremonyOptions, checkCeremony } from './checkCeremony.js';
export type { Check } from './checkList.js';
export { type CheckParametersOptions, checkParameters, type ParametersReport } from './checkParameters.js';
export { type FinishOptions, finishCeremony } from './finish.js';
export { type ImportOptions, importPowersOfTau } from './importPtau.js';
export {
  applyBeacon,
  type BeaconOptions,
  type ContributeOptions,
  contributeToKeys,
  type StartOptions,
  startPhaseTwo,
} from './phaseTwo.js';
export { CEREMONY_FILE, type CeremonyState, parseCeremonyState, readCeremony } from './state.js';
