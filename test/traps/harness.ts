/**
 * One migration, held at the points where its traps lie. A trap test says what
 * happens before the copy, in the middle of it, between copy and catch-up, and
 * while changes flow; the harness waits on conditions, cuts over, and lets an
 * independent judge compare both clusters byte for byte.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Db, MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect } from 'vitest';
import { GodwitError } from '../../src/kernel/errors.ts';
import { armFailpoint, type Failpoint } from '../../src/kernel/failpoint.ts';
import type {
  CommandArgs,
  CommandName,
  CommandResult,
  MigrateOptions,
  RunEvent,
} from '../../src/routes/migrate/api.ts';
import { command, run } from '../../src/routes/migrate/index.ts';
import { RunStore } from '../../src/state/index.ts';
import { type ReplicaSet, type ReplicaSetOptions, StopWaiting, startReplicaSet, waitFor } from '../servers/index.ts';
import { type Comparison, compareClusters } from '../tools/compare-clusters.ts';

const RUN = 'trap';
const PATIENCE_MS = 60_000;

export interface Pair {
  readonly source: ReplicaSet;
  readonly target: ReplicaSet;
}

/** A pair of replica sets for one test file, started before its first test and stopped after its last. */
export function usePair(options: { source?: ReplicaSetOptions; target?: ReplicaSetOptions } = {}): () => Pair {
  let pair: Pair | undefined;
  const own = { testCommands: true, cacheGB: 0.4 };
  beforeAll(async () => {
    const [source, target] = await Promise.all([
      startReplicaSet({ ...own, name: 'trapsource', ...options.source }),
      startReplicaSet({ ...own, name: 'traptarget', ...options.target }),
    ]);
    pair = { source, target };
  });
  afterAll(async () => {
    await Promise.all([pair?.source.stop(), pair?.target.stop()]);
  });
  return () => {
    if (pair === undefined) throw new Error('the pair of replica sets was asked for before it was started');
    return pair;
  };
}

/** What the steps of a scenario work with. */
export interface Stage {
  readonly pair: Pair;
  readonly name: string;
  readonly source: MongoClient;
  readonly target: MongoClient;
  /** The scenario's database at the source. */
  readonly db: Db;
  /** The same on the target. */
  readonly copy: Db;
  /** Events of the run so far, by kind. */
  readonly events: readonly Extract<RunEvent, { type: 'event' }>[];
  /** Copies what there is to do now: pieces of the copy not begun. */
  readonly pendingChunks: () => number;
  /** Waits until everything written at the source so far is on the target. Only while the run lives. */
  readonly caughtUp: () => Promise<void>;
}

type Step = (stage: Stage) => Promise<unknown>;

export interface Scenario {
  readonly pair: Pair;
  /** Before the first time point. */
  readonly before: Step;
  /** The copy is held when so many pieces of it are done (0: when the collections are made and empty). */
  readonly holdAfter?: number;
  /** In the middle of the copy. */
  readonly during?: Step;
  /** The copy is complete, and nothing of the log is applied. */
  readonly copied?: Step;
  /** A first proof holds, and changes flow. */
  readonly flowing?: Step;
  /** After the switch and the comparison. */
  readonly after?: Step;
  /** What was applied first is applied again, as after a crash between a write and its checkpoint. */
  readonly applyTwice?: boolean;
  readonly options?: Partial<MigrateOptions>;
  /** Name of the database; a fresh one by default. */
  readonly db?: string;
}

let scenarios = 0;

/** A database name that no other test uses. */
export function freshName(): string {
  scenarios += 1;
  return `trap${process.pid}_${scenarios}`;
}

/** Runs a scenario to its end: the judge must find both sides equal. */
export async function migrateScenario(scenario: Scenario): Promise<Comparison> {
  const migration = await openMigration(scenario.pair, scenario.db ?? freshName(), scenario.options);
  try {
    const { stage } = migration;
    await scenario.before(stage);
    if (scenario.during) await migration.copyHeld(scenario.holdAfter ?? 1, () => scenario.during?.(stage));
    else await migration.runUntil('copied');
    await scenario.copied?.(stage);
    let lost = 0;
    if (scenario.applyTwice) {
      armFailpoint('checkpoint.before-commit', 1, () => {
        lost += 1;
        throw new GodwitError('GW3001', 'A test lost the checkpoint of what was just applied');
      });
    }
    await migration.start();
    await migration.reach('verified');
    if (scenario.applyTwice) expect(lost).toBe(1);
    await scenario.flowing?.(stage);
    await migration.ask('cutover');
    await migration.stop();
    const comparison = await migration.compare();
    expect(comparison.differences).toEqual([]);
    await scenario.after?.(stage);
    return comparison;
  } finally {
    await migration.close();
  }
}

/** A migration under control: for the tests that need more than `migrateScenario`. */
export interface Migration {
  readonly stage: Stage;
  readonly options: MigrateOptions;
  /** Runs in this process until a point, and ends. */
  runUntil(until: NonNullable<MigrateOptions['until']>): Promise<CommandResult>;
  /** Copies, holding the copy when `pieces` of it are done, and ends when it is complete. */
  copyHeld(pieces: number, work: () => Promise<unknown> | undefined): Promise<void>;
  /** Runs in this process from now on; a failure of the run fails `reach`, `ask` and `stop`. */
  start(): Promise<void>;
  /** Waits until the run is in a phase. */
  reach(...phases: string[]): Promise<void>;
  /** Has the run that was started carry out a command. */
  ask(name: CommandName, args?: CommandArgs): Promise<CommandResult>;
  /** Ends the run that was started; it may be started again. */
  stop(): Promise<void>;
  /** How a started run ended by itself. */
  readonly ended: Promise<CommandResult>;
  phase(): string;
  compare(): Promise<Comparison>;
  close(): Promise<void>;
}

export async function openMigration(pair: Pair, name: string, more: Partial<MigrateOptions> = {}): Promise<Migration> {
  const dir = await mkdtemp(join(tmpdir(), 'godwit-trap-'));
  const [source, target] = [await pair.source.client(), await pair.target.client()];
  const events: Extract<RunEvent, { type: 'event' }>[] = [];
  const onEvent = (event: RunEvent): void => {
    if (event.type === 'event') events.push(event);
  };
  const options: MigrateOptions = {
    from: pair.source.uri,
    to: pair.target.uri,
    run: RUN,
    state: dir,
    include: [name],
    exclude: [],
    rename: [],
    cutover: 'manual',
    fence: 'none',
    fenceWholeCluster: false,
    entries: [],
    maxStallSeconds: 60,
    lanes: 1,
    applyLanes: 4,
    // A few kilobytes: even a small collection is copied in pieces, so that a copy has a middle.
    chunkMb: 0.004,
    throttle: 'off',
    neighbourLatencyLimit: 1.25,
    retryForSeconds: 60,
    resync: false,
    withUsers: false,
    ...more,
  };
  const never = new AbortController().signal;
  const inStore = <T>(work: (store: RunStore) => T): T => {
    const store = RunStore.open(dir, RUN);
    try {
      return work(store);
    } finally {
      store.close();
    }
  };
  // A held copy whose test has failed still runs when the migration is closed.
  const closing = new AbortController();
  const held: { run?: Promise<unknown> } = {};
  let stopping = new AbortController();
  let living: Promise<CommandResult> | undefined;
  let failure: { readonly error: unknown } | undefined;
  const phase = (): string => inStore((store) => store.phase);
  /** A proof that found differences ends the wait at once, with what it found. */
  const refuteEquality = (): false => {
    const drift = inStore((store) =>
      store.get<{ state: string }>('proof')?.state === 'different' ? store.drift() : [],
    );
    if (drift.length > 0) throw new StopWaiting(`the run's own proof found: ${JSON.stringify(drift.slice(0, 5))}`);
    return false;
  };

  const stage: Stage = {
    pair,
    name,
    source,
    target,
    db: source.db(name),
    copy: target.db(name),
    events,
    pendingChunks: () => inStore((store) => store.pendingChunks('copy').length),
    caughtUp: async () => {
      const note = await source
        .db('admin')
        .command({ appendOplogNote: 1, data: { test: 'mark' }, writeConcern: { w: 'majority' } });
      const { t, i } = note['operationTime'] as { t: number; i: number };
      const mark = [t, i].map((n) => (n >>> 0).toString(16).padStart(8, '0')).join('');
      await waitFor(
        () => {
          if (failure) return true;
          return inStore((store) => {
            const generation = store.get<{ number: number }>('generation')?.number ?? 0;
            return (store.get<{ position: string }>(`apply.${generation}`)?.position ?? '') >= mark;
          });
        },
        { timeoutMs: PATIENCE_MS, what: 'the target to have caught up' },
      );
      if (failure) throw failure.error;
    },
  };

  const migration: Migration = {
    stage,
    options,
    phase,
    get ended() {
      if (living === undefined) throw new Error('no run was started');
      return living;
    },
    runUntil: (until) => run({ ...options, until }, { signal: never, onEvent }),
    async copyHeld(pieces, work) {
      let tellHeld = (): void => {};
      const isHeld = new Promise<void>((resolve) => {
        tellHeld = resolve;
      });
      const point: Failpoint = pieces === 0 ? 'copy.create.after' : 'copy.chunk.after-done';
      armFailpoint(point, Math.max(1, pieces), () => {
        inStore((store) => store.setFlag('paused', 'held by a test'));
        tellHeld();
      });
      const copying = run({ ...options, until: 'copied' }, { signal: closing.signal, onEvent });
      held.run = copying.catch(() => undefined);
      await Promise.race([
        isHeld,
        copying.then(() => Promise.reject(new Error('the copy ended before it could be held'))),
      ]);
      // Without something left to copy the window would not be fuzzy, and the test would prove nothing.
      expect(stage.pendingChunks()).toBeGreaterThan(0);
      await Promise.race([
        work(),
        copying.then(() => Promise.reject(new Error('the copy ended although it was held'))),
      ]);
      expect(stage.pendingChunks()).toBeGreaterThan(0);
      inStore((store) => store.setFlag('paused', undefined));
      await copying;
    },
    async start() {
      stopping = new AbortController();
      failure = undefined;
      living = run(options, { signal: stopping.signal, onEvent });
      living.catch((error: unknown) => {
        failure = { error };
      });
    },
    async reach(...phases) {
      await waitFor(() => failure !== undefined || phases.includes(phase()) || refuteEquality(), {
        timeoutMs: PATIENCE_MS,
        what: `the run to be ${phases.join(' or ')}`,
      });
      if (failure) throw failure.error;
    },
    async ask(name, args = {}) {
      if (failure) throw failure.error;
      try {
        return await command(name, { state: dir, run: RUN }, args, { signal: never, onEvent });
      } catch (error) {
        if ((error as { code?: string }).code !== 'GW6001') throw error;
        throw new Error(`${name}: ${JSON.stringify(inStore((store) => store.drift()).slice(0, 5))}`, { cause: error });
      }
    },
    async stop() {
      if (living === undefined) return;
      stopping.abort();
      const ending = living;
      living = undefined;
      await ending.catch((error: unknown) => {
        if ((error as { code?: string }).code !== 'GW8001') throw error;
      });
    },
    compare: () => {
      const databases = new Set([name, ...options.include.map((pattern) => pattern.split('.')[0])]);
      return compareClusters(pair.source.uri, pair.target.uri, {
        include: (db) => databases.has(db),
        rename: options.rename,
      });
    },
    async close() {
      stopping.abort();
      closing.abort();
      await living?.catch(() => undefined);
      await held.run;
      await rm(dir, { recursive: true, force: true });
    },
  };
  return migration;
}
