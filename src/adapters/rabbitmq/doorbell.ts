import { BrokerDoorbell, type DoorbellOptions } from '../../kernel/remodel/broker-doorbell.ts';
import type { Doorbell } from '../../kernel/remodel/doorbell.ts';
import { parseAddress } from './link.ts';
import { listenOnce } from './listener.ts';
import { Publisher } from './publisher.ts';

export interface RabbitmqOptions extends DoorbellOptions {
  /** `amqp[s]://user:password@host:port/vhost`. */
  readonly uri: string;
}

/**
 * A doorbell of quorum queues, one per remodel. Connects when first used.
 * @throws GodwitError GW1001 when the URI is not one.
 */
export function rabbitmqDoorbell(options: RabbitmqOptions): Doorbell {
  const address = parseAddress(options.uri);
  const publisher = new Publisher(address);
  return new BrokerDoorbell(
    {
      kind: 'rabbitmq',
      publish: (remodel, identities, taken, signal) => publisher.publish(remodel, identities, taken, signal),
      listenOnce: (remodel, session, signal) => listenOnce(address, remodel, session, signal),
      close: () => publisher.close(),
    },
    options,
  );
}
