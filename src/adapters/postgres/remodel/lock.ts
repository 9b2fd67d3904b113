/** SQL of the lock of an identity: an advisory lock of the transaction, on 64 bits of remodel and identity. */
import type { Identity } from '../../../kernel/remodel/index.ts';
import type { Executor } from './executor.ts';
import { literal } from './tables.ts';

/** The lock's number, for an SQL expression that gives the identity as text. */
export function lockNumber(remodel: string, identity: string): string {
  return `hashtextextended(${literal(`${remodel}/`)} || ${identity}, 0)`;
}

/**
 * Takes the locks that are free and gives their identities. Never waits: who
 * holds one of the others is at work on it, and another pass comes.
 */
export async function tryLocks(
  exec: Executor,
  remodel: string,
  identities: readonly Identity[],
): Promise<readonly Identity[]> {
  if (identities.length === 0) return [];
  const { rows } = await exec.query(
    `select u.identity from unnest($1::text[]) as u(identity)
      where pg_try_advisory_xact_lock(${lockNumber(remodel, 'u.identity')})`,
    [identities],
  );
  return rows.map((row) => row['identity'] as string);
}
