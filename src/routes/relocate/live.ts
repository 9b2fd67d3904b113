/**
 * A live move: after the first copy, rounds follow the source until it is cut
 * over and committed. Requests come over the control socket and are carried out
 * between rounds.
 */

import { GodwitError, throwIfAborted } from '../../kernel/errors.ts';
import { ControlSocket } from '../../state/index.ts';
import type { AgentHooks, AgentOptions, AgentResult, CutoverOptions, MoveStatus } from './api.ts';
import { checkCutover, commit, cutOver, dryRun, goBack, type Parts, start } from './cutover.ts';
import { startGuard } from './guard-client.ts';
import { PhaseStore, readPhase } from './move-phase.ts';
import { isQuiet, type Mover } from './mover.ts';
import { AFTER_KILL, type MovePhase } from './phase.ts';
import { SourceServices } from './source-services.ts';
import { statusOf } from './status.ts';
import { checkFreeze, freezeFiles } from './still-files.ts';

/** Rounds take at most a fifth of the time. */
const PAUSE = 4;
const SHORTEST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;

export type LiveRequest =
  | { readonly ask: 'status' | 'commit' | 'rollback' }
  | { readonly ask: 'cutover'; readonly options: CutoverOptions };

interface Asked {
  readonly request: LiveRequest;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export async function followLive(mover: Mover, options: AgentOptions, hooks: AgentHooks): Promise<AgentResult> {
  const services = new SourceServices(options.services, options.state);
  // What was frozen is gone by then, and with it perhaps the control group.
  const { phase } = readPhase(options.state) ?? {};
  if (phase !== 'committing' && phase !== 'committed') {
    services.check();
    checkFreeze(options);
  }
  mover.captureChanges();
  const live = new Live(mover, options, hooks, services);
  const control = await ControlSocket.open<LiveRequest>(options.state, (request) => live.ask(request));
  try {
    const result = await live.run();
    live.refuse(new GodwitError('GW1004', 'The move is committed'));
    return result;
  } catch (error) {
    // No goodbye: the agent comes again.
    mover.hangUp();
    live.refuse(error);
    throw error;
  } finally {
    await control.close();
  }
}

class Live {
  readonly #mover: Mover;
  readonly #options: AgentOptions;
  readonly #hooks: AgentHooks;
  readonly #parts: Parts;
  readonly #phases: PhaseStore;
  readonly #asked: Asked[] = [];
  #wake: (() => void) | undefined;
  #lookedAt: string | undefined;

  constructor(mover: Mover, options: AgentOptions, hooks: AgentHooks, services: SourceServices) {
    this.#mover = mover;
    this.#options = options;
    this.#hooks = hooks;
    this.#phases = new PhaseStore(options.state, { name: options.name, target: options.address }, (phase, because) =>
      hooks.onEvent({ type: 'event', kind: 'phase', phase, ...(because === undefined ? {} : { because }) }),
    );
    this.#parts = {
      mover,
      phases: this.#phases,
      services,
      lookAtBoth: () => this.#lookAtBoth(),
      freezeFiles: () => freezeFiles(options),
      guard: () => startGuard(options, hooks),
    };
  }

  /** Answers once it was carried out. */
  ask(request: LiveRequest): Promise<unknown> {
    if (request.ask === 'status') return Promise.resolve(this.#status());
    return new Promise((resolve, reject) => {
      this.#asked.push({ request, resolve, reject });
      this.#wake?.();
    });
  }

  /** Whoever still waits learns why there will be no answer. */
  refuse(error: unknown): void {
    for (const { reject } of this.#asked.splice(0)) reject(error);
  }

  async run(): Promise<AgentResult> {
    await this.#recover();
    while (this.#phases.phase !== 'committed') {
      throwIfAborted(this.#hooks.signal);
      const asked = this.#asked.shift();
      if (asked !== undefined) await this.#carryOut(asked);
      else if (this.#phases.phase === 'copying' || this.#phases.phase === 'following') await this.#follow();
      else await this.#rest(LONGEST_PAUSE_MS);
    }
    const { certificate, gapMs } = this.#phases.file;
    return this.#mover.result('committed', { certificate, gapMs });
  }

  /** An agent that was killed goes on, or back. */
  async #recover(): Promise<void> {
    const { phase, file } = this.#phases;
    this.#hooks.onEvent({ type: 'event', kind: 'phase', phase });
    try {
      if (AFTER_KILL[phase] === 'goes back') await goBack(this.#parts, 'the agent was ended in the middle of it');
      else if (phase === 'going-back' || phase === 'resuming') await goBack(this.#parts, file.undone ?? '');
      else if (phase === 'starting') await start(this.#parts);
      else if (phase === 'committing') await commit(this.#parts);
    } catch (error) {
      // It went back, and has said why.
      if (!(error instanceof GodwitError) || error.code !== 'GW7401') throw error;
    }
  }

  /** One round, and as much rest as keeps the source free. */
  async #follow(): Promise<void> {
    const isFirst = this.#phases.phase === 'copying';
    // Nothing may rely on what the target had before its services ran.
    if (this.#phases.file.isTargetUsed) return this.#lookAtBoth();
    const round = await this.#mover.roundOfChanges();
    if (isFirst) {
      this.#mover.tellRound();
      // The copy is whole; what it still lacks is what changed meanwhile.
      this.#phases.enter('following');
      return;
    }
    if (this.#lookedAt === undefined) return this.#lookAtBoth();
    this.#tell();
    const pause = isQuiet(round) || round.seconds * 1000 * PAUSE > SHORTEST_PAUSE_MS ? round.seconds * 1000 * PAUSE : 0;
    await this.#rest(Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, pause)));
  }

  /** Reads both sides while the source lives: what stands still from here on need not be read in the gap. */
  async #lookAtBoth(): Promise<void> {
    const { isTargetUsed } = this.#phases.file;
    const proof = await this.#mover.prove({ listing: isTargetUsed, fresh: false });
    if (isTargetUsed) {
      // Its services ran for a while: what they changed is sent as if it were new.
      if (proof.differences.length > 0) {
        await this.#mover.round(proof.differences);
        if (proof.differenceCount > proof.differences.length) return;
      }
      this.#phases.note({ isTargetUsed: false });
    }
    this.#mover.lookForDeleted();
    this.#lookedAt = new Date().toISOString();
  }

  async #carryOut({ request, resolve, reject }: Asked): Promise<void> {
    try {
      resolve(await this.#do(request));
    } catch (error) {
      reject(error);
      // What was undone, or refused, ends nothing; what is broken here ends the agent.
      if (!(error instanceof GodwitError) || error.disposition === 'aborted' || error.disposition === 'fatal')
        throw error;
    }
  }

  async #do(request: LiveRequest): Promise<unknown> {
    const { phase } = this.#phases;
    switch (request.ask) {
      case 'status':
        return this.#status();
      case 'cutover': {
        if (phase === 'starting') await start(this.#parts);
        else {
          this.#mustBe(request.ask, 'following');
          if (this.#lookedAt === undefined) await this.#lookAtBoth();
          await checkCutover(this.#parts);
          if (request.options.dryRun) return dryRun(this.#parts, request.options);
          const done = await cutOver(this.#parts, request.options);
          this.#hooks.onEvent({ type: 'event', kind: 'cutover', gapMs: done.gapMs ?? 0 });
          return done;
        }
        return { version: 1, command: 'cutover', outcome: 'running', steps: [] };
      }
      case 'commit':
        this.#mustBe(request.ask, 'running', 'committing');
        await commit(this.#parts);
        return this.#status();
      case 'rollback':
        this.#mustBe(request.ask, 'starting', 'running', 'going-back', 'resuming');
        await this.#rollBack();
        return this.#status();
    }
  }

  async #rollBack(): Promise<void> {
    // Between the target's word that its services stand still and the start of the source's, nobody has them.
    await using _guard = await this.#parts.guard();
    await goBack(this.#parts, 'it was rolled back on request');
    this.#lookedAt = undefined;
  }

  #mustBe(command: string, ...phases: readonly MovePhase[]): void {
    const { phase } = this.#phases;
    if (phases.includes(phase)) return;
    throw new GodwitError('GW1004', `The move is ${phase}; ${command} is possible while it is ${phases.join(', ')}`);
  }

  #status(): MoveStatus {
    return statusOf(this.#phases.file, {
      roundCount: this.#mover.roundCount,
      lastRound: this.#mover.lastRound,
      roundAt: this.#mover.roundAt,
      lookedAt: this.#lookedAt,
    });
  }

  #tell(): void {
    const { lastRound, lagSeconds } = this.#status();
    if (lastRound === undefined) return;
    const { entries, bytes, sentBytes } = lastRound;
    this.#hooks.onProgress({
      doing: 'following',
      round: this.#mover.roundCount,
      entries,
      bytes,
      sentBytes,
      wireBytes: 0,
      bytesPerSecond: 0,
      entriesPerSecond: 0,
      lastRound,
      ...(lagSeconds === undefined ? {} : { lagSeconds }),
    });
  }

  /** Until somebody asks for something, or it is over. */
  async #rest(ms: number): Promise<void> {
    const { signal } = this.#hooks;
    throwIfAborted(signal);
    if (this.#asked.length > 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      const wake = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        this.#wake = undefined;
        resolve();
      };
      this.#wake = wake;
      signal.addEventListener('abort', wake, { once: true });
    });
    this.#wake = undefined;
  }
}
