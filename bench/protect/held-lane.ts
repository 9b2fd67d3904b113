import { createConnection, createServer, type Server, type Socket } from 'node:net';

/** Lane of the data, as the greeting of a connection names it. */
const DATA = '"lane":1';

/**
 * In front of the DR: lets everything through but, while it is held, what the primary sends on
 * the data lane. The greeting is let through, so that both sides believe they are connected.
 * The roles must have no key: it reads the greeting.
 */
export class HeldLane {
  held = false;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;

  private constructor(target: number) {
    this.#server = createServer({ noDelay: true }, (client) => this.#pass(client, target));
  }

  static async start(target: number): Promise<HeldLane> {
    const lane = new HeldLane(target);
    await new Promise<void>((resolve) => lane.#server.listen(0, '127.0.0.1', resolve));
    lane.#port = (lane.#server.address() as { port: number }).port;
    return lane;
  }

  get port(): number {
    return this.#port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #pass(client: Socket, target: number): void {
    const server = createConnection({ port: target, host: '127.0.0.1', noDelay: true });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    server.pipe(client);
    let isData: boolean | undefined;
    client.on('data', (chunk: Buffer) => {
      const isGreeting = isData === undefined;
      isData ??= chunk.includes(DATA);
      // What was held is not sent later: the primary sends it again.
      if (isGreeting || !isData || !this.held) server.write(chunk);
      else client.removeAllListeners('data').pause();
    });
  }
}
