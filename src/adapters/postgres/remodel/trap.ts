/** A view in the old table's place that tells, or refuses, who still reads it; and the end of the old table. */
import type pg from 'pg';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Model } from '../../../kernel/remodel/index.ts';
import { dropFunctions, enterFunction } from './ddl.ts';
import type { Executor } from './executor.ts';
import { inTransaction } from './session.ts';
import { literal, quote } from './tables.ts';
import { isTrapped, retiredName } from './trap-names.ts';
import { bareName, dropTrap, TRAP_TABLES, trapFunctions, viewStatements } from './trap-sql.ts';

/** Renaming waits for every transaction that uses the table, and everybody else waits behind it: not for long. */
const LOCK_TIMEOUT = `set local lock_timeout = '2s'`;

/**
 * Renames the old table and puts a view in its place, in one transaction;
 * repeated, it changes the mode.
 *
 * `record` writes down who reads (role, application, address) and what, each
 * reader's query once in ten seconds. A read never fails of it; so what is
 * not written down is: reads that are rolled back, and the name of who reads
 * in a read-only transaction (the read is counted, the name is in the server's
 * log). Reads on a replica leave nothing here. `refuse` makes reads fail, and
 * remembers their number and the time of the last. Writes fail in both.
 *
 * @throws GodwitError GW1004 in a phase in which the library writes the old table; GW2006 when views or foreign keys
 *   hang on it, which would go on using it past the trap; GW3003 when it could not be locked within two seconds.
 */
export function trap(pool: pg.Pool, model: Model, mode: 'record' | 'refuse'): Promise<void> {
  return inTransaction(pool, `Trapping readers of ${model.from.name}`, async (exec) => {
    await exec.query(LOCK_TIMEOUT);
    await demandPhase(exec, model, ['new-only', 'trapped']);
    for (const statement of [...TRAP_TABLES, ...trapFunctions(model, mode)]) await exec.query(statement);
    await exec.query(
      `insert into godwit.trap (remodel, mode) values ($1, $2) on conflict (remodel) do update set mode = excluded.mode`,
      [model.name, mode],
    );
    if (!(await isTrapped(exec, model))) await putViewInPlace(exec, model);
  });
}

/** Gives the old table its name back. What was recorded is kept. */
export function untrap(pool: pg.Pool, model: Model): Promise<void> {
  return inTransaction(pool, `Ending the trap of ${model.from.name}`, async (exec) => {
    await exec.query(LOCK_TIMEOUT);
    if (!(await isTrapped(exec, model))) return;
    const old = await describe(exec, retiredName(model));
    await exec.query(`drop view ${old.schema}.${bareName(model.from.name)}`);
    await exec.query(`alter table ${old.name} rename to ${bareName(model.from.name)}`);
    for (const statement of dropTrap(model)) await exec.query(statement);
  });
}

/**
 * Drops the old table behind the trap, the trap, and what the control tables
 * hold of the way back. The function that writes go through stays, and so do
 * control record, history and hits. Irreversible; repeatable.
 * @throws GodwitError GW1004 without a trap; GW2006 when something still hangs on the table.
 */
export function retire(pool: pg.Pool, model: Model): Promise<void> {
  return inTransaction(pool, `Retiring ${model.from.name}`, async (exec) => {
    await exec.query(LOCK_TIMEOUT);
    const trapped = await isTrapped(exec, model);
    const { rows } = await exec.query(
      `select (select phase from godwit.remodel where name = $1)::text as phase, to_regclass($2)::text as there`,
      [model.name, quoteName(model.from.name)],
    );
    if (!trapped && (rows[0]?.['phase'] !== 'retired' || rows[0]['there'] !== null))
      throw new GodwitError('GW1004', `${model.from.name} is not trapped: nobody knows who still reads it`);
    await demandPhase(exec, model, ['trapped', 'retired']);
    if (trapped) {
      const old = await describe(exec, retiredName(model));
      await refuseDependents(exec, model, old.oid);
      await exec.query(`drop view ${old.schema}.${bareName(model.from.name)}`);
      await exec.query(`drop table ${old.name}`);
      for (const statement of dropTrap(model)) await exec.query(statement);
    }
    for (const statement of dropFunctions(model))
      if (!statement.includes(enterFunction(model))) await exec.query(statement);
    for (const table of ['outbox', 'tombstone', 'dirty', 'quarantine'])
      await exec.query(`delete from godwit.${table} where remodel = $1`, [model.name]);
  });
}

async function demandPhase(exec: Executor, model: Model, phases: readonly string[]): Promise<void> {
  const { rows } = await exec.query('select phase::text as phase from godwit.remodel where name = $1 for share', [
    model.name,
  ]);
  const phase = rows[0]?.['phase'] ?? 'draft';
  if (!phases.includes(phase))
    throw new GodwitError('GW1004', `Remodel ${model.name} is in phase ${phase}, not ${phases.join(' or ')}`);
}

interface OldTable {
  readonly oid: string;
  /** Quoted. */
  readonly schema: string;
  /** Quoted, with its schema. */
  readonly name: string;
  readonly owner: string;
  readonly isSecured: boolean;
}

async function describe(exec: Executor, name: string): Promise<OldTable> {
  const { rows } = await exec.query(
    `select c.oid::text as oid, quote_ident(n.nspname) as schema, quote_ident(c.relname) as name,
            quote_ident(pg_get_userbyid(c.relowner)) as owner, c.relrowsecurity::text as secured, c.relkind::text as kind
       from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass($1)`,
    [quoteName(name)],
  );
  const row = rows[0];
  if (!row || !/^[rp]$/.test(row['kind'] as string)) throw new GodwitError('GW2006', `${name} is no table`);
  return {
    oid: row['oid'] as string,
    schema: row['schema'] as string,
    name: `${row['schema']}.${row['name']}`,
    owner: row['owner'] as string,
    isSecured: row['secured'] === 'true',
  };
}

async function putViewInPlace(exec: Executor, model: Model): Promise<void> {
  const old = await describe(exec, model.from.name);
  await exec.query(`lock table ${old.name} in access exclusive mode`);
  await refuseDependents(exec, model, old.oid);
  const { rows: columns } = await exec.query(
    `select attname::text as name from pg_attribute where attrelid = ${literal(old.oid)}::oid and attnum > 0
        and not attisdropped order by attnum`,
  );
  const view = `${old.schema}.${bareName(model.from.name)}`;
  const grants = await grantsOf(exec, old.oid, view);
  await exec.query(`alter table ${old.name} rename to ${bareName(retiredName(model))}`);
  const table = `${old.schema}.${bareName(retiredName(model))}`;
  const names = columns.map((row) => row['name'] as string);
  for (const statement of viewStatements(model, { ...old, view, table }, names, grants)) await exec.query(statement);
}

/** The table's privileges, of the whole and of columns, for the view: also those to write, so that the trap answers. */
async function grantsOf(exec: Executor, oid: string, view: string): Promise<readonly string[]> {
  const { rows } = await exec.query(
    `select a.privilege_type::text as privilege, p.name::text as column_name,
            case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as role
       from (select relacl as acl, null::text as name from pg_class where oid = ${literal(oid)}::oid
             union all
             select attacl, quote_ident(attname) from pg_attribute where attrelid = ${literal(oid)}::oid and not attisdropped) p
       cross join lateral aclexplode(p.acl) a
      where a.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
        and a.grantee <> (select relowner from pg_class where oid = ${literal(oid)}::oid)`,
  );
  return rows.map(
    ({ privilege, column_name, role }) =>
      `grant ${privilege} ${column_name === null ? '' : `(${column_name})`} on ${view} to ${role}`,
  );
}

/** They hold the table itself, not its name: a rename does not take it from them. */
async function refuseDependents(exec: Executor, model: Model, oid: string): Promise<void> {
  const { rows } = await exec.query(
    `select distinct 'view ' || r.ev_class::regclass::text as what
       from pg_depend d join pg_rewrite r on r.oid = d.objid
      where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass
        and d.refobjid = ${literal(oid)}::oid and r.ev_class <> ${literal(oid)}::oid
        and r.ev_class <> coalesce(to_regclass($1)::oid, 0)
     union all
     select 'foreign key ' || quote_ident(conname) || ' of ' || conrelid::regclass::text
       from pg_constraint where contype = 'f' and confrelid = ${literal(oid)}::oid and conrelid <> confrelid
      order by 1`,
    [quoteName(model.from.name)],
  );
  if (rows.length === 0) return;
  const what = rows.map((row) => row['what'] as string);
  throw new GodwitError(
    'GW2006',
    `${model.from.name} is still used by ${what.join(', ')}: a trap would not see it. Point it to the new tables, or drop it, first`,
    { details: { dependents: what } },
  );
}

function quoteName(name: string): string {
  return name.split('.').map(quote).join('.');
}
