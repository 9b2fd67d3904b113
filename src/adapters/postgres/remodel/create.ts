import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Model, Table } from '../../../kernel/remodel/index.ts';
import { wasBusy } from './carry.ts';
import { CONTROL_TABLES, createTable, dropFunctions, functions, triggers } from './ddl.ts';
import type { Executor } from './executor.ts';
import { isGuardInPlace } from './guard.ts';
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

/** How often `create` tries to put the guard on a table that transactions hold, and how long it waits each time. */
const ATTEMPTS = 60;
const LOCK_TIMEOUT = '500ms';

/**
 * Makes all of it, and the control record in phase `created`, in one
 * transaction. Repeatable while in that phase. A trigger waits for every
 * transaction that writes the old table, and all later ones wait behind it: so
 * it gives up soon, lets them pass, and tries again.
 * @throws GodwitError GW3003 when the old table was never free.
 */
export async function create(pool: pg.Pool, model: Model, definition: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await createOnce(pool, model, definition);
    } catch (error) {
      if (!wasBusy(error) || attempt === ATTEMPTS) throw error;
      await sleep(50);
    }
  }
}

function createOnce(pool: pg.Pool, model: Model, definition: string): Promise<void> {
  return inTransaction(pool, `Creating remodel ${model.name}`, async (exec) => {
    // Two at once would both find a table missing.
    await exec.query(`select pg_advisory_xact_lock(hashtextextended('godwit create', 0))::text`);
    await exec.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`);
    for (const statement of CONTROL_TABLES) await exec.query(statement);
    const lacking = await lackingTables(exec, model);
    for (const statement of await newTables(exec, model)) await exec.query(statement);
    for (const statement of await grants(exec, model)) await exec.query(statement);
    const sql = await loadTables(exec, model);
    await claim(exec, model, definition, lacking);
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
    for (const statement of functions(sql)) await exec.query(statement);
    // Last, because it locks the old table until the end of this transaction.
    if (!(await isGuardInPlace(exec, sql))) for (const statement of triggers(sql)) await exec.query(statement);
  });
}

/** Takes everything away that `create` made; new tables that were there before it stay. Only while the new model owns nothing. */
export function drop(pool: pg.Pool, model: Model): Promise<void> {
  return inTransaction(pool, `Dropping remodel ${model.name}`, async (exec) => {
    const sql = await loadTables(exec, model);
    await exec.query(`lock table ${sql.all.map(({ name }) => name).join(', ')} in access exclusive mode`);
    const counts = sql.all.map(({ name }) => `(select count(*) from ${name})`).join(' + ');
    await exec.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`);
    const { rows } = await exec.query(
      `select (${counts} + (select count(*) from godwit.tombstone where remodel = $1))::text as n,
              (select phase from godwit.remodel where name = $1)::text as phase,
              (select made from godwit.remodel where name = $1)::text as made`,
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
    const made = new Set(JSON.parse(rows[0]['made'] as string) as string[]);
    for (const { as, name } of sql.all)
      if (made.has(model.to[as]?.name as string)) await exec.query(`drop table ${name}`);
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

/** Names of new tables that are not there. */
async function lackingTables(exec: Executor, model: Model): Promise<readonly string[]> {
  const lacking: string[] = [];
  for (const { name } of Object.values(model.to)) if ((await columnTypes(exec, name)).size === 0) lacking.push(name);
  return lacking;
}

/** The control record. Epochs go on after those of a remodel of this name that was dropped: its history is still there. */
async function claim(exec: Executor, model: Model, definition: string, made: readonly string[]): Promise<void> {
  const { rows } = await exec.query('select definition::text as definition from godwit.remodel where name = $1', [
    model.name,
  ]);
  if (rows[0] && rows[0]['definition'] !== definition)
    throw new GodwitError('GW7008', `Remodel ${model.name} exists already, with another definition`);
  if (rows[0]) return;
  await exec.query(
    `insert into godwit.remodel (name, phase, epoch, ramp, reads, shadow, guard, definition, old_table, made)
     select $1::text, 'created', coalesce(max(epoch), 0) + 1, 0, 0, 0, 'capture', $2::text, $3::text, $4::text::jsonb
       from godwit.audit where remodel = $1::text`,
    [model.name, definition, model.from.name, JSON.stringify(made)],
  );
  await exec.query(
    `insert into godwit.audit (remodel, event, epoch, data)
     select name, 'created', epoch, jsonb_build_object('definition', definition) from godwit.remodel where name = $1`,
    [model.name],
  );
}
