import type { Database } from './database.ts';

/** Values measured at one moment, for the graphs of the report. */
export interface Sample {
  readonly atMs: number;
  readonly values: Readonly<Record<string, number>>;
}

interface Row {
  seq: number;
  at_ms: number;
  data: string;
}

/**
 * The run's measurements, never more than `limit` rows however long it lasts.
 * When they are full every second row goes and the least distance between rows
 * (`gapMs`) doubles, so the whole run stays evenly dense. The first row and the
 * newest are always there: within the gap a new sample replaces the newest.
 */
export class Samples {
  readonly #db: Database;
  readonly #limit: number;
  #gapMs: number | undefined;

  constructor(db: Database, limit = 20_000) {
    this.#db = db;
    this.#limit = limit;
  }

  add(atMs: number, values: Readonly<Record<string, number>>): void {
    const data = JSON.stringify(values);
    this.#db.relaxed(() => {
      const [newest, settled] = this.#db.all<Row>('SELECT seq, at_ms, data FROM sample ORDER BY seq DESC LIMIT 2');
      const replaces = newest !== undefined && settled !== undefined && atMs - settled.at_ms < this.#gap();
      if (replaces)
        this.#db.run('UPDATE sample SET at_ms = ?, data = ? WHERE seq = ?', Math.round(atMs), data, newest.seq);
      else this.#db.run('INSERT INTO sample (at_ms, data) VALUES (?, ?)', Math.round(atMs), data);
      if (!replaces) this.#thin();
    });
  }

  list(): Sample[] {
    return this.#db
      .all<Row>('SELECT seq, at_ms, data FROM sample ORDER BY seq')
      .map((row) => ({ atMs: row.at_ms, values: JSON.parse(row.data) as Record<string, number> }));
  }

  #gap(): number {
    const row =
      this.#gapMs ?? this.#db.get<{ value: string }>(`SELECT value FROM meta WHERE key = 'sampleGapMs'`)?.value;
    this.#gapMs = Number(row ?? 0);
    return this.#gapMs;
  }

  #thin(): void {
    const rows = this.#db.get<{ n: number }>('SELECT count(*) AS n FROM sample')?.n ?? 0;
    if (rows <= this.#limit) return;
    this.#db.run(
      `DELETE FROM sample WHERE seq IN (
         SELECT seq FROM (SELECT seq, row_number() OVER (ORDER BY seq) AS n FROM sample) WHERE n % 2 = 0 AND n < ?)`,
      rows,
    );
    const kept = this.#db.get<{ n: number; ms: number }>(
      'SELECT count(*) AS n, max(at_ms) - min(at_ms) AS ms FROM sample',
    );
    const gapMs = kept === undefined || kept.n < 2 ? 0 : kept.ms / (kept.n - 1);
    this.#db.run(`INSERT OR REPLACE INTO meta (key, value) VALUES ('sampleGapMs', ?)`, String(gapMs));
    this.#gapMs = undefined; // read again: this commit may yet be undone
  }
}
