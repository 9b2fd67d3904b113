import { BrokerDoorbell, type DoorbellOptions } from '../../kernel/remodel/broker-doorbell.ts';
import type { Doorbell } from '../../kernel/remodel/doorbell.ts';
import { parseAddress } from './link.ts';
import { listenOnce } from './listener.ts';
import { Publisher } from './publisher.ts';

export interface NatsOptions extends DoorbellOptions {
  /** `nats://user:password@host:port`, several with commas between; `tls://` for TLS. */
  readonly uri: string;
  /** How long a message may be with a listener that has died before it comes again; 10 s unless told. */
  readonly ackWaitMs?: number;
}

/**
 * A doorbell of one JetStream stream, with a subject and a durable consumer per remodel. Connects when first used.
 * @throws GodwitError GW1001 when the URI is not one.
 */
export function natsDoorbell(options: NatsOptions): Doorbell {
  const address = parseAddress(options.uri);
  const publisher = new Publisher(address);
  const ackWaitMs = options.ackWaitMs ?? 10_000;
  return new BrokerDoorbell(
    {
      kind: 'nats',
      publish: (remodel, identities, taken, signal) => publisher.publish(remodel, identities, taken, signal),
      listenOnce: (remodel, session, signal) => listenOnce(address, remodel, { ackWaitMs, session }, signal),
      close: () => publisher.close(),
    },
    options,
  );
}
