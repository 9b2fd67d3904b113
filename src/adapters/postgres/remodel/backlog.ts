import type { Backlog } from '../../../kernel/remodel/index.ts';
import type { Executor } from './executor.ts';
import { literal, quoteTable, type SqlModel } from './tables.ts';
import { retiredName } from './trap-names.ts';

/** How things stand, counted in one statement. */
export async function readBacklog(exec: Executor, sql: SqlModel): Promise<Backlog> {
  const { model, root, old } = sql;
  const { rows } = await exec.query(
    `select (select count(*) from godwit.outbox where remodel = $1)::text as pending,
            coalesce((select round(extract(epoch from clock_timestamp() - min(at)) * 1000)
                        from godwit.outbox where remodel = $1), 0)::text as oldest,
            (select count(distinct identity) from godwit.dirty where remodel = $1)::text as dirty,
            (select count(*) from godwit.quarantine where remodel = $1)::text as quarantined,
            (select count(*) from godwit.tombstone where remodel = $1)::text as tombstones,
            (select count(*) from ${root.name})::text as owned,
            (${lossy(sql)})::text as lossy,
            (select greatest(c.reltuples, 0)::bigint from pg_class c
              where c.oid = coalesce(to_regclass($2), to_regclass(${literal(old.name)})))::text as old_rows`,
    [model.name, quoteTable(retiredName(model))],
  );
  const of = (name: string) => Math.max(0, Number(rows[0]?.[name] ?? 0));
  return {
    pending: of('pending'),
    oldestMs: of('oldest'),
    dirty: of('dirty'),
    quarantined: of('quarantined'),
    lossy: of('lossy'),
    owned: of('owned'),
    tombstones: of('tombstones'),
    oldRows: of('old_rows'),
  };
}

/** Identities with more rows in the list of the inverse policy than the old table has room for (see `Model.isLossy`). */
function lossy({ model, lists }: SqlModel): string {
  const { inverse } = model;
  const list = lists.find(({ as }) => as === inverse.list) ?? (lists.length === 1 ? lists[0] : undefined);
  if (inverse.policy === 'overflow' || !list) return 'select 0';
  return `select count(*) from (select 1 from ${list.name} group by ${list.key.name} having count(*) > 1) many`;
}
