import type pg from 'pg';
import { bucketOf, type Identity, mergePast, type State } from '../../../kernel/remodel/index.ts';
import { adoptLocked } from './adopt.ts';
import { blamesRow, wasBusy } from './carry.ts';
import { CARRYING } from './ddl.ts';
import type { Executor } from './executor.ts';
import { tryLocks } from './lock.ts';
import { quarantine, reasonOf } from './quarantine.ts';
import { inTransaction, onConnection } from './session.ts';
import { deleteRows, insertRows, readStates, tombstonesAmong } from './states.ts';
import { rowOf, type SqlModel } from './tables.ts';

/**
 * Deals with writes past the library, an identity a transaction: they are rare.
 * Gives how many identities it dealt with. What cannot be merged stays where it
 * is and puts the identity in quarantine: it is tried again when it is let out.
 */
export async function settleDirty(pool: pg.Pool, sql: SqlModel, limit: number): Promise<number> {
  const { rows } = await onConnection(pool, 'Reading writes past the library', (exec) =>
    exec.query(
      `select d.identity from godwit.dirty d
        where d.remodel = $1 and not exists (
          select from godwit.quarantine q where q.remodel = $1 and q.identity = d.identity)
        group by d.identity order by min(d.id) limit $2::text::integer`,
      [sql.model.name, String(limit)],
    ),
  );
  let settled = 0;
  for (const row of rows) if (await settleOne(pool, sql, row['identity'] as string)) settled += 1;
  return settled;
}

async function settleOne(pool: pg.Pool, sql: SqlModel, identity: Identity): Promise<boolean> {
  try {
    return await inTransaction(pool, `Settling a write past the library of ${sql.model.name}`, (exec) =>
      settle(exec, sql, identity),
    );
  } catch (error) {
    // Somebody holds what it needs: the next pass tries it again, and the others are not held up.
    if (wasBusy(error)) return false;
    if (!blamesRow(error)) throw error;
    await inTransaction(pool, 'Setting an identity aside', async (exec) => {
      if ((await tryLocks(exec, sql.model.name, [identity])).length === 0) return;
      await quarantine(exec, sql.model, identity, reasonOf(error));
    });
    return true;
  }
}

async function settle(exec: Executor, sql: SqlModel, identity: Identity): Promise<boolean> {
  const { model, old } = sql;
  if ((await tryLocks(exec, model.name, [identity])).length === 0) return false;
  const { rows: writes } = await exec.query(
    'delete from godwit.dirty where remodel = $1 and identity = $2 returning id::text as id, before, after',
    [model.name, identity],
  );
  const current = (await readStates(exec, sql, [identity])).get(identity);
  const deleted = (await tombstonesAmong(exec, model, [identity])).has(identity);
  if (!current && !deleted) {
    // The old model's: whoever adopts it reads the row as it is then. Where a write of the library would adopt it, so
    // does this one: after the backfill nobody else would, and it would be missed where reads have moved.
    if (await isInRamp(exec, sql, identity)) await adoptLocked(exec, sql, [identity]);
    return writes.length > 0;
  }
  let state: State | undefined = current;
  for (const { before, after } of writes.toSorted((a, b) => Number(a['id']) - Number(b['id'])))
    state = mergePast(
      model,
      state,
      before == null ? undefined : rowOf(old, before),
      after == null ? undefined : rowOf(old, after),
    );
  await replace(exec, sql, identity, state);
  return writes.length > 0;
}

async function isInRamp(exec: Executor, { model }: SqlModel, identity: Identity): Promise<boolean> {
  const { rows } = await exec.query(
    `select ramp::text as ramp from godwit.remodel where name = $1 and phase in (${CARRYING}, 'new-only')`,
    [model.name],
  );
  return bucketOf(model.name, identity) < Number(rows[0]?.['ramp'] ?? 0);
}

async function replace(exec: Executor, sql: SqlModel, identity: Identity, state: State | undefined): Promise<void> {
  const { model } = sql;
  for (const table of [...sql.all].reverse()) await deleteRows(exec, table, [identity]);
  for (const table of sql.all) await insertRows(exec, table, state?.[table.as] ?? []);
  await exec.query(
    state
      ? 'delete from godwit.tombstone where remodel = $1 and identity = $2'
      : 'insert into godwit.tombstone (remodel, identity) values ($1, $2) on conflict do nothing',
    [model.name, identity],
  );
  await exec.query('insert into godwit.outbox (remodel, identity) values ($1, $2) on conflict do nothing', [
    model.name,
    identity,
  ]);
}
