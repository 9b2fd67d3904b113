import type { Identity } from '../../../kernel/remodel/index.ts';
import type { Executor } from './executor.ts';

/**
 * The transaction-local setting that tells the guard whom the library writes: a
 * JSON array of `remodel/identity`. Exactly these, so that what a trigger of the
 * application writes on the way is noticed like any other write.
 */
export const ALLOWED = 'godwit.allowed';

/** How long work behind the application's back waits for a lock: less than the server waits before it looks for a deadlock and ends one of the two. */
const LOCK_TIMEOUT = '300ms';

/** Lets this transaction write the old row of one identity until the next call of the library. */
export async function allowOne(exec: Executor, remodel: string, identity: Identity): Promise<void> {
  await exec.query(`select set_config('${ALLOWED}', $1, true) as ok`, [allowed(remodel, [identity])]);
}

/** Lets this transaction, which is the relay's or a release's, write the old rows of these; from now on it waits for no lock for long. */
export async function allowThese(exec: Executor, remodel: string, identities: readonly Identity[]): Promise<void> {
  await exec.query(
    `select set_config('${ALLOWED}', $1, true) as ok, set_config('lock_timeout', '${LOCK_TIMEOUT}', true) as wait`,
    [allowed(remodel, identities)],
  );
}

function allowed(remodel: string, identities: readonly Identity[]): string {
  return JSON.stringify(identities.map((identity) => `${remodel}/${identity}`));
}
