/** What is kept of the old table. */
import { rm } from 'node:fs/promises';
import { GodwitError } from '../../../kernel/errors.ts';

/** The CSV as Parquet where DuckDB is installed; the CSV itself otherwise. */
export async function toParquet(csv: string, signal: AbortSignal): Promise<string> {
  const file = csv.replace(/\.csv$/, '.parquet');
  try {
    const { archiveToParquet } = await import('../../../adapters/duckdb/index.ts');
    await archiveToParquet(csv, file, {}, signal);
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'GW1008') return csv;
    throw error;
  }
  await rm(csv);
  return file;
}
