import type { Identity, State } from '../../../kernel/remodel/index.ts';
import type { Executor } from './executor.ts';
import { isOfRemodel } from './outbox-sql.ts';
import { selectStates, statesOf } from './states.ts';
import { emptyState, type SqlModel } from './tables.ts';

/** SQL: an identity waits for the relay, or the old table refused its change, which is nevertheless what was written last. */
const WAITING = (identity: string, remodel: string) =>
  `select 'waiting' from godwit.outbox where ${isOfRemodel('remodel', remodel)} and identity = ${identity}
   union all select 'waiting' from godwit.quarantine where remodel = ${remodel} and identity = ${identity}`;

/**
 * The new state of an identity whose changes are on their way to the old table; see `RemodelStore.pendingState`.
 * Mostly nothing waits, and that is all there is to ask. Otherwise it is asked again together with all that the answer
 * is made of, in one statement and so in one snapshot: between two of them a deleted identity can be made anew, and be
 * neither a row in the one nor a tombstone in the other.
 */
export async function pendingState(exec: Executor, sql: SqlModel, identity: Identity): Promise<State | undefined> {
  const { name } = sql.model;
  const { rows: waits } = await exec.query(WAITING('$2', '$1'), [name, identity]);
  if (waits.length === 0) return undefined;
  const { rows } = await exec.query(
    `${selectStates(sql)}
     union all select w.t, $3, null from (${WAITING('$3', '$2')}) w(t)
     union all select 'dead', $3, null from godwit.tombstone where remodel = $2 and identity = $3`,
    [[identity], name, identity],
  );
  const isThere = (mark: string) => rows.some(({ t }) => t === mark);
  // Carried to the old table, or given back to the old model, in this very moment.
  if (!isThere('waiting')) return undefined;
  const state = statesOf(
    sql,
    rows.filter(({ t }) => t !== 'waiting' && t !== 'dead'),
  ).get(identity);
  return state ?? (isThere('dead') ? emptyState(sql.model) : undefined);
}
