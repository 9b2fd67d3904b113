import type { Clock } from '../clock.ts';
import { backoffMs } from '../retry.ts';
import type { Identity } from './store.ts';

/** One message that a broker gave and that is not acknowledged yet. */
export interface Heard {
  readonly identity: Identity;
  /** How often it was given before. */
  readonly timesBefore: number;
  /** Answered: the broker may forget it. */
  done(): void;
  /** Not answered: the broker shall give it again, not before `delayMs`. */
  again(delayMs: number): void;
}

export interface AnsweringOptions {
  readonly answer: (identities: readonly Identity[]) => Promise<void>;
  readonly clock: Clock;
  readonly onAnswered: (messages: number) => void;
  readonly onFailed: (error: unknown) => void;
}

/** Most messages in one answer. */
const LONGEST_BATCH = 100;
/** How long the first message of a quiet time waits for company. */
const GATHER_MS = 5;
/** Messages that came back are answered in ever smaller company, by how often they came. */
const BATCH_BY_TIMES = [LONGEST_BATCH, 25, 5];

/**
 * Gathers single messages into answers, one answer at a time, and says what
 * becomes of the messages. A batch that failed comes again in smaller ones, and
 * at last one by one: an identity that always fails keeps no other from its answer.
 */
export class Answering {
  readonly #options: AnsweringOptions;
  readonly #stop = new AbortController();
  #waiting: Heard[] = [];
  #wake: (() => void) | undefined;
  #taken: (() => void) | undefined;
  readonly #loop: Promise<void>;

  constructor(options: AnsweringOptions) {
    this.#options = options;
    this.#loop = this.#run();
  }

  hear(message: Heard): void {
    this.#waiting.push(message);
    if (this.#waiting.length === 1 || this.#waiting.length === LONGEST_BATCH) this.#wake?.();
  }

  /** Resolves, with how many messages wait, when at most `limit` do, or after `stop`. One caller at a time. */
  async waiting(limit: number): Promise<number> {
    while (this.#waiting.length > limit && !this.#stop.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#taken = resolve;
      });
    }
    return this.#waiting.length;
  }

  /** Begins no further answer and waits for the one under way. Gives back what was heard and not answered. */
  async stop(): Promise<readonly Heard[]> {
    this.#stop.abort();
    this.#wake?.();
    this.#taken?.();
    await this.#loop;
    return this.#waiting.splice(0);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      if (this.#waiting.length === 0) {
        await this.#woken();
        if (this.#waiting.length < LONGEST_BATCH) await this.#gather();
      } else await this.#answer(this.#next());
    }
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #gather(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const enough = new AbortController();
    this.#wake = () => enough.abort();
    await this.#options.clock.sleep(GATHER_MS, enough.signal);
  }

  #next(): Heard[] {
    let limit = LONGEST_BATCH;
    let count = 0;
    for (const { timesBefore } of this.#waiting) {
      limit = Math.min(limit, BATCH_BY_TIMES[timesBefore] ?? 1);
      if (count >= limit) break;
      count += 1;
    }
    const batch = this.#waiting.splice(0, count);
    this.#taken?.();
    return batch;
  }

  async #answer(batch: readonly Heard[]): Promise<void> {
    try {
      await this.#options.answer([...new Set(batch.map(({ identity }) => identity))]);
    } catch (error) {
      for (const message of batch) message.again(backoffMs(message.timesBefore + 1));
      this.#options.onFailed(error);
      return;
    }
    for (const message of batch) message.done();
    this.#options.onAnswered(batch.length);
  }
}
