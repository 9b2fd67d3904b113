/** One transaction of a fast lane: the locks, and the old rows that may be adopted under them. */
import type pg from 'pg';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Identity, Model } from '../../../kernel/remodel/index.ts';
import { translate } from '../errors.ts';
import { type Executor, onPg } from './executor.ts';
import { lockNumber } from './lock.ts';
import { giveBack, IDLE_LIMIT, take } from './session.ts';
import { literal, type SqlModel } from './tables.ts';

/** A chunk under its locks, in one transaction. */
export interface Chunk {
  readonly client: pg.ClientBase;
  readonly exec: Executor;
  readonly tables: SqlModel;
  /** Those of the chunk whose locks are held: the others are being written by somebody at this moment. */
  readonly identities: readonly Identity[];
  /** The same as the server reads an array: parameter `$1` of `withOld`. */
  readonly list: string;
  readonly prepare: boolean;
}

/** Where chunks get their connection from. */
export interface LockSource {
  readonly pool: pg.Pool;
  /** Whether statements may be prepared: planning takes as long as a tenth of the work of a chunk. */
  readonly prepare: boolean;
}

/** Keys are looked up in indexes: a thousand of them look to the planner like most of a table that is still small. */
const BEGIN = `begin isolation level read committed; set local synchronous_commit = off;
  set local lock_timeout = '500ms'; set local enable_seqscan = off; set local jit = off;
  set local plan_cache_mode = force_generic_plan; ${IDLE_LIMIT}`;

/**
 * One transaction. It never waits for an identity's lock, and gives up before
 * the server would look for a deadlock: backfill steps back, not the
 * application. Its commit does not wait for the disk: what a crash takes away
 * is whole chunks, nobody could have built on them durably, and they are
 * missing again.
 */
export async function underLocks<T>(
  { pool, prepare }: LockSource,
  tables: SqlModel,
  identities: readonly Identity[],
  work: (chunk: Chunk) => Promise<T>,
): Promise<T> {
  const doing = `Adopting identities of ${tables.model.name}`;
  const client = await take(pool).catch((error: unknown) => {
    throw translate(error, doing);
  });
  let broken: Error | undefined;
  try {
    const exec = onPg(client, prepare);
    await client.query(BEGIN);
    const all = arrayText(identities);
    const held = await holdable(exec, tables, identities, all);
    const list = held === identities ? all : arrayText(held);
    const result = await work({ client, exec, tables, identities: held, list, prepare });
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((failure: unknown) => {
      broken = failure as Error;
    });
    throw translate(error, doing);
  } finally {
    giveBack(client, broken);
  }
}

/**
 * Takes the locks that are free, and gives their identities. The server names
 * only the others, which are few, and the phase.
 */
async function holdable(
  exec: Executor,
  { model }: SqlModel,
  identities: readonly Identity[],
  list: string,
): Promise<readonly Identity[]> {
  const { rows } = await exec.query(
    `select u.identity, null as phase from unnest($1::text[]) as u(identity)
      where not pg_try_advisory_xact_lock(${lockNumber(model.name, 'u.identity')})
     union all select null, phase from godwit.remodel where name = $2`,
    [list, model.name],
    'prepared',
  );
  const phase = rows.find((row) => row['phase'] !== null)?.['phase'] ?? 'draft';
  if (phase === 'draft' || phase === 'created' || phase === 'retired')
    throw new GodwitError('GW1004', `Remodel ${model.name} is in phase ${phase}: nothing may be adopted`);
  const busy = new Set(rows.map(({ identity }) => identity));
  return rows.length === 1 ? identities : identities.filter((identity) => !busy.has(identity));
}

/** An array as the server reads it: the driver's own way takes longer than all else here. */
export function arrayText(texts: readonly string[]): string {
  const items = texts.map((text) => (/^[\w-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`));
  return `{${items.map((item) => (/^null$/i.test(item) ? `"${item}"` : item)).join(',')}}`;
}

/**
 * SQL of a chunk's old rows, up to its SELECT: `"old"`, all columns of those of
 * `$1`, the identities whose locks are held, that the old model owns. It must
 * be a statement after the one that took the locks, because only then it sees
 * what the holders before us committed. Who is excluded is looked up by key
 * beforehand: joined, tables that no statistics know yet would be read as a
 * whole. The planner shall weigh the thousand keys once, for `"old"`, and not
 * thrice: elsewhere they are hidden from it.
 */
export function withOld({ model, old, root }: SqlModel): string {
  const { sqlType } = old.key;
  const key = `o.${old.key.name}`;
  const marked = (table: string) =>
    `select identity from godwit.${table} where remodel = ${literal(model.name)}
        and identity = any(array(select unnest($1::text[]) where ${hasAny(table, model)}))`;
  return `with "godwit owned" as materialized (select r.${root.key.name} as k from ${root.name} r
      where r.${root.key.name} = any(array(select unnest($1::text[]::${sqlType}[])))),
    "godwit marked" as materialized (${marked('tombstone')} union all ${marked('quarantine')}),
    "old" as materialized (select o.* from ${old.name} o where ${key} = any($1::text[]::${sqlType}[])
      and ${key} not in (select k from "godwit owned") and ${key}::text not in (select identity from "godwit marked"))`;
}

/** Asked once a statement: most often there is nothing to be looked up a thousand times. */
function hasAny(table: string, model: Model): string {
  return `exists (select from godwit.${table} where remodel = ${literal(model.name)})`;
}

/** SQL that forgets what was written past the library to the rows of `old`, in the same snapshot that reads them. */
export function forgetDirty({ model, old }: SqlModel): string {
  return `delete from godwit.dirty d where d.remodel = ${literal(model.name)}
    and d.identity = any(array(select ${old.key.name}::text from "old" where ${hasAny('dirty', model)}))`;
}
