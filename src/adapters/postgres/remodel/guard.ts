import type { Model } from '../../../kernel/remodel/index.ts';
import { functions, guardTrigger, truncateTrigger } from './ddl.ts';
import type { Executor } from './executor.ts';
import { literal, type SqlModel } from './tables.ts';

/**
 * Whether writes past the library would be noticed: triggers there, enabled
 * and calling functions whose text is ours; and, where the old table has a
 * row, a write past the library is made, seen to be noticed, and undone.
 */
export async function guardWorks(exec: Executor, sql: SqlModel): Promise<boolean> {
  if (!(await isGuardInPlace(exec, sql))) return false;
  const { old, model } = sql;
  await exec.query('savepoint godwit_heartbeat');
  try {
    await exec.query(
      `select set_config('godwit.allowed', '', true) as ok, set_config('lock_timeout', '500ms', true) as lock`,
    );
    const { rows } = await exec.query(
      `select ctid::text as place, ${old.key.name}::text as identity from ${old.name} limit 1 for update skip locked`,
    );
    const row = rows[0];
    if (!row) return true;
    // The row is locked: nobody else can have it noticed between the two counts.
    const before = await countDirty(exec, model, row['identity'] as string);
    await exec.query(`update ${old.name} set ${old.key.name} = ${old.key.name} where ctid = $1::text::tid`, [
      row['place'] as string,
    ]);
    return (await countDirty(exec, model, row['identity'] as string)) > before;
  } catch (error) {
    // Refused by the guard in its mode `reject`: that is what was to be shown.
    return (error as { code?: unknown }).code === 'GW002';
  } finally {
    await exec.query('rollback to savepoint godwit_heartbeat');
  }
}

async function countDirty(exec: Executor, model: Model, identity: string): Promise<number> {
  const { rows } = await exec.query(
    'select count(*)::text as n from godwit.dirty where remodel = $1 and identity = $2',
    [model.name, identity],
  );
  return Number(rows[0]?.['n']);
}

/** Whether the triggers are there, enabled, and call functions whose text is ours. */
export async function isGuardInPlace(exec: Executor, sql: SqlModel): Promise<boolean> {
  const { model, old } = sql;
  const { rows } = await exec.query(
    `select t.tgname::text as name, t.tgenabled::text as enabled, p.prosrc::text as source
       from pg_trigger t join pg_proc p on p.oid = t.tgfoid
      where t.tgrelid = to_regclass(${literal(old.name)}) and t.tgname = any($1::text[])`,
    [[guardTrigger(model).slice(0, 63), truncateTrigger(model).slice(0, 63)]],
  );
  if (rows.length !== 2 || rows.some(({ enabled }) => enabled !== 'A')) return false;
  const ours = functions(sql).map((statement) => statement.split('$godwit$')[1]);
  return rows.every(({ source }) => ours.includes(source ?? ''));
}

/** Sessions that wait for a lock on a table of the remodel. */
export async function lockWaits(exec: Executor, model: Model, sql: SqlModel): Promise<number> {
  const names = [sql.old, ...sql.all].map(({ name }) => name);
  const { rows } = await exec.query(
    `select count(distinct l.pid)::text as n from pg_locks l
      where not l.granted and (l.relation = any(array(select to_regclass(n)::oid from unnest($1::text[]) n))
         or l.relation = 'godwit.outbox'::regclass or l.locktype in ('advisory', 'transactionid'))
        and l.pid <> pg_backend_pid() and $2 <> ''`,
    [names, model.name],
  );
  return Number(rows[0]?.['n']);
}
