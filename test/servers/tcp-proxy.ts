import { once } from 'node:events';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { pickFreePort } from './ports.ts';

export interface TcpProxyOptions {
  /** Where connections are passed on to. */
  readonly port: number;
  readonly host?: string;
  /** Where it listens; 127.0.0.1 unless told. */
  readonly listenHost?: string;
}

/** Bytes held per direction while they are delayed; beyond it the sender is paused. */
const HELD_BYTES_LIMIT = 4 << 20;

/**
 * A TCP proxy that misbehaves on request. It lives in this process's event loop and does
 * not keep the process alive.
 */
export async function startTcpProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  for (let attempt = 0; ; attempt++) {
    const proxy = new TcpProxy(options);
    try {
      await proxy.listen(await pickFreePort());
      return proxy;
    } catch (error) {
      if (attempt === 9) throw error;
    }
  }
}

export class TcpProxy implements AsyncDisposable {
  readonly #target: { readonly port: number; readonly host: string };
  readonly #server: Server;
  readonly #listenHost: string;
  readonly #links = new Set<Link>();
  #port = 0;
  #blocked = false;
  readonly #weather: Weather = { delayMs: 0, frozen: false };

  constructor(options: TcpProxyOptions) {
    this.#target = { port: options.port, host: options.host ?? '127.0.0.1' };
    this.#listenHost = options.listenHost ?? '127.0.0.1';
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    this.#server.unref();
  }

  /** Called once, by `startTcpProxy`. */
  async listen(port: number): Promise<void> {
    this.#server.listen({ port, host: this.#listenHost, exclusive: true });
    await once(this.#server, 'listening');
    this.#port = port;
  }

  get port(): number {
    return this.#port;
  }

  /** Connections open now. */
  get connections(): number {
    return this.#links.size;
  }

  /** Resets every open connection. New ones are welcome. */
  cut(): void {
    for (const link of [...this.#links]) link.reset();
  }

  /** Cuts, and resets every new connection until `unblock`. */
  block(): void {
    this.#blocked = true;
    this.cut();
  }

  unblock(): void {
    this.#blocked = false;
  }

  /** Adds latency to each direction, without limiting throughput. 0 takes it away. */
  delay(ms: number): void {
    this.#weather.delayMs = ms;
  }

  /**
   * Connections stay open and new ones are accepted, but nothing flows: what a partition looks like.
   * Bytes sent meanwhile are kept, and arrive after `unblackhole`, as they do when a network heals
   * (losing them would tear a hole into the stream, which TCP never does). Follow with `cut` to drop them.
   */
  blackhole(): void {
    this.#weather.frozen = true;
    for (const link of this.#links) link.update();
  }

  unblackhole(): void {
    this.#weather.frozen = false;
    for (const link of this.#links) link.update();
  }

  async close(): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined;
    this.#server.close();
    this.cut();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(client: Socket): void {
    if (this.#blocked) {
      client.on('error', () => {});
      reset(client);
      return;
    }
    const link: Link = new Link(client, createConnection({ ...this.#target, allowHalfOpen: true, noDelay: true }), {
      weather: this.#weather,
      onClose: () => this.#links.delete(link),
    });
    this.#links.add(link);
  }
}

interface Weather {
  delayMs: number;
  frozen: boolean;
}

/** One client connection and its counterpart to the server. */
class Link {
  readonly #sockets: readonly [Socket, Socket];
  readonly #streams: readonly [OneWay, OneWay];
  readonly #onClose: () => void;

  constructor(client: Socket, server: Socket, options: { readonly weather: Weather; readonly onClose: () => void }) {
    this.#onClose = options.onClose;
    this.#sockets = [client, server];
    this.#streams = [new OneWay(client, server, options.weather), new OneWay(server, client, options.weather)];
    for (const socket of this.#sockets) {
      socket.unref(); // heartbeats between members must not keep the process alive
      socket.on('error', () => this.reset());
      socket.on('close', () => {
        if (this.#sockets.every((each) => each.closed)) this.#close();
      });
    }
  }

  update(): void {
    for (const stream of this.#streams) stream.update();
  }

  #close(): void {
    for (const stream of this.#streams) stream.drop();
    this.#onClose();
  }

  reset(): void {
    for (const socket of this.#sockets) reset(socket);
    this.#close();
  }
}

/**
 * Closes with RST, at once. Node's `resetAndDestroy` ends the stream first, so the peer sees a clean end
 * before the reset, and it leaks the socket for good (the process then hangs in its exit) when that end
 * is still under way. So we set the flag by which `destroy` resets, unless the stream was ended already.
 */
function reset(socket: Socket): void {
  if (!socket.connecting && !socket.writableEnded) Object.assign(socket, { resetAndClosing: true });
  socket.destroy();
}

/** One direction of a link: a queue of pieces, each due at its time, in order. */
class OneWay {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #weather: Weather;
  /** A piece without bytes is the end of the stream. */
  #queue: { readonly bytes?: Buffer; readonly dueMs: number }[] = [];
  #heldBytes = 0;
  #congested = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, weather: Weather) {
    this.#from = from;
    this.#to = to;
    this.#weather = weather;
    from.on('data', (bytes: Buffer) => this.#push(bytes));
    from.on('end', () => this.#push(undefined));
    to.on('drain', () => {
      this.#congested = false;
      this.update();
    });
    this.update();
  }

  drop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#queue = [];
    this.#heldBytes = 0;
  }

  /** Sends what is due, then decides whether to read on and when to look again. */
  update(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#weather.frozen) {
      while (!this.#congested && this.#queue[0] !== undefined && this.#queue[0].dueMs <= performance.now())
        this.#send();
      const next = this.#queue[0];
      if (next !== undefined && !this.#congested) {
        const waitMs = Math.max(1, Math.ceil(next.dueMs - performance.now()));
        this.#timer = setTimeout(() => this.update(), waitMs);
        this.#timer.unref();
      }
    }
    if (this.#weather.frozen || this.#congested || this.#heldBytes > HELD_BYTES_LIMIT) this.#from.pause();
    else this.#from.resume();
  }

  #push(bytes: Buffer | undefined): void {
    // Never before its predecessor, also when the delay was shortened in between.
    const dueMs = Math.max(performance.now() + this.#weather.delayMs, this.#queue.at(-1)?.dueMs ?? 0);
    this.#queue.push({ bytes, dueMs });
    this.#heldBytes += bytes?.length ?? 0;
    this.update();
  }

  #send(): void {
    const piece = this.#queue.shift();
    if (piece === undefined || this.#to.destroyed) return;
    if (piece.bytes === undefined) {
      this.#to.end();
      return;
    }
    this.#heldBytes -= piece.bytes.length;
    this.#congested = !this.#to.write(piece.bytes);
  }
}
