import { GodwitError } from '../../../kernel/errors.ts';
import type { Entered, FirstWrite, Identity, Owner, Row, State, Value } from '../../../kernel/remodel/index.ts';
import { translate } from '../errors.ts';
import { enterFunction } from './ddl.ts';
import type { Executor } from './executor.ts';
import { allowOne } from './guard-setting.ts';
import { deleteRows, insertRows, patchRow, putOldRows, readOldRow, readStates, upsertRows } from './states.ts';
import type { SqlColumn, SqlModel, SqlTable } from './tables.ts';
import { toText, writeExpression } from './values.ts';

/** SQL: when the old table is gone for good nothing is carried there, and nothing in it can come back. `$1`: the remodel. */
const WHILE_OLD = `from godwit.remodel where name = $1 and phase <> 'retired'`;

/**
 * Takes the lock and asks who owns; with `first`, carries that out in the same
 * statement if the new model does. One round trip.
 */
export async function enter(
  exec: Executor,
  sql: SqlModel,
  identity: Identity,
  first: FirstWrite | undefined,
): Promise<Entered> {
  try {
    const { text, params } = enterStatement(sql, identity, first);
    const { rows } = await exec.query(text, params, 'prepared');
    if (exec.isOutside())
      throw new GodwitError('GW1001', 'What was handed over is no open transaction: the lock was gone at once');
    return new PgEntered(exec, sql, identity, rows[0]?.['owner'] as Owner, rows[0]?.['n'] === '1');
  } catch (error) {
    throw translate(error, `Writing an identity of ${sql.model.name}`);
  }
}

/**
 * The write depends on the lock, and so waits for it. An UPDATE or DELETE that
 * found its row before the lock was granted looks at it again as it is then
 * (READ COMMITTED); a row that it did not find is left to a statement of its own.
 */
function enterStatement(
  sql: SqlModel,
  identity: Identity,
  first: FirstWrite | undefined,
): { text: string; params: (string | null)[] } {
  const call = `${enterFunction(sql.model)}($1)`;
  const params: (string | null)[] = [identity];
  if (!first) return { text: `select ${call} as owner`, params };
  const write = firstStatement(sql.byName(first.table), first, params, `(select owner from e) = 'new'`);
  return {
    text: `with e as materialized (select ${call} as owner), w as (${write} returning 1)
           select (select owner from e) as owner, (select count(*) from w)::text as n`,
    params,
  };
}

function firstStatement(table: SqlTable, first: FirstWrite, params: (string | null)[], ifOwned: string): string {
  const value = (column: SqlColumn, of: Value) => {
    params.push(toText(of, column.type, column.sqlType));
    return writeExpression(`$${params.length}`, column.type, column.sqlType);
  };
  if (first.kind === 'insert') {
    const values = table.columns.map((column) => value(column, first.row[column.property] ?? null));
    const names = table.columns.map(({ name }) => name);
    return `insert into ${table.name} (${names.join(', ')}) select ${values.join(', ')} where ${ifOwned}`;
  }
  const { key, id, name } = table;
  const where = [`${key.name} = $1::text::${key.sqlType}`, ifOwned];
  if (id && first.id !== undefined) where.unshift(`${id.name} = ${value(id, first.id)}`);
  if (first.kind === 'remove') return `delete from ${name} where ${where.join(' and ')}`;
  const sets = table.columns
    .filter(({ property }) => property in first.patch)
    .map((column) => `${column.name} = ${value(column, first.patch[column.property] ?? null)}`);
  return `update ${name} set ${sets.join(', ')} where ${where.join(' and ')}`;
}

class PgEntered implements Entered {
  readonly owner: Owner;
  readonly didFirst: boolean;
  readonly #exec: Executor;
  readonly #sql: SqlModel;
  readonly #identity: Identity;
  /** Writes past the library that are in the old row as it was read, as an SQL array. */
  #dirtySeen: string | undefined;

  constructor(exec: Executor, sql: SqlModel, identity: Identity, owner: Owner, didFirst: boolean) {
    this.#exec = exec;
    this.#sql = sql;
    this.#identity = identity;
    this.owner = owner;
    this.didFirst = didFirst;
  }

  readOld(): Promise<Row | undefined> {
    return this.#do('Reading an old row', async () => {
      const { row, dirty } = await readOldRow(this.#exec, this.#sql, this.#identity);
      this.#dirtySeen = dirty;
      return row;
    });
  }

  readNew(): Promise<State | undefined> {
    return this.#do('Reading new rows', async () =>
      (await readStates(this.#exec, this.#sql, [this.#identity])).get(this.#identity),
    );
  }

  adopt(state: State): Promise<void> {
    return this.#do('Adopting an identity', async () => {
      const { model, all } = this.#sql;
      for (const table of all) await insertRows(this.#exec, table, state[table.as] ?? []);
      // What was written past the library and is in the row that was adopted; anything since then will be merged.
      await this.#exec.query(
        `with gone as (delete from godwit.tombstone where remodel = $1 and identity = $2),
              seen as (delete from godwit.dirty where remodel = $1 and identity = $2
                         and ($3::text is null or id = any($3::text::bigint[]))),
              cured as (delete from godwit.quarantine where remodel = $1 and identity = $2),
              queued as (insert into godwit.outbox (remodel, identity) select $1, $2 ${WHILE_OLD} on conflict do nothing)
         select set_config('godwit.allowed', '', true) as ok`,
        [model.name, this.#identity, this.#dirtySeen ?? null],
      );
    });
  }

  putNew(as: string, rows: readonly Row[]): Promise<void> {
    return this.#do(`Writing ${as}`, async () => {
      const written = await upsertRows(this.#exec, this.#table(as), rows);
      if (written < rows.length)
        throw new GodwitError('GW5007', `Remodel ${this.#sql.model.name}: an id in ${as} belongs to another identity`);
    });
  }

  patchNew(as: string, id: Value | undefined, patch: Row): Promise<boolean> {
    const table = this.#table(as);
    return this.#do(`Changing ${as}`, () => patchRow(this.#exec, table, this.#identity, this.#id(table, id), patch));
  }

  removeNew(as: string, id: Value): Promise<boolean> {
    const table = this.#table(as);
    return this.#do(`Deleting from ${as}`, async () => {
      const { key, name } = table;
      if (!table.id) throw new GodwitError('GW9001', `${as} is no list`);
      const { rows } = await this.#exec.query(
        `delete from ${name} where ${key.name} = $1::text::${key.sqlType}
            and ${table.id.name} = $2::text::${table.id.sqlType} returning '1' as one`,
        [this.#identity, this.#id(table, id) ?? null],
      );
      return rows.length > 0;
    });
  }

  deleteNew(): Promise<void> {
    return this.#do('Deleting an identity', async () => {
      const { model, all } = this.#sql;
      for (const table of [...all].reverse()) await deleteRows(this.#exec, table, [this.#identity]);
      await this.#exec.query(
        `with queued as (insert into godwit.outbox (remodel, identity) select $1, $2 ${WHILE_OLD} on conflict do nothing)
         insert into godwit.tombstone (remodel, identity) select $1, $2 ${WHILE_OLD} on conflict do nothing`,
        [model.name, this.#identity],
      );
    });
  }

  countNew(as: string): Promise<number> {
    const { name, key } = this.#table(as);
    return this.#do(`Counting ${as}`, async () => {
      const { rows } = await this.#exec.query(
        `select count(*)::text as n from ${name} where ${key.name} = $1::text::${key.sqlType}`,
        [this.#identity],
      );
      return Number(rows[0]?.['n']);
    });
  }

  putOld(row: Row | undefined): Promise<void> {
    return this.#do('Writing an old row', async () => {
      await this.#allow();
      if (row) await putOldRows(this.#exec, this.#sql, [row]);
      else await deleteRows(this.#exec, this.#sql.old, [this.#identity]);
    });
  }

  allowOld(): Promise<void> {
    return this.#do('Allowing an old write', () => this.#allow());
  }

  async #allow(): Promise<void> {
    if (this.owner === 'new' || this.owner === 'deleted')
      throw new GodwitError('GW9001', "The old row of an identity that the new model owns is the relay's to write");
    await allowOne(this.#exec, this.#sql.model.name, this.#identity);
  }

  #table(as: string): SqlTable {
    return this.#sql.byName(as);
  }

  #id(table: SqlTable, id: Value | undefined): string | null | undefined {
    return table.id && id !== undefined ? toText(id, table.id.type, table.id.sqlType) : undefined;
  }

  async #do<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw translate(error, `${doing} of ${this.#sql.model.name}`);
    }
  }
}
