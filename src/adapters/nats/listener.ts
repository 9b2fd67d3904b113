import type { Consumer, ConsumerMessages, JsMsg } from '@nats-io/jetstream';
import type { Subscription } from '@nats-io/transport-node';
import { GodwitError } from '../../kernel/errors.ts';
import type { ListenSession } from '../../kernel/remodel/broker-doorbell.ts';
import { orAborted } from '../../kernel/remodel/or-aborted.ts';
import { decodeRing } from '../../kernel/remodel/ring-message.ts';
import { fromNats } from './errors.ts';
import { type Address, type Link, openLink } from './link.ts';
import { ensureConsumer } from './stream.ts';

/** Messages that wait with one listener for their answer; it pulls more when a third of them has been taken. */
const CAPACITY = 300;
/** How long one pull stays open on the server; messages come as they are there. */
const PULL_MS = 30_000;

/** Listens over a connection of its own until the signal is set; throws when the connection or consumer is lost. */
export async function listenOnce(
  address: Address,
  remodel: string,
  options: { readonly ackWaitMs: number; readonly session: ListenSession },
  signal: AbortSignal,
): Promise<void> {
  const { ackWaitMs, session } = options;
  const link = await openLink(address, `listen ${remodel}`, signal);
  const puller = new Puller(link, session);
  try {
    const consumer = await orAborted(ensureConsumer(link, remodel, ackWaitMs), signal);
    session.started();
    const pulling = puller.run(consumer, ackWaitMs / 3).catch((error: unknown) => {
      throw fromNats(error, `Listening to ${remodel}`);
    });
    throw await orAborted(Promise.race([link.closed, pulling]), signal);
  } finally {
    await puller.stop();
    await link.close();
  }
}

/** Pulls as many messages as it has room for, again and again, and keeps those in hand from being given to others. */
class Puller {
  readonly #link: Link;
  readonly #session: ListenSession;
  readonly #inHand = new Set<JsMsg>();
  #messages: ConsumerMessages | undefined;
  #running: Promise<GodwitError> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(link: Link, session: ListenSession) {
    this.#link = link;
    this.#session = session;
  }

  /** Resolves, when stopped, with nothing of interest; rejects when the server ends a pull. */
  run(consumer: Consumer, stillHereMs: number): Promise<GodwitError> {
    this.#timer = setInterval(() => this.#stillHere(), stillHereMs);
    this.#running = this.#pull(consumer);
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#session.answering.stop();
    clearInterval(this.#timer);
    await this.#endPull();
    await this.#running?.catch(() => {}); // `listenOnce` has it
    // What was given and not answered shall come to others at once, not after the wait for its acknowledgement.
    for (const message of this.#inHand) this.#tell(message, () => message.nak());
  }

  /**
   * Ends the pull under way, once everything is here that the server had sent
   * for it: what `stop` cuts off on its way belongs to nobody until the wait for
   * its acknowledgement is over. The client drains a pull when its subscription
   * is drained, but its type does not show the subscription.
   */
  async #endPull(): Promise<void> {
    const { sub } = (this.#messages ?? {}) as { readonly sub?: Pick<Subscription, 'drain'> };
    if (sub && !this.#link.connection.isClosed()) await this.#link.briefly(sub.drain());
    this.#messages?.stop();
  }

  async #pull(consumer: Consumer): Promise<GodwitError> {
    const { answering } = this.#session;
    while (!this.#stopping) {
      const waiting = await answering.waiting((CAPACITY * 2) / 3);
      if (this.#stopping) break;
      this.#messages = await consumer.fetch({ max_messages: CAPACITY - waiting, expires: PULL_MS });
      for await (const message of this.#messages) this.#take(message);
    }
    return new GodwitError('GW8001', 'Stopped on request');
  }

  #take(message: JsMsg): void {
    const identity = decodeRing(message.data);
    if (identity === undefined) {
      this.#session.foreign();
      this.#tell(message, () => message.ack());
      return;
    }
    this.#inHand.add(message);
    this.#session.answering.hear({
      identity,
      timesBefore: message.info.deliveryCount - 1,
      done: () => this.#tell(message, () => message.ack()),
      again: (delayMs) => this.#tell(message, () => message.nak(delayMs)),
    });
  }

  #tell(message: JsMsg, say: () => void): void {
    this.#inHand.delete(message);
    // Without a connection there is nothing to say: the message comes again.
    if (!this.#link.connection.isClosed()) say();
  }

  #stillHere(): void {
    if (this.#link.connection.isClosed()) return;
    for (const message of this.#inHand) message.working();
  }
}
