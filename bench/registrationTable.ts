/** The table of registration proofs. */
import { type Machine, machineText, markdown, megabytes, seconds } from './report.js';

/** One line of the table. */
export interface RegistrationRow {
  readonly adapter: string;
  readonly modules: number;
  readonly weights: number;
  readonly rows: number;
  readonly domain: number;
  readonly registerSeconds: number;
  readonly proveSeconds: number;
  readonly verifySeconds: number;
  readonly proofBytes: number;
  readonly provePeakRssBytes: number;
}

/** bench/results/registration.json */
export interface RegistrationFile {
  readonly date: string;
  readonly machine: Machine;
  readonly rows: readonly RegistrationRow[];
}

export function registrationMarkdown({ date, machine, rows }: RegistrationFile): string {
  const head = ['adapter', 'modules', 'weights', 'N', 'register', 'prove', 'verify', 'proof', 'peak memory'];
  const cells = rows.map((row) => [
    row.adapter,
    row.modules,
    row.weights.toLocaleString('en'),
    row.domain,
    seconds(row.registerSeconds),
    seconds(row.proveSeconds),
    seconds(row.verifySeconds),
    `${row.proofBytes} B`,
    megabytes(row.provePeakRssBytes),
  ]);
  return `${markdown(head, cells)}\n\n"prove" and "verify" are those of the registration proof. Measured on ${machineText(machine)}, ${date}.`;
}
