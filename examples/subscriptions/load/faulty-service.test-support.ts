/** The service's HTTP interface over a Map, with faults on demand: what the load must find. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Held, Person } from './history.ts';

/**
 * - `stale`: every 20th read shows the customer as before their last write.
 * - `lost`: every 20th write is acknowledged and not done.
 * - `doubled`: every 20th read shows a subscription twice.
 * - `refused`: every 20th request is answered with 500.
 * - `cut`: every 20th request is answered by closing the connection.
 */
export type Fault = 'none' | 'stale' | 'lost' | 'doubled' | 'refused' | 'cut';

interface Kept {
  now: Person | undefined;
  before: Person | undefined;
}

export class FaultyService {
  readonly customers = new Map<string, Kept>();
  readonly #servers: Server[] = [];
  readonly #fault: Fault;
  #requests = 0;
  #next = 1_000_000;

  constructor(fault: Fault) {
    this.#fault = fault;
  }

  /** One more process over the same data; gives its port. */
  async listen(): Promise<number> {
    const server = createServer((request, response) => {
      let text = '';
      request.on('data', (piece: Buffer) => {
        text += piece;
      });
      request.on('end', () => {
        this.#requests += 1;
        const isDue = this.#requests % 20 === 0;
        if (isDue && this.#fault === 'cut') return void request.socket.destroy();
        if (isDue && this.#fault === 'refused') return void response.writeHead(500).end();
        const [status, body] = this.#answer(
          request.method ?? '',
          request.url ?? '',
          text,
          isDue ? this.#fault : 'none',
        );
        response.writeHead(status).end(JSON.stringify(body));
      });
    });
    this.#servers.push(server);
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return (server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const server of this.#servers) server.closeAllConnections();
    await Promise.all(this.#servers.map((server) => new Promise((done) => server.close(done))));
  }

  #answer(method: string, url: string, text: string, fault: Fault): [number, unknown] {
    const body = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    const [, , id = String(this.#next++), part, plan] = url.split('/');
    const kept = this.customers.get(id) ?? { now: undefined, before: undefined };
    if (method === 'GET') {
      const look = fault === 'stale' ? kept.before : kept.now;
      if (fault === 'doubled' && look)
        return [200, { ...look, subscriptions: [...look.subscriptions, ...look.subscriptions] }];
      return look ? [200, look] : [404, {}];
    }
    if (part !== undefined && kept.now === undefined) return [404, {}];
    if (fault !== 'lost')
      this.customers.set(id, { now: changed(kept.now, method, part, plan, body), before: kept.now });
    return method === 'POST' && part === undefined ? [201, { customerId: id }] : [200, {}];
  }
}

function changed(
  now: Person | undefined,
  method: string,
  part: string | undefined,
  plan: string | undefined,
  body: Record<string, unknown>,
): Person | undefined {
  if (part === undefined)
    return method === 'DELETE' ? undefined : ({ ...body, subscriptions: [] } as unknown as Person);
  if (now === undefined) return undefined;
  if (part === 'email') return { ...now, email: String(body['email']) };
  const others = now.subscriptions.filter((held) => held.plan !== plan);
  if (method === 'DELETE') return { ...now, subscriptions: others };
  const one = now.subscriptions.find((held) => held.plan === plan);
  return { ...now, subscriptions: [...others, { ...one, ...body } as Held] };
}
