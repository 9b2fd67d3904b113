/**
 * How far another role is, as the primary sees it: what was sent, what is confirmed, when
 * to send again. Anything may be lost, doubled or late on the way.
 */
import type { Ticker } from '../../../kernel/protect/ports.ts';

export class Lane {
  readonly #ticker: Ticker;
  readonly #resendMs: number;
  /** The next sequence to send. */
  next = 1;
  /** Confirmed as durable there, without a gap. */
  acked = 0;
  /** When it last said anything in this epoch. */
  heardAt: number;
  #movedAt: number;
  /** It did not answer what it was sent: little at a time until it does. */
  cautious = false;

  constructor(ticker: Ticker, resendMs: number) {
    this.#ticker = ticker;
    this.#resendMs = resendMs;
    this.heardAt = ticker.elapsed();
    this.#movedAt = this.heardAt;
  }

  /** A new epoch: nothing is known of the other side before it answers. */
  begin(head: number, base: number): void {
    this.next = head;
    this.acked = base;
    this.heardAt = this.#ticker.elapsed();
    this.#movedAt = this.heardAt;
    this.cautious = false;
  }

  heard(): void {
    this.heardAt = this.#ticker.elapsed();
  }

  confirm(sequence: number): void {
    if (sequence <= this.acked) return;
    this.acked = sequence;
    this.next = Math.max(this.next, sequence + 1);
    this.#movedAt = this.#ticker.elapsed();
    this.cautious = false;
  }

  /** The other side says where it is and that the next is missing. */
  goTo(acked: number): void {
    // A second complaint about what is on its way already is no reason to send it once more.
    const elapsed = this.#ticker.elapsed();
    if (acked === this.acked && this.next > acked + 1 && elapsed - this.#movedAt < this.#resendMs) return;
    this.acked = acked;
    this.next = acked + 1;
    this.#movedAt = elapsed;
  }

  /** Whether what was sent has been without an answer for too long; then it is to be sent again. */
  isLate(): boolean {
    if (this.next <= this.acked + 1) {
      this.#movedAt = this.#ticker.elapsed();
      return false;
    }
    if (this.#ticker.elapsed() - this.#movedAt < this.#resendMs) return false;
    this.#movedAt = this.#ticker.elapsed();
    this.next = this.acked + 1;
    this.cautious = true;
    return true;
  }
}
