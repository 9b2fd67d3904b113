import { performance } from 'node:perf_hooks';
import type pg from 'pg';
import type { Impact, Model, Row, State } from '../../../kernel/remodel/index.ts';
import { sqlStateOf, translate } from '../errors.ts';
import { type Executor, onPg } from './executor.ts';
import { allowOne } from './guard-setting.ts';
import { lockNumber } from './lock.ts';
import { insertRows, putOldRows } from './states.ts';
import { loadTables, rowExpression, rowOf, type SqlModel } from './tables.ts';

const UNIQUE_VIOLATION = '23505';

interface Sample {
  readonly ms: number;
  readonly logBytes: number;
  readonly locks: number;
}

/**
 * What writing to both will cost: real old rows, written plainly and as the
 * library and the relay will do it, in turns, in transactions that are all
 * rolled back. A rolled back transaction writes its log all the same, so that
 * its bytes are counted; only the wait for the disk at a commit is missing, and
 * that is the same for both.
 */
export async function measureImpact(pool: pg.Pool, model: Model, samples: number): Promise<Impact> {
  let client: pg.PoolClient | undefined;
  try {
    client = await pool.connect();
    const exec = onPg(client);
    const sql = await loadTables(exec, model);
    const olds = await sampleRows(exec, sql, samples);
    const [plain, dual]: [Sample[], Sample[]] = [[], []];
    for (const old of olds) {
      const allow = () => allowOne(exec, model.name, String(old[model.key]));
      const state = model.up(old);
      const one = await sample(exec, allow, () => writePlain(exec, sql, old));
      const both = await sample(exec, allow, () => writeBoth(exec, sql, old, state)).catch(unlessAdopted);
      if (both === undefined) continue;
      plain.push(one);
      dual.push(both);
    }
    return impactOf(plain, dual);
  } catch (error) {
    throw translate(error, `Measuring what writing to both models of ${model.name} costs`);
  } finally {
    client?.release();
  }
}

/** A row that was adopted since it was chosen, as happens beside a backfill, tells nothing; anything else does. */
function unlessAdopted(error: unknown): undefined {
  if (sqlStateOf(error) !== UNIQUE_VIOLATION) throw error;
}

async function sampleRows(exec: Executor, sql: SqlModel, samples: number): Promise<Row[]> {
  const { old, root } = sql;
  const { rows } = await exec.query(
    `select ${rowExpression(old, 'x')} as v from ${old.name} x
      where not exists (select 1 from ${root.name} r where r.${root.key.name} = x.${old.key.name})
      limit $1::text::integer`,
    [String(samples)],
  );
  return rows.map((row) => rowOf(old, row['v'] as string));
}

/** The old row written once more: in `measure` no column may really change, for others may see its locks. */
async function writePlain(exec: Executor, { old }: SqlModel, row: Row): Promise<void> {
  const others = old.columns.filter(({ name }) => name !== old.key.name);
  const set = (others.length > 0 ? others : [old.key]).map(({ name }) => `${name} = ${name}`).join(', ');
  await exec.query(`update ${old.name} set ${set} where ${old.key.name} = $1::text::${old.key.sqlType}`, [
    String(row[old.key.property]),
  ]);
}

/** New rows, the queue's row, then the old row and the queue's row again: the library's part and the relay's. */
async function writeBoth(exec: Executor, sql: SqlModel, row: Row, state: State): Promise<void> {
  const { model } = sql;
  const identity = String(row[model.key]);
  await exec.query(`select pg_advisory_xact_lock(${lockNumber(model.name, '$1::text')})::text`, [identity]);
  for (const table of sql.all) await insertRows(exec, table, state[table.as] ?? []);
  await exec.query('insert into godwit.outbox (remodel, identity) values ($1, $2)', [model.name, identity]);
  await writePlain(exec, sql, row);
  await putOldRows(exec, sql, [row]);
  await exec.query('delete from godwit.outbox where remodel = $1 and identity = $2', [model.name, identity]);
}

async function sample(exec: Executor, allow: () => Promise<void>, write: () => Promise<void>): Promise<Sample> {
  await exec.query('begin isolation level read committed');
  try {
    await allow();
    // A row that somebody holds is not waited for.
    await exec.query(`select set_config('lock_timeout', '1s', true) as ok`);
    const before = await logPosition(exec);
    const began = performance.now();
    await write();
    const ms = performance.now() - began;
    const { rows } = await exec.query(
      `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1::text::pg_lsn)::text as bytes,
              (select count(*) from pg_locks where pid = pg_backend_pid())::text as locks`,
      [before],
    );
    return { ms, logBytes: Number(rows[0]?.['bytes']), locks: Number(rows[0]?.['locks']) };
  } finally {
    await exec.query('rollback');
  }
}

async function logPosition(exec: Executor): Promise<string> {
  const { rows } = await exec.query('select pg_current_wal_insert_lsn()::text as at');
  return rows[0]?.['at'] as string;
}

/** Bytes and locks as medians: others write their log at the same time. */
function impactOf(plain: readonly Sample[], dual: readonly Sample[]): Impact {
  const of = (samples: readonly Sample[], what: keyof Sample, share: number): number => {
    const sorted = samples.map((each) => each[what]).sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  };
  return {
    samples: plain.length,
    plainP50Ms: of(plain, 'ms', 0.5),
    plainP99Ms: of(plain, 'ms', 0.99),
    dualP50Ms: of(dual, 'ms', 0.5),
    dualP99Ms: of(dual, 'ms', 0.99),
    plainLogBytes: of(plain, 'logBytes', 0.5),
    dualLogBytes: of(dual, 'logBytes', 0.5),
    plainLocks: of(plain, 'locks', 0.5),
    dualLocks: of(dual, 'locks', 0.5),
  };
}
