import { GodwitError } from '../../../kernel/errors.ts';
import type {
  AuditRow,
  Control,
  ControlChange,
  Lease,
  Model,
  RemodelPhase,
  ShadowCount,
} from '../../../kernel/remodel/index.ts';
import type { Executor, TextRow } from './executor.ts';

const COLUMNS =
  'phase::text as phase, epoch::text as epoch, ramp::text as ramp, reads::text as reads, shadow::text as shadow, guard::text as guard, definition::text as definition';

/** Undefined when the remodel was never created here. */
export async function readControl(exec: Executor, model: Model): Promise<Control | undefined> {
  const { rows: there } = await exec.query(`select to_regclass('godwit.remodel')::text as name`);
  if (!there[0]?.['name']) return undefined;
  const { rows } = await exec.query(`select ${COLUMNS} from godwit.remodel where name = $1`, [model.name]);
  return rows[0] && controlOf(rows[0]);
}

function controlOf(row: TextRow): Control {
  return {
    phase: row['phase'] as RemodelPhase,
    epoch: Number(row['epoch']),
    ramp: Number(row['ramp']),
    reads: Number(row['reads']),
    shadow: Number(row['shadow']),
    guard: row['guard'] as Control['guard'],
    definition: row['definition'] as string,
  };
}

/** Inside a transaction: the change, a new epoch and the audit row, or GW7007. */
export async function changeControl(
  exec: Executor,
  model: Model,
  epoch: number,
  change: ControlChange,
  event: string,
  data: Record<string, unknown>,
): Promise<Control> {
  const numbers = { ramp: change.ramp, reads: change.reads, shadow: change.shadow };
  const sets = ['epoch = epoch + 1', 'settled_at = null'];
  for (const kind of ['same', 'pending', 'confirmed', 'failed']) sets.push(`shadow_${kind} = 0`);
  const params: string[] = [model.name, String(epoch)];
  const set = (column: string, value: string, type: string) => {
    params.push(value);
    sets.push(`${column} = $${params.length}::text::${type}`);
  };
  for (const [column, value] of Object.entries(numbers)) if (value !== undefined) set(column, String(value), 'integer');
  if (change.phase !== undefined) set('phase', change.phase, 'text');
  if (change.guard !== undefined) set('guard', change.guard, 'text');
  const { rows } = await exec.query(
    `update godwit.remodel set ${sets.join(', ')} where name = $1 and epoch = $2::text::bigint returning ${COLUMNS}`,
    params,
  );
  const row = rows[0];
  if (!row) throw new GodwitError('GW7007', `Remodel ${model.name} is not at epoch ${epoch} any more`);
  await writeAudit(exec, model, event, Number(row['epoch']), data);
  return controlOf(row);
}

export async function writeAudit(
  exec: Executor,
  model: Model,
  event: string,
  epoch: number,
  data: Record<string, unknown>,
): Promise<void> {
  await exec.query(
    'insert into godwit.audit (remodel, event, epoch, data) values ($1, $2, $3::text::bigint, $4::text::jsonb)',
    [model.name, event, String(epoch), JSON.stringify(data)],
  );
}

/** Newest first. */
export async function readAudit(exec: Executor, model: Model, limit: number): Promise<readonly AuditRow[]> {
  const { rows } = await exec.query(
    `select to_json(at at time zone 'UTC')#>>'{}' as at, event::text as event, epoch::text as epoch, data::text as data
       from godwit.audit where remodel = $1 order by id desc limit $2::text::integer`,
    [model.name, String(limit)],
  );
  return rows.map((row) => ({
    at: `${row['at']}Z`,
    event: row['event'] as string,
    epoch: Number(row['epoch']),
    data: JSON.parse(row['data'] as string) as Record<string, unknown>,
  }));
}

export async function writeLease(exec: Executor, model: Model, lease: Omit<Lease, 'ageMs'>): Promise<void> {
  const { process, host, role, epoch, definition } = lease;
  await exec.query(
    `insert into godwit.lease (remodel, process, host, role, epoch, definition, seen_at)
     values ($1, $2, $3, $4, $5::text::bigint, $6, clock_timestamp())
     on conflict (remodel, process) do update
       set host = excluded.host, role = excluded.role, epoch = excluded.epoch, definition = excluded.definition,
           seen_at = excluded.seen_at`,
    [model.name, process, host, role, String(epoch), definition],
  );
}

export async function deleteLease(exec: Executor, model: Model, process: string): Promise<void> {
  await exec.query('delete from godwit.lease where remodel = $1 and process = $2', [model.name, process]);
}

/** Those seen in the last hour; older ones are forgotten. */
export async function readLeases(exec: Executor, model: Model): Promise<readonly Lease[]> {
  await exec.query(`delete from godwit.lease where remodel = $1 and seen_at < clock_timestamp() - interval '1 hour'`, [
    model.name,
  ]);
  const { rows } = await exec.query(
    `select process, host, role, epoch::text as epoch, definition,
            round(extract(epoch from clock_timestamp() - seen_at) * 1000)::text as age
       from godwit.lease where remodel = $1 order by seen_at desc`,
    [model.name],
  );
  return rows.map((row) => ({
    process: row['process'] as string,
    host: row['host'] as string,
    role: row['role'] as Lease['role'],
    epoch: Number(row['epoch']),
    definition: row['definition'] as string,
    ageMs: Number(row['age']),
  }));
}

/**
 * Whether a transaction runs that began before the present epoch was there for
 * all to see. The moment is noted after the change was committed: whoever
 * begins later cannot have read the record before it.
 */
export async function hasOlderTransactions(exec: Executor, model: Model): Promise<boolean> {
  await exec.query('update godwit.remodel set settled_at = clock_timestamp() where name = $1 and settled_at is null', [
    model.name,
  ]);
  const { rows } = await exec.query(
    `select (select count(*) from pg_stat_activity a
              where a.datname = current_database() and a.pid <> pg_backend_pid()
                and a.backend_type = 'client backend' and a.xact_start <= r.settled_at)::text as running,
            (select count(*) from pg_prepared_xacts p
              where p.database = current_database() and p.prepared <= r.settled_at)::text as prepared,
            (select count(*) from pg_stat_activity a where a.datname = current_database()
                and a.query = '<insufficient privilege>')::text as hidden
       from godwit.remodel r where r.name = $1`,
    [model.name],
  );
  const row = rows[0];
  if (row && row['hidden'] !== '0')
    throw new GodwitError(
      'GW2004',
      'Sessions of other roles cannot be seen, so that nobody knows how old their transactions are: grant pg_read_all_stats',
    );
  return row !== undefined && (row['running'] !== '0' || row['prepared'] !== '0');
}

export async function addShadow(exec: Executor, model: Model, found: ShadowCount): Promise<void> {
  await exec.query(
    `update godwit.remodel set shadow_same = shadow_same + $2::text::bigint, shadow_pending = shadow_pending + $3::text::bigint,
            shadow_confirmed = shadow_confirmed + $4::text::bigint, shadow_failed = shadow_failed + $5::text::bigint
      where name = $1`,
    [model.name, ...[found.same, found.pending, found.confirmed, found.failed].map(String)],
  );
}

export async function readShadow(exec: Executor, model: Model): Promise<ShadowCount> {
  const { rows } = await exec.query(
    `select shadow_same::text as same, shadow_pending::text as pending, shadow_confirmed::text as confirmed,
            shadow_failed::text as failed from godwit.remodel where name = $1`,
    [model.name],
  );
  const of = (name: string) => Number(rows[0]?.[name] ?? 0);
  return { same: of('same'), pending: of('pending'), confirmed: of('confirmed'), failed: of('failed') };
}
