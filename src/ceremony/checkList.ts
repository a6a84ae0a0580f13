import { type ErrorCode, ZkLoraError } from '../errors.js';

/** Outcome of one check. */
export interface Check {
  readonly name: string;
  readonly outcome: 'ok' | 'failed' | 'not checked';
  /** What was found, or why the check failed or was left out; one line. */
  readonly detail: string;
  /** Error code of a failed check. */
  readonly code?: ErrorCode;
}

/** Runs checks one after the other and keeps what each of them says. */
export class CheckList {
  readonly checks: Check[] = [];
  readonly #onCheck: (check: Check) => void;

  constructor(onCheck: (check: Check) => void = () => undefined) {
    this.#onCheck = onCheck;
  }

  /** Whether nothing failed so far. */
  get passed(): boolean {
    return this.checks.every(({ outcome }) => outcome !== 'failed');
  }

  /**
   * Runs a check: what it returns is the detail, and a refusal is its failure.
   *
   * @returns the value beside the detail; undefined where the check failed
   * @throws whatever is not a refusal, such as a bug of ours
   */
  async run<T>(name: string, body: () => Promise<{ detail: string; value: T }>): Promise<T | undefined> {
    try {
      const { detail, value } = await body();
      this.#add({ name, outcome: 'ok', detail });
      return value;
    } catch (error) {
      if (!(error instanceof ZkLoraError) || error.code === 'INTERNAL') throw error;
      this.#add({ name, outcome: 'failed', detail: error.message, code: error.code });
      return undefined;
    }
  }

  /** Notes a check that was left out. */
  skip(name: string, reason: string): void {
    this.#add({ name, outcome: 'not checked', detail: reason });
  }

  #add(check: Check): void {
    this.checks.push(check);
    this.#onCheck(check);
  }
}
