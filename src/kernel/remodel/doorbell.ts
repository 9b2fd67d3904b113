import type { Identity } from './store.ts';

/**
 * A message queue as Godwit uses one: it rings when an identity has something
 * to carry to the old table. What it says is never the truth: the store is.
 * So messages may be lost (a sweeper rings again), doubled or shuffled.
 */
export interface Doorbell {
  readonly kind: 'rabbitmq' | 'nats';
  /** What happened since it was made. */
  readonly counts: DoorbellCounts;
  /**
   * Returns when the broker has taken responsibility for all of them (publisher confirms).
   * Reconnects by itself; a fault that lasts is thrown as it is (GW3…), and then some may have been rung.
   */
  ring(remodel: string, identities: readonly Identity[], signal: AbortSignal): Promise<void>;
  /**
   * Calls `answer` with what has rung until the signal is set. A message is
   * acknowledged only after `answer` resolved; when it throws, the message
   * comes again. Reconnects by itself, with backoff.
   * One call of `answer` at a time; one that is under way when the signal is set is waited for.
   * @throws GodwitError when a person must act, for example GW2003 for wrong credentials.
   */
  listen(
    remodel: string,
    answer: (identities: readonly Identity[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
  /** Ends every `listen` and `ring` and every connection. */
  close(): Promise<void>;
}

export interface DoorbellCounts {
  /** Identities that the broker has taken. */
  readonly rung: number;
  /** Messages acknowledged after an answer. */
  readonly answered: number;
  /** Answers that threw; their messages come again. */
  readonly failedAnswers: number;
  /** Messages that were not ours or not readable, acknowledged away. */
  readonly foreign: number;
  /** Passing faults of a broker or the way to it, each followed by another try. */
  readonly faults: number;
}
