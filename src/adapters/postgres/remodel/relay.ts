import type pg from 'pg';
import type { Identity, RelayPass } from '../../../kernel/remodel/index.ts';
import { blamesRow, type Carried, carry, carryAlone, wasBusy } from './carry.ts';
import { CARRYING } from './ddl.ts';
import type { Executor } from './executor.ts';
import { tryLocks } from './lock.ts';
import { inTransaction } from './session.ts';
import type { SqlModel } from './tables.ts';

const NOTHING: RelayPass = { applied: 0, quarantined: 0, more: false, oldestMs: 0 };

/** How often a pass looks further down the queue when those it found are being written. */
const MOST_LOOKS = 5;

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
  only?: readonly Identity[],
): Promise<RelayPass> {
  if (only?.length === 0) return NOTHING;
  const tried: Identity[] = [];
  try {
    return await inTransaction(pool, `Carrying changes of ${sql.model.name}`, async (exec) => {
      const held = await lockWaiting(exec, sql, limit, only);
      tried.push(...held.ages.keys());
      return passOf(await carry(exec, sql, tried), held);
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
    const pass = await inTransaction(pool, `Carrying a change of ${sql.model.name}`, async (exec) => {
      const held = await lockWaiting(exec, sql, 1, [identity]);
      return held.ages.size === 0 ? NOTHING : passOf(await carryAlone(exec, sql, identity), held);
    });
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

/**
 * Takes the locks of those that wait longest. Nobody is waited for: who holds
 * a lock writes the identity now. Looks further while most of what it found
 * was locked, so that one long transaction does not hide all behind it.
 */
async function lockWaiting(
  exec: Executor,
  sql: SqlModel,
  limit: number,
  only: readonly Identity[] | undefined,
): Promise<Held> {
  const ages = new Map<Identity, number>();
  const seen: Identity[] = [];
  for (let look = 0; look < MOST_LOOKS; look += 1) {
    const asked = limit - ages.size;
    const waiting = await candidates(exec, sql, asked, only, seen);
    const locked = new Set(await tryLocks(exec, sql.model.name, [...waiting.keys()]));
    for (const [identity, ageMs] of waiting) {
      seen.push(identity);
      if (locked.has(identity)) ages.set(identity, ageMs);
    }
    const more = waiting.size === asked;
    if (!more || ages.size >= limit / 2) return { ages, more };
  }
  return { ages, more: true };
}

/** Those that wait, oldest first, with the milliseconds they have waited. */
async function candidates(
  exec: Executor,
  { model }: SqlModel,
  limit: number,
  only: readonly Identity[] | undefined,
  seen: readonly Identity[],
): Promise<ReadonlyMap<Identity, number>> {
  const params: (string | readonly string[])[] = [model.name, String(limit)];
  const where = (condition: (param: string) => string, value: readonly string[] | undefined) =>
    value === undefined || value.length === 0 ? '' : `and ${condition(`$${params.push(value)}::text[]`)}`;
  const { rows } = await exec.query(
    `select o.identity, round(extract(epoch from clock_timestamp() - o.at) * 1000)::text as age
       from godwit.outbox o
      where o.remodel = $1 ${where((p) => `o.identity = any(${p})`, only)} ${where((p) => `o.identity <> all(${p})`, seen)}
        and exists (select 1 from godwit.remodel r where r.name = $1 and r.phase in (${CARRYING}))
      order by o.at limit $2::text::integer for update of o skip locked`,
    params,
  );
  return new Map(rows.map((row) => [row['identity'] as string, Math.max(0, Number(row['age']))]));
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
