/** One transaction of a fast lane: the locks, and the old rows that may be adopted under them. */
import type pg from 'pg';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Identity } from '../../../kernel/remodel/index.ts';
import { translate } from '../errors.ts';
import { type Executor, onPg } from './executor.ts';
import { tryLocks } from './lock.ts';
import { giveBack, take } from './session.ts';
import { literal, type SqlModel } from './tables.ts';

/** A chunk under its locks, in one transaction. */
export interface Chunk {
  readonly client: pg.ClientBase;
  readonly exec: Executor;
  readonly tables: SqlModel;
  /** Those of the chunk whose locks are held: the others are being written by somebody at this moment. */
  readonly identities: readonly Identity[];
}

/**
 * One transaction. It never waits for an identity's lock, and gives up before
 * the server would look for a deadlock: backfill steps back, not the
 * application. Its commit does not wait for the disk: what a crash takes away
 * is whole chunks, nobody could have built on them durably, and they are
 * missing again.
 */
export async function underLocks<T>(
  pool: pg.Pool,
  tables: SqlModel,
  identities: readonly Identity[],
  work: (chunk: Chunk) => Promise<T>,
): Promise<T> {
  const doing = `Adopting identities of ${tables.model.name}`;
  const client = await take(pool).catch((error: unknown) => {
    throw translate(error, doing);
  });
  let broken: Error | undefined;
  try {
    const exec = onPg(client);
    await client.query(
      "begin isolation level read committed; set local synchronous_commit = off; set local lock_timeout = '500ms'",
    );
    await demandDual(exec, tables);
    const held = await tryLocks(exec, tables.model.name, identities);
    const result = await work({ client, exec, tables, identities: held });
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((failure: unknown) => {
      broken = failure as Error;
    });
    throw translate(error, doing);
  } finally {
    giveBack(client, broken);
  }
}

async function demandDual(exec: Executor, { model }: SqlModel): Promise<void> {
  const { rows } = await exec.query('select phase::text as phase from godwit.remodel where name = $1', [model.name]);
  const phase = rows[0]?.['phase'] ?? 'draft';
  if (phase === 'draft' || phase === 'created' || phase === 'retired')
    throw new GodwitError('GW1004', `Remodel ${model.name} is in phase ${phase}: nothing may be adopted`);
}

/**
 * SQL of a chunk's old rows: `$1` the identities whose locks are held. It must
 * be a statement after the one that took the locks, because only then it sees
 * what the holders before us committed.
 */
export function ownedByOld({ model, old, root }: SqlModel, columns: string): string {
  const key = `o.${old.key.name}`;
  const marked = (table: string) =>
    `not exists (select from godwit.${table} m where m.remodel = ${literal(model.name)} and m.identity = ${key}::text)`;
  return `select ${columns} from ${old.name} o
    where ${key} = any($1::text[]::${old.key.sqlType}[])
      and not exists (select from ${root.name} r where r.${root.key.name} = ${key})
      and ${marked('tombstone')} and ${marked('quarantine')}`;
}

/** SQL that forgets what was written past the library to the rows of `old`, in the same snapshot that reads them. */
export function forgetDirty({ model, old }: SqlModel): string {
  return `delete from godwit.dirty d where d.remodel = ${literal(model.name)}
    and d.identity in (select ${old.key.name}::text from "old")`;
}
