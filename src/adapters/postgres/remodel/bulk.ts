/** Adoption of many identities at once: the fast lanes of backfill. */
import type { Identity } from '../../../kernel/remodel/index.ts';
import { sqlStateOf } from '../errors.ts';
import { type Adopted, adopt } from './adopt.ts';
import { type Chunk, type LockSource, underLocks } from './bulk-chunk.ts';
import { adoptChunkByCopy } from './bulk-copy.ts';
import { adoptChunkBySql } from './bulk-sql.ts';
import { blamesRow } from './carry.ts';
import type { SqlModel } from './tables.ts';

/**
 * Identities of one transaction. Each has a lock in the server's shared table,
 * which has room for 6400 with the default settings and is everybody's.
 */
const MOST_AT_ONCE = 1_000;
/** Below this a chunk is not worth a COPY. */
const FEWEST_FOR_COPY = 20;

/**
 * Adopts identities that the old model owns, in the database where the
 * definition has SQL for it, through `up` otherwise. Those that are owned by
 * the new model already, deleted, in quarantine or being written at this moment
 * are left out: a later list has what is still missing.
 *
 * A chunk that the store refuses is tried again in halves, through `up`, until
 * what is refused stands alone, and that goes to quarantine.
 */
export async function adoptMany(
  source: LockSource,
  tables: SqlModel,
  identities: readonly Identity[],
): Promise<Adopted> {
  const { sql } = tables.model;
  const hasSql = sql !== undefined && tables.all.every(({ as }) => sql.up[as] !== undefined);
  let [adopted, quarantined] = [0, 0];
  for (let i = 0; i < identities.length; i += MOST_AT_ONCE) {
    const chunk = identities.slice(i, i + MOST_AT_ONCE);
    const work = hasSql ? adoptChunkBySql : chunk.length < FEWEST_FOR_COPY ? undefined : adoptChunkByCopy;
    const done = await adoptOr(source, tables, chunk, work);
    adopted += done.adopted;
    quarantined += done.quarantined;
  }
  return { adopted, quarantined };
}

type Lane = (chunk: Chunk) => Promise<{ readonly adopted: number; readonly refused: readonly Identity[] }>;

async function adoptOr(
  source: LockSource,
  tables: SqlModel,
  identities: readonly Identity[],
  lane: Lane | undefined,
): Promise<Adopted> {
  if (lane === undefined) return adopt(source.pool, tables, identities);
  try {
    const { adopted, refused } = await underLocks(source, tables, identities, lane);
    if (refused.length === 0) return { adopted, quarantined: 0 };
    const rest = await adopt(source.pool, tables, refused);
    return { adopted: adopted + rest.adopted, quarantined: rest.quarantined };
  } catch (error) {
    // The server blames a row; or it does not support COPY into a table (0A). An error of the SQL itself is not hidden.
    const state = sqlStateOf(error);
    if (state === undefined || (!blamesRow(error) && !state.startsWith('0A'))) throw error;
    return adopt(source.pool, tables, identities);
  }
}
