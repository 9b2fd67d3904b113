import { GodwitError } from '../../../kernel/errors.ts';
import type { Identity, Model, Quarantined } from '../../../kernel/remodel/index.ts';
import { aboutOf, sqlStateOf } from '../errors.ts';
import type { Executor } from './executor.ts';

/** Sets an identity aside, with the reason, until a person has looked. */
export async function quarantine(exec: Executor, model: Model, identity: Identity, reason: string): Promise<void> {
  await exec.query(
    `insert into godwit.quarantine (remodel, identity, reason) values ($1, $2, $3)
     on conflict (remodel, identity) do update set reason = excluded.reason, at = clock_timestamp()`,
    [model.name, identity, reason],
  );
}

/** Why, without a value of the row: the database's messages name constraint and column, its details quote values. */
export function reasonOf(error: unknown): string {
  const state = sqlStateOf(error);
  if (state) return `SQLSTATE ${state}${aboutOf(error)}`;
  if (error instanceof GodwitError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? `the transform threw ${error.name}` : 'the transform threw';
}

export async function readQuarantine(exec: Executor, model: Model, limit: number): Promise<readonly Quarantined[]> {
  const { rows } = await exec.query(
    `select identity, reason, to_json(at at time zone 'UTC')#>>'{}' as at
       from godwit.quarantine where remodel = $1 order by at, identity limit $2::text::integer`,
    [model.name, String(limit)],
  );
  return rows.map((row) => ({
    identity: row['identity'] as string,
    reason: row['reason'] as string,
    at: `${row['at']}Z`,
  }));
}

/** Everything set aside is tried again: what the new model owns by the relay, the rest by the next backfill. */
export async function retryQuarantine(exec: Executor, model: Model): Promise<number> {
  const { rows } = await exec.query(
    `with freed as (delete from godwit.quarantine where remodel = $1 returning identity),
          queued as (insert into godwit.outbox (remodel, identity) select $1, identity from freed on conflict do nothing)
     select count(*)::text as n from freed`,
    [model.name],
  );
  return Number(rows[0]?.['n']);
}
