/** The DR takes over from a primary that lives and agrees: nothing is under way then, and nobody waits for a lease. */
import { GodwitError } from '../../../kernel/errors.ts';
import type { Dr } from './dr.ts';
import type { Message } from './messages.ts';
import { type Promoted, Promotion } from './promotion.ts';

export interface SwitchoverOptions {
  readonly retryMs: number;
  /** How long writers may wait; after that the primary leads on. */
  readonly stallMs: number;
}

export class Switchover {
  readonly #dr: Dr;
  readonly #options: SwitchoverOptions;
  readonly #done: (outcome: Promoted | GodwitError) => void;
  readonly #until: number;
  #run = 0;
  #promotion: Promotion | undefined;
  #ended = false;

  constructor(dr: Dr, options: SwitchoverOptions, done: (outcome: Promoted | GodwitError) => void) {
    this.#dr = dr;
    this.#options = options;
    this.#done = done;
    this.#until = dr.parts.ticker.elapsed() + options.stallMs;
  }

  start(): void {
    const { state, parts } = this.#dr;
    if (this.#dr.isIncomplete || this.#dr.standing.stale) {
      this.#end(new GodwitError('GW7033', 'The DR does not have the whole volume'));
      return;
    }
    this.#run = (state.value.runs ?? 0) + 1;
    state.save({ runs: this.#run }, (error) => {
      if (error) return parts.failed(error);
      this.#dr.listen((message) => this.#receive(message));
      this.#tick();
    });
  }

  #tick(): void {
    const { parts, voter } = this.#dr;
    const { retryMs, stallMs } = this.#options;
    if (this.#ended) return;
    const late = parts.ticker.elapsed() > this.#until;
    if (late && this.#promotion === undefined) {
      this.#end(new GodwitError('GW7033', `The primary did not give up the lead within ${stallMs / 1000} s`));
      return;
    }
    // Too late to give it up: it ends, and the primary hears of it.
    if (late) this.#promotion?.giveUp();
    else if (this.#promotion === undefined) {
      parts.link.send('primary', { type: 'yield', epoch: voter.promised, run: this.#run, stallMs });
    }
    parts.ticker.after(retryMs, () => this.#tick());
  }

  #receive(message: Message): void {
    if (this.#ended || this.#promotion !== undefined) return;
    if (message.type === 'kept' && message.run === this.#run) {
      this.#end(new GodwitError('GW7033', `The primary keeps the lead: ${message.why}`));
      return;
    }
    if (message.type !== 'yielded' || message.run !== this.#run) return;
    const { history, voter } = this.#dr;
    const { base, last } = history;
    // It would not have yielded otherwise; so this is about something else.
    if (last.crc !== message.last.crc || base.sequence !== message.last.sequence) return;
    voter.endLease();
    this.#promotion = new Promotion(this.#dr, { force: false, retryMs: this.#options.retryMs }, (outcome) => {
      const isRefused = outcome instanceof GodwitError && outcome.code === 'GW7012';
      this.#end(
        isRefused ? new GodwitError('GW7033', 'The auxiliary did not agree in time; the primary leads on') : outcome,
      );
    });
    this.#promotion.start();
  }

  #end(outcome: Promoted | GodwitError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#dr.listen(undefined);
    this.#done(outcome);
  }
}
