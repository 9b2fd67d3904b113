import type { Identity } from './store.ts';

/**
 * A message queue as Godwit uses one: it rings when an identity has something
 * to carry to the old table. What it says is never the truth: the store is.
 * So messages may be lost (a sweeper rings again), doubled or shuffled.
 */
export interface Doorbell {
  readonly kind: 'rabbitmq' | 'nats';
  /** Returns when the broker has taken responsibility for all of them (publisher confirms). */
  ring(remodel: string, identities: readonly Identity[], signal: AbortSignal): Promise<void>;
  /**
   * Calls `answer` with what has rung until the signal is set. A message is
   * acknowledged only after `answer` resolved; when it throws, the message
   * comes again. Reconnects by itself, with backoff.
   */
  listen(
    remodel: string,
    answer: (identities: readonly Identity[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
  close(): Promise<void>;
}
