import { systemClock } from '../../../kernel/clock.ts';
import type { GodwitError } from '../../../kernel/errors.ts';
import type { Throttle } from '../../../kernel/throttle.ts';
import type { MediumProgress } from '../api.ts';
import type { Meter } from '../meter.ts';
import type { RunnerHooks } from '../open-run.ts';

const TELL_MS = 500;

/** Tells now and then how far work on a medium is. */
export class ProgressTeller {
  readonly #work: MediumProgress['work'];
  readonly #medium: string;
  readonly #hooks: RunnerHooks;
  readonly #meter: Meter;
  readonly #throttle: Throttle | undefined;
  readonly #timer: NodeJS.Timeout;
  #step = '';
  #docsTotal = 0;
  #bytesTotal = 0;
  #fault: MediumProgress['fault'] = null;

  constructor(
    work: MediumProgress['work'],
    medium: string,
    hooks: RunnerHooks,
    meter: Meter,
    throttle: Throttle | undefined,
  ) {
    this.#work = work;
    this.#medium = medium;
    this.#hooks = hooks;
    this.#meter = meter;
    this.#throttle = throttle;
    this.#timer = setInterval(() => this.#tell(), TELL_MS);
  }

  step(words: string): void {
    this.#step = words;
    this.#tell();
  }

  total(docs: number, bytes: number): void {
    this.#docsTotal = docs;
    this.#bytesTotal = bytes;
  }

  fault(error: GodwitError | undefined): void {
    this.#fault = error ? { code: error.code, message: error.message } : null;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#tell();
  }

  #tell(): void {
    // Nothing was begun.
    if (this.#step === '') return;
    const meter = this.#meter;
    meter.read();
    const left = Math.max(0, this.#bytesTotal - meter.copyBytes);
    const perSecond = meter.rates.bytes;
    this.#hooks.onEvent({
      type: 'medium',
      progress: {
        version: 1,
        work: this.#work,
        medium: this.#medium,
        at: new Date(systemClock.now()).toISOString(),
        step: this.#step,
        docs: meter.copyDocs,
        docsTotal: Math.max(this.#docsTotal, meter.copyDocs),
        bytes: meter.copyBytes,
        bytesTotal: this.#bytesTotal === 0 ? 0 : Math.max(this.#bytesTotal, meter.copyBytes),
        mbPerSecond: perSecond / 1e6,
        secondsLeft: left > 0 && perSecond > 0 ? left / perSecond : null,
        throttled: this.#throttle?.isBinding ? (this.#throttle.reason ?? null) : null,
        fault: this.#fault,
      },
    });
  }
}
