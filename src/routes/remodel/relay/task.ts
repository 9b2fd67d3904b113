import type { ErrorCode } from '../../../kernel/codes.ts';
import { backoffMs } from '../../../kernel/retry.ts';
import { describeError, type OnEvent } from '../process/index.ts';
import { Pacer } from './pacer.ts';

export interface TaskStatus {
  readonly task: string;
  readonly isRunning: boolean;
  /** Failures since the last success. */
  readonly failures: number;
  readonly lastError: { readonly code: ErrorCode; readonly error: string; readonly at: string } | undefined;
  /** When a round last ended well. */
  readonly succeededAt: string | undefined;
}

export interface TaskOptions {
  readonly remodel: string;
  readonly task: string;
  readonly leastMs: number;
  readonly mostMs: number;
  readonly onEvent: OnEvent;
  /** One round. Gives whether there was something to do: then the next one follows at once. */
  readonly round: (signal: AbortSignal) => Promise<boolean>;
}

/**
 * Repeats a round until it is stopped. A failure is reported, shown in the
 * status and followed by a growing pause; none of them ends the task.
 */
export class Task {
  readonly #options: TaskOptions;
  readonly #pacer: Pacer;
  readonly #stop = new AbortController();
  #loop: Promise<void> | undefined;
  #isRunning = false;
  #failures = 0;
  #lastError: TaskStatus['lastError'];
  #succeededAt: number | undefined;

  constructor(options: TaskOptions) {
    this.#options = options;
    this.#pacer = new Pacer(options.leastMs, options.mostMs);
  }

  start(): void {
    this.#isRunning = true;
    this.#loop ??= this.#run(this.#stop.signal);
  }

  /** Looks again soon. */
  wake(): void {
    if (this.#failures === 0) this.#pacer.wake();
  }

  /** Lets the round under way end. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  status(): TaskStatus {
    return {
      task: this.#options.task,
      isRunning: this.#isRunning,
      failures: this.#failures,
      lastError: this.#lastError,
      succeededAt: this.#succeededAt === undefined ? undefined : new Date(this.#succeededAt).toISOString(),
    };
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const again = await this.#options.round(signal);
        this.#succeeded();
        if (again) this.#pacer.wake();
        else await this.#pacer.idle(signal);
      } catch (error) {
        if (signal.aborted) break;
        this.#failed(error);
        await this.#pacer.pause(backoffMs(this.#failures), signal);
      }
    }
    this.#isRunning = false;
  }

  #succeeded(): void {
    const { remodel, task, onEvent } = this.#options;
    if (this.#failures > 0) onEvent({ kind: 'relay-recovered', remodel, task, failures: this.#failures });
    this.#failures = 0;
    this.#succeededAt = Date.now();
  }

  #failed(error: unknown): void {
    const { remodel, task, onEvent } = this.#options;
    const described = describeError(error);
    const isNew = this.#failures === 0 || this.#lastError?.code !== described.code;
    this.#failures += 1;
    this.#lastError = { ...described, at: new Date().toISOString() };
    if (isNew) onEvent({ kind: 'relay-failed', remodel, task, ...described });
  }
}
