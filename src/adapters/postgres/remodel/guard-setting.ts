import type { Identity } from '../../../kernel/remodel/index.ts';
import type { Executor } from './executor.ts';

/**
 * The transaction-local setting that tells the guard whom the library writes: a
 * JSON array of `remodel/identity`. Exactly these, so that what a trigger of the
 * application writes on the way is noticed like any other write.
 */
export const ALLOWED = 'godwit.allowed';

/** Lets this transaction write the old row of one identity until the next call of the library. */
export async function allowOne(exec: Executor, remodel: string, identity: Identity): Promise<void> {
  await exec.query(`select set_config('${ALLOWED}', $1, true) as ok`, [allowedOf(remodel, [identity])]);
}

/** The setting that lets a transaction write the old rows of these. */
export function allowedOf(remodel: string, identities: readonly Identity[]): string {
  return JSON.stringify(identities.map((identity) => `${remodel}/${identity}`));
}
