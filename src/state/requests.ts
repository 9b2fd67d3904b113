import type { Database } from './database.ts';

/** A command another process asks of the runner. */
export interface ControlRequest {
  readonly id: number;
  readonly atMs: number;
  readonly command: string;
  readonly args: unknown;
}

/** What became of it. */
export interface ControlAnswer {
  readonly ok: boolean;
  readonly result?: unknown;
  readonly error?: unknown;
}

export function addRequest(db: Database, atMs: number, command: string, args: string): number {
  return db.run('INSERT INTO request (at_ms, command, args) VALUES (?, ?, ?)', Math.round(atMs), command, args).id;
}

/** In the order they were made. */
export function pendingRequests(db: Database): ControlRequest[] {
  return db
    .all<{ id: number; at_ms: number; command: string; args: string }>(
      'SELECT id, at_ms, command, args FROM request WHERE answer IS NULL ORDER BY id',
    )
    .map((row) => ({ id: row.id, atMs: row.at_ms, command: row.command, args: JSON.parse(row.args) }));
}

/** The first answer stands: a runner that repeats a request after a crash changes nothing. */
export function answerRequest(db: Database, id: number, answer: string): void {
  db.run('UPDATE request SET answer = ? WHERE id = ? AND answer IS NULL', answer, id);
}

export function answerOf(db: Database, id: number): ControlAnswer | undefined {
  const row = db.get<{ answer: string | null }>('SELECT answer FROM request WHERE id = ?', id);
  return row?.answer == null ? undefined : (JSON.parse(row.answer) as ControlAnswer);
}
