import type { Executor } from './executor.ts';

/** The transaction-local setting that tells the guard whom the library writes. */
export const ALLOWED = 'godwit.allowed';

/** Lets this transaction write any old row: for the relay and release, which hold the locks of what they write. */
export async function allowAll(exec: Executor): Promise<void> {
  await exec.query(`select set_config('${ALLOWED}', '*', true) as ok`);
}

/** Lets this transaction write the old row of one identity until the next call of the library. */
export async function allowOne(exec: Executor, remodel: string, identity: string): Promise<void> {
  await exec.query(`select set_config('${ALLOWED}', $1, true) as ok`, [`${remodel}/${identity}`]);
}
