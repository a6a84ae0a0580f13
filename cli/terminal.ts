/** Where a command writes: results to stdout, progress and notes to stderr. */
export class Terminal {
  readonly json: boolean;
  readonly #live: boolean;
  #line = '';
  #stage = '';

  constructor(json: boolean) {
    this.json = json;
    this.#live = process.stderr.isTTY === true;
  }

  /** Prints the result: one JSON object with `--json`, the text otherwise. */
  result(text: string, value: object): void {
    this.#clear();
    process.stdout.write(this.json ? `${JSON.stringify(value)}\n` : `${text}\n`);
  }

  /** A line for people. */
  note(text: string): void {
    this.#clear();
    process.stderr.write(`${text}\n`);
  }

  /** Progress: a line that is rewritten on a terminal; elsewhere one line when a stage begins. */
  progress(stage: string, done?: number, total?: number): void {
    if (this.#live) {
      const count = total === undefined ? '' : ` ${done}/${total}`;
      this.#rewrite(`${stage}${count}`);
    } else if (stage !== this.#stage) {
      process.stderr.write(`${stage}\n`);
    }
    this.#stage = stage;
  }

  /** Ends a progress line. */
  done(): void {
    this.#clear();
    this.#stage = '';
  }

  #rewrite(text: string): void {
    const width = process.stderr.columns ?? 80;
    const line = text.slice(0, width - 1);
    process.stderr.write(`\r${line}${' '.repeat(Math.max(0, this.#line.length - line.length))}`);
    this.#line = line;
  }

  #clear(): void {
    if (this.#line) process.stderr.write(`\r${' '.repeat(this.#line.length)}\r`);
    this.#line = '';
  }
}

/** Plain-text table: first column left-aligned, the others right-aligned. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, c) =>
    Math.max(...rows.map((row) => row[c]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, c) => (c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Bytes with a unit. */
export function formatBytes(bytes: number): string {
  if (bytes < 10_000) return `${bytes} B`;
  if (bytes < 10_000_000) return `${(bytes / 1000).toFixed(1)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Seconds with two decimals. */
export function formatSeconds(seconds: number): string {
  return `${seconds.toFixed(2)} s`;
}
