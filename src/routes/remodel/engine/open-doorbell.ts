import type { Doorbell } from '../../../kernel/remodel/index.ts';

/** A queue by its address; its driver is loaded only now. */
export async function openDoorbell(uri: string): Promise<Doorbell> {
  if (/^amqps?:/.test(uri)) {
    const { rabbitmqDoorbell } = await import('../../../adapters/rabbitmq/index.ts');
    return rabbitmqDoorbell({ uri });
  }
  const { natsDoorbell } = await import('../../../adapters/nats/index.ts');
  return natsDoorbell({ uri });
}
