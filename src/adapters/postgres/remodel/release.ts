import type pg from 'pg';
import type { Identity } from '../../../kernel/remodel/index.ts';
import { blamesRow, CARRY_SETTINGS, type Carried, carry, carryAlone, wasBusy } from './carry.ts';
import type { Executor } from './executor.ts';
import { tryLocks } from './lock.ts';
import { isOfRemodel } from './outbox-sql.ts';
import { inTransaction, onConnection } from './session.ts';
import { deleteRows } from './states.ts';
import type { SqlModel } from './tables.ts';

/**
 * Gives up to `limit` identities back to the old model: what is on its way is
 * carried over first, under the same lock; what the old table refuses stays
 * with the new model, in quarantine. Identities written past the library wait
 * until that was settled; identities that somebody writes wait for him.
 * Gives how many were released; -1 for "some are left, none could be taken now".
 */
export async function release(pool: pg.Pool, sql: SqlModel, limit: number): Promise<number> {
  const identities = await onConnection(pool, 'Reading what the new model owns', (exec) => owned(exec, sql, limit));
  const released = await releaseThese(pool, sql, identities);
  if (released > 0) return released;
  return (await onConnection(pool, 'Reading what is left', (exec) => isAnyLeft(exec, sql))) ? -1 : 0;
}

async function releaseThese(pool: pg.Pool, sql: SqlModel, identities: readonly Identity[]): Promise<number> {
  try {
    return await releaseTogether(pool, sql, identities, carry);
  } catch (error) {
    if (!blamesRow(error) && !wasBusy(error)) throw error;
  }
  let released = 0;
  for (const identity of identities)
    released += await releaseTogether(pool, sql, [identity], (exec) => carryAlone(exec, sql, identity));
  return released;
}

function releaseTogether(
  pool: pg.Pool,
  sql: SqlModel,
  identities: readonly Identity[],
  carryPending: (exec: Executor, sql: SqlModel, pending: readonly Identity[]) => Promise<Carried>,
): Promise<number> {
  const { model } = sql;
  const give = async (exec: Executor) => {
    const locked = await tryLocks(exec, model.name, identities);
    const { settled, pending } = await look(exec, sql, locked);
    const { refused, busy } =
      pending.length > 0 ? await carryPending(exec, sql, pending) : { refused: [] as Identity[], busy: [] };
    const kept = new Set([...refused, ...busy]);
    const free = settled.filter((identity) => !kept.has(identity));
    for (const table of [...sql.all].reverse()) await deleteRows(exec, table, free);
    await exec.query('delete from godwit.tombstone where remodel = $1 and identity = any($2::text[])', [
      model.name,
      free,
    ]);
    return free.length;
  };
  return inTransaction(pool, `Releasing identities of ${model.name}`, give, { settings: CARRY_SETTINGS });
}

/** SQL: nothing stands against giving it back. What is in quarantine is not in the old table; what is dirty, not in the new ones. */
function isSettled(identity: string): string {
  return ['dirty', 'quarantine']
    .map((table) => `not exists (select 1 from godwit.${table} m where m.remodel = $1 and m.identity = ${identity})`)
    .join(' and ');
}

async function owned(exec: Executor, { model, root }: SqlModel, limit: number): Promise<readonly Identity[]> {
  const key = `r.${root.key.name}::text`;
  const { rows } = await exec.query(
    `(select ${key} as identity from ${root.name} r where ${isSettled(key)} limit $2::text::integer)
     union all
     (select t.identity from godwit.tombstone t
       where t.remodel = $1 and ${isSettled('t.identity')} limit $2::text::integer)
     limit $2::text::integer`,
    [model.name, String(limit)],
  );
  return rows.map((row) => row['identity'] as string);
}

/** The same again, now that the locks are held; and which of them have a change on its way. */
async function look(
  exec: Executor,
  { model }: SqlModel,
  locked: readonly Identity[],
): Promise<{ settled: readonly Identity[]; pending: readonly Identity[] }> {
  const { rows } = await exec.query(
    `select u.identity, (o.identity is not null)::text as pending
       from unnest($2::text[]) as u(identity)
       left join godwit.outbox o on ${isOfRemodel('o.remodel', '$1')} and o.identity = u.identity
      where ${isSettled('u.identity')}`,
    [model.name, locked],
  );
  const settled = rows.map((row) => row['identity'] as string);
  return { settled, pending: settled.filter((_, i) => rows[i]?.['pending'] === 'true') };
}

async function isAnyLeft(exec: Executor, { model, root }: SqlModel): Promise<boolean> {
  const { rows } = await exec.query(
    `select (exists (select 1 from ${root.name})
             or exists (select 1 from godwit.tombstone where remodel = $1))::text as left`,
    [model.name],
  );
  return rows[0]?.['left'] === 'true';
}
