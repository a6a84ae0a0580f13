import { Command } from 'commander';
import { adapterId } from '../src/adapter/index.js';
import { writeFileAtomic } from '../src/files.js';
import { type AdapterLeakage, adapterLeakage, readLeakage } from '../src/inference/index.js';
import { digestOption, runs } from './command.js';
import { EXIT_OK } from './exitCodes.js';
import { loadCommitment, loadQuantizedAdapter } from './inputs.js';
import { leakageSvg, percent, textBar } from './leakageChart.js';
import { ledgerFolder } from './serveLeakage.js';
import { formatTable } from './terminal.js';

interface Options {
  adapter: string;
  commitment: string;
  sessions: string;
  ledger?: string;
  user?: string;
  svg?: string;
}

/** `zklora leakage` */
export function leakageCommand(): Command {
  const command = new Command('leakage')
    .description('what your answers have given away of each module, to each user and to all together')
    .requiredOption('--adapter <dir>', 'PEFT adapter folder')
    .requiredOption('--commitment <file>', 'adapter.zkl.json')
    .requiredOption('--sessions <dir>', 'folder of the session records, against which the ledger is checked')
    .option('--ledger <dir>', 'folder of the ledger (default: the sessions folder with ".ledger" added)')
    .option('--user <hex>', 'modules as one user key has seen them', digestOption)
    .option('--svg <file>', 'write the chart as a new SVG file')
    .addHelpText(
      'after',
      '\nExample:\n  zklora leakage --adapter ./my-lora --commitment adapter.zkl.json --sessions ./sessions --svg leakage.svg',
    );
  return runs<Options>(command, async (options, terminal) => {
    const commitment = await loadCommitment(options.commitment);
    const modules = await loadQuantizedAdapter(options.adapter);
    terminal.progress('reading the ledger');
    const { state, missing } = await readLeakage({
      dir: ledgerFolder(options),
      sessionsDir: options.sessions,
      commitment,
      modules,
    });
    const { meter, refused, sessions } = state;
    const shown = adapterLeakage(meter, options.user);
    const users = meter.users.map((user) => ({
      user,
      sessions: [...sessions.values()].filter((opener) => opener === user).length,
      refused: refused.has(user),
      ...adapterLeakage(meter, user),
    }));
    const title =
      options.user === undefined ? 'revealed to all users together' : `revealed to ${options.user}`;
    if (options.svg !== undefined) await writeFileAtomic(options.svg, leakageSvg(title, shown));
    const lines = [title, moduleTable(shown), ''];
    if (options.user === undefined) {
      lines.push(formatTable([USER_HEADINGS, ...users.map(userRow)]), '');
    }
    lines.push(`whole adapter: ${percent(shown.measured)} measured; ${EXPLANATION}`);
    if (missing > 0)
      lines.push(`${missing} answered stages are in the session records and not in the ledger`);
    terminal.result(lines.join('\n'), {
      adapterId: adapterId(commitment),
      ...(options.user === undefined ? { total: shown, users } : { user: options.user, ...shown }),
      stagesMissingInLedger: missing,
    });
    return EXIT_OK;
  });
}

const EXPLANATION = 'budgets are held against the column "counted" of single modules (docs/leakage.md)';

const USER_HEADINGS = ['user', 'sessions', 'measured', 'counted', 'refused'];

function userRow(user: AdapterLeakage & { user: string; sessions: number; refused: boolean }): string[] {
  return [
    user.user,
    String(user.sessions),
    percent(user.measured),
    percent(user.counted),
    user.refused ? 'yes' : 'no',
  ];
}

function moduleTable({ modules }: AdapterLeakage): string {
  const headings = ['module', 'in', 'rank', 'rows', 'directions', 'measured', 'counted', '', 'rows left'];
  const rows = modules.map((module) => [
    module.module,
    String(module.inFeatures),
    String(module.rank),
    String(module.tokens),
    String(module.directions),
    percent(module.measured),
    percent(module.counted),
    textBar(module.counted),
    module.tokensLeft === null ? '-' : String(module.tokensLeft),
  ]);
  return formatTable([headings, ...rows]);
}
