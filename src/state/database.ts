import { DatabaseSync } from '@photostructure/sqlite';
import { invariant } from '../kernel/errors.ts';
import { guarded } from './failures.ts';

type Value = string | number | null | Uint8Array;
type Statement = ReturnType<InstanceType<typeof DatabaseSync>['prepare']>;

/** How long a write waits for another process's (they are all short). */
const BUSY_MS = 5_000;

/**
 * One SQLite file: statements prepared once, commits that nest, errors in
 * Godwit's codes. WAL lets `status` read while the runner writes; FULL makes
 * every commit survive a power cut.
 */
export class Database {
  readonly #db: InstanceType<typeof DatabaseSync>;
  readonly #path: string;
  readonly #statements = new Map<string, Statement>();
  #depth = 0;

  constructor(path: string, options: { readOnly?: boolean } = {}) {
    this.#path = path;
    this.#db = guarded(path, () => new DatabaseSync(path, { readOnly: options.readOnly ?? false, timeout: BUSY_MS }));
    try {
      if (!options.readOnly) this.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL');
      else this.get('SELECT count(*) FROM sqlite_schema');
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  exec(sql: string): void {
    guarded(this.#path, () => this.#db.exec(sql));
  }

  /** Runs a writing statement; returns the number of rows changed and the last row id. */
  run(sql: string, ...values: Value[]): { changes: number; id: number } {
    // SQLite itself rolls back on a full disk; going on would then commit each statement by itself.
    invariant(this.#depth === 0 || this.#db.isTransaction, 'A commit goes on after SQLite rolled it back');
    const done = guarded(this.#path, () => this.#prepare(sql).run(...values));
    return { changes: done.changes, id: Number(done.lastInsertRowid) };
  }

  get<T>(sql: string, ...values: Value[]): T | undefined {
    return guarded(this.#path, () => this.#prepare(sql).get(...values)) as T | undefined;
  }

  all<T>(sql: string, ...values: Value[]): T[] {
    return guarded(this.#path, () => this.#prepare(sql).all(...values)) as T[];
  }

  /** All of `work` is durable when this returns, or none of it. Inside another commit it joins that one. */
  commit<T>(work: () => T): T {
    return this.#depth === 0 ? this.#outermost(work) : this.#nested(work);
  }

  /**
   * A commit that survives a crash of the process but, for a moment, not a
   * power cut: no fsync. For what is worth nothing after one (heartbeats,
   * graphs). Later durable commits keep their order with it.
   */
  relaxed<T>(work: () => T): T {
    if (this.#depth > 0) return this.commit(work);
    this.exec('PRAGMA synchronous=NORMAL');
    try {
      return this.commit(work);
    } finally {
      this.exec('PRAGMA synchronous=FULL');
    }
  }

  /**
   * This driver cannot finalize a statement, so the file stays open, and run.db
   * keeps its -wal beside it, until the garbage collector or the process ends
   * them. That costs a descriptor, nothing else: no lock of ours outlives a commit.
   */
  close(): void {
    if (!this.#db.isOpen) return;
    this.#statements.clear();
    this.#db.close();
  }

  #outermost<T>(work: () => T): T {
    this.exec('BEGIN IMMEDIATE');
    this.#depth = 1;
    try {
      const result = work();
      refusePromise(result);
      invariant(this.#db.isTransaction, 'A commit ends after SQLite rolled it back');
      this.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.exec('ROLLBACK');
      throw error;
    } finally {
      this.#depth = 0;
    }
  }

  /** A savepoint, so that a failure caught by the outer work leaves nothing of the inner. */
  #nested<T>(work: () => T): T {
    const name = `level${this.#depth}`;
    this.exec(`SAVEPOINT ${name}`);
    this.#depth += 1;
    try {
      const result = work();
      refusePromise(result);
      this.exec(`RELEASE ${name}`);
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.exec(`ROLLBACK TO ${name}; RELEASE ${name}`);
      throw error;
    } finally {
      this.#depth -= 1;
    }
  }

  #prepare(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** An async `work` would go on after its commit ended: the compiler allows it, we do not. */
function refusePromise(result: unknown): void {
  invariant(!(result instanceof Promise), 'The work of a commit must not be asynchronous');
}
