/** A long, bad line: late, now and then still for a while, and sometimes torn. */
import { startTcpProxy, type TcpProxy, type TcpProxyOptions } from '../../test/servers/tcp-proxy.ts';

const STILL_EVERY_MS = 3_000;
const STILL_MS = 250;
const TORN_EVERY = 6;

export interface Troubles {
  still: number;
  torn: number;
}

export class FarLink {
  readonly #proxies: TcpProxy[] = [];
  readonly #oneWayMs: number;
  #timer: NodeJS.Timeout | undefined;
  #times = 0;
  /** How often it stood still, and how often it was torn. */
  readonly troubles: Troubles = { still: 0, torn: 0 };

  readonly #onTrouble: (troubles: Troubles) => void;

  /** @param roundTripMs latency there and back */
  constructor(roundTripMs: number, onTrouble: (troubles: Troubles) => void = () => undefined) {
    this.#oneWayMs = roundTripMs / 2;
    this.#onTrouble = onTrouble;
  }

  /** A port whose connections reach `port` over this line. */
  async to(port: number, hosts: Pick<TcpProxyOptions, 'host' | 'listenHost'> = {}): Promise<number> {
    const proxy = await startTcpProxy({ port, ...hosts });
    proxy.delay(this.#oneWayMs);
    this.#proxies.push(proxy);
    return proxy.port;
  }

  /** From now on it makes trouble. */
  worsen(): void {
    this.#timer = setInterval(() => {
      this.#times += 1;
      if (this.#times % TORN_EVERY === 0) {
        this.troubles.torn += 1;
        this.#onTrouble(this.troubles);
        for (const proxy of this.#proxies) proxy.cut();
        return;
      }
      this.troubles.still += 1;
      this.#onTrouble(this.troubles);
      for (const proxy of this.#proxies) proxy.blackhole();
      setTimeout(() => {
        for (const proxy of this.#proxies) proxy.unblackhole();
      }, STILL_MS);
    }, STILL_EVERY_MS);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#proxies.map((proxy) => proxy.close()));
  }
}
