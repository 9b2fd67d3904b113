import type pg from 'pg';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Model, Table } from '../../../kernel/remodel/index.ts';
import { CONTROL_TABLES, createTable, dropFunctions, functions } from './ddl.ts';
import type { Executor } from './executor.ts';
import { inTransaction, onConnection } from './session.ts';
import { columnTypes, loadTables, quoteTable } from './tables.ts';

/** The statements that `create` would carry out now. */
export function planCreate(pool: pg.Pool, model: Model): Promise<readonly string[]> {
  return onConnection(pool, 'Planning the new tables', async (exec) => [
    ...CONTROL_TABLES,
    ...(await newTables(exec, model)),
    ...(await grants(exec, model)),
    `-- and functions godwit."enter:${model.name}", godwit."guard:${model.name}", with their triggers on ${model.from.name}`,
  ]);
}

/** Makes all of it, and the control record in phase `created`, in one transaction. Repeatable while in that phase. */
export function create(pool: pg.Pool, model: Model, definition: string): Promise<void> {
  return inTransaction(pool, `Creating remodel ${model.name}`, async (exec) => {
    // Two at once would both find a table missing.
    await exec.query(`select pg_advisory_xact_lock(hashtextextended('godwit create', 0))::text`);
    for (const statement of CONTROL_TABLES) await exec.query(statement);
    for (const statement of await newTables(exec, model)) await exec.query(statement);
    for (const statement of await grants(exec, model)) await exec.query(statement);
    const sql = await loadTables(exec, model);
    await claim(exec, model, definition);
    for (const statement of functions(sql)) await exec.query(statement);
    const { rows } = await exec.query(`select count(*)::text as n from ${sql.root.name}`);
    const { rows: owned } = await exec.query(
      `select phase::text as phase from godwit.remodel where name = $1 and phase = 'created'`,
      [model.name],
    );
    if (owned.length > 0 && rows[0]?.['n'] !== '0')
      throw new GodwitError(
        'GW2006',
        `${model.to[model.root]?.name} has ${rows[0]?.['n']} rows already: each would be taken for an identity that the new model owns`,
      );
  });
}

/** Takes everything away that `create` made; the caller has seen that the new model owns nothing. */
export function drop(pool: pg.Pool, model: Model): Promise<void> {
  return inTransaction(pool, `Dropping remodel ${model.name}`, async (exec) => {
    const sql = await loadTables(exec, model);
    await exec.query(`lock table ${sql.all.map(({ name }) => name).join(', ')} in access exclusive mode`);
    const counts = sql.all.map(({ name }) => `(select count(*) from ${name})`).join(' + ');
    const { rows } = await exec.query(
      `select (${counts} + (select count(*) from godwit.tombstone where remodel = $1))::text as n,
              (select phase from godwit.remodel where name = $1)::text as phase`,
      [model.name],
    );
    if (rows[0]?.['phase'] !== 'created')
      throw new GodwitError(
        'GW1004',
        `Remodel ${model.name} is in phase ${rows[0]?.['phase'] ?? 'draft'}, not created`,
      );
    if (rows[0]['n'] !== '0')
      throw new GodwitError(
        'GW1004',
        `The new tables of ${model.name} still hold ${rows[0]['n']} rows: roll back first`,
      );
    for (const statement of dropFunctions(model)) await exec.query(statement);
    for (const { name } of sql.all) await exec.query(`drop table ${name}`);
    await forget(exec, model);
  });
}

/** Deletes what the control tables hold of a remodel; its history stays. */
export async function forget(exec: Executor, model: Model): Promise<void> {
  for (const table of ['outbox', 'tombstone', 'dirty', 'quarantine', 'lease'])
    await exec.query(`delete from godwit.${table} where remodel = $1`, [model.name]);
  await exec.query('delete from godwit.remodel where name = $1', [model.name]);
}

export async function newTables(exec: Executor, model: Model): Promise<string[]> {
  const oldTypes = await columnTypes(exec, model.from.name);
  if (oldTypes.size === 0)
    throw new GodwitError('GW2006', `Remodel ${model.name}: there is no table ${model.from.name}`);
  const statements: string[] = [];
  for (const table of Object.values(model.to) as Table[])
    if ((await columnTypes(exec, table.name)).size === 0) statements.push(...createTable(model, table, oldTypes));
  return statements;
}

/** Whoever may write the old table may write the new ones and the queue: the application keeps its role. */
async function grants(exec: Executor, model: Model): Promise<string[]> {
  const { rows } = await exec.query(
    `select distinct case a.grantee when 0 then 'public' else format('%I', r.rolname) end::text as role
       from pg_class c cross join lateral aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee
      where c.oid = to_regclass($1) and a.privilege_type in ('INSERT', 'UPDATE', 'DELETE') and a.grantee <> c.relowner`,
    [quoteTable(model.from.name)],
  );
  const tables = [
    ...Object.values(model.to).map(({ name }) => quoteTable(name)),
    ...['remodel', 'audit', 'lease', 'outbox', 'tombstone', 'dirty', 'quarantine'].map((name) => `godwit.${name}`),
  ].join(', ');
  return rows.flatMap(({ role }) => [
    `grant usage on schema godwit to ${role}`,
    `grant select, insert, update, delete on ${tables} to ${role}`,
  ]);
}

async function claim(exec: Executor, model: Model, definition: string): Promise<void> {
  const { rows } = await exec.query('select definition::text as definition from godwit.remodel where name = $1', [
    model.name,
  ]);
  if (rows[0] && rows[0]['definition'] !== definition)
    throw new GodwitError('GW7008', `Remodel ${model.name} exists already, with another definition`);
  if (rows[0]) return;
  await exec.query(
    `insert into godwit.remodel (name, phase, epoch, ramp, reads, shadow, guard, definition, old_table, settled_at)
     values ($1, 'created', 1, 0, 0, 0, 'capture', $2, $3, null)`,
    [model.name, definition, model.from.name],
  );
  await exec.query(
    `insert into godwit.audit (remodel, event, epoch, data) values ($1, 'created', 1, jsonb_build_object('definition', $2::text))`,
    [model.name, definition],
  );
}
