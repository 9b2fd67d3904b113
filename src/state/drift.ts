import type { Drift } from '../kernel/ports.ts';
import type { Database } from './database.ts';

interface DriftRow {
  unit: string;
  kind: Drift['kind'];
  key: string;
  source_digest: string | null;
  target_digest: string | null;
  note: string | null;
}

/** Keeps what verification found; the same difference found again replaces itself. */
export function putDrift(db: Database, rows: Iterable<Drift>): void {
  db.commit(() => {
    for (const row of rows) {
      db.run(
        'INSERT OR REPLACE INTO drift (unit, kind, key, source_digest, target_digest, note) VALUES (?, ?, ?, ?, ?, ?)',
        row.unit,
        row.kind,
        row.key,
        row.sourceDigest ?? null,
        row.targetDigest ?? null,
        row.note ?? null,
      );
    }
  });
}

export function listDrift(db: Database, limit: number): Drift[] {
  return db
    .all<DriftRow>('SELECT * FROM drift ORDER BY rowid LIMIT ?', Number.isFinite(limit) ? limit : -1)
    .map(({ unit, kind, key, source_digest, target_digest, note }) => ({
      unit,
      kind,
      key,
      ...(source_digest === null ? {} : { sourceDigest: source_digest }),
      ...(target_digest === null ? {} : { targetDigest: target_digest }),
      ...(note === null ? {} : { note }),
    }));
}

export function countDrift(db: Database): number {
  return db.get<{ n: number }>('SELECT count(*) AS n FROM drift')?.n ?? 0;
}

export function clearDrift(db: Database): void {
  db.run('DELETE FROM drift');
}
