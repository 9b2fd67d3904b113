/** Everything that `create` makes, as statements. */
import { type Model, type Table, writesOld } from '../../../kernel/remodel/index.ts';
import { ALLOWED } from './guard-setting.ts';
import { lockNumber } from './lock.ts';
import { literal, quote, quoteTable, type SqlModel, storedName } from './tables.ts';
import { READING } from './trap-sql.ts';
import { readExpression } from './values.ts';

/** Control tables, the same for every remodel of a database. Repeatable. */
export const CONTROL_TABLES: readonly string[] = [
  'create schema if not exists godwit',
  `create table if not exists godwit.remodel (
     name text primary key, phase text not null, epoch bigint not null,
     ramp integer not null, reads integer not null, shadow integer not null, guard text not null,
     definition text not null, old_table text not null, made jsonb not null, settled_at timestamptz,
     shadow_same bigint not null default 0, shadow_pending bigint not null default 0,
     shadow_confirmed bigint not null default 0, shadow_failed bigint not null default 0,
     created_at timestamptz not null default clock_timestamp())`,
  `create table if not exists godwit.audit (
     id bigint generated always as identity primary key, remodel text not null,
     at timestamptz not null default clock_timestamp(), event text not null, epoch bigint not null, data jsonb not null)`,
  `create table if not exists godwit.lease (
     remodel text not null, process text not null, host text not null, role text not null, epoch bigint not null,
     definition text not null, seen_at timestamptz not null, primary key (remodel, process))`,
  `create table if not exists godwit.outbox (
     remodel text not null, identity text not null, at timestamptz not null default clock_timestamp(),
     rung_at timestamptz, primary key (identity, remodel))`,
  // Oldest first, without sorting a backlog of millions in every pass.
  'create index if not exists outbox_at on godwit.outbox (remodel, at)',
  `create table if not exists godwit.tombstone (
     remodel text not null, identity text not null, at timestamptz not null default clock_timestamp(),
     primary key (remodel, identity))`,
  `create table if not exists godwit.dirty (
     id bigint generated always as identity primary key, remodel text not null, identity text not null,
     before text, after text, at timestamptz not null default clock_timestamp())`,
  'create index if not exists dirty_identity on godwit.dirty (remodel, identity)',
  `create table if not exists godwit.quarantine (
     remodel text not null, identity text not null, reason text not null,
     at timestamptz not null default clock_timestamp(), primary key (remodel, identity))`,
  // The queue's rows live for milliseconds: without this the dead ones would be waded through until the next minute.
  `alter table godwit.outbox set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
     autovacuum_vacuum_cost_delay = 0)`,
];

/** SQL types of new tables that `create` makes itself. */
const SQL_TYPES = {
  text: 'text',
  integer: 'integer',
  bigint: 'bigint',
  numeric: 'numeric',
  float: 'double precision',
  boolean: 'boolean',
  timestamp: 'timestamp with time zone',
  date: 'date',
  uuid: 'uuid',
  json: 'jsonb',
  bytes: 'bytea',
} as const;

/** A new table that is not there yet. `oldTypes`: real types of the old columns by stored name, to take over where a new column has the same. */
export function createTable(model: Model, table: Table, oldTypes: ReadonlyMap<string, string>): string[] {
  const lines = Object.entries(table.columns).map(([property, column]) => {
    const stored = storedName(property, table.columns);
    const like = property in model.from.columns && model.from.columns[property]?.type === column.type;
    const type = (like && oldTypes.get(storedName(property, model.from.columns))) || SQL_TYPES[column.type];
    return `  ${quote(stored)} ${type}${column.isNullable ? '' : ' not null'}`;
  });
  const name = quoteTable(table.name);
  const key = quote(storedName(model.key, table.columns));
  if (!table.isMany) return [`create table ${name} (\n${lines.join(',\n')},\n  primary key (${key})\n)`];
  const id = quote(storedName(table.id as string, table.columns));
  const index = quote(`${table.name.split('.').at(-1)}_${storedName(model.key, table.columns)}`.slice(0, 63));
  return [
    `create table ${name} (\n${lines.join(',\n')},\n  primary key (${id})\n)`,
    `create index if not exists ${index} on ${name} (${key})`,
  ];
}

export function enterFunction(model: Model): string {
  return `godwit.${quote(`enter:${model.name}`)}`;
}

function guardFunction(model: Model): string {
  return `godwit.${quote(`guard:${model.name}`)}`;
}

function truncateFunction(model: Model): string {
  return `godwit.${quote(`truncate:${model.name}`)}`;
}

/** Name of the trigger on the old table. */
export function guardTrigger(model: Model): string {
  return `godwit-guard-${model.name}`;
}

export function truncateTrigger(model: Model): string {
  return `godwit-truncate-${model.name}`;
}

/** Functions of one remodel. Repeatable. */
export function functions(sql: SqlModel): string[] {
  return [enter(sql), guard(sql), truncate(sql)];
}

/**
 * Locks an identity and decides its owner. Volatile plpgsql: each statement
 * sees what was committed before the lock was granted, but only under READ
 * COMMITTED, which is therefore demanded.
 */
function enter({ model, root, old }: SqlModel): string {
  const name = literal(model.name);
  return `create or replace function ${enterFunction(model)}(k text) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $godwit$
declare
  v_phase text;
  v_ramp integer;
  v_owner text;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'a transaction that writes through godwit must be READ COMMITTED' using errcode = 'GW001';
  end if;
  perform pg_advisory_xact_lock(${lockNumber(model.name, 'k')});
  select phase, ramp into v_phase, v_ramp from godwit.remodel where name = ${name};
  if v_phase in (${DUAL}) then
    perform 1 from ${root.name} where ${root.key.name} = k::${root.key.sqlType};
    if found then
      v_owner := 'new';
    elsif v_phase in ('trapped', 'retired') then
      v_owner := 'deleted'; -- the old table owns nothing any more: what is not in the new one is nowhere
    else
      perform 1 from godwit.tombstone where remodel = ${name} and identity = k;
      if found then v_owner := 'deleted'; end if;
    end if;
    if v_owner is not null then
      if v_phase <> 'retired' then
        insert into godwit.outbox (remodel, identity) values (${name}, k) on conflict do nothing;
      end if;
      if current_setting('${ALLOWED}', true) <> '' then perform set_config('${ALLOWED}', '', true); end if;
      return v_owner;
    end if;
    if v_phase = 'new-only' then perform set_config('${READING}', ${name}, true); end if;
    if ('x' || substr(md5(${literal(`${model.name}/`)} || k), 1, 8))::bit(32)::bigint % 10000 < v_ramp then
      return 'adopt';
    end if;
  end if;
  -- The library writes the row as a whole: whoever writes it past the library waits, and we for him.
  perform 1 from ${old.name} where ${old.key.name} = k::${old.key.sqlType} for no key update;
  perform set_config('${ALLOWED}', jsonb_build_array(${literal(`${model.name}/`)} || k)::text, true);
  return 'old';
end
$godwit$`;
}

/** What writes past the library leave: the old row before and after, as texts that `rowOf` reads. */
function guard({ model, old }: SqlModel): string {
  const name = literal(model.name);
  const image = (alias: string) => {
    const values = old.columns.map((c) => readExpression(`${alias}.${c.name}`, c.type, c.sqlType));
    const parts: string[] = [];
    for (let i = 0; i < values.length; i += 50) parts.push(`jsonb_build_array(${values.slice(i, i + 50).join(', ')})`);
    return `(${parts.join(' || ')})::text`;
  };
  const note = (identity: string, before: string, after: string) =>
    `insert into godwit.dirty (remodel, identity, before, after) values (${name}, ${identity}, ${before}, ${after});`;
  const key = old.key.name;
  return `create or replace function ${guardFunction(model)}() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $godwit$
declare
  v_allowed text := current_setting('${ALLOWED}', true);
  v_key text;
  v_old text;
  v_new text;
begin
  if tg_op <> 'INSERT' then v_old := old.${key}::text; end if;
  if tg_op <> 'DELETE' then v_new := new.${key}::text; end if;
  if v_allowed <> '' and (tg_op <> 'UPDATE' or v_old = v_new) then
    v_key := ${literal(`${model.name}/`)} || coalesce(v_new, v_old);
    -- Reading the list as JSON for every row of a relay's pass would cost more than the row. Inside of a JSON text a
    -- quote has a backslash before it: after a comma, or at the beginning, one begins an element.
    if strpos(v_allowed, ',' || to_json(v_key)::text) > 0 or starts_with(v_allowed, '[' || to_json(v_key)::text)
       or v_allowed::jsonb ? v_key then return null; end if;
  end if;
  if (select guard from godwit.remodel where name = ${name}) = 'reject' then
    raise exception 'table %.% is being remodelled by godwit (%): write it through the library',
      tg_table_schema, tg_table_name, ${name} using errcode = 'GW002';
  end if;
  if tg_op = 'UPDATE' and v_old = v_new then
    ${note('v_new', image('old'), image('new'))}
    return null;
  end if;
  if tg_op <> 'INSERT' then ${note('v_old', image('old'), 'null')} end if;
  if tg_op <> 'DELETE' then ${note('v_new', 'null', image('new'))} end if;
  return null;
end
$godwit$`;
}

/** TRUNCATE fires no row trigger, so that nothing could be captured: it is refused whatever the guard's mode. */
function truncate({ model }: SqlModel): string {
  return `create or replace function ${truncateFunction(model)}() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $godwit$
begin
  raise exception 'table %.% is being remodelled by godwit (%): TRUNCATE would go unnoticed; use DELETE',
    tg_table_schema, tg_table_name, ${literal(model.name)} using errcode = 'GW003';
end
$godwit$`;
}

/** The guard on the old table. Repeatable. Each statement needs a lock that no writer may hold. */
export function triggers({ model, old }: SqlModel): string[] {
  const [rows, whole] = [quote(guardTrigger(model)), quote(truncateTrigger(model))];
  return [
    `create or replace trigger ${rows} after insert or update or delete on ${old.name}
       for each row execute function ${guardFunction(model)}()`,
    // Also where a replication role applies changes: those are writes past the library, too.
    `alter table ${old.name} enable always trigger ${rows}`,
    `create or replace trigger ${whole} before truncate on ${old.name}
       for each statement execute function ${truncateFunction(model)}()`,
    `alter table ${old.name} enable always trigger ${whole}`,
  ];
}

/** Takes functions and triggers away. */
export function dropFunctions(model: Model): string[] {
  return [
    `drop function if exists ${enterFunction(model)}(text)`,
    `drop function if exists ${guardFunction(model)}() cascade`,
    `drop function if exists ${truncateFunction(model)}() cascade`,
  ];
}

/** Phases in which the new model may own identities, as an SQL list. */
export const DUAL = ['dual', 'sealed', 'backfilling', 'verified', 'reads', 'new-only', 'trapped', 'retired']
  .map(literal)
  .join(', ');

/** Phases in which adopted identities are carried to the old table, as an SQL list. */
export const CARRYING = (['dual', 'sealed', 'backfilling', 'verified', 'reads'] as const)
  .filter(writesOld)
  .map(literal)
  .join(', ');
