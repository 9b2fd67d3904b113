/** Brings old rows up to date, for the relay and for release. */
import { GodwitError } from '../../../kernel/errors.ts';
import type { Identity, Row, State } from '../../../kernel/remodel/index.ts';
import { translate } from '../errors.ts';
import type { Executor, TextRow } from './executor.ts';
import { ALLOWED, allowedOf } from './guard-setting.ts';
import { isOfRemodel } from './outbox-sql.ts';
import { quarantine, reasonOf } from './quarantine.ts';
import {
  deleteRows,
  lockOldRows,
  putOldRows,
  selectStates,
  statesOf,
  tombstonesAmong,
  updateOldRows,
} from './states.ts';
import type { SqlModel } from './tables.ts';

/** What became of identities that were to be carried. */
export interface Carried {
  /** Taken off the queue by this transaction: what another carried just before is its to count. */
  readonly applied: readonly Identity[];
  /** In quarantine now. */
  readonly refused: readonly Identity[];
  /** Their old rows are locked by somebody's transaction; they wait. */
  readonly busy: readonly Identity[];
}

/**
 * Settings of a transaction that carries. It waits for no lock for long: less
 * than the server waits before it looks for a deadlock and ends one of the two.
 * All rows are looked up by their keys: a plan made while the new tables were
 * nearly empty would read the whole of them, and be kept when they are large.
 */
export const CARRY_SETTINGS = `set local lock_timeout = '300ms'; set local jit = off; set local enable_seqscan = off`;

/** Whether an error is about a row (data or constraint) and not about the statement or the server. */
export function blamesRow(error: unknown): boolean {
  return error instanceof GodwitError && ['GW5005', 'GW5006', 'GW5007'].includes(error.code);
}

/** Whether somebody's lock is what stopped it. */
export function wasBusy(error: unknown): boolean {
  return error instanceof GodwitError && error.code === 'GW3003';
}

/**
 * Writes the old rows of identities whose locks are held, and takes them off
 * the queue. Those for which `down` throws go to quarantine. What the old
 * table refuses fails all of them: then each is to be carried alone.
 */
export async function carry(exec: Executor, sql: SqlModel, identities: readonly Identity[]): Promise<Carried> {
  if (identities.length === 0) return { applied: [], refused: [], busy: [] };
  const { model, old } = sql;
  const { states, present, busy } = await look(exec, sql, identities);
  const free = identities.filter((identity) => !busy.has(identity));
  const [changed, made]: [Row[], Row[]] = [[], []];
  const failed = new Map<Identity, unknown>();
  for (const [identity, state] of states) {
    if (busy.has(identity)) continue;
    try {
      (present.has(identity) ? changed : made).push(model.down(state));
    } catch (error) {
      failed.set(identity, error);
    }
  }
  const stateless = free.filter((identity) => !states.has(identity));
  // Neither rows nor a tombstone: the old model owns it, and its row is not ours to delete.
  const deleted = stateless.length > 0 ? await tombstonesAmong(exec, model, stateless) : new Set<Identity>();
  await updateOldRows(exec, sql, changed);
  await putOldRows(exec, sql, made);
  await deleteRows(exec, old, [...deleted]);
  const written = free.filter((identity) => !failed.has(identity) && (states.has(identity) || deleted.has(identity)));
  const waited = await dequeue(exec, sql, free, written);
  const applied = written.filter((identity) => waited.has(identity));
  for (const [identity, error] of failed) await quarantine(exec, model, identity, reasonOf(error));
  return { applied, refused: [...failed.keys()], busy: [...busy] };
}

interface Looked {
  readonly states: ReadonlyMap<Identity, State>;
  /** Whose old rows are there, locked by this transaction from now on. */
  readonly present: ReadonlySet<Identity>;
  /** Whose old rows somebody else has locked. */
  readonly busy: ReadonlySet<Identity>;
}

/** Reads new rows and locks old ones, in one statement, which also tells the guard whom this transaction may write. */
async function look(exec: Executor, sql: SqlModel, identities: readonly Identity[]): Promise<Looked> {
  const { rows } = await exec.query(
    `select l.t, l.k::text as identity, null as v from (${lockOldRows(sql.old)}) l
     union all select 'guard', null, set_config('${ALLOWED}', $2, true)
     union all ${selectStates(sql)}`,
    [identities, allowedOf(sql.model.name, identities)],
    'prepared',
  );
  const [present, busy] = [new Set<Identity>(), new Set<Identity>()];
  const states: TextRow[] = [];
  for (const row of rows) {
    const { t, identity } = row;
    if (t === 'present') present.add(identity as string);
    else if (t === 'busy') busy.add(identity as string);
    else if (t !== 'guard') states.push(row);
  }
  return { states: statesOf(sql, states), present, busy };
}

/**
 * Takes identities off the queue, and those that were written out of quarantine, where an earlier change may have
 * brought them. Gives those that were on the queue.
 */
async function dequeue(
  exec: Executor,
  { model }: SqlModel,
  identities: readonly Identity[],
  written: readonly Identity[],
): Promise<ReadonlySet<Identity>> {
  const { rows } = await exec.query(
    `with cured as (delete from godwit.quarantine where remodel = $1 and identity = any($3::text[]))
     delete from godwit.outbox where ${isOfRemodel('remodel', '$1')} and identity = any($2::text[]) returning identity`,
    [model.name, identities, written],
    'prepared',
  );
  return new Set(rows.map((row) => row['identity'] as string));
}

/** The same for one identity, in a transaction that goes on when its row is refused: then it is in quarantine. */
export async function carryAlone(exec: Executor, sql: SqlModel, identity: Identity): Promise<Carried> {
  await exec.query('savepoint godwit_carry');
  try {
    return await carry(exec, sql, [identity]);
  } catch (thrown) {
    const error = translate(thrown, `Carrying a change of ${sql.model.name}`);
    if (!blamesRow(error) && !wasBusy(error)) throw error;
    await exec.query('rollback to savepoint godwit_carry');
    if (wasBusy(error)) return { applied: [], refused: [], busy: [identity] };
    await quarantine(exec, sql.model, identity, reasonOf(error));
    await dequeue(exec, sql, [identity], []);
    return { applied: [], refused: [identity], busy: [] };
  }
}
