/** People who pay: each transaction has a number, and what the database has acknowledged is written down here. */
import pg from 'pg';

export class Load {
  readonly acknowledged: number[] = [];
  readonly latencies: number[] = [];
  /** When the last one was acknowledged, by `performance.now`. */
  lastAt = 0;
  #running = true;
  #next: number;
  readonly #workers: Promise<void>[];

  /** `before`: numbers that were given already. */
  constructor(uri: string, connections: number, before = 0) {
    this.#next = before;
    this.#workers = Array.from({ length: connections }, () => this.#work(uri));
  }

  /** The last number that was given to a payment, acknowledged or not. */
  get last(): number {
    return this.#next;
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#workers);
  }

  async #work(uri: string): Promise<void> {
    const client = new pg.Client(uri);
    // The server goes down in the middle of it: that is the point.
    client.on('error', () => undefined);
    try {
      await client.connect();
      while (this.#running) {
        this.#next += 1;
        const number = this.#next;
        const began = performance.now();
        await client.query('insert into payments (number, amount, note) values ($1, $2, $3)', [
          number,
          number % 997,
          `payment ${number} `.repeat(40),
        ]);
        this.acknowledged.push(number);
        this.lastAt = performance.now();
        this.latencies.push(this.lastAt - began);
      }
    } catch {
      // What was not acknowledged is nobody's.
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}
