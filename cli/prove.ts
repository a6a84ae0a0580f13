import { Command, Option } from 'commander';
import { loadEngine, warmCircuitProver, warmProver } from '../src/algebra/index.js';
import { hexToBytes } from '../src/bytes.js';
import { openParameters } from '../src/circuit/parameterFiles.js';
import { writeFileAtomic } from '../src/files.js';
import { openSessionRecord } from '../src/inference/record.js';
import { outlineProofFile, proveSession, RANK_CHECKS, type RankCheck } from '../src/protocol/index.js';
import { runs } from './command.js';
import { EXIT_OK } from './exitCodes.js';
import { loadCommitment, loadQuantizedAdapter, loadSecret } from './inputs.js';
import { formatBytes, formatSeconds } from './terminal.js';

interface Options {
  adapter: string;
  commitment: string;
  secret: string;
  session: string;
  parameters: string;
  out: string;
  perModule?: boolean;
  rankCheck: RankCheck;
  overwrite?: boolean;
}

/** `zklora prove` */
export function proveCommand(): Command {
  const command = new Command('prove')
    .description('prove that every delta of a session was computed with the committed weights')
    .requiredOption('--adapter <dir>', 'PEFT adapter folder')
    .requiredOption('--commitment <file>', 'adapter.zkl.json')
    .requiredOption('--secret <file>', 'adapter.secret')
    .requiredOption('--session <dir>', 'record of the session')
    .requiredOption('--parameters <dir>', 'parameter set')
    .requiredOption('--out <file>', 'where the proof goes')
    .option('--per-module', 'one proof for each module instead of one for the whole adapter')
    .addOption(
      new Option(
        '--rank-check <kind>',
        'kzg: inside the polynomial argument; groth16: by the circuit RankCheck',
      )
        .choices(RANK_CHECKS)
        .default('kzg'),
    )
    .option('--overwrite', 'replace an existing proof')
    .addHelpText(
      'after',
      '\nExample:\n  zklora prove --adapter ./my-lora --commitment adapter.zkl.json --secret adapter.secret \\\n    --session ./session --parameters ./params --out proof.zkl',
    );
  return runs<Options>(command, async (options, terminal) => {
    terminal.progress('reading adapter and session');
    const adapter = await loadCommitment(options.commitment);
    const secret = await loadSecret(options.secret, terminal);
    const parameters = await openParameters(options.parameters);
    const engine = await loadEngine();
    // while this thread reads weights and session
    void (options.rankCheck === 'kzg' ? warmProver : warmCircuitProver)(engine);
    try {
      const modules = await loadQuantizedAdapter(options.adapter);
      const session = await openSessionRecord(options.session);
      const started = performance.now();
      const proof = await proveSession({
        engine,
        parameters,
        adapter,
        modules,
        secret,
        session,
        ...(session.closing && { sessionDigest: hexToBytes(session.closing.digest) }),
        rankCheck: options.rankCheck,
        mode: options.perModule ? 'per-module' : 'aggregated',
        onProgress: ({ stage, proof, proofs }) =>
          terminal.progress(`proving: ${stage}`, ...(proofs > 1 ? [proof + 1, proofs] : [])),
      });
      const seconds = (performance.now() - started) / 1000;
      const { proofs } = outlineProofFile(proof);
      const proven = proofs.reduce((sum, { modules: part }) => sum + part.length, 0);
      await writeFileAtomic(options.out, proof, { overwrite: options.overwrite === true });
      terminal.result(
        `proof of ${proven} modules: ${options.out}, ${formatBytes(proof.length)}, ${formatSeconds(seconds)} (verified)`,
        {
          proof: options.out,
          proofBytes: proof.length,
          proofs: proofs.length,
          modules: proven,
          proveSeconds: seconds,
        },
      );
      return EXIT_OK;
    } finally {
      await engine.terminate();
    }
  });
}
