import type { Channel } from 'amqplib';
import { fromBroker } from './errors.ts';
import type { Link } from './link.ts';

export function queueOf(remodel: string): string {
  return `godwit.remodel.${remodel}`;
}

/**
 * Sees to it that the queue is there: durable, on a majority of the cluster. One
 * that is there already is used as it is, whatever settings its owner gave it, and
 * then needs no privilege to configure.
 */
export async function declareQueue(link: Link, queue: string): Promise<void> {
  if (link.declared.has(queue)) return;
  const isThere = await withChannel(link, (channel) => channel.checkQueue(queue)).then(
    () => true,
    (error: unknown) => {
      const fault = fromBroker(error, `Looking for queue ${queue}`);
      if (fault.details['replyCode'] === 404) return false;
      throw fault;
    },
  );
  if (!isThere) {
    await withChannel(link, (channel) =>
      channel.assertQueue(queue, {
        durable: true,
        arguments: {
          'x-queue-type': 'quorum',
          // RabbitMQ 4 throws a message away when it was given back 20 times, and a database may be away for longer.
          'x-delivery-limit': 2_000_000_000,
        },
      }),
    ).catch((error: unknown) => {
      throw fromBroker(error, `Declaring queue ${queue}`, { declaring: true });
    });
  }
  link.declared.add(queue);
}

/** On a channel of its own: the broker closes a channel on which something was refused. */
async function withChannel<T>(link: Link, work: (channel: Channel) => Promise<T>): Promise<T> {
  const channel = await link.model.createChannel();
  channel.on('error', () => {}); // `work` is told the same
  const result = await work(channel);
  await channel.close();
  return result;
}
