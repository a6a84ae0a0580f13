import { type AdapterCommitment, adapterId, type QuantizedModule } from '../../../src/adapter/index.js';
import { type ModuleBlinders, moduleBlinders } from '../../../src/adapter/secret.js';
import type { Engine } from '../../../src/algebra/index.js';
import { bytesToHex, hexToBytes } from '../../../src/bytes.js';
import { type ParameterStore, parameterSetId } from '../../../src/circuit/index.js';
import type { ProverSrs } from '../../../src/kzg/index.js';
import {
  encodeProofFile,
  type Proof,
  type RankCheck,
  readSession,
  sessionModules,
} from '../../../src/protocol/index.js';
import { buildStatement, type Statement } from '../../../src/protocol/statement.js';
import { developmentFiles, scenarioFiles, type VerifierFiles } from '../../support/bothVerifiers.js';
import {
  type MemorySession,
  makeScenario,
  type Scenario,
  type ScenarioOptions,
} from '../../support/scenario.js';

/** What a dishonest prover works with; the session may hold anything. */
export interface Setting {
  readonly engine: Engine;
  readonly parameters: ParameterStore;
  readonly srs: ProverSrs;
  readonly statement: Statement;
  readonly adapter: AdapterCommitment;
  readonly session: MemorySession;
  /** Weights that the prover computes with, by adapter index. */
  readonly modules: readonly QuantizedModule[];
  readonly blinders: readonly ModuleBlinders[];
}

/** Changes to an honest scenario before its statement is made. */
export interface SettingOptions {
  /** Edits a copy of the session. */
  readonly falsify?: (session: MemorySession) => void;
  /** Weights to compute with instead of the registered ones. */
  readonly modules?: readonly QuantizedModule[];
  /** Proven modules; all of the session by default. */
  readonly moduleIndices?: readonly number[];
  /** `groth16` by default. */
  readonly rankCheck?: RankCheck;
}

/** Statement and secrets of a scenario. */
export async function settingOf(scenario: Scenario, options: SettingOptions = {}): Promise<Setting> {
  const { engine, parameters, adapter, secret } = scenario;
  const session = scenario.session.clone();
  options.falsify?.(session);
  const { digest, tokens } = await readSession(session, adapter.modules);
  const statement = buildStatement({
    rankCheck: options.rankCheck ?? 'groth16',
    parametersId: parameters.id,
    circuits: parameters.set.circuits.map(({ pairs }) => pairs),
    adapterId: adapterId(adapter),
    adapter,
    header: session.header,
    sessionDigest: digest,
    tokens,
    moduleIndices: options.moduleIndices ?? sessionModules(session.header),
  });
  const [key, salt] = [hexToBytes(secret.blindingSecret), hexToBytes(adapter.salt)];
  return {
    engine,
    parameters,
    srs: await parameters.srs(adapter.domainSize),
    statement,
    adapter,
    session,
    modules: options.modules ?? scenario.modules,
    blinders: scenario.modules.map((module) => moduleBlinders(key, salt, module)),
  };
}

/** Registers a random adapter, holds a session and makes the statement of it. */
export async function makeSetting(
  engine: Engine,
  parameters: ParameterStore,
  scenario: ScenarioOptions,
  options: SettingOptions = {},
): Promise<Setting> {
  return settingOf(await makeScenario(engine, parameters, scenario), options);
}

/** Everything a verifier would be given. */
export function filesOf(
  setting: Setting,
  proofs: readonly Proof[],
  keys: VerifierFiles['key'] = developmentFiles().key,
): VerifierFiles {
  const { parameters, statement } = setting;
  const proof = encodeProofFile({
    rankCheck: statement.rankCheck,
    parametersId: parameters.id,
    adapterId: bytesToHex(statement.adapterId),
    sessionDigest: bytesToHex(statement.sessionDigest),
    proofs,
  });
  return scenarioFiles(setting, proof, { parameters: JSON.stringify(parameters.set), key: keys });
}

/** The same set with its smallest circuit only: more than 15 pairs take several groups. */
export function smallestCircuitOnly(store: ParameterStore): ParameterStore {
  const [circuit] = store.set.circuits;
  const set = {
    ...store.set,
    circuits: [circuit!],
    contributions: store.set.contributions.filter(({ pairs }) => pairs === circuit!.pairs),
  };
  return { ...store, set, id: parameterSetId(set) };
}
