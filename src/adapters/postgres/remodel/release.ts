import type pg from 'pg';
import type { Identity } from '../../../kernel/remodel/index.ts';
import { tryLocks } from './lock.ts';
import { carry } from './relay.ts';
import { inTransaction } from './session.ts';
import { deleteRows } from './states.ts';
import type { SqlModel } from './tables.ts';

/**
 * Gives up to `limit` identities back to the old model: what is on its way is
 * carried over first, under the same lock. Identities written past the library
 * wait until that was settled; identities that somebody writes wait for him.
 * Gives how many were released; -1 for "some are left, none could be taken now".
 */
export function release(pool: pg.Pool, sql: SqlModel, limit: number): Promise<number> {
  const { model, root } = sql;
  return inTransaction(pool, `Releasing identities of ${model.name}`, async (exec) => {
    const settled = (identity: string) =>
      `not exists (select 1 from godwit.dirty d where d.remodel = $1 and d.identity = ${identity})`;
    const { rows } = await exec.query(
      `(select r.${root.key.name}::text as identity from ${root.name} r
         where ${settled(`r.${root.key.name}::text`)} limit $2::text::integer)
       union all
       (select t.identity from godwit.tombstone t
         where t.remodel = $1 and ${settled('t.identity')} limit $2::text::integer)
       limit $2::text::integer`,
      [model.name, String(limit)],
    );
    const held = await tryLocks(
      exec,
      model.name,
      rows.map((row) => row['identity'] as Identity),
    );
    const { rows: pending } = await exec.query(
      'select identity from godwit.outbox where remodel = $1 and identity = any($2::text[])',
      [model.name, held],
    );
    await carry(
      exec,
      sql,
      pending.map((row) => row['identity'] as string),
    );
    for (const table of [...sql.all].reverse()) await deleteRows(exec, table, held);
    await exec.query('delete from godwit.tombstone where remodel = $1 and identity = any($2::text[])', [
      model.name,
      held,
    ]);
    if (held.length > 0) return held.length;
    const { rows: left } = await exec.query(
      `select (exists (select 1 from ${root.name}) or exists (select 1 from godwit.tombstone where remodel = $1))::text as left`,
      [model.name],
    );
    return left[0]?.['left'] === 'true' ? -1 : 0;
  });
}
