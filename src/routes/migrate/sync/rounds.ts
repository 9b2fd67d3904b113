/**
 * Synchronisation once per interval instead of all the time: between rounds
 * nothing is read of the source's log and nothing is written at the target.
 *
 *     idle ──due, in its hours──> round ──all of it applied, or its hours end──> idle
 *       └──somebody needs the present──> open until nobody does ──> idle
 */
import type { LogBacklog } from '../../../adapters/mongodb/index.ts';
import type { Clock } from '../../../kernel/clock.ts';
import { GodwitError, isRetryable } from '../../../kernel/errors.ts';
import type { Position } from '../../../kernel/position.ts';
import type { RunStore } from '../../../state/index.ts';
import type { SyncRound, SyncStatus } from '../api.ts';
import type { GatedSource } from './gate.ts';
import { type Hours, isOpen, nextOpening, nextRound, type Schedule } from './schedule.ts';

/** The flow of changes, as rounds move it. */
interface Flow {
  readonly appliedTo: Position;
  readonly entriesApplied: number;
  mark(signal: AbortSignal): Promise<Position>;
  waitApplied(position: Position, signal: AbortSignal): Promise<void>;
}

export interface RoundsOptions {
  readonly schedule: Schedule;
  readonly hours: Hours | undefined;
  readonly gate: GatedSource;
  readonly flow: Flow;
  readonly store: RunStore;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What the source's log holds after a position; undefined when that takes too long to count. */
  readonly backlog: (after: Position) => Promise<LogBacklog | undefined>;
  /** Why the source's log would not wait for the next round; undefined when it does. */
  readonly forgets: (position: Position) => Promise<string | undefined>;
}

/** What is kept between processes. */
interface SyncRecord {
  readonly rounds: number;
  readonly lastStartMs?: number;
  readonly last?: SyncRound;
}

const KEY = 'sync';
const POLL_MS = 200;
const LOOK_EVERY_MS = 10_000;
const LONGEST_LOOK_MS = 60_000;
const AFTER_FAULT_MS = 5_000;

export class Rounds {
  readonly #options: RoundsOptions;
  readonly #over = new AbortController();
  #working: Promise<void> = Promise.resolve();
  #needed = 0;
  #urgent: string | undefined;
  #round: { startedMs: number; why: SyncRound['why'] } | undefined;
  #behind: SyncStatus['behind'] = null;

  constructor(options: RoundsOptions) {
    this.#options = options;
  }

  /** From now on the gate is open for rounds only. */
  start(): void {
    if (this.#needed === 0) this.#options.gate.close();
    const signal = AbortSignal.any([this.#options.signal, this.#over.signal]);
    this.#working = Promise.all([this.#loop(signal), this.#watch(signal)]).then(() => undefined);
    this.#working.catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#over.abort(new GodwitError('GW8001', 'Synchronisation was stopped'));
    await this.#working.catch(() => undefined);
  }

  /** Whether work that nobody asked for may be done now. */
  get isOpen(): boolean {
    return isOpen(this.#options.hours, this.#options.clock.now());
  }

  /** Runs `work` in real time: whatever is written meanwhile is carried at once. */
  async inRealTime<T>(work: () => Promise<T>): Promise<T> {
    const { gate } = this.#options;
    this.#needed += 1;
    gate.open();
    try {
      return await work();
    } finally {
      this.#needed -= 1;
      if (this.#needed === 0 && this.#round === undefined) gate.close();
    }
  }

  status(nowMs: number): SyncStatus {
    const { schedule, hours, gate } = this.#options;
    const record = this.#record();
    const state = this.#round ? 'round' : gate.isOpen ? 'real-time' : 'idle';
    const next = this.#round ? nowMs : this.#nextMs(record, nowMs);
    return {
      mode: 'periodic',
      schedule: 'every' in schedule ? `every ${schedule.every} s` : `cron ${schedule.cron}`,
      hours: hours ? `${clockText(hours.from)}-${clockText(hours.to)}` : null,
      state,
      nextAt: state === 'idle' ? new Date(next).toISOString() : null,
      rounds: record.rounds,
      last: record.last ?? null,
      behind: this.#behind,
    };
  }

  async #loop(signal: AbortSignal): Promise<void> {
    const { clock, store } = this.#options;
    while (!signal.aborted) {
      const now = clock.now();
      const urgent = this.#urgent;
      if (this.#needed > 0 || (urgent === undefined && this.#nextMs(this.#record(), now) > now)) {
        await clock.sleep(POLL_MS, signal);
        continue;
      }
      try {
        await this.#oneRound(urgent === undefined ? 'due' : 'log-would-be-forgotten', urgent, signal);
      } catch (error) {
        if (signal.aborted) return;
        // What the flow itself cannot survive ends the run; all else is for the next round.
        store.event('fault', { message: `a round ended: ${error instanceof Error ? error.message : String(error)}` });
        await clock.sleep(AFTER_FAULT_MS, signal);
      }
    }
  }

  async #oneRound(why: SyncRound['why'], urgent: string | undefined, signal: AbortSignal): Promise<void> {
    const { gate, flow, store, clock, hours } = this.#options;
    const startedMs = clock.now();
    const before = { bytes: gate.bytes, entries: gate.entries, applied: flow.entriesApplied };
    this.#round = { startedMs, why };
    store.set(KEY, { ...this.#record(), lastStartMs: startedMs });
    const window = new AbortController();
    const closing = (async () => {
      while (!window.signal.aborted && (urgent !== undefined || isOpen(hours, clock.now())))
        await clock.sleep(POLL_MS, window.signal);
      window.abort(new GodwitError('GW8001', 'The hours of synchronisation have ended'));
    })();
    let cutShort: string | null = null;
    try {
      const until = AbortSignal.any([signal, window.signal]);
      gate.open();
      await flow.waitApplied(await flow.mark(until), until);
    } catch (error) {
      if (signal.aborted || !window.signal.aborted) throw error;
      cutShort = 'its hours ended';
    } finally {
      window.abort();
      await closing;
      this.#round = undefined;
      if (this.#needed === 0) gate.close();
    }
    this.#urgent = undefined;
    const behind = await this.#look();
    const record = this.#record();
    const round: SyncRound = {
      number: record.rounds + 1,
      why,
      reason: urgent ?? null,
      startedAt: new Date(startedMs).toISOString(),
      seconds: (clock.now() - startedMs) / 1000,
      entries: gate.entries - before.entries,
      applied: flow.entriesApplied - before.applied,
      bytes: gate.bytes - before.bytes,
      behind,
      cutShort,
    };
    store.commit(() => {
      store.set(KEY, { ...record, rounds: round.number, last: round });
      store.event('sync-round', { ...round });
    });
  }

  /** Between rounds: how far the target is behind, and whether the source's log waits. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { schedule, clock, flow, forgets } = this.#options;
    const interval = 'every' in schedule ? schedule.every * 100 : LONGEST_LOOK_MS;
    const pause = Math.max(LOOK_EVERY_MS, Math.min(LONGEST_LOOK_MS, interval));
    while (!signal.aborted) {
      await clock.sleep(pause, signal);
      if (signal.aborted || this.#round || this.#needed > 0) continue;
      try {
        await this.#look();
        this.#urgent = await forgets(flow.appliedTo);
      } catch (error) {
        if (signal.aborted) return;
        if (!isRetryable(error)) this.#options.store.event('fault', { message: `watching the log: ${String(error)}` });
      }
    }
  }

  async #look(): Promise<SyncStatus['behind']> {
    const { backlog, flow, clock } = this.#options;
    try {
      const found = await backlog(flow.appliedTo);
      if (found)
        this.#behind = {
          events: found.events,
          bytes: found.bytes,
          seconds:
            found.firstSeconds === undefined ? 0 : Math.max(0, Math.round(clock.now() / 1000 - found.firstSeconds)),
          at: new Date(clock.now()).toISOString(),
        };
    } catch (error) {
      // Only a figure depends on it.
      if (!isRetryable(error)) throw error;
    }
    return this.#behind;
  }

  #nextMs(record: SyncRecord, nowMs: number): number {
    const { schedule, hours } = this.#options;
    return nextOpening(hours, nextRound(schedule, record.lastStartMs, nowMs));
  }

  #record(): SyncRecord {
    return this.#options.store.get<SyncRecord>(KEY) ?? { rounds: 0 };
  }
}

/** The last round, for a run that no process runs. */
export function storedRounds(store: RunStore): { rounds: number; last: SyncRound | null } | undefined {
  const record = store.get<SyncRecord>(KEY);
  return record && { rounds: record.rounds, last: record.last ?? null };
}

function clockText(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
}
