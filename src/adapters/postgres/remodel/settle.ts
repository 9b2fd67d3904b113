import type pg from 'pg';
import { isRetryable } from '../../../kernel/errors.ts';
import { type Identity, mergePast, type State } from '../../../kernel/remodel/index.ts';
import type { Executor } from './executor.ts';
import { tryLocks } from './lock.ts';
import { quarantine, reasonOf } from './quarantine.ts';
import { blamesRow } from './relay.ts';
import { inTransaction, onConnection } from './session.ts';
import { deleteRows, insertRows, readStates, tombstonesAmong } from './states.ts';
import { rowOf, type SqlModel } from './tables.ts';

/** Deals with writes past the library, an identity a transaction: they are rare. Gives how many identities it dealt with. */
export async function settleDirty(pool: pg.Pool, sql: SqlModel, limit: number): Promise<number> {
  const { rows } = await onConnection(pool, 'Reading writes past the library', (exec) =>
    exec.query(
      `select identity from godwit.dirty where remodel = $1 group by identity order by min(id) limit $2::text::integer`,
      [sql.model.name, String(limit)],
    ),
  );
  let settled = 0;
  for (const row of rows) if (await settleOne(pool, sql, row['identity'] as string)) settled += 1;
  return settled;
}

async function settleOne(pool: pg.Pool, sql: SqlModel, identity: Identity): Promise<boolean> {
  try {
    return await inTransaction(pool, `Settling a write past the library of ${sql.model.name}`, (exec) =>
      settle(exec, sql, identity),
    );
  } catch (error) {
    if (isRetryable(error) || !blamesRow(error)) throw error;
    await inTransaction(pool, 'Setting an identity aside', async (exec) => {
      await quarantine(exec, sql.model, identity, reasonOf(error));
      await exec.query('delete from godwit.dirty where remodel = $1 and identity = $2', [sql.model.name, identity]);
    });
    return true;
  }
}

async function settle(exec: Executor, sql: SqlModel, identity: Identity): Promise<boolean> {
  const { model, old } = sql;
  if ((await tryLocks(exec, model.name, [identity])).length === 0) return false;
  const { rows: writes } = await exec.query(
    'delete from godwit.dirty where remodel = $1 and identity = $2 returning id::text as id, before, after',
    [model.name, identity],
  );
  const current = (await readStates(exec, sql, [identity])).get(identity);
  const deleted = (await tombstonesAmong(exec, model, [identity])).has(identity);
  // Still the old model's: whoever adopts it reads the row as it is then.
  if (!current && !deleted) return writes.length > 0;
  let state: State | undefined = current;
  for (const { before, after } of writes.toSorted((a, b) => Number(a['id']) - Number(b['id'])))
    state = mergePast(
      model,
      state,
      before == null ? undefined : rowOf(old, before),
      after == null ? undefined : rowOf(old, after),
    );
  await replace(exec, sql, identity, state);
  return writes.length > 0;
}

async function replace(exec: Executor, sql: SqlModel, identity: Identity, state: State | undefined): Promise<void> {
  const { model } = sql;
  for (const table of [...sql.all].reverse()) await deleteRows(exec, table, [identity]);
  for (const table of sql.all) await insertRows(exec, table, state?.[table.as] ?? []);
  await exec.query(
    state
      ? 'delete from godwit.tombstone where remodel = $1 and identity = $2'
      : 'insert into godwit.tombstone (remodel, identity) values ($1, $2) on conflict do nothing',
    [model.name, identity],
  );
  await exec.query('insert into godwit.outbox (remodel, identity) values ($1, $2) on conflict do nothing', [
    model.name,
    identity,
  ]);
}
