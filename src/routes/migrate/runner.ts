import type { Medium } from '../../adapters/mongodb/index.ts';
import { GodwitError, throwIfAborted } from '../../kernel/errors.ts';
import { isFinal } from '../../kernel/phase.ts';
import type { RunLock } from '../../state/index.ts';
import type { CommandArgs, CommandName, CommandResult, MigrateOptions, MigrateStatus } from './api.ts';
import { type CommandAnswer, fitsPhase, perform } from './commands.ts';
import { beginCopy, finishCopy } from './copying.ts';
import { recoverCutover } from './cutover.ts';
import { letGo, noteLost, settleLeftFreeze } from './freezing.ts';
import { currentGeneration } from './generations.ts';
import { undoRollBack } from './going-back.ts';
import { isLostLog } from './link.ts';
import { beginFromMedium, completeFromSource, finishFromMedium, leadOn } from './medium/from-medium.ts';
import { mediumRecord } from './medium/record.ts';
import { watchNeighbours } from './neighbours.ts';
import { type OpenedRun, openRun, type RunnerHooks } from './open-run.ts';
import { prove, recallProof } from './proving.ts';
import { beginResync, finishResync } from './resyncing.ts';
import { KEY, type ProofRecord, type RunContext, shownDrift } from './run-context.ts';
import { saveReport } from './save-report.ts';
import { openLink, sidesOf } from './sides.ts';
import { buildStatus } from './status.ts';

const POLL_MS = 150;
/** Answered at any time, also in the middle of a copy. */
const AT_ONCE: ReadonlySet<string> = new Set(['pause', 'resume', 'unfreeze']);
/** In all others either nothing flows, or a cutover is under way, which is undone first. */
const RESYNCABLE: ReadonlySet<string> = new Set([
  'copying',
  'following',
  'verified',
  'resyncing',
  'switched',
  'resyncing-back',
]);
const STATUS_MS = 500;
/** How long a run that only copies waits for the member that was frozen. */
const CATCH_UP_MS = 60_000;
const SAMPLE_MS = 1_000;

/**
 * The one process that moves a run. It holds the run's lock, goes through the
 * phases from wherever the state says, and answers the commands that other
 * processes leave in the state.
 */
export class Runner {
  readonly #run: RunContext;
  readonly #lock: RunLock;
  readonly #hooks: RunnerHooks;
  readonly #stop: AbortController;
  #fault: MigrateStatus['fault'] = null;
  #timer: NodeJS.Timeout | undefined;
  #sampledMs = 0;
  #eventSeq = 0;
  #cutoverRefused = false;
  #caughtUp = false;
  #attending: NodeJS.Timeout | undefined;
  readonly #taken = new Set<number>();
  /** The request that ended the run, to be answered once it has. */
  #cancelling: number | undefined;

  private constructor(opened: OpenedRun, hooks: RunnerHooks) {
    this.#run = opened.run;
    this.#lock = opened.lock;
    this.#stop = opened.stop;
    this.#hooks = hooks;
  }

  /** Takes the run's lock, connects both sides, and makes the run if there is none yet. */
  static async open(options: MigrateOptions, hooks: RunnerHooks, mayCreate: boolean): Promise<Runner> {
    let runner: Runner | undefined;
    const opened = await openRun(options, hooks, mayCreate, (error) => runner?.noteFault(error));
    runner = new Runner(opened, hooks);
    runner.#eventSeq = opened.run.store.events().at(-1)?.seq ?? 0;
    runner.#timer = setInterval(() => runner?.publish(), STATUS_MS);
    runner.#attending = setInterval(() => runner?.attend(), POLL_MS);
    return runner;
  }

  /**
   * Goes on until there is nothing left to do without a person, or until `--until`.
   * @param lostLog an earlier runner ended with it: a new time point is taken first
   */
  async go(lostLog?: GodwitError): Promise<CommandResult> {
    try {
      if (lostLog) await beginResync(this.#run, lostLog);
      return await this.#go();
    } catch (error) {
      await this.#undoHopelessRollBack(error);
      if (this.#cancelling === undefined) throw error;
      const answer = await perform(this.#run, 'cancel', {});
      const result = this.result('cancel', answer.message, answer.already);
      this.#run.store.answer(this.#cancelling, { ok: true, result });
      return result;
    }
  }

  /**
   * Looks for requests that cannot wait for the work under way: to pause, to
   * go on, to cancel, and those that do not fit the phase.
   */
  attend(): void {
    const { store } = this.#run;
    for (const request of store.pendingRequests()) {
      const name = request.command as CommandName;
      if (name === 'cancel' && fitsPhase(name, store.phase)) {
        this.#cancelling = request.id;
        this.#stop.abort(new GodwitError('GW8001', 'The run is cancelled'));
      } else if (AT_ONCE.has(name) || !fitsPhase(name, store.phase)) void this.#answer(request);
    }
  }

  async #go(): Promise<CommandResult> {
    const { store } = this.#run;
    const began = store.phase;
    await this.#advance();
    for (;;) {
      throwIfAborted(this.#run.signal);
      const done = this.#reached();
      if (done) return this.result('run', done, began === store.phase && isFinal(store.phase));
      await this.#answerRequests();
      await this.#catchUpOnce();
      await this.#automatic(this.#run.options);
      await this.#orFailure(this.#run.clock.sleep(POLL_MS, this.#run.signal));
    }
  }

  /** Without the log of the flow back a rollback that a crash left in the middle cannot go on: nobody is kept waiting for it. */
  async #undoHopelessRollBack(error: unknown): Promise<void> {
    const { store, link, signal } = this.#run;
    const flowsBack = store.phase === 'rolling-back' && link?.generation.direction === 'reverse';
    if (flowsBack && link.hasLostLog && !signal.aborted) await undoRollBack(this.#run, error);
  }

  /** Whether an error that ended `go` means that the log is lost, and the next runner may do without it. */
  mayResync(error: unknown): error is GodwitError {
    const { link, options, store, signal } = this.#run;
    const isLost = link === undefined ? isLostLog(error) : link.hasLostLog;
    return isLost && options.resync && RESYNCABLE.has(store.phase) && !signal.aborted;
  }

  /** Carries out one command and ends: for when no other process runs the run. */
  async once(name: CommandName, args: CommandArgs): Promise<CommandResult> {
    if (name === 'verify' || name === 'cutover' || name === 'rollback' || name === 'confirm') await this.#advance();
    const answer = await this.#orFailure(this.#present(() => perform(this.#run, name, args)));
    return this.result(name, answer.message, answer.already, answer);
  }

  /** Ends everything in order; the state stays for the next process. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    clearInterval(this.#attending);
    this.#stop.abort(new GodwitError('GW8001', 'The runner ended'));
    await this.#run.rounds?.stop();
    await this.#run.link?.stop();
    // A lock is never left to the watchdog when there is time to undo it.
    await letGo(this.#run, 'the run stops', true).catch((error) => this.noteFault(asGodwitError(error)));
    this.publish();
    saveReport(this.#run, this.status());
    this.#run.store.close();
    this.#lock.release();
    await Promise.allSettled([this.#run.source.close(), this.#run.target.close()]);
  }

  status(): MigrateStatus {
    const { store, meter, throttle, link, selection } = this.#run;
    return buildStatus(
      store,
      {
        meter,
        throttled: throttle.isBinding ? throttle.reason : this.#run.waitingFor,
        fault: this.#fault,
        lagSeconds: link?.isApplying ? this.#lagSeconds() : undefined,
        spooledTo: link?.spooledTo,
        spoolBytes: link?.spoolBytes ?? 0,
        moment: link?.latestMoment,
        sync: this.#run.rounds?.status(this.#run.clock.now()),
        selectionTarget: (db, name) => selection.target(db, name),
      },
      { alive: true, pid: process.pid },
    );
  }

  /** Between rounds it is as old as the oldest change that waits, which grows older since it was looked at. */
  #lagSeconds(): number | undefined {
    const { rounds, link, clock } = this.#run;
    const sync = rounds?.status(clock.now());
    if (sync?.state !== 'idle' || !sync.behind) return link?.lagSeconds;
    const { events, seconds, at } = sync.behind;
    return events === 0 ? 0 : seconds + Math.max(0, Math.round((clock.now() - Date.parse(at)) / 1000));
  }

  /** Remembers the fault being waited out; `undefined` when it passed. */
  noteFault(error: GodwitError | undefined): void {
    if (error === undefined) {
      this.#fault = null;
      return;
    }
    if (this.#fault?.code === error.code) return;
    this.#fault = { code: error.code, message: error.message, since: new Date().toISOString() };
    this.#run.store.event('fault', { code: error.code, message: error.message });
  }

  /** Tells listeners and other processes where the run stands. */
  publish(): void {
    const { store, meter, link, clock } = this.#run;
    noteLost(this.#run);
    meter.entries = link?.entriesApplied ?? meter.entries;
    meter.read();
    const status = this.status();
    const now = clock.now();
    store.heartbeat(process.pid, now);
    store.setLive(status);
    if (now - this.#sampledMs >= SAMPLE_MS) {
      this.#sampledMs = now;
      store.sample(now, {
        copyBytes: meter.copyBytes,
        copyDocs: meter.copyDocs,
        entriesApplied: meter.entries,
        lagSeconds: status.log.lagSeconds ?? 0,
        spoolBytes: status.log.spoolBytes,
        verifyDocs: meter.verifyDocs,
      });
    }
    for (const event of store.events(this.#eventSeq)) {
      this.#eventSeq = event.seq;
      this.#hooks.onEvent({
        type: 'event',
        at: new Date(event.atMs).toISOString(),
        kind: event.kind,
        data: event.data,
      });
    }
    this.#hooks.onEvent({ type: 'status', status });
  }

  result(command: string, message: string, already: boolean, answer: Partial<CommandAnswer> = {}): CommandResult {
    const { store } = this.#run;
    return {
      version: 1,
      command,
      run: store.run,
      phase: store.phase,
      already,
      message,
      ...(answer.drift ? { drift: shownDrift(answer.drift) } : {}),
      ...(answer.late === undefined ? {} : { late: answer.late }),
      ...(answer.evidence ? { evidence: answer.evidence } : {}),
      ...(answer.stallMs === undefined ? {} : { stallMs: answer.stallMs }),
      report: saveReport(this.#run, this.status()),
    };
  }

  /** Brings the run from its durable phase to where changes flow. */
  async #advance(): Promise<void> {
    const run = this.#run;
    const { store } = run;
    await settleLeftFreeze(run);
    if (isFinal(store.phase) || store.phase === 'confirmed' || store.phase === 'cleaning') return;
    let medium: Medium | undefined;
    if (store.phase === 'created' && run.options.fromMedium) medium = await beginFromMedium(run, this.#hooks);
    else if (store.phase === 'created') await beginCopy(run);
    if (store.phase === 'rolled-back') store.enter('following', 'followed-again');
    await leadOn(run);
    run.link = await openLink(run, currentGeneration(store));
    if (store.phase === 'rolling-back' && run.link.generation.direction === 'forward') {
      await perform(run, 'rollback', {});
      run.link = undefined;
      return;
    }
    run.link.startFollowing();
    if (store.phase === 'copying' && mediumRecord(store)) {
      await this.#orFailure(finishFromMedium(run, this.#hooks, medium));
      run.link.reload();
      if (this.#stopsAt('copied')) return;
    } else if (store.phase === 'copying') {
      const neighbours = await watchNeighbours(run);
      try {
        await this.#orFailure(finishCopy(run));
      } finally {
        await neighbours.stop();
      }
      run.link.reload();
      if (this.#stopsAt('copied')) {
        await Promise.race([run.caughtUp, run.clock.sleep(CATCH_UP_MS, run.signal)]);
        return;
      }
    }
    if (store.phase === 'resyncing' || store.phase === 'resyncing-back') {
      const neighbours = watchNeighbours(run);
      try {
        await this.#orFailure(finishResync(run, neighbours));
      } finally {
        await (await neighbours).stop();
      }
      run.link.reload();
    }
    if (await completeFromSource(run)) run.link.reload();
    await recallProof(run, run.link);
    run.link.startApplying();
    await this.#present(() => recoverCutover(run));
    await this.#turnIfSwitched();
    run.rounds?.start();
    if (store.phase === 'rolling-back') await this.#orFailure(this.#present(() => perform(run, 'rollback', {})));
  }

  /** After a switch the flow goes back: the link of the former direction gives way. */
  async #turnIfSwitched(): Promise<void> {
    const run = this.#run;
    const generation = run.store.get<{ number: number }>(KEY.generation);
    if (!run.link || !generation || run.link.generation.number === generation.number) return;
    await run.rounds?.stop();
    run.rounds = undefined;
    await run.link.stop();
    run.link = await openLink(run, currentGeneration(run.store));
    run.link.startFollowing();
    run.link.startApplying();
  }

  /** `--until following`: everything that was written before the stop is at the target. */
  async #catchUpOnce(): Promise<void> {
    const { link, store, signal, rounds } = this.#run;
    if (this.#caughtUp || !link) return;
    // Proved by an earlier process: between rounds nothing would come that shows the log to be there.
    const unseen = store.phase === 'verified' && rounds !== undefined && !link.isFlowing;
    const due = this.#stopsAt('following') && (store.phase === 'following' || unseen);
    if (!due && !(this.#stopsAt('verified') && unseen)) return;
    await this.#orFailure(this.#present(() => link.catchUp(signal)));
    this.#caughtUp = true;
  }

  /** What the run does without being told. */
  async #automatic(options: MigrateOptions): Promise<void> {
    const run = this.#run;
    const { store } = run;
    if (store.flag('paused') || !run.link) return;
    if (store.phase === 'following' && !this.#caughtUp && this.#proofIsDue()) {
      const resume = store.get<ProofRecord>(KEY.proof)?.state === 'running';
      const { link } = run;
      const drift = await this.#orFailure(this.#present(() => prove(run, link, sidesOf(run, 'forward'), { resume })));
      if (drift.length === 0) store.enter('verified', 'verified');
      else if (options.until === 'verified' || options.cutover === 'auto') {
        throw new GodwitError('GW6001', `Verification found ${drift.length} differences`, {
          details: { drift: drift.length },
        });
      }
    }
    await this.#proveReverse();
    if (store.phase === 'verified' && options.cutover === 'auto' && !this.#cutoverRefused) {
      this.#cutoverRefused = true;
      await this.#perform('cutover', {});
      this.#cutoverRefused = false;
    }
    if (store.phase === 'switched' && options.confirmAfterSeconds !== undefined) {
      const switchedAt = Date.parse(this.status().cutover.switchedAt ?? '');
      if (run.clock.now() - switchedAt >= options.confirmAfterSeconds * 1000) await this.#perform('confirm', {});
    }
  }

  /** After a resync of the flow back: its proof is half made. */
  async #proveReverse(): Promise<void> {
    const run = this.#run;
    const proof = run.store.get<ProofRecord>(KEY.proof);
    if (run.store.phase !== 'switched' || !run.link || !proof?.beforeLog || proof.state !== 'running') return;
    await this.#orFailure(prove(run, run.link, sidesOf(run, 'reverse'), { resume: true }));
  }

  /** The first proof comes by itself, once the target has caught up; later ones are asked for. */
  #proofIsDue(): boolean {
    const { link, store } = this.#run;
    const proof = store.get<ProofRecord>(KEY.proof);
    const caughtUp = link?.lagSeconds !== undefined && link.lagSeconds < 5 && this.#run.rounds?.isOpen !== false;
    return caughtUp && (proof === undefined || proof.state === 'running' || proof.direction === 'reverse');
  }

  async #answerRequests(): Promise<void> {
    for (const request of this.#run.store.pendingRequests()) {
      if (request.command !== 'cancel') await this.#answer(request);
    }
  }

  /** Carries a request out and answers it. A request may be met again before it is done: the first wins. */
  async #answer(request: { id: number; command: string; args: unknown }): Promise<void> {
    if (this.#taken.has(request.id)) return;
    this.#taken.add(request.id);
    const { store } = this.#run;
    try {
      const answer = await this.#perform(request.command as CommandName, request.args as CommandArgs);
      store.answer(request.id, {
        ok: true,
        result: this.result(request.command, answer.message, answer.already, answer),
      });
    } catch (error) {
      // A cancelled run ends in its own way; the state is closed by then.
      if (this.#run.signal.aborted) return;
      const known = asGodwitError(error);
      store.answer(request.id, {
        ok: false,
        error: { code: known.code, message: known.message, details: known.details },
      });
      if (known.disposition === 'fatal') throw error;
    }
  }

  async #perform(name: CommandName, args: CommandArgs): Promise<CommandAnswer> {
    const work = () => perform(this.#run, name, args);
    const answer = await this.#orFailure(AT_ONCE.has(name) ? work() : this.#present(work));
    await this.#turnIfSwitched();
    if (this.#run.store.phase === 'rolled-back') {
      await this.#run.link?.stop();
      this.#run.link = undefined;
    }
    return answer;
  }

  /** Runs work that needs the present: between rounds it would wait for the next one. */
  #present<T>(work: () => Promise<T>): Promise<T> {
    return this.#run.rounds?.inRealTime(work) ?? work();
  }

  /** Waits for work, but not past the failure of the flow of changes. */
  async #orFailure<T>(work: Promise<T>): Promise<T> {
    const { link, signal } = this.#run;
    if (!link) return work;
    const over = new AbortController();
    const failed = link.failed(AbortSignal.any([signal, over.signal]));
    failed.catch(() => undefined);
    try {
      return await Promise.race([work, failed]);
    } finally {
      over.abort();
      work.catch(() => undefined);
    }
  }

  #stopsAt(until: MigrateOptions['until']): boolean {
    return this.#run.options.until === until;
  }

  /** Why the run stops here, in words; undefined to go on. */
  #reached(): string | undefined {
    const { phase } = this.#run.store;
    if (phase === 'done') return "The run is complete: the source's data was deleted";
    if (phase === 'cancelled') return 'The run was cancelled';
    if (phase === 'confirmed' || phase === 'cleaning') return 'Confirmed: the target is the only side in use';
    if (phase === 'rolled-back') return 'Rolled back: the source is in use again';
    if (this.#stopsAt('copied') && phase === 'following') return 'The copy is complete';
    // What was reached by an earlier process holds only as long as its log is there.
    if (!this.#run.link?.isFlowing) return undefined;
    if (this.#stopsAt('following') && (phase === 'verified' || (phase === 'following' && this.#caughtUp)))
      return 'The target follows the source';
    if (this.#stopsAt('verified') && phase === 'verified') return 'The target is proved equal to the source';
    return undefined;
  }
}

function asGodwitError(error: unknown): GodwitError {
  return error instanceof GodwitError ? error : new GodwitError('GW9001', String(error), { cause: error });
}
