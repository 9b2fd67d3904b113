/** The statements that put a view in the old table's place, and take it away. */
import type { Model } from '../../../kernel/remodel/index.ts';
import { literal, quote, quoteTable } from './tables.ts';

/** Set in transactions of the library that look for an old row between the trap and the phase `trapped`. */
export const READING = 'godwit.reading';

/** Hits are kept for all remodels of a database; the modes, too. Repeatable. */
export const TRAP_TABLES: readonly string[] = [
  `create table if not exists godwit.trap_hit (
     id bigint generated always as identity primary key, remodel text not null,
     at timestamptz not null default clock_timestamp(), who text not null, query text not null)`,
  'create index if not exists trap_hit_reader on godwit.trap_hit (remodel, who, query, at)',
  // `blind_seen`: how many reads without a name were made into hits.
  `create table if not exists godwit.trap (
     remodel text primary key, mode text not null, blind_seen bigint not null default 0)`,
];

const named = (model: Model, what: string) => `godwit.${quote(`trap-${what}:${model.name}`)}`;

/** An empty table: the server counts its scans, also those of transactions that may write nothing. */
export const markTable = (model: Model) => named(model, 'mark');
/** How many reads were refused. */
export const refusedCount = (model: Model) => named(model, 'refused');
/** When the last one was, milliseconds since 1970. */
export const refusedAt = (model: Model) => named(model, 'refused-at');
const readFunction = (model: Model) => named(model, 'read');
const writeFunction = (model: Model) => named(model, 'write');

/** Repeatable: changes the mode of a trap that is there. */
export function trapFunctions(model: Model, mode: 'record' | 'refuse'): readonly string[] {
  return [
    `create table if not exists ${markTable(model)} ()`,
    `create sequence if not exists ${refusedCount(model)}`,
    `create sequence if not exists ${refusedAt(model)}`,
    mode === 'record' ? recording(model) : refusing(model),
    refusingWrites(model),
    `grant execute on function ${readFunction(model)}(), ${writeFunction(model)}() to public`,
  ];
}

const HEAD = 'security definer set search_path = pg_catalog, pg_temp as $godwit$';

/** What the library itself reads is no hit. */
const exempt = (model: Model) =>
  `if coalesce(current_setting('${READING}', true), '') = ${literal(model.name)} then return true; end if;`;

/**
 * Never makes a read fail: whatever goes wrong with writing the hit down is
 * let go. In a read-only transaction nothing can be written; there the scan of
 * the mark is counted, and the server's log has who it was. Looking for an
 * earlier hit of the same reader keeps a busy one from filling the table, but
 * is left out in serializable transactions, which could fail for having looked.
 */
function recording(model: Model): string {
  return `create or replace function ${readFunction(model)}() returns boolean language plpgsql volatile ${HEAD}
declare
  v_who text;
  v_query text;
begin
  ${exempt(model)}
  begin
    ${who()}
    if current_setting('transaction_read_only') = 'on' then
      perform 1 from ${markTable(model)};
      raise log 'godwit (%): the retired table was read by %', ${literal(model.name)}, v_who;
    elsif current_setting('transaction_isolation') = 'serializable' or not exists (
      select from godwit.trap_hit where remodel = ${literal(model.name)} and who = v_who and query = v_query
         and at > clock_timestamp() - interval '10 seconds') then
      insert into godwit.trap_hit (remodel, who, query) values (${literal(model.name)}, v_who, v_query);
    end if;
  exception when others then
    raise log 'godwit (%): a read of the retired table could not be written down: %', ${literal(model.name)}, sqlerrm;
  end;
  return true;
end
$godwit$`;
}

/** A sequence is not undone by the rollback that refusing causes: it remembers number and time. */
function refusing(model: Model): string {
  return `create or replace function ${readFunction(model)}() returns boolean language plpgsql volatile ${HEAD}
begin
  ${exempt(model)}
  if current_setting('transaction_read_only') = 'on' then
    perform 1 from ${markTable(model)};
  else
    perform nextval(${literal(refusedCount(model))});
    perform setval(${literal(refusedAt(model))}, (extract(epoch from clock_timestamp()) * 1000)::bigint);
  end if;
  raise exception 'table % is retired (godwit, remodel %): read the new tables', ${literal(model.from.name)},
    ${literal(model.name)} using errcode = 'GW004';
end
$godwit$`;
}

function refusingWrites(model: Model): string {
  return `create or replace function ${writeFunction(model)}() returns trigger language plpgsql ${HEAD}
begin
  raise exception 'table % is retired (godwit, remodel %): write through the library', ${literal(model.from.name)},
    ${literal(model.name)} using errcode = 'GW005';
end
$godwit$`;
}

/** Who it is, and what of the query is no value: constants may be anybody's data. */
function who(): string {
  return `v_who := concat_ws(' ', session_user, nullif(current_setting('application_name'), ''), host(inet_client_addr()));
    v_query := regexp_replace(left(current_query(), 2000), '''([^''\\\\]|\\\\.|'''')*(''|$)', '?', 'g');
    v_query := regexp_replace(v_query, '\\$([A-Za-z_]*)\\$.*?(\\$\\1\\$|$)', '?', 'g');
    v_query := left(regexp_replace(regexp_replace(v_query, '(^|[^A-Za-z_0-9$])[0-9]+(\\.[0-9]+)?', '\\1?', 'g'), '\\s+', ' ', 'g'), 200);`;
}

/** Inside the transaction that renamed the table: the view, with the table's owner and privileges. */
export function viewStatements(
  model: Model,
  table: { readonly view: string; readonly table: string; readonly owner: string; readonly isSecured: boolean },
  columns: readonly string[],
  grants: readonly string[],
): readonly string[] {
  const { view, owner, isSecured } = table;
  return [
    `create view ${view} ${isSecured ? 'with (security_invoker = true)' : ''} as
       select ${columns.map(quote).join(', ')} from ${table.table} where (select ${readFunction(model)}())`,
    `create trigger "godwit-trap" instead of insert or update or delete on ${view}
       for each row execute function ${writeFunction(model)}()`,
    `alter view ${view} owner to ${owner}`,
    ...grants,
  ];
}

/** After the view is gone. */
export function dropTrap(model: Model): readonly string[] {
  return [
    `drop function if exists ${readFunction(model)}()`,
    `drop function if exists ${writeFunction(model)}()`,
    `drop table if exists ${markTable(model)}`,
    `drop sequence if exists ${refusedCount(model)}, ${refusedAt(model)}`,
    `delete from godwit.trap where remodel = ${literal(model.name)}`,
  ];
}

/** The bare name, quoted, of a table that may be given with its schema. */
export function bareName(name: string): string {
  return quoteTable(name.split('.').at(-1) as string);
}
