import type { Engine } from '../algebra/index.js';
import { equalBytes } from '../bytes.js';
import { commitRows, type ProverSrs } from '../kzg/index.js';
import type { PlainRow, SettlementRow } from './rows.js';

/** Rows whose commitments are computed together: some megabytes of the longest ones in use. */
const BATCH = 64;

interface Row {
  readonly row: SettlementRow;
  readonly plain: PlainRow;
}

/**
 * Commits to rows again and compares with the registered points, in batches, while the caller prepares the next rows.
 */
export class RowChecker {
  readonly #engine: Engine;
  readonly #srs: ProverSrs;
  #batch: Row[] = [];
  #running: Promise<Row | null> = Promise.resolve(null);

  constructor(engine: Engine, srs: ProverSrs) {
    this.#engine = engine;
    this.#srs = srs;
  }

  /** Takes a row; returns the first wrong one among those compared so far. */
  async add(row: SettlementRow, plain: PlainRow): Promise<Row | null> {
    this.#batch.push({ row, plain });
    return this.#batch.length < BATCH ? null : this.#flush();
  }

  /** Compares what is left; returns the first wrong row. */
  async finish(): Promise<Row | null> {
    return (await this.#flush()) ?? this.#running;
  }

  /** The verdict on the batch before; starts on this one. */
  async #flush(): Promise<Row | null> {
    const wrong = await this.#running;
    const batch = this.#batch;
    this.#batch = [];
    if (wrong !== null) return wrong;
    this.#running = this.#compare(batch);
    // awaited with the next batch; a failure is reported there
    this.#running.catch(() => undefined);
    return null;
  }

  async #compare(batch: readonly Row[]): Promise<Row | null> {
    // the zero polynomial's commitment is the identity, which no registered point is
    const zero = batch.findIndex(({ plain }) => plain.blinder === 0n && plain.values.every((v) => v === 0));
    const committed = zero < 0 ? batch : batch.slice(0, zero);
    const points = await commitRows(
      this.#engine,
      this.#srs,
      committed.map(({ row, plain }) => ({ ...plain, offset: row.offset })),
    );
    const wrong = committed.findIndex(({ row }, i) => !equalBytes(points[i]!, row.point));
    return committed[wrong] ?? batch[zero] ?? null;
  }
}
