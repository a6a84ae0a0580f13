import { Command } from 'commander';
import { loadEngine } from '../src/algebra/index.js';
import {
  applyBeacon,
  checkCeremony,
  contributeToKeys,
  finishCeremony,
  startPhaseTwo,
} from '../src/ceremony/index.js';
import { parameterSetId } from '../src/circuit/index.js';
import { positiveInteger, runs } from './command.js';
import { EXIT_INVALID, EXIT_OK } from './exitCodes.js';
import { numberList } from './paramsImport.js';
import { describeCeremony, describeChecks, describeHashes, describeParameters } from './paramsText.js';
import type { Terminal } from './terminal.js';

interface Folder {
  dir: string;
}

const STEPS = `
In order: the coordinator imports powers of tau and starts; each participant gets the folder, contributes and sends it
back; the coordinator verifies what came back (--previous names the folder as it was sent); at last a public beacon is
applied, and the ceremony is finished into a parameter set.`;

/** `zklora params phase2` */
export function phaseTwoCommand(): Command {
  const group = new Command('phase2')
    .description('make the circuit keys of a parameter set in a ceremony')
    .addCommand(startCommand())
    .addCommand(contributeCommand())
    .addCommand(beaconCommand())
    .addCommand(verifyCommand())
    .addCommand(finishCommand())
    .addHelpText('after', STEPS);
  // like the commands of the levels above, see main.ts
  for (const command of group.commands) {
    command.exitOverride().configureOutput({ outputError: () => undefined });
  }
  return group;
}

function step(name: string, description: string, example: string): Command {
  return new Command(name)
    .description(description)
    .requiredOption('--dir <dir>', 'folder of the ceremony')
    .addHelpText('after', `\nExample:\n  zklora params phase2 ${example}`);
}

function startCommand(): Command {
  const command = step(
    'start',
    'make the first keys',
    'start --dir ./ceremony --ptau pot16.ptau --pairs 255,4095',
  )
    .requiredOption('--ptau <file>', 'the file that was imported')
    .option('--pairs <list>', 'circuit sizes (default: all that the import has powers for)', numberList);
  return runs<Folder & { ptau: string; pairs?: number[] }>(command, (options, terminal) =>
    withEngine(async () => {
      const onProgress = progressOf(terminal);
      const state = await startPhaseTwo({ ...options, onProgress });
      terminal.result(describeCeremony(state), { ...state });
      return EXIT_OK;
    }),
  );
}

function contributeCommand(): Command {
  const command = step(
    'contribute',
    'add your randomness to every key; it comes from the operating system and is forgotten',
    'contribute --dir ./ceremony --name "Alice, alice.example"',
  ).requiredOption('--name <text>', 'what you want to be called: public, 1 to 64 ASCII characters');
  return runs<Folder & { name: string }>(command, (options, terminal) =>
    withEngine(async () => {
      const contributions = await contributeToKeys({ ...options, onProgress: progressOf(terminal) });
      const advice = 'Publish these hashes, so that others can find you in the parameter set:';
      terminal.result(`${advice}\n${describeHashes(contributions)}`, { contributions });
      return EXIT_OK;
    }),
  );
}

function beaconCommand(): Command {
  const command = step(
    'beacon',
    'add a public random value, announced beforehand, as the last contribution',
    'beacon --dir ./ceremony --beacon 0123..ef --iterations 10 --name "drand round 1234567"',
  )
    .requiredOption('--beacon <hex>', 'value that nobody could know before: 16 to 64 bytes in hex')
    .option('--iterations <exponent>', 'log2 of the rounds of SHA-256 over it', positiveInteger(20), 10)
    .option('--name <text>', 'where the value comes from', 'beacon');
  return runs<Folder & { beacon: string; iterations: number; name: string }>(command, (options, terminal) =>
    withEngine(async () => {
      const { dir, name, beacon, iterations: iterationsExponent } = options;
      const onProgress = progressOf(terminal);
      const contributions = await applyBeacon({ dir, name, beacon, iterationsExponent, onProgress });
      terminal.result(describeHashes(contributions), { contributions });
      return EXIT_OK;
    }),
  );
}

function verifyCommand(): Command {
  const command = step(
    'verify',
    'check every file of the ceremony',
    'verify --dir ./ceremony --ptau pot16.ptau --previous ./as-sent',
  )
    .option('--ptau <file>', 'the file that was imported: snarkjs then checks the keys, too')
    .option('--previous <dir>', 'an earlier copy, whose contributions must all be there');
  return runs<Folder & { ptau?: string; previous?: string }>(command, (options, terminal) =>
    withEngine(async () => {
      const onCheck = ({ name }: { name: string }) => terminal.progress(name);
      const { checks, passed } = await checkCeremony({ ...options, onCheck });
      const verdict = passed ? 'VALID' : 'INVALID  do not go on with this folder';
      terminal.result(describeChecks(checks, verdict), { valid: passed, checks });
      return passed ? EXIT_OK : EXIT_INVALID;
    }),
  );
}

function finishCommand(): Command {
  const command = step(
    'finish',
    'check everything and write the parameter set',
    'finish --dir ./ceremony --ptau pot16.ptau --out ./params',
  )
    .requiredOption('--ptau <file>', 'the file that was imported')
    .requiredOption('--out <dir>', 'new folder');
  return runs<Folder & { ptau: string; out: string }>(command, (options, terminal) =>
    withEngine(async () => {
      const onCheck = ({ name }: { name: string }) => terminal.progress(name);
      const set = await finishCeremony({ ...options, onCheck });
      terminal.result(describeParameters(set), { id: parameterSetId(set), ...set });
      return EXIT_OK;
    }),
  );
}

function progressOf(terminal: Terminal): (text: string) => void {
  return (text) => terminal.progress(text);
}

async function withEngine(body: () => Promise<number>): Promise<number> {
  const engine = await loadEngine();
  try {
    return await body();
  } finally {
    await engine.terminate();
  }
}
