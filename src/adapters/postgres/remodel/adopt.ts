import type pg from 'pg';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Identity, Row, State } from '../../../kernel/remodel/index.ts';
import { blamesRow } from './carry.ts';
import type { Executor } from './executor.ts';
import { tryLocks } from './lock.ts';
import { quarantine, reasonOf } from './quarantine.ts';
import { inTransaction } from './session.ts';
import { insertRows, readStates } from './states.ts';
import { rowExpression, rowOf, type SqlModel } from './tables.ts';

export interface Adopted {
  readonly adopted: number;
  readonly quarantined: number;
}

/** Identities of one transaction: their locks share the server's lock table. */
const MOST_AT_ONCE = 500;

/**
 * Adopts identities that the old model owns. Those that somebody is writing
 * at this moment are left to their writer, or to the next call.
 */
export async function adopt(pool: pg.Pool, sql: SqlModel, identities: readonly Identity[]): Promise<Adopted> {
  let [adopted, quarantined] = [0, 0];
  for (let i = 0; i < identities.length; i += MOST_AT_ONCE) {
    const batch = await adoptBatch(pool, sql, identities.slice(i, i + MOST_AT_ONCE));
    adopted += batch.adopted;
    quarantined += batch.quarantined;
  }
  return { adopted, quarantined };
}

async function adoptBatch(pool: pg.Pool, sql: SqlModel, identities: readonly Identity[]): Promise<Adopted> {
  try {
    return await adoptTogether(pool, sql, identities);
  } catch (error) {
    if (!blamesRow(error)) throw error;
    if (identities.length === 1) return setAside(pool, sql, identities[0] as Identity, error);
  }
  // Halves, until what is refused stands alone.
  const half = Math.ceil(identities.length / 2);
  const a = await adoptBatch(pool, sql, identities.slice(0, half));
  const b = await adoptBatch(pool, sql, identities.slice(half));
  return { adopted: a.adopted + b.adopted, quarantined: a.quarantined + b.quarantined };
}

function adoptTogether(pool: pg.Pool, sql: SqlModel, identities: readonly Identity[]): Promise<Adopted> {
  const { model } = sql;
  return inTransaction(pool, `Adopting identities of ${model.name}`, async (exec) => {
    await demandDual(exec, sql);
    return adoptLocked(exec, sql, await tryLocks(exec, model.name, identities));
  });
}

/** Adopts those whose locks are held and that the old model owns. Those for which `up` throws go to quarantine. */
export async function adoptLocked(exec: Executor, sql: SqlModel, locked: readonly Identity[]): Promise<Adopted> {
  const { model } = sql;
  const olds = await takeOldRows(exec, sql, locked);
  const rows = new Map<string, Row[]>(sql.all.map(({ as }) => [as, []]));
  let quarantined = 0;
  for (const [identity, old] of olds) {
    let state: State;
    try {
      state = model.up(old);
    } catch (error) {
      await quarantine(exec, model, identity, reasonOf(error));
      quarantined += 1;
      continue;
    }
    for (const { as } of sql.all) rows.get(as)?.push(...(state[as] ?? []));
  }
  for (const table of sql.all) await insertRows(exec, table, rows.get(table.as) ?? []);
  return { adopted: olds.size - quarantined, quarantined };
}

async function demandDual(exec: Executor, { model }: SqlModel): Promise<void> {
  const { rows } = await exec.query('select phase::text as phase from godwit.remodel where name = $1', [model.name]);
  const phase = rows[0]?.['phase'] ?? 'draft';
  if (phase === 'draft' || phase === 'created' || phase === 'retired')
    throw new GodwitError('GW1004', `Remodel ${model.name} is in phase ${phase}: nothing may be adopted`);
}

/**
 * Old rows of those that the old model owns. In the same statement, and so in
 * the same snapshot, forgets what was written to them past the library: it is
 * in the rows.
 */
async function takeOldRows(
  exec: Executor,
  { model, old, root }: SqlModel,
  identities: readonly Identity[],
): Promise<ReadonlyMap<Identity, Row>> {
  if (identities.length === 0) return new Map();
  const { rows } = await exec.query(
    `with old as materialized (
       select x.${old.key.name}::text as identity, ${rowExpression(old, 'x')} as v
         from ${old.name} x
        where x.${old.key.name} = any(array(select i::${old.key.sqlType} from unnest($2::text[]) i))
          and not exists (select 1 from ${root.name} r where r.${root.key.name} = x.${old.key.name})
          and not exists (select 1 from godwit.tombstone t
                           where t.remodel = $1 and t.identity = x.${old.key.name}::text)
          and not exists (select 1 from godwit.quarantine q
                           where q.remodel = $1 and q.identity = x.${old.key.name}::text)),
     seen as (delete from godwit.dirty d where d.remodel = $1 and d.identity in (select identity from old))
     select identity, v from old`,
    [model.name, identities],
  );
  return new Map(rows.map((row) => [row['identity'] as string, rowOf(old, row['v'] as string)]));
}

/** Unless somebody is writing it, or has adopted it by now. */
async function setAside(pool: pg.Pool, sql: SqlModel, identity: Identity, error: unknown): Promise<Adopted> {
  const quarantined = await inTransaction(pool, 'Setting an identity aside', async (exec) => {
    if ((await tryLocks(exec, sql.model.name, [identity])).length === 0) return 0;
    if ((await readStates(exec, sql, [identity])).size > 0) return 0;
    await quarantine(exec, sql.model, identity, reasonOf(error));
    return 1;
  });
  return { adopted: 0, quarantined };
}
