import { GodwitError } from '../../kernel/errors.ts';
import type { ComparePart } from '../../kernel/remodel/index.ts';
import type { Database } from './database.ts';
import { columnList, fileList } from './text.ts';

const TEXT = 'BYTE_ARRAY UTF8';
const BIGINT = new Set(['INT64 INT_64', 'INT64 ']);

/**
 * Throws GW1009 unless each column is text, or is BIGINT in all files of both
 * sides. DuckDB would convert what differs, and '007' would then equal 7.
 */
export async function checkTypes(database: Database, parts: readonly ComparePart[], columns: number): Promise<void> {
  const rows = [...parts.map((part) => part.old), ...parts.map((part) => part.new)];
  const keys = [...parts.map((part) => part.pending), ...parts.map((part) => part.tombstone)];
  const types = await typesOf(database, rows);
  const ofKeys = await typesOf(database, keys);
  const lacking = (name: string) =>
    new GodwitError('GW1009', `Column ${name} of the snapshot is not of one type everywhere`);
  if (ofKeys.get('k') !== TEXT || types.get('k') !== TEXT) throw lacking('k');
  for (const name of columnList(columns)) {
    const type = types.get(name);
    if (type !== TEXT && !BIGINT.has(type ?? 'none')) throw lacking(name);
  }
}

/** Types by column; a column with several, or that a file lacks, has the type `several`. */
async function typesOf(database: Database, files: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const sql = `SELECT name, min(stored) AS lowest, max(stored) AS highest, count(*) AS files
    FROM (SELECT name, concat(type, ' ', converted_type) AS stored FROM parquet_schema(${fileList(files)}) WHERE num_children IS NULL OR num_children = 0)
    GROUP BY name`;
  const found = await database.rows(sql, 'Looking at the columns of the snapshot');
  return new Map(
    found.map(({ name, lowest, highest, files: times }) => [
      String(name),
      lowest === highest && Number(times) === files.length ? String(lowest) : 'several',
    ]),
  );
}
