import type pg from 'pg';
import type { Identity, RelayPass } from '../../../kernel/remodel/index.ts';
import { blamesRow, CARRY_SETTINGS, type Carried, carry, carryAlone, wasBusy } from './carry.ts';
import { CARRYING } from './ddl.ts';
import type { Executor } from './executor.ts';
import { lockNumber } from './lock.ts';
import type { QueueStart } from './queue-start.ts';
import { inTransaction } from './session.ts';
import type { SqlModel } from './tables.ts';

const NOTHING: RelayPass = { applied: 0, quarantined: 0, more: false, oldestMs: 0 };

/** How often a pass looks further down the queue when those it found are being written. */
const MOST_LOOKS = 5;

export interface RelayOptions {
  /** Only these, if they wait; otherwise those that have waited longest. */
  readonly only?: readonly Identity[] | undefined;
  readonly start: QueueStart;
  readonly prepare: boolean;
}

/** Identities that wait and whose locks this transaction has, with how long each has waited. */
interface Held {
  readonly ages: ReadonlyMap<Identity, number>;
  readonly more: boolean;
}

/**
 * One pass: lock, read the newest state, write the old rows, forget the queue's
 * rows, all in one transaction. A row that the old table refuses would fail all
 * of them: then each is carried alone and the refused ones go to quarantine.
 */
export async function relay(
  pool: pg.Pool,
  sql: SqlModel,
  limit: number,
  { only, start, prepare }: RelayOptions,
): Promise<RelayPass> {
  if (only?.length === 0) return NOTHING;
  const tried: Identity[] = [];
  const pass = async (exec: Executor) => {
    const held = only ? await lockThese(exec, sql, only) : await lockWaiting(exec, sql, limit, start);
    tried.push(...held.ages.keys());
    return passOf(await carry(exec, sql, tried), held);
  };
  try {
    return await inTransaction(pool, `Carrying changes of ${sql.model.name}`, pass, {
      settings: CARRY_SETTINGS,
      prepare,
    });
  } catch (error) {
    if (tried.length === 0 || (!blamesRow(error) && !wasBusy(error))) throw error;
    return oneByOne(pool, sql, tried);
  }
}

/** A transaction for each, so that nobody waits for all of them. */
async function oneByOne(pool: pg.Pool, sql: SqlModel, identities: readonly Identity[]): Promise<RelayPass> {
  let sum = NOTHING;
  for (const identity of identities) {
    const alone = async (exec: Executor) => {
      const held = await lockThese(exec, sql, [identity]);
      return held.ages.size === 0 ? NOTHING : passOf(await carryAlone(exec, sql, identity), held);
    };
    const doing = `Carrying a change of ${sql.model.name}`;
    const pass = await inTransaction(pool, doing, alone, { settings: CARRY_SETTINGS });
    sum = {
      applied: sum.applied + pass.applied,
      quarantined: sum.quarantined + pass.quarantined,
      more: true,
      oldestMs: Math.max(sum.oldestMs, pass.oldestMs),
    };
  }
  return sum;
}

function passOf({ applied, refused }: Carried, { ages, more }: Held): RelayPass {
  const oldestMs = Math.max(0, ...applied.map((identity) => ages.get(identity) ?? 0));
  return { applied: applied.length, quarantined: refused.length, more, oldestMs };
}

/** Takes the locks of those among `only` that wait. */
async function lockThese(exec: Executor, sql: SqlModel, only: readonly Identity[]): Promise<Held> {
  const ages = new Map<Identity, number>();
  const where = ['o.identity = any($3::text[])'];
  for (const { identity, ageMs, isLocked } of await tryWaiting(exec, sql, only.length, where, [only]))
    if (isLocked) ages.set(identity, ageMs);
  return { ages, more: false };
}

/**
 * Takes the locks of those that wait longest. Nobody is waited for: who holds
 * a lock writes the identity now. Looks further while most of what it found
 * was locked, so that one long transaction does not hide all behind it.
 */
async function lockWaiting(exec: Executor, sql: SqlModel, limit: number, start: QueueStart): Promise<Held> {
  const ages = new Map<Identity, number>();
  const seen: Identity[] = [];
  const queue = start.begin(performance.now());
  for (let look = 0; look < MOST_LOOKS; look += 1) {
    const asked = limit - ages.size;
    const waiting = await tryWaiting(
      exec,
      sql,
      asked,
      [
        ...(queue.mostAgeMs === undefined
          ? []
          : [`o.at >= statement_timestamp() - ${Math.ceil(queue.mostAgeMs)} * interval '1 millisecond'`]),
        ...(seen.length === 0 ? [] : ['o.identity <> all($3::text[])']),
      ],
      seen.length === 0 ? [] : [seen],
    );
    if (look === 0) queue.end(performance.now(), waiting[0]?.ageMs);
    for (const { identity, ageMs, isLocked } of waiting) {
      seen.push(identity);
      if (isLocked) ages.set(identity, ageMs);
    }
    const more = waiting.length === asked;
    if (!more || ages.size >= limit / 2) return { ages, more };
  }
  return { ages, more: true };
}

interface Waiting {
  readonly identity: Identity;
  readonly ageMs: number;
  /** Whether its lock was free and is ours now. */
  readonly isLocked: boolean;
}

/**
 * Tries the locks of those that wait, the oldest first. One that another
 * relay has carried by the time its lock is had is carried again, which
 * changes nothing and is not counted.
 */
async function tryWaiting(
  exec: Executor,
  { model }: SqlModel,
  limit: number,
  where: readonly string[],
  params: readonly (readonly string[])[],
): Promise<readonly Waiting[]> {
  // Not prepared: a plan made while the queue was empty may sort it when it is long.
  const { rows } = await exec.query(
    `with waiting as materialized (
       select o.identity, o.at from godwit.outbox o
        where ${['o.remodel = $1', ...where].join(' and ')}
          and exists (select 1 from godwit.remodel r where r.name = $1 and r.phase in (${CARRYING}))
        order by o.at limit $2::text::integer)
     select w.identity, round(extract(epoch from clock_timestamp() - w.at) * 1000)::text as age,
            pg_try_advisory_xact_lock(${lockNumber(model.name, 'w.identity')})::text as locked
       from waiting w`,
    [model.name, String(limit), ...params],
  );
  return rows.map(({ identity, age, locked }) => ({
    identity: identity as string,
    ageMs: Math.max(0, Number(age)),
    isLocked: locked === 'true',
  }));
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
