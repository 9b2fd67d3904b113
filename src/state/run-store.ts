/**
 * A run's durable memory. What a call wrote is on disk when it returns
 * (exceptions are said on the call), and `commit` makes several calls one.
 *
 * One runner writes (see run-lock.ts); any number of other processes read, and
 * write nothing but requests.
 */
import { closeSync, existsSync, openSync } from 'node:fs';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { GodwitError, invariant } from '../kernel/errors.ts';
import { mayMove, type Phase } from '../kernel/phase.ts';
import type { CheckpointStore, Chunk, Drift } from '../kernel/ports.ts';
import { redactUri } from '../kernel/redact.ts';
import * as chunks from './chunks.ts';
import { Database } from './database.ts';
import * as drift from './drift.ts';
import { guarded, translateFailure } from './failures.ts';
import { toJson, toShownJson } from './json.ts';
import * as requests from './requests.ts';
import { FILE_MODE, makeRunDir, type RunPaths, runPaths, syncDir } from './run-dir.ts';
import { type Sample, Samples } from './samples.ts';
import { createTables, formatOf, upgrade } from './schema.ts';

/** One line of a run's history. */
export interface RunEvent {
  readonly seq: number;
  readonly atMs: number;
  readonly kind: string;
  readonly data: Record<string, unknown>;
}

/** A condition beside the phase, never without its reason. */
export type FlagName = 'paused' | 'throttled';

export interface Heartbeat {
  readonly pid: number;
  readonly atMs: number;
}

type NowClock = Pick<Clock, 'now'>;

/** Begins the keys that are the store's own; callers' keys do not begin so. */
const OWN = 'store:';

export class RunStore implements CheckpointStore, Disposable {
  readonly run: string;
  readonly paths: RunPaths;
  readonly #db: Database;
  readonly #clock: NowClock;
  readonly #samples: Samples;

  private constructor(run: string, paths: RunPaths, db: Database, clock: NowClock) {
    this.run = run;
    this.paths = paths;
    this.#db = db;
    this.#clock = clock;
    this.#samples = new Samples(db);
  }

  /** Makes a new run in phase `created`. GW1001 when there is one of that name, GW9001 when the plan holds a password. */
  static create(
    stateDir: string,
    run: string,
    about: { readonly route: string; readonly plan: unknown },
    clock: NowClock = systemClock,
  ): RunStore {
    const paths = runPaths(stateDir, run);
    const plan = toJson(about.plan);
    invariant(toShownJson(about.plan) === plan, 'The plan of a run must not hold secrets; store redacted strings');
    makeRunDir(stateDir, paths);
    makePrivateFile(paths.database);
    const db = new Database(paths.database);
    try {
      db.commit(() => {
        if (formatOf(db) !== undefined) {
          throw new GodwitError('GW1001', `The run ${run} exists already`, { details: { option: '--run', run } });
        }
        createTables(db, { route: about.route, plan, phase: 'created', createdAtMs: String(clock.now()) });
      });
      guarded(paths.dir, () => syncDir(paths.dir));
    } catch (error) {
      db.close();
      throw error;
    }
    return new RunStore(run, paths, db, clock);
  }

  /**
   * Opens a run. GW1002 when there is none, GW9002 when a newer Godwit wrote
   * it. An older format is brought up to date, which a runner may do only while
   * it holds the run lock.
   */
  static open(stateDir: string, run: string, options: { readOnly?: boolean; clock?: NowClock } = {}): RunStore {
    const paths = runPaths(stateDir, run);
    if (!existsSync(paths.database)) throw noSuchRun(stateDir, run);
    const db = new Database(paths.database, { readOnly: options.readOnly ?? false });
    try {
      const format = formatOf(db);
      if (format === undefined) throw noSuchRun(stateDir, run); // its creation never ended
      upgrade(db, format, { readOnly: options.readOnly ?? false });
    } catch (error) {
      db.close();
      throw error;
    }
    return new RunStore(run, paths, db, options.clock ?? systemClock);
  }

  close(): void {
    this.#db.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get route(): string {
    return this.#meta('route');
  }

  get createdAtMs(): number {
    return Number(this.#meta('createdAtMs'));
  }

  /** What `create` was given. */
  plan<T>(): T {
    return JSON.parse(this.#meta('plan')) as T;
  }

  get phase(): Phase {
    return this.#meta('phase') as Phase;
  }

  /** The only writer of the phase: move, `work` and event are one commit. */
  enter(next: Phase, event: string, work?: () => void): void {
    this.commit(() => {
      const from = this.phase;
      invariant(mayMove(from, next), `A run may not go from phase ${from} to ${next}`);
      this.#db.run(`UPDATE meta SET value = ? WHERE key = 'phase'`, next);
      this.event(event, { from, to: next });
      return work?.(); // returned so that an async work is refused
    });
  }

  get<T>(key: string): T | undefined {
    const row = this.#db.get<{ value: string }>('SELECT value FROM entry WHERE key = ?', key);
    return row === undefined ? undefined : (JSON.parse(row.value) as T);
  }

  /** `undefined` takes the key away. The value is kept exactly as it is: give it no secrets. */
  set(key: string, value: unknown): void {
    if (value === undefined) this.#db.run('DELETE FROM entry WHERE key = ?', key);
    else this.#db.run('INSERT OR REPLACE INTO entry (key, value) VALUES (?, ?)', key, toJson(value));
  }

  commit(work: () => void): void {
    this.#db.commit(work);
  }

  event(kind: string, data: Record<string, unknown>): void {
    this.#db.run(
      'INSERT INTO event (at_ms, kind, data) VALUES (?, ?, ?)',
      Math.round(this.#clock.now()),
      kind,
      toShownJson(data),
    );
  }

  /** The history after event number `sinceSeq`; 0 gives all. */
  events(sinceSeq = 0): RunEvent[] {
    return this.#db
      .all<{ seq: number; at_ms: number; kind: string; data: string }>(
        'SELECT seq, at_ms, kind, data FROM event WHERE seq > ? ORDER BY seq',
        sinceSeq,
      )
      .map((row) => ({ seq: row.seq, atMs: row.at_ms, kind: row.kind, data: JSON.parse(row.data) }));
  }

  /** Adds chunks to a plan. GW9001 when an id is in it already: `clearChunks` first. */
  putChunks(kind: chunks.ChunkKind, added: Iterable<Chunk>): void {
    chunks.putChunks(this.#db, kind, added);
  }

  /** What is left, by id. */
  pendingChunks(kind: chunks.ChunkKind): Chunk[] {
    return chunks.pendingChunks(this.#db, kind);
  }

  /** Idempotent; the last count stands. */
  chunkDone(kind: chunks.ChunkKind, id: number, counted: { docs: number; bytes: number }): void {
    chunks.chunkDone(this.#db, kind, id, counted);
  }

  /** Progress of each unit that has chunks, by name. */
  chunkTotals(kind: chunks.ChunkKind): chunks.UnitTotals[] {
    return chunks.chunkTotals(this.#db, kind);
  }

  clearChunks(kind: chunks.ChunkKind): void {
    chunks.clearChunks(this.#db, kind);
  }

  putDrift(rows: Iterable<Drift>): void {
    drift.putDrift(this.#db, rows);
  }

  drift(limit = Number.POSITIVE_INFINITY): Drift[] {
    return drift.listDrift(this.#db, limit);
  }

  driftCount(): number {
    return drift.countDrift(this.#db);
  }

  clearDrift(): void {
    drift.clearDrift(this.#db);
  }

  /** For the graphs of the report. Not synced: the last moments may be lost in a power cut. */
  sample(atMs: number, values: Readonly<Record<string, number>>): void {
    this.#samples.add(atMs, values);
  }

  samples(): Sample[] {
    return this.#samples.list();
  }

  /** Sets a flag with its reason, or takes it away (`undefined`). */
  setFlag(name: FlagName, reason: string | undefined): void {
    this.set(`${OWN}flag.${name}`, reason === undefined ? undefined : redactUri(reason));
  }

  /** The reason the flag is set, or undefined. */
  flag(name: FlagName): string | undefined {
    return this.get<string>(`${OWN}flag.${name}`);
  }

  /** Asks something of the runner, now or the next one; `answerOf` tells what became of it. */
  request(command: string, args: unknown = {}): number {
    return requests.addRequest(this.#db, this.#clock.now(), command, toJson(args));
  }

  pendingRequests(): requests.ControlRequest[] {
    return requests.pendingRequests(this.#db);
  }

  /** The first answer stands. */
  answer(id: number, answer: requests.ControlAnswer): void {
    requests.answerRequest(this.#db, id, toShownJson(answer));
  }

  answerOf(id: number): requests.ControlAnswer | undefined {
    return requests.answerOf(this.#db, id);
  }

  /** Says that a runner lives. Not synced. */
  heartbeat(pid: number, nowMs: number): void {
    const beat: Heartbeat = { pid, atMs: nowMs };
    this.#db.relaxed(() => this.set(`${OWN}heartbeat`, beat));
  }

  lastHeartbeat(): Heartbeat | undefined {
    return this.get<Heartbeat>(`${OWN}heartbeat`);
  }

  /**
   * The status of this moment, for other processes to show. Not synced, as it is
   * worth nothing after a power cut. A row and not a file of its own: a commit
   * without fsync is atomic, costs no more than a rename, and adds no format.
   */
  setLive(status: unknown): void {
    const text = toShownJson(status);
    this.#db.relaxed(() => this.#db.run('INSERT OR REPLACE INTO entry (key, value) VALUES (?, ?)', `${OWN}live`, text));
  }

  live<T>(): T | undefined {
    return this.get<T>(`${OWN}live`);
  }

  #meta(key: string): string {
    const row = this.#db.get<{ value: string }>('SELECT value FROM meta WHERE key = ?', key);
    if (row === undefined) throw new GodwitError('GW4002', `The state of run ${this.run} is damaged: it has no ${key}`);
    return row.value;
  }
}

/** SQLite makes its files readable for all and its side files like the main one, so that one is made first. */
function makePrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', FILE_MODE));
  } catch (error) {
    if ((error as { code?: string }).code !== 'EEXIST') throw translateFailure(error, path);
  }
}

function noSuchRun(stateDir: string, run: string): GodwitError {
  return new GodwitError('GW1002', `There is no run ${run} in ${stateDir}`, { details: { stateDir, run } });
}
