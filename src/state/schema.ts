import { GodwitError, invariant } from '../kernel/errors.ts';
import type { Database } from './database.ts';

/** The format this version writes. Raise it with every change of the tables, and add the step to MIGRATIONS. */
export const FORMAT = 1;

/** Steps from a format to the next, by the older one's number. */
export type Migrations = Readonly<Record<number, (db: Database) => void>>;
export const MIGRATIONS: Migrations = {};

const TABLES = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE entry (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE event (seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL) STRICT;
CREATE TABLE chunk (
  kind TEXT NOT NULL, id INTEGER NOT NULL, unit TEXT NOT NULL, bounds BLOB NOT NULL,
  docs INTEGER NOT NULL, bytes INTEGER NOT NULL,
  done INTEGER NOT NULL DEFAULT 0, docs_done INTEGER NOT NULL DEFAULT 0, bytes_done INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (kind, id)
) STRICT;
CREATE INDEX chunk_pending ON chunk (kind, id) WHERE done = 0;
CREATE TABLE drift (
  unit TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
  source_digest TEXT, target_digest TEXT, note TEXT,
  PRIMARY KEY (unit, kind, key)
) STRICT;
CREATE TABLE sample (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, data TEXT NOT NULL) STRICT;
CREATE TABLE request (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, command TEXT NOT NULL, args TEXT NOT NULL, answer TEXT
) STRICT;
CREATE INDEX request_pending ON request (id) WHERE answer IS NULL;
`;

/** Makes the tables of a new run, with the first values of `meta`, in the caller's commit. */
export function createTables(db: Database, meta: Readonly<Record<string, string>>): void {
  db.exec(TABLES);
  for (const [key, value] of Object.entries({ format: String(FORMAT), ...meta })) {
    db.run('INSERT INTO meta (key, value) VALUES (?, ?)', key, value);
  }
}

/** The format a file has, or undefined when its creation never ended. */
export function formatOf(db: Database): number | undefined {
  const made = db.get(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'meta'`);
  if (made === undefined) return undefined;
  const row = db.get<{ value: string }>(`SELECT value FROM meta WHERE key = 'format'`);
  return row === undefined ? undefined : Number(row.value);
}

/**
 * Refuses a newer format (GW9002) and brings an older one up to date, all steps
 * in one commit. A reader that may not write says who can (GW1001).
 */
export function upgrade(
  db: Database,
  found: number,
  options: { readOnly?: boolean; format?: number; migrations?: Migrations } = {},
): void {
  const { readOnly = false, format = FORMAT, migrations = MIGRATIONS } = options;
  if (found === format) return;
  if (found > format) {
    throw new GodwitError('GW9002', `The run has state format ${found}; this Godwit reads up to ${format}`, {
      details: { found, known: format },
    });
  }
  if (readOnly) {
    throw new GodwitError(
      'GW1001',
      `The run has the older state format ${found}; start its runner once to bring it up to date`,
    );
  }
  db.commit(() => {
    // Asked again under the lock: two processes may have begun at once.
    const from = formatOf(db) ?? found;
    for (let version = from; version < format; version += 1) {
      const step = migrations[version];
      invariant(step !== undefined, `No step from state format ${version}`);
      step(db);
    }
    db.run(`UPDATE meta SET value = ? WHERE key = 'format'`, String(format));
  });
}
