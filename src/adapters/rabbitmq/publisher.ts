import type { ConfirmChannel } from 'amqplib';
import { GodwitError, throwIfAborted } from '../../kernel/errors.ts';
import { OnDemand } from '../../kernel/on-demand.ts';
import { encodeRing } from '../../kernel/remodel/ring-message.ts';
import type { Identity } from '../../kernel/remodel/store.ts';
import { fromBroker } from './errors.ts';
import { type Address, type Link, openLink } from './link.ts';
import { declareQueue, queueOf } from './queue.ts';
import { within } from './within.ts';

/** Messages sent before their confirmations are waited for. */
const SLICE = 500;

/** One connection with one channel in confirm mode, opened when first needed and again when it was lost. */
export class Publisher {
  readonly #line: OnDemand<Line>;

  constructor(address: Address) {
    this.#line = new OnDemand({
      open: (signal) => openLine(address, signal),
      lost: ({ link }) => link.closed,
      close: ({ link }) => link.close(),
    });
  }

  async publish(
    remodel: string,
    identities: readonly Identity[],
    taken: (identity: Identity) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const queue = queueOf(remodel);
    const where = `Ringing in queue ${queue}`;
    const line = await this.#line.get();
    try {
      await within(declareQueue(line.link, queue), where);
      for (let from = 0; from < identities.length; from += SLICE) {
        throwIfAborted(signal);
        const slice = identities.slice(from, from + SLICE);
        const sent = slice.map((identity) => line.send(queue, identity, where).then(() => taken(identity)));
        await within(Promise.all(sent), where);
      }
    } catch (error) {
      // Refused or unanswered: the next attempt begins with a new connection, and looks for the queue again.
      void line.link.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#line.close();
  }
}

async function openLine(address: Address, signal: AbortSignal): Promise<Line> {
  const link = await openLink(address, 'ring', signal);
  try {
    return new Line(link, await link.model.createConfirmChannel());
  } catch (error) {
    await link.close();
    throw fromBroker(error, 'Opening a channel');
  }
}

class Line {
  readonly link: Link;
  readonly #channel: ConfirmChannel;
  /** Ids of messages that the broker had no queue for; it says so before it confirms them. */
  readonly #returned = new Set<string>();
  #lastId = 0;

  constructor(link: Link, channel: ConfirmChannel) {
    this.link = link;
    this.#channel = channel;
    channel.on('return', ({ properties }) => this.#returned.add(String(properties.messageId)));
    channel.on('error', () => {}); // those who wait for confirmations are told, and `close` follows
    channel.on('close', () => void link.close());
  }

  /** Resolves when the broker has taken the message: for a quorum queue, when a majority has written it. */
  send(queue: string, identity: Identity, where: string): Promise<void> {
    this.#lastId += 1;
    const messageId = String(this.#lastId);
    return new Promise((resolve, reject) => {
      const confirmed = (error: unknown) => {
        if (error) reject(fromBroker(error, where));
        else if (this.#returned.delete(messageId)) reject(unroutable(where));
        else resolve();
      };
      try {
        this.#channel.publish('', queue, encodeRing(identity), { ...PROPERTIES, messageId }, confirmed);
      } catch (error) {
        reject(fromBroker(error, where)); // the channel is closed
      }
    });
  }
}

/** The queue has been deleted since it was declared. */
function unroutable(where: string): GodwitError {
  return new GodwitError('GW3003', `${where}: the broker returned the message, for there is no such queue`, {
    details: { where, replyCode: 312 },
  });
}

const PROPERTIES = { persistent: true, mandatory: true, contentType: 'application/json', appId: 'godwit' } as const;
