import type { Identity, State } from '../../../kernel/remodel/index.ts';
import type { Executor } from './executor.ts';
import { readStates } from './states.ts';
import { emptyState, type SqlModel } from './tables.ts';

/** The new state of an identity whose changes are on their way to the old table; see `RemodelStore.pendingState`. */
export async function pendingState(exec: Executor, sql: SqlModel, identity: Identity): Promise<State | undefined> {
  // In quarantine: the old table refused the change, which is nevertheless what was written last.
  const { rows } = await exec.query(
    `select '1' as one from godwit.outbox where remodel = $1 and identity = $2
     union all select '1' from godwit.quarantine where remodel = $1 and identity = $2`,
    [sql.model.name, identity],
  );
  if (rows.length === 0) return undefined;
  const state = (await readStates(exec, sql, [identity])).get(identity);
  if (state) return state;
  const { rows: dead } = await exec.query(
    `select '1' as one from godwit.tombstone where remodel = $1 and identity = $2`,
    [sql.model.name, identity],
  );
  // Neither rows nor a tombstone: it was given back to the old model in this very moment.
  return dead.length > 0 ? emptyState(sql.model) : undefined;
}
