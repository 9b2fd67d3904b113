import type pg from 'pg';
import { isRetryable } from '../../../kernel/errors.ts';
import type { Identity, RelayPass, Row, State } from '../../../kernel/remodel/index.ts';
import { CARRYING } from './ddl.ts';
import type { Executor } from './executor.ts';
import { allowAll } from './guard-setting.ts';
import { tryLocks } from './lock.ts';
import { quarantine, reasonOf } from './quarantine.ts';
import { inTransaction } from './session.ts';
import { deleteRows, readStates, upsertOldRows } from './states.ts';
import type { SqlModel } from './tables.ts';

const NOTHING: RelayPass = { applied: 0, quarantined: 0, more: false, oldestMs: 0 };

/**
 * One pass: lock, read the newest state, write the old rows, forget the queue's
 * rows, all in one transaction. A row that the old table refuses would fail all
 * of them: then each is carried alone and the refused ones go to quarantine.
 */
export async function relay(
  pool: pg.Pool,
  sql: SqlModel,
  limit: number,
  only?: readonly Identity[],
): Promise<RelayPass> {
  if (only?.length === 0) return NOTHING;
  try {
    return await pass(pool, sql, limit, only);
  } catch (error) {
    if (isRetryable(error)) throw error;
    return await oneByOne(pool, sql, limit, only, error);
  }
}

function pass(pool: pg.Pool, sql: SqlModel, limit: number, only?: readonly Identity[]): Promise<RelayPass> {
  return inTransaction(pool, `Carrying changes of ${sql.model.name}`, async (exec) => {
    const waiting = await candidates(exec, sql, limit, only);
    if (waiting.length === 0) return NOTHING;
    const held = await tryLocks(
      exec,
      sql.model.name,
      waiting.map(({ identity }) => identity),
    );
    const { quarantined } = await carry(exec, sql, held);
    const mine = new Set(held);
    const oldestMs = Math.max(0, ...waiting.filter(({ identity }) => mine.has(identity)).map(({ ageMs }) => ageMs));
    return { applied: held.length - quarantined, quarantined, more: waiting.length === limit, oldestMs };
  });
}

async function candidates(
  exec: Executor,
  { model }: SqlModel,
  limit: number,
  only?: readonly Identity[],
): Promise<{ identity: Identity; ageMs: number }[]> {
  const { rows } = await exec.query(
    `select o.identity, round(extract(epoch from clock_timestamp() - o.at) * 1000)::text as age
       from godwit.outbox o
      where o.remodel = $1 ${only ? 'and o.identity = any($3::text[])' : ''}
        and exists (select 1 from godwit.remodel r where r.name = $1 and r.phase in (${CARRYING}))
      order by o.at limit $2::text::integer for update of o skip locked`,
    [model.name, String(limit), ...(only ? [only] : [])],
  );
  return rows.map((row) => ({ identity: row['identity'] as string, ageMs: Math.max(0, Number(row['age'])) }));
}

/** Writes the old rows of identities whose locks are held, and takes them off the queue. */
export async function carry(
  exec: Executor,
  sql: SqlModel,
  identities: readonly Identity[],
): Promise<{ quarantined: number }> {
  if (identities.length === 0) return { quarantined: 0 };
  const { model, old } = sql;
  const states = await readStates(exec, sql, identities);
  const rows: Row[] = [];
  const failed = new Map<Identity, unknown>();
  for (const [identity, state] of states) {
    try {
      rows.push(downOf(sql, state));
    } catch (error) {
      failed.set(identity, error);
    }
  }
  await allowAll(exec);
  await upsertOldRows(exec, sql, rows);
  await deleteRows(
    exec,
    old,
    identities.filter((identity) => !states.has(identity)),
  );
  for (const [identity, error] of failed) await quarantine(exec, model, identity, reasonOf(error));
  await exec.query('delete from godwit.outbox where remodel = $1 and identity = any($2::text[])', [
    model.name,
    identities,
  ]);
  return { quarantined: failed.size };
}

function downOf({ model }: SqlModel, state: State): Row {
  return model.down(state);
}

/** Something in the batch was refused: finds what, without holding up the others. */
async function oneByOne(
  pool: pg.Pool,
  sql: SqlModel,
  limit: number,
  only: readonly Identity[] | undefined,
  cause: unknown,
): Promise<RelayPass> {
  const waiting = await inTransaction(pool, 'Reading the queue', (exec) => candidates(exec, sql, limit, only));
  // Not one of the rows is to blame: quarantine would hide a fault that concerns all.
  if (waiting.length === 0) throw cause;
  let applied = 0;
  let quarantined = 0;
  let oldestMs = 0;
  for (const { identity, ageMs } of waiting) {
    try {
      const done = await pass(pool, sql, 1, [identity]);
      applied += done.applied;
      quarantined += done.quarantined;
    } catch (error) {
      if (isRetryable(error)) throw error;
      if (!blamesRow(error)) throw error;
      await inTransaction(pool, 'Setting an identity aside', async (exec) => {
        if ((await tryLocks(exec, sql.model.name, [identity])).length === 0) return;
        await quarantine(exec, sql.model, identity, reasonOf(error));
        await exec.query('delete from godwit.outbox where remodel = $1 and identity = $2', [sql.model.name, identity]);
      });
      quarantined += 1;
    }
    oldestMs = Math.max(oldestMs, ageMs);
  }
  return { applied, quarantined, more: waiting.length === limit, oldestMs };
}

/** Whether an error is about a row (data or constraint) and not about the statement or the server. */
export function blamesRow(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return code === 'GW5005' || code === 'GW5006' || code === 'GW5007';
}

/** Identities that wait and were not rung for lately; they count as rung from now on. */
export function toRing(pool: pg.Pool, sql: SqlModel, limit: number, sinceMs: number): Promise<readonly Identity[]> {
  return inTransaction(pool, `Ringing for ${sql.model.name}`, async (exec) => {
    const { rows } = await exec.query(
      `update godwit.outbox o set rung_at = clock_timestamp()
        where o.remodel = $1 and o.identity in (
          select i.identity from godwit.outbox i
           where i.remodel = $1
             and (i.rung_at is null or i.rung_at < clock_timestamp() - $3::text::float8 * interval '1 millisecond')
             and exists (select 1 from godwit.remodel r where r.name = $1 and r.phase in (${CARRYING}))
           order by i.at limit $2::text::integer for update skip locked)
       returning o.identity`,
      [sql.model.name, String(limit), String(sinceMs)],
    );
    return rows.map((row) => row['identity'] as string);
  });
}
