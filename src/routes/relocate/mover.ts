/**
 * The source's part of a move, piece by piece: rounds, proofs, requests to the
 * target. Lost connections are made anew; a round goes on after what the target has.
 */
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import {
  Adopted,
  BARS_PROOF,
  bootId,
  Capture,
  Catalog,
  Changes,
  connect,
  type Devices,
  type Difference,
  differenceText,
  findMoved,
  fromText,
  Memo,
  noCounts,
  noteDevice,
  type Proof,
  parseAddress,
  type Remark,
  type RoundContext,
  type RoundCounts,
  runRound,
  SETTLE_MS,
  type Serve,
  type SourceRoot,
  TargetLink,
  type TargetServices,
  tellDeleted,
  walk,
} from '../../adapters/linux-files/index.ts';
import { compressZstd } from '../../adapters/mongodb/medium/zstd.ts';
import { systemClock } from '../../kernel/clock.ts';
import { throwIfAborted } from '../../kernel/errors.ts';
import { withRetry } from '../../kernel/retry.ts';
import { throttleOf } from '../../kernel/throttle.ts';
import type { AgentHooks, AgentOptions, AgentProgress, AgentResult, Certificate, Round } from './api.ts';
import { ChangeLog } from './change-log.ts';
import { Meter, secondsLeft } from './meter.ts';
import { type openMove, rememberTotal } from './move-file.ts';
import { Notes } from './notes.ts';
import { openOwn } from './own.ts';

/** Rounds that are kept for the result. */
const KEPT_ROUNDS = 1_000;

export class Mover {
  readonly notes = new Notes();
  /** Ends the work under way; narrowed while a cutover may last only so long. */
  signal: AbortSignal;
  /** Files that were deleted and are still open. */
  readonly #deleted = new Notes();
  /** Files that could not be opened and were read all the same: told of however many rounds were made since. */
  readonly #held = new Notes();
  readonly #heldPaths = new Set<string>();
  readonly #devices: Devices = new Map();
  readonly #options: AgentOptions;
  readonly #hooks: AgentHooks;
  readonly #roots: readonly SourceRoot[];
  readonly #move: ReturnType<typeof openMove>;
  readonly #command: 'agent' | 'verify';
  readonly #catalog: Catalog;
  readonly #log: ChangeLog | undefined;
  readonly #rounds: Round[] = [];
  readonly #meter = new Meter(systemClock);
  readonly #startedAt = performance.now();
  #roundCount = 0;
  /** Whether a round has come by everything: the catalog says all that the target has. */
  #isCopied: boolean;
  #total: { readonly entries: number; readonly bytes: number } | undefined;
  #link: TargetLink | undefined;
  #capture: Capture | undefined;
  #own: ReadonlySet<string> = new Set();
  #wireBytes = 0;
  /** When the last round began. */
  #roundAt = Number.NEGATIVE_INFINITY;
  /** The last bundle that the target is known to have. */
  #reached = 0;

  constructor(
    options: AgentOptions,
    hooks: AgentHooks,
    roots: readonly SourceRoot[],
    move: ReturnType<typeof openMove>,
    command: 'agent' | 'verify',
  ) {
    this.#options = options;
    this.#hooks = hooks;
    this.#roots = roots;
    this.#move = move;
    this.#command = command;
    this.#catalog = new Catalog(options.state);
    this.#log = options.logChanges === undefined ? undefined : new ChangeLog(options.logChanges, options.mappings);
    this.#total = move.total;
    this.#isCopied = move.isCopied === true;
    this.signal = hooks.signal;
  }

  /** From now on rounds can be told what changed; where the kernel or our rights do not allow it, they look at everything. */
  captureChanges(): void {
    try {
      this.#capture = new Capture(this.#roots, { own: openOwn(this.#options.state, []) });
      this.#hooks.onEvent({ type: 'event', kind: 'capture' });
    } catch (error) {
      const because = error instanceof Error ? error.message : String(error);
      this.#hooks.onEvent({ type: 'event', kind: 'capture', because });
    }
  }

  /** How many rounds there were, this time. */
  get roundCount(): number {
    return this.#roundCount;
  }

  /** When the last whole round began: what was on the source then, the target has. */
  get roundAt(): number {
    return this.#roundAt;
  }

  get lastRound(): Round | undefined {
    return this.#rounds.at(-1);
  }

  /** What there is, and what would not be carried. Nothing is sent. */
  async count(): Promise<AgentResult> {
    const counts = noCounts();
    const own = openOwn(this.#options.state, []);
    let turnAt = performance.now() + 20;
    for (const root of this.#roots) {
      for (const step of walk(root.fd, { own, onRemark: (remark) => this.notes.add(remark) })) {
        if (step.kind === 'leave') continue;
        counts.entries += 1;
        if (step.kind === 'enter') noteDevice(this.#devices, step.stat);
        if (step.kind === 'entry' && step.stat.kind === 'file') counts.bytes += step.stat.size;
        if (performance.now() < turnAt) continue;
        this.#say('looking again', counts);
        await turn();
        throwIfAborted(this.signal);
        turnAt = performance.now() + 20;
      }
    }
    this.#remember({ entries: counts.entries, bytes: counts.bytes });
    this.lookForDeleted();
    this.#keep({ ...counts, seconds: this.#seconds() });
    return this.result('dry-run');
  }

  /**
   * Of a file that changed a moment before a round nobody can tell whether it changes
   * again: rounds that follow each other faster than that would see it as new each time.
   */
  async #pause(): Promise<void> {
    const left = this.#roundAt + SETTLE_MS - performance.now();
    throwIfAborted(this.signal);
    if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
  }

  /** A round that looks at what changed alone, when that is captured; no proof may rely on it without a whole one. */
  async roundOfChanges(): Promise<Round> {
    const changes = this.#capture?.take();
    if (changes === undefined || changes.everything !== undefined) return this.round([], changes);
    return this.round([], changes, true);
  }

  /** One pass over everything, repeated from where it was when the connection is lost. */
  async round(repair: readonly Difference[] = [], changes = this.#capture?.take(), isTold = false): Promise<Round> {
    const later = new Changes();
    try {
      return await this.#round(repair, changes ? { changes, later, isTold } : undefined);
    } catch (error) {
      later.everything = 'the last round was cut off';
      throw error;
    } finally {
      this.#capture?.putBack(later);
    }
  }

  async #round(repair: readonly Difference[], captured: RoundContext['captured']): Promise<Round> {
    await this.#pause();
    const startedAt = performance.now();
    this.#roundAt = startedAt;
    const counts = noCounts();
    let isAdopting = false;
    await this.#withLink(async (link, progressed) => {
      // What a round does not look at, the last whole one told of.
      const told = captured?.changes.everything === undefined ? captured : undefined;
      if (!told?.isTold) this.notes.clear();
      const fresh: RoundCounts = Object.assign(counts, {
        ...noCounts(),
        sent: counts.sent,
        sentBytes: counts.sentBytes,
        removed: counts.removed,
      });
      isAdopting = link.welcome.replaces && !this.#isCopied;
      const found = isAdopting ? await this.#adopt(link) : undefined;
      this.#catalog.merge(link.outbox.done);
      const before = this.#catalog.read(link.outbox.done);
      const after = this.#catalog.write();
      link.outbox.onDone = progressed;
      try {
        await runRound({
          roots: this.#roots,
          outbox: link.outbox,
          before,
          after,
          own: this.#own,
          counts: fresh,
          devices: this.#devices,
          sums: (...of) => link.sums(...of),
          move: async (from, to) => {
            const isMoved = await link.move(from, to);
            if (isMoved) this.#log?.renamed(link.outbox.sent, from, to);
            return isMoved;
          },
          moved: told?.isTold && !found ? findMoved(this.#catalog.records(link.outbox.done), told.changes) : undefined,
          repair: found?.differences ?? repair,
          adopted: found?.adopted,
          captured: found && told ? { ...told, isTold: false } : told,
          signal: this.signal,
          onRemark: (remark) => this.#note(remark),
          onProgress: () => this.#say('copying', fresh),
        });
        await link.sync();
        this.#catalog.finish();
      } catch (error) {
        // What was reached of it can only be found out by looking at everything.
        if (captured) captured.changes.everything = 'the last round was cut off';
        throw error;
      } finally {
        link.outbox.onDone = undefined;
        found?.adopted.close();
        after.close();
        before.close();
      }
    });
    const round = { ...counts, seconds: (performance.now() - startedAt) / 1000 };
    this.#keep(round);
    if (!captured?.isTold || isAdopting) {
      this.#isCopied = true;
      this.#remember({ entries: counts.entries, bytes: counts.bytes });
    }
    return round;
  }

  #remember(total: { entries: number; bytes: number }): void {
    this.#total = total;
    rememberTotal(this.#options.state, this.#move, { total, isCopied: this.#isCopied });
  }

  #note(remark: Remark): void {
    if (remark.why !== 'held') this.notes.add(remark);
    else if (!this.#heldPaths.has(remark.path)) {
      this.#heldPaths.add(remark.path);
      this.#held.add(remark);
    }
  }

  #keep(round: Round): void {
    this.#roundCount += 1;
    this.#rounds.push(round);
    if (this.#rounds.length > KEPT_ROUNDS) this.#rounds.shift();
  }

  /** Tells of the last round, where each of them matters. */
  tellRound(): void {
    const counts = this.lastRound;
    if (counts) this.#hooks.onEvent({ type: 'event', kind: 'round', round: this.#roundCount, counts });
  }

  /** Looks for what no walk comes by. */
  lookForDeleted(): readonly string[] {
    this.#deleted.clear();
    tellDeleted(
      this.#options.mappings.map(({ source }) => fromText(realpathSync(source))),
      this.#devices,
      (remark) => this.#deleted.add(remark),
    );
    return this.#deleted.all['deleted']?.examples ?? [];
  }

  /** Both sides look at everything. Fresh: they read it, also what cannot have changed since they read it the last time. */
  async prove(how: { readonly listing: boolean; readonly fresh: boolean }): Promise<Proof> {
    const fds = this.#roots.map(({ fd }) => fd);
    this.#meter.reset();
    return this.#withLink((link) => this.#proveOver(link, fds, how));
  }

  /** A target that had files before: both sides are read and compared, so that only what differs is sent. */
  async #adopt(link: TargetLink): Promise<{ readonly adopted: Adopted; readonly differences: readonly Difference[] }> {
    const fds = this.#roots.map(({ fd }) => fd);
    const { differences, differenceCount } = await this.#proveOver(link, fds, { listing: true, fresh: false });
    const adopted = new Adopted(join(this.#options.state, 'proof'), differences, differenceCount);
    return { adopted, differences };
  }

  async #proveOver(
    link: TargetLink,
    fds: readonly number[],
    how: { readonly listing: boolean; readonly fresh: boolean },
  ): Promise<Proof> {
    const memo = how.fresh ? undefined : new Memo(join(this.#options.state, 'proof'));
    try {
      const proof = await link.prove(fds, how, {
        own: this.#own,
        onRemark: (remark) => {
          if (['unreadable', 'held'].includes(remark.why) || this.#command === 'verify') this.#note(remark);
        },
        onProgress: (entries, bytes) => {
          throwIfAborted(this.signal);
          this.#say('proving', { ...noCounts(), entries, bytes });
        },
        memo,
      });
      memo?.keep();
      return proof;
    } catch (error) {
      memo?.drop();
      throw error;
    }
  }

  tellProof({ isEqual, differenceCount }: Proof): void {
    this.#hooks.onEvent({ type: 'event', kind: 'proof', equal: isEqual, differences: differenceCount });
  }

  /** What the target knows of its services. */
  targetServices(): Promise<TargetServices> {
    // Said when a connection begins.
    this.hangUp();
    return this.#withLink(async (link) => link.welcome.services);
  }

  serve(request: Serve): Promise<void> {
    return this.#withLink((link) => link.serve(request));
  }

  hangUp(): void {
    this.#link?.destroy();
    this.#link = undefined;
  }

  /** Says goodbye. */
  async close(): Promise<void> {
    this.#capture?.[Symbol.dispose]();
    this.#capture = undefined;
    await this.#link?.close();
    this.#log?.[Symbol.dispose]();
  }

  /** Does its work over the connection, which is made anew as often as it is lost. */
  async #withLink<T>(work: (link: TargetLink, progressed: () => void) => Promise<T>): Promise<T> {
    const { retryFor } = this.#options;
    const { signal } = this;
    return withRetry(
      {
        clock: systemClock,
        signal,
        deadlineMs: retryFor * 1000,
        onRetry: (error, _attempt, waitMs) =>
          this.#hooks.onEvent({ type: 'event', kind: 'lost', message: error.message, waitMs }),
      },
      async (progressed) => {
        this.#link ??= await this.#connect();
        const link = this.#link;
        // What the target took before the line broke may be more than it could tell.
        if (link.outbox.done > this.#reached) progressed();
        this.#reached = link.outbox.done;
        const onAbort = () => link.destroy();
        signal.addEventListener('abort', onAbort, { once: true });
        try {
          return await work(link, progressed);
        } catch (error) {
          link.destroy();
          this.#link = undefined;
          throw error;
        } finally {
          signal.removeEventListener('abort', onAbort);
          this.#wireBytes += link.takeWireBytes();
        }
      },
    );
  }

  async #connect(): Promise<TargetLink> {
    const { address, tls, compress, maxRate } = this.#options;
    const { signal } = this;
    const throttle = throttleOf(maxRate, systemClock);
    const channel = await connect(parseAddress(address), tls, signal);
    try {
      const link = await TargetLink.open(
        channel,
        { move: this.#move.move, mappings: this.#options.mappings },
        {
          compress,
          zstd: compressZstd,
          take: (bytes) => throttle.take(bytes, signal),
          ...(this.#log && { onBundle: this.#log.add.bind(this.#log) }),
        },
      );
      this.#own = openOwn(this.#options.state, link.welcome.boot === bootId() ? link.welcome.own : []);
      return link;
    } catch (error) {
      channel.destroy();
      throw error;
    }
  }

  #say(doing: AgentProgress['doing'], counts: RoundCounts): void {
    if (!this.#meter.isDue) return;
    const { entries, bytes, sentBytes } = counts;
    const rates = this.#meter.read(entries, bytes);
    const total = this.#total;
    const left = total && secondsLeft(counts, total, rates);
    this.#hooks.onProgress({
      doing,
      round: this.#roundCount + 1,
      entries,
      bytes,
      sentBytes,
      wireBytes: this.#wireBytes + (this.#link?.wireBytes ?? 0),
      ...rates,
      ...(total === undefined ? {} : { total }),
      ...(left === undefined ? {} : { secondsLeft: left }),
    });
  }

  /** Why a proof would not be one, whatever both sides hold. */
  get bar(): string | undefined {
    const bar = BARS_PROOF.find((why) => this.notes.count(why) > 0);
    return bar && (WORDS[bar] ?? bar);
  }

  certificate(proof: Proof): Certificate {
    return {
      algorithm: 'sha256-tree-1',
      entries: proof.entries,
      bytes: proof.bytes,
      mappings: this.#options.mappings.map(({ source, target }, at) => ({
        source,
        target,
        root: proof.source[at] ?? '',
      })),
      at: new Date().toISOString(),
    };
  }

  result(
    outcome: AgentResult['outcome'],
    found: { proof?: Proof; because?: string; certificate?: Certificate | undefined; gapMs?: number | undefined } = {},
  ): AgentResult {
    const { proof, because, certificate, gapMs } = found;
    return {
      version: 1,
      command: this.#command,
      outcome,
      ...(because === undefined ? {} : { because }),
      rounds: this.#rounds,
      roundCount: this.#roundCount,
      ...(gapMs === undefined ? {} : { gapMs }),
      ...(certificate === undefined ? {} : { certificate }),
      differences: (proof?.differences ?? []).slice(0, 100).map(differenceText),
      differenceCount: proof?.differenceCount ?? 0,
      notes: { ...this.notes.all, ...this.#deleted.all, ...this.#held.all },
      wireBytes: this.#wireBytes,
      durationSeconds: this.#seconds(),
    };
  }

  #seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }
}

export const CHANGING = 'files went on changing while they were read';
const WORDS: Readonly<Record<string, string>> = {
  unreadable: 'some files could not be read',
  refused: 'the target could not keep something of some files',
  changing: CHANGING,
};

/** A round that found nothing to do: the target has what the source had when it began. */
export function isQuiet({ sent, removed, unsettled }: Round): boolean {
  return sent === 0 && removed === 0 && unsettled === 0;
}
