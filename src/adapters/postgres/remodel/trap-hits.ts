/** Who read the old table behind its trap. */
import type pg from 'pg';
import type { Model } from '../../../kernel/remodel/index.ts';
import type { Executor } from './executor.ts';
import { inTransaction } from './session.ts';
import { literal } from './tables.ts';
import { markTable, refusedAt, refusedCount } from './trap-sql.ts';

export interface TrapHit {
  /** ISO 8601. */
  readonly at: string;
  readonly who: string;
  readonly query: string;
}

const MOST_HITS = 1_000;

/** The latest first. Reads without a name are among them: those refused, as one, and those of read-only transactions. */
export function trapHits(pool: pg.Pool, model: Model): Promise<readonly TrapHit[]> {
  return inTransaction(pool, `Reading who read ${model.from.name}`, async (exec) => {
    const { rows: there } = await exec.query(
      `select to_regclass('godwit.trap')::text as tables, to_regclass($1)::text as mark`,
      [markTable(model)],
    );
    if (there[0]?.['tables'] === null) return [];
    const refused: TrapHit[] = [];
    if (there[0]?.['mark'] !== null) {
      await writeDownBlind(exec, model);
      refused.push(...(await refusedReads(exec, model)));
    }
    const { rows } = await exec.query(
      `select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at, who, query
         from godwit.trap_hit where remodel = $1 order by id desc limit ${MOST_HITS}`,
      [model.name],
    );
    return [...refused, ...(rows as unknown as TrapHit[])];
  });
}

/**
 * Reads in read-only transactions left only a scan of the mark in the server's
 * statistics (which a crash of the server empties): new ones become a hit, dated now.
 */
async function writeDownBlind(exec: Executor, model: Model): Promise<void> {
  await exec.query(
    `with now as (select coalesce(pg_stat_get_numscans(${literal(markTable(model))}::regclass), 0) as scans),
          before as (select blind_seen from godwit.trap where remodel = $1 for update),
          seen as (update godwit.trap set blind_seen = scans from now where remodel = $1 and blind_seen <> scans)
     insert into godwit.trap_hit (remodel, who, query)
     select $1, (scans - case when scans < blind_seen then 0 else blind_seen end)
                || ' reads in read-only transactions; the server''s log has their names', ''
       from now, before
      where scans > case when scans < blind_seen then 0 else blind_seen end`,
    [model.name],
  );
}

async function refusedReads(exec: Executor, model: Model): Promise<readonly TrapHit[]> {
  const { rows } = await exec.query(
    `select n.last_value::text as n, n.is_called::text as called,
            to_char(to_timestamp(t.last_value / 1000.0) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at
       from ${refusedCount(model)} n, ${refusedAt(model)} t`,
  );
  const row = rows[0];
  if (row?.['called'] !== 'true') return [];
  return [{ at: row['at'] as string, who: `${row['n']} refused reads`, query: '' }];
}
