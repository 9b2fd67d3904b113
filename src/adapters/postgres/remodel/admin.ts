/** What the commands ask of PostgreSQL beside the protocol. */
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { throwIfAborted } from '../../../kernel/errors.ts';
import type {
  CompareOptions,
  ExportedSnapshot,
  Identity,
  Model,
  Quarantined,
  RemodelAdmin,
  Row,
  State,
} from '../../../kernel/remodel/index.ts';
import { translate } from '../errors.ts';
import { newTables } from './create.ts';
import { type Executor, onPg } from './executor.ts';
import { lockWaits } from './guard.ts';
import { readQuarantine, retryQuarantine } from './quarantine.ts';
import { giveBack, inTransaction, onConnection, take } from './session.ts';
import { exportSnapshot } from './snapshot-export.ts';
import { sqlStates } from './sql-up.ts';
import { loadTables, quoteTable, rowExpression, rowOf, type SqlModel, type SqlTable } from './tables.ts';
import { withPresentOld } from './trap-names.ts';

/** Up to here a sample is drawn from all rows; above from some pages. */
const SMALL_TABLE = 200_000;

export class PostgresRemodelAdmin implements RemodelAdmin {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /**
   * In the order of the key, window by window: a snapshot held for hours would
   * keep dead rows everywhere, and one that is bounded on both sides cannot be
   * planned as a look through the whole table.
   */
  async *missing(model: Model, batch: number, signal: AbortSignal): AsyncGenerator<readonly Identity[]> {
    const sql = await this.#tables(model);
    let after: Identity | null = null;
    do {
      throwIfAborted(signal);
      const from: Identity | null = after;
      const window: Window = await onConnection(this.#pool, 'Listing what is missing', async (exec) => {
        const to = await windowEnd(exec, sql, from);
        return { to, found: await missingWithin(exec, sql, from, to) };
      });
      for (let i = 0; i < window.found.length; i += batch) yield window.found.slice(i, i + batch);
      after = window.to;
    } while (after !== null);
  }

  sample(model: Model, limit: number): Promise<readonly Row[]> {
    return onConnection(this.#pool, 'Sampling the old table', async (exec) => {
      // The new tables need not be there yet.
      const { old } = await loadTables(exec, onlyOld(await withPresentOld(exec, model)));
      const { rows } = await exec.query(
        'select greatest(reltuples, 0)::text as n from pg_class where oid = to_regclass($1)',
        [old.name],
      );
      const total = Number(rows[0]?.['n'] ?? 0);
      const from =
        total <= SMALL_TABLE
          ? `${old.name} o order by random()`
          : `${old.name} o tablesample system (${Math.min(100, (400 * limit * 10) / total).toFixed(6)})`;
      const sampled = await exec.query(`select ${rowExpression(old, 'o')} as row from ${from} limit ${limit}`);
      return sampled.rows.map((row) => rowOf(old, row['row'] as string));
    });
  }

  sqlUp(model: Model, rows: readonly Row[]): Promise<readonly State[]> {
    return this.#withNewTables(model, (client, tables) => sqlStates(client, tables, rows));
  }

  quarantine(model: Model, limit: number): Promise<readonly Quarantined[]> {
    return onConnection(this.#pool, 'Reading the quarantine', (exec) => readQuarantine(exec, model, limit));
  }

  retryQuarantine(model: Model): Promise<number> {
    return inTransaction(this.#pool, 'Emptying the quarantine', (exec) => retryQuarantine(exec, model));
  }

  async lockWaits(model: Model): Promise<number> {
    const sql = await this.#tables(model);
    return onConnection(this.#pool, 'Counting lock waits', (exec) => lockWaits(exec, model, sql));
  }

  async note(model: Model, event: string, data: Record<string, unknown>): Promise<void> {
    await inTransaction(this.#pool, 'Writing history', (exec) =>
      exec.query(
        `insert into godwit.audit (remodel, event, epoch, data)
         select $1::text, $2::text, coalesce((select epoch from godwit.remodel where name = $1), 0), $3::text::jsonb`,
        [model.name, event, JSON.stringify(data)],
      ),
    );
  }

  exportSnapshot(model: Model, folder: string, options: CompareOptions): Promise<ExportedSnapshot> {
    return exportSnapshot(this.#pool, model, folder, options);
  }

  async archive(model: Model, file: string, signal: AbortSignal): Promise<number> {
    const client = await take(this.#pool).catch((error: unknown) => {
      throw translate(error, 'Archiving the old table');
    });
    let failed: Error | undefined;
    try {
      const from = await presentTable(client, model);
      const copy = client.query(copyTo(`copy ${from} to stdout (format csv, header)`));
      await pipeline(copy, createWriteStream(file), { signal });
      return copy.rowCount;
    } catch (error) {
      failed = error as Error;
      throw translate(error, 'Archiving the old table');
    } finally {
      // A copy that was stopped half way leaves its connection in the middle of it.
      giveBack(client, failed);
    }
  }

  /** In a transaction that is rolled back; new tables that are not there yet are made in it. */
  async #withNewTables<T>(model: Model, work: (client: pg.ClientBase, tables: SqlModel) => Promise<T>): Promise<T> {
    const client = await take(this.#pool).catch((error: unknown) => {
      throw translate(error, `Trying the SQL of ${model.name}`);
    });
    let broken: Error | undefined;
    try {
      const exec = onPg(client);
      await exec.query('begin');
      const there = await withPresentOld(exec, model);
      for (const statement of await newTables(exec, there)) await exec.query(statement);
      return await work(client, await loadTables(exec, there));
    } catch (error) {
      throw translate(error, `Trying the SQL of ${model.name}`);
    } finally {
      await client.query('rollback').catch((error: unknown) => {
        broken = error as Error;
      });
      giveBack(client, broken);
    }
  }

  #tables(model: Model): Promise<SqlModel> {
    return onConnection(this.#pool, 'Reading the tables', async (exec) =>
      loadTables(exec, await withPresentOld(exec, model)),
    );
  }
}

interface Window {
  /** Its last key; null: it was the last window. */
  readonly to: Identity | null;
  readonly found: readonly Identity[];
}

/** Keys that one statement looks at. */
const WINDOW = 20_000;

/** The last key of the window after `after`; null when there is no further window. */
async function windowEnd(exec: Executor, { old }: SqlModel, after: Identity | null): Promise<Identity | null> {
  const key = `o.${old.key.name}`;
  const { rows } = await exec.query(
    `select ${key}::text as last from ${old.name} o where ${beyond(key, old, '$1')}
      order by ${key} offset ${WINDOW - 1} limit 1`,
    [after],
  );
  return rows[0]?.['last'] ?? null;
}

async function missingWithin(
  exec: Executor,
  { model, old, root }: SqlModel,
  after: Identity | null,
  to: Identity | null,
): Promise<readonly Identity[]> {
  const [key, owner] = [`o.${old.key.name}`, `r.${root.key.name}`];
  const within = (column: string) =>
    `${beyond(column, old, '$2')} and ($3::text is null or ${column} <= $3::text::${old.key.sqlType})`;
  const { rows } = await exec.query(
    `select ${key}::text as identity from ${old.name} o
      where ${within(key)}
        and not exists (select from ${root.name} r where ${owner} = ${key} and ${within(owner)})
        and not exists (select from godwit.tombstone t where t.remodel = $1 and t.identity = ${key}::text)
        and not exists (select from godwit.quarantine q where q.remodel = $1 and q.identity = ${key}::text)
      order by ${key}`,
    [model.name, after, to],
  );
  return rows.map((row) => row['identity'] as string);
}

function beyond(column: string, old: SqlTable, param: string): string {
  return `(${param}::text is null or ${column} > ${param}::text::${old.key.sqlType})`;
}

/** The old table by itself, as if it were the new model too. */
function onlyOld(model: Model): Model {
  return { ...model, to: { [model.root]: model.from }, lists: [] };
}

/** The old table, also where a trap stands in its place. */
async function presentTable(client: pg.ClientBase, model: Model): Promise<string> {
  return quoteTable((await withPresentOld(onPg(client), model)).from.name);
}
