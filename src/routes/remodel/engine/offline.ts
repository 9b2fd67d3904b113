/** Comparison outside of the database: a snapshot as Parquet files and an engine that runs one SQL text on them. */
import { GodwitError } from '../../../kernel/errors.ts';
import type { VerifyReport } from '../api.ts';
import type { Tools } from './tools.ts';

/** Exports a snapshot and compares it. */
export async function compareOffline(
  { options }: Tools,
  _byValue: boolean,
): Promise<Omit<VerifyReport, 'quarantined'>> {
  throw new GodwitError('GW1001', `--engine ${options.engine} is not there in this build`);
}
