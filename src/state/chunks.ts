import { GodwitError } from '../kernel/errors.ts';
import type { Chunk } from '../kernel/ports.ts';
import type { Database } from './database.ts';

/** What the chunks are for: each has its own plan and its own progress. */
export type ChunkKind = 'copy' | 'verify';

/** How far one unit is. `docs` and `bytes` are estimates, the others were counted. */
export interface UnitTotals {
  readonly unit: string;
  /** Chunks planned and chunks done. */
  readonly total: number;
  readonly done: number;
  readonly docs: number;
  readonly bytes: number;
  readonly docsDone: number;
  readonly bytesDone: number;
}

export function putChunks(db: Database, kind: ChunkKind, chunks: Iterable<Chunk>): void {
  db.commit(() => {
    for (const chunk of chunks) {
      const { changes } = db.run(
        'INSERT OR IGNORE INTO chunk (kind, id, unit, bounds, docs, bytes) VALUES (?, ?, ?, ?, ?, ?)',
        kind,
        chunk.id,
        chunk.unit,
        chunk.bounds,
        Math.round(chunk.docs),
        Math.round(chunk.bytes),
      );
      // Two plans mixed would copy some keys twice and others never.
      if (changes === 0) throw new GodwitError('GW9001', `The ${kind} plan has chunk ${chunk.id} already`);
    }
  });
}

export function pendingChunks(db: Database, kind: ChunkKind): Chunk[] {
  return db
    .all<Omit<Chunk, 'bounds'> & { bounds: Uint8Array }>(
      'SELECT id, unit, bounds, docs, bytes FROM chunk WHERE kind = ? AND done = 0 ORDER BY id',
      kind,
    )
    .map((row) => ({ ...row, bounds: asBuffer(row.bounds) }));
}

export function chunkDone(db: Database, kind: ChunkKind, id: number, counted: { docs: number; bytes: number }): void {
  const { changes } = db.run(
    'UPDATE chunk SET done = 1, docs_done = ?, bytes_done = ? WHERE kind = ? AND id = ?',
    counted.docs,
    counted.bytes,
    kind,
    id,
  );
  if (changes === 0) throw new GodwitError('GW9001', `The ${kind} plan has no chunk ${id}`);
}

export function chunkTotals(db: Database, kind: ChunkKind): UnitTotals[] {
  return db
    .all<UnitTotals>(
      `SELECT unit, count(*) AS total, sum(done) AS done, sum(docs) AS docs, sum(bytes) AS bytes,
              sum(docs_done) AS docsDone, sum(bytes_done) AS bytesDone
       FROM chunk WHERE kind = ? GROUP BY unit ORDER BY unit`,
      kind,
    )
    .map((row) => ({ ...row }));
}

export function clearChunks(db: Database, kind: ChunkKind): void {
  db.run('DELETE FROM chunk WHERE kind = ?', kind);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
