import { type Clock, systemClock } from '../clock.ts';
import { GodwitError, isAborted, throwIfAborted } from '../errors.ts';
import { withRetry } from '../retry.ts';
import { Answering } from './answering.ts';
import type { Doorbell, DoorbellCounts } from './doorbell.ts';
import { orAborted } from './or-aborted.ts';
import type { Identity } from './store.ts';

/** What an adapter does with its broker; the rest is the same for all. Faults are thrown as GodwitError. */
export interface Broker {
  readonly kind: Doorbell['kind'];
  /** Publishes, and says of each identity that the broker has taken it; connects if need be. Left alone after an abort. */
  publish(
    remodel: string,
    identities: readonly Identity[],
    taken: (identity: Identity) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /** Listens over one connection: resolves some time after the signal, throws when the connection is lost. */
  listenOnce(remodel: string, session: ListenSession, signal: AbortSignal): Promise<void>;
  /** Ends the connection for publishing. */
  close(): Promise<void>;
}

export interface ListenSession {
  /** The consumer is set up: faults after this are new ones. */
  started(): void;
  /** Where messages go. The session stops it before it gives up its connection. */
  readonly answering: Pick<Answering, 'hear' | 'waiting' | 'stop'>;
  /** A message that is not ours was met, and acknowledged away. */
  foreign(): void;
}

export interface DoorbellOptions {
  /** Told of every passing fault and every failed answer; both are tried again. */
  readonly onFault?: (error: unknown) => void;
  /** How long `ring` tries again before it throws the fault; 30 s unless told. */
  readonly ringForMs?: number;
  readonly clock?: Clock;
}

/** A doorbell over a broker: reconnects with backoff, counts, and ends everything on `close`. */
export class BrokerDoorbell implements Doorbell {
  readonly #broker: Broker;
  readonly #options: DoorbellOptions;
  readonly #clock: Clock;
  readonly #closed = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #counts = { rung: 0, answered: 0, failedAnswers: 0, foreign: 0, faults: 0 };

  constructor(broker: Broker, options: DoorbellOptions) {
    this.#broker = broker;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  get kind(): Doorbell['kind'] {
    return this.#broker.kind;
  }

  get counts(): DoorbellCounts {
    return { ...this.#counts };
  }

  ring(remodel: string, identities: readonly Identity[], signal: AbortSignal): Promise<void> {
    return this.#whileOpen(signal, (either) => this.#ring(remodel, identities, either));
  }

  listen(
    remodel: string,
    answer: (identities: readonly Identity[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#whileOpen(signal, (either) => this.#listen(remodel, answer, either));
  }

  async close(): Promise<void> {
    this.#closed.abort(new GodwitError('GW8001', 'The doorbell was closed'));
    await Promise.allSettled(this.#running);
    await this.#broker.close();
  }

  async #ring(remodel: string, identities: readonly Identity[], signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    // A ring says nothing but "look": once per identity is enough, and what was taken need not be told again.
    const left = new Set(identities);
    const taken = (identity: Identity) => {
      if (left.delete(identity)) this.#counts.rung += 1;
    };
    const deadlineMs = this.#options.ringForMs ?? 30_000;
    try {
      await withRetry({ clock: this.#clock, signal, deadlineMs, onRetry: (error) => this.#fault(error) }, async () => {
        if (left.size > 0) await orAborted(this.#broker.publish(remodel, [...left], taken, signal), signal);
      });
    } catch (error) {
      // The caller may ring again later, so it gets the passing fault and not that it lasted.
      throw error instanceof GodwitError && error.code === 'GW3004' ? error.cause : error;
    }
  }

  async #listen(
    remodel: string,
    answer: (identities: readonly Identity[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await withRetry(
        { clock: this.#clock, signal, deadlineMs: Infinity, onRetry: (error) => this.#fault(error) },
        async (started) => {
          const answering = this.#answering(answer);
          try {
            await this.#broker.listenOnce(remodel, { started, answering, foreign: () => this.#foreign() }, signal);
          } finally {
            await answering.stop();
          }
        },
      );
    } catch (error) {
      if (!signal.aborted || !isAborted(error)) throw error;
    }
  }

  #answering(answer: (identities: readonly Identity[]) => Promise<void>): Answering {
    return new Answering({
      answer,
      clock: this.#clock,
      onAnswered: (messages) => {
        this.#counts.answered += messages;
      },
      onFailed: (error) => {
        this.#counts.failedAnswers += 1;
        this.#options.onFault?.(error);
      },
    });
  }

  #fault(error: GodwitError): void {
    this.#counts.faults += 1;
    this.#options.onFault?.(error);
  }

  #foreign(): void {
    this.#counts.foreign += 1;
  }

  /**
   * Runs `work` with a signal that `close` sets too. Not `AbortSignal.any`: this
   * doorbell may ring for months, and each signal would stay tied to ours.
   */
  #whileOpen(signal: AbortSignal, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const either = new AbortController();
    const sources = [signal, this.#closed.signal];
    const untie = sources.map((source) => {
      const onAbort = () => either.abort(source.reason);
      if (source.aborted) onAbort();
      source.addEventListener('abort', onAbort, { once: true });
      return () => source.removeEventListener('abort', onAbort);
    });
    const running = work(either.signal).finally(() => {
      for (const release of untie) release();
    });
    const settled = running.then(
      () => {},
      () => {}, // the caller has `running` itself
    );
    this.#running.add(settled);
    void settled.then(() => this.#running.delete(settled));
    return running;
  }
}
