/**
 * The primary gives the lead to the DR of its own will: it takes nothing new, ends what it took, and when the DR has executed all
 * of it, gives back its leases. If the DR does not lead in time, it leads again, in a new epoch, and goes on with what waited.
 */
import type { MessageOf } from './messages.ts';
import type { Primary } from './primary.ts';
import type { Point } from './ring.ts';

interface Run {
  readonly run: number;
  /** It leads on if the DR does not lead by then. */
  readonly until: number;
  /** Where it resigned. */
  readonly at: { readonly epoch: number; readonly last: Point } | undefined;
}

export class Yielding {
  readonly #primary: Primary;
  #now: Run | undefined;
  /** What comes of this run or an earlier one is late. */
  #over = 0;

  constructor(primary: Primary) {
    this.#primary = primary;
  }

  /** Whether what is submitted waits. */
  get isHolding(): boolean {
    return this.#now !== undefined;
  }

  /** The DR asks for the lead. */
  receive({ run, stallMs, epoch }: MessageOf<'yield'>): void {
    const { leadership, parts } = this.#primary;
    const until = parts.ticker.elapsed() + stallMs;
    // The DR has begun anew: what it was told holds still, and nobody waits for the end of the run before.
    // Unless it has voted for itself since: then it hears nothing of the epoch that was given up, and only a new one helps.
    const holds = epoch <= (this.#now?.at?.epoch ?? epoch);
    if (this.#now !== undefined && run > this.#now.run && holds) this.#now = { ...this.#now, run, until };
    if (this.#now?.run === run) this.#tell();
    if (!leadership.leads || run <= this.#over || this.#now !== undefined) return;
    const why = this.#bar();
    if (why !== undefined) {
      parts.link.send('dr', { type: 'kept', epoch: leadership.epoch, run, why });
      return;
    }
    this.#now = { run, until, at: undefined };
    this.advance();
  }

  /** Why it must not. */
  #bar(): string | undefined {
    const { modes, dirty, replenishing, leadership, growing } = this.#primary;
    if (modes.effective !== 'full' || modes.logged !== 'full') return 'not all three are counted on now';
    if (!dirty.isEmpty || replenishing.isRunning) return 'the DR does not have everything yet';
    if (growing.isRunning) return 'the volume is growing at this moment';
    if (!leadership.hasLease) return 'it has no lease at this moment';
    return undefined;
  }

  /** Something came further: perhaps everything is executed at the DR. */
  advance(): void {
    const { history, leadership, lanes, settled } = this.#primary;
    const { last } = history;
    if (this.#now === undefined || this.#now.at !== undefined || !leadership.leads) return;
    if (settled < last.sequence || !lanes.isExecuted(last.sequence)) return;
    this.#now = { ...this.#now, at: { epoch: leadership.epoch, last } };
    leadership.resign();
    this.#tell();
  }

  #tell(): void {
    const { run, at } = this.#now as Run;
    if (at === undefined) return;
    const { link } = this.#primary.parts;
    link.send('auxiliary', { type: 'resign', epoch: at.epoch });
    link.send('dr', { type: 'yielded', epoch: at.epoch, run, last: at.last });
  }

  tick(): void {
    const { parts, leadership } = this.#primary;
    if (this.#now === undefined) return;
    if (leadership.isDeposed) {
      this.#end();
      return;
    }
    this.advance();
    this.#tell();
    if (parts.ticker.elapsed() < this.#now.until) return;
    const { run, at } = this.#now;
    parts.link.send('dr', { type: 'kept', epoch: leadership.epoch, run, why: 'the DR did not lead in time' });
    this.#end();
    if (at !== undefined) leadership.reclaim();
    this.#primary.roomier();
  }

  #end(): void {
    this.#over = Math.max(this.#over, this.#now?.run ?? 0);
    this.#now = undefined;
  }
}
