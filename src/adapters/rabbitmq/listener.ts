import type { Channel, ConsumeMessage } from 'amqplib';
import { GodwitError } from '../../kernel/errors.ts';
import type { Heard } from '../../kernel/remodel/answering.ts';
import type { ListenSession } from '../../kernel/remodel/broker-doorbell.ts';
import { orAborted } from '../../kernel/remodel/or-aborted.ts';
import { decodeRing } from '../../kernel/remodel/ring-message.ts';
import { fromBroker } from './errors.ts';
import { type Address, type Link, openLink, orGoodbyeTime } from './link.ts';
import { declareQueue, queueOf } from './queue.ts';
import { within } from './within.ts';

/** Messages given and not acknowledged, of one listener: one answer, those that wait, and those that wait to go back. */
const PREFETCH = 300;

/** Listens over a connection of its own until the signal is set; throws when the connection or consumer is lost. */
export async function listenOnce(
  address: Address,
  remodel: string,
  session: ListenSession,
  signal: AbortSignal,
): Promise<void> {
  const link = await openLink(address, `listen ${remodel}`, signal);
  const consumer = new Consumer(session, queueOf(remodel));
  try {
    await orAborted(within(consumer.start(link), `Listening to queue ${queueOf(remodel)}`), signal);
    session.started();
    throw await orAborted(Promise.race([link.closed, consumer.ended]), signal);
  } finally {
    await session.answering.stop();
    await consumer.stop();
    await link.close();
  }
}

class Consumer {
  /** Resolves with why the broker gives no more. */
  readonly ended: Promise<GodwitError>;
  readonly #queue: string;
  readonly #session: ListenSession;
  /** Messages that wait to go back. */
  readonly #timers = new Set<NodeJS.Timeout>();
  #channel: Channel | undefined;
  #tag: string | undefined;
  #end: (why: GodwitError) => void = () => {};

  constructor(session: ListenSession, queue: string) {
    this.#session = session;
    this.#queue = queue;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  async start(link: Link): Promise<void> {
    const where = `Listening to queue ${this.#queue}`;
    await declareQueue(link, this.#queue);
    try {
      const channel = await link.model.createChannel();
      channel.on('error', (error) => this.#end(fromBroker(error, where)));
      channel.on('close', () => {
        this.#channel = undefined;
        this.#end(fromBroker(new Error('channel closed'), where));
      });
      this.#channel = channel;
      await channel.prefetch(PREFETCH);
      const { consumerTag } = await channel.consume(this.#queue, (message) => {
        if (message === null) this.#end(new GodwitError('GW3003', `${where}: the broker ended it`));
        else this.#take(message);
      });
      this.#tag = consumerTag;
    } catch (error) {
      throw fromBroker(error, where);
    }
  }

  /**
   * What was given and not acknowledged returns to the queue. First the broker is
   * asked to give no more: it answers after the acknowledgements before, of which it
   * would throw away all but 32 when the channel closed at once.
   */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    const channel = this.#channel;
    this.#channel = undefined;
    if (channel === undefined || this.#tag === undefined) return;
    const tag = this.#tag;
    const goodbye = async () => {
      await channel.cancel(tag);
      await channel.close();
    };
    // It fails when the connection is lost, and then the broker takes everything back anyway.
    await orGoodbyeTime(goodbye().catch(() => {}));
  }

  #take(message: ConsumeMessage): void {
    const identity = decodeRing(message.content);
    if (identity === undefined) {
      this.#session.foreign();
      this.#channel?.ack(message);
      return;
    }
    const heard: Heard = {
      identity,
      timesBefore: timesBefore(message),
      // Without a channel there is nothing to say: the broker has taken the message back.
      done: () => this.#channel?.ack(message),
      again: (delayMs) => {
        const timer = setTimeout(() => {
          this.#timers.delete(timer);
          this.#channel?.nack(message, false, true);
        }, delayMs);
        this.#timers.add(timer);
      },
    };
    this.#session.answering.hear(heard);
  }
}

/** Quorum queues count; another kind of queue says no more than that it was given before. */
function timesBefore({ properties, fields }: ConsumeMessage): number {
  const count: unknown = properties.headers?.['x-delivery-count'];
  return typeof count === 'number' ? count : fields.redelivered ? 1 : 0;
}
