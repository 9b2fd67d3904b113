import { connect as connectPlain, createServer as createPlainServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { GodwitError } from '../../kernel/errors.ts';
import { Peer } from './peer.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface MeshOptions {
  /** Who this is, to the others. */
  readonly self: string;
  /** What both sides of a connection must say alike, or they do not talk. */
  readonly facts: Readonly<Record<string, string | number>>;
  /** Encrypts, and lets only those in who have it too. */
  readonly key: Buffer | undefined;
  readonly listen: Address | undefined;
  /** Whom to connect to, and where. */
  readonly dial: ReadonlyMap<string, Address>;
  /** Connections to each: one lane does not wait for another. */
  readonly lanes: number;
  readonly onFrame: (from: string, frame: Buffer) => void;
  readonly onChange: (who: string, what: 'connected' | 'lost' | 'refused', why?: string) => void;
}

interface Hello {
  readonly protocol: string;
  readonly self: string;
  readonly lane: number;
  readonly facts: Readonly<Record<string, string | number>>;
}

const PROTOCOL = 'godwit-frames/1';
/** Of TLS 1.2: keys that both sides have, with a fresh exchange for each connection. */
const CIPHERS = 'ECDHE-PSK-CHACHA20-POLY1305';
const AGAIN_MS = 300;
const HELLO_WITHIN_MS = 5_000;

/** Keeps connections to a few others, each of several lanes, and makes them again when they are lost. */
export class Mesh {
  readonly #options: MeshOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #open = new Set<Peer>();
  #server: Server | undefined;
  #closed = false;
  readonly #refused = new Set<string>();
  readonly #counts = new Map<string, { sent: number; received: number; dropped: number }>();

  constructor(options: MeshOptions) {
    this.#options = options;
  }

  /** Listens, where that is asked for, and begins to connect. */
  async start(): Promise<void> {
    const { listen, dial, lanes, key } = this.#options;
    if (listen !== undefined) {
      const accept = (socket: Socket) => this.#accept(socket);
      const server =
        key === undefined
          ? createPlainServer(accept)
          : createTlsServer({ ciphers: CIPHERS, maxVersion: 'TLSv1.2', pskCallback: () => key }, accept);
      // Whoever has no key, or another one, is shown the door by TLS.
      server.on('tlsClientError', () => undefined);
      this.#server = server;
      await new Promise<void>((resolve, reject) => {
        server.once('error', (error) =>
          reject(
            new GodwitError('GW1001', `Cannot listen on ${listen.host}:${listen.port}: ${error.message}`, {
              cause: error,
            }),
          ),
        );
        server.listen(listen.port, listen.host, resolve);
      });
    }
    for (const [who, address] of dial) for (let lane = 0; lane < lanes; lane += 1) this.#dial(who, address, lane);
  }

  /** Whether every lane to `who` is there. */
  isConnected(who: string): boolean {
    for (let lane = 0; lane < this.#options.lanes; lane += 1) if (!this.#peers.has(`${who} ${lane}`)) return false;
    return true;
  }

  /** Bytes to and from `who` on a lane since the start, framing included, TLS not. */
  bytes(who: string, lane: number): { sent: number; received: number; dropped: number } {
    const name = `${who} ${lane}`;
    const before = this.#counts.get(name) ?? { sent: 0, received: 0, dropped: 0 };
    const peer = this.#peers.get(name);
    if (peer === undefined) return before;
    return {
      sent: before.sent + peer.sentBytes,
      received: before.received + peer.receivedBytes,
      dropped: before.dropped + peer.droppedFrames,
    };
  }

  /** False when there is no connection, or too much waits on it. */
  send(who: string, lane: number, parts: readonly Buffer[]): boolean {
    return this.#peers.get(`${who} ${lane}`)?.send(parts) ?? false;
  }

  close(): void {
    this.#closed = true;
    this.#server?.close();
    for (const peer of this.#open) peer.close();
  }

  #dial(who: string, address: Address, lane: number): void {
    if (this.#closed) return;
    const { key, self } = this.#options;
    const socket =
      key === undefined
        ? connectPlain(address)
        : connectTls({
            ...address,
            ciphers: CIPHERS,
            maxVersion: 'TLSv1.2',
            pskCallback: () => ({ psk: key, identity: self }),
            // The key is the proof; there is no certificate to look at.
            checkServerIdentity: () => undefined,
          });
    const peer = this.#peer(socket);
    let known: string | undefined;
    const timer = setTimeout(() => peer.close(), HELLO_WITHIN_MS);
    const ready = () => peer.send([this.#hello(lane)]);
    socket.once(key === undefined ? 'connect' : 'secureConnect', ready);
    peer.onFrame = (frame) => {
      clearTimeout(timer);
      const why = this.#mismatch(frame, who, lane);
      if (why !== undefined) {
        this.#refuse(who, why);
        return peer.close();
      }
      known = this.#take(who, lane, peer);
    };
    peer.onClose = () => {
      clearTimeout(timer);
      this.#open.delete(peer);
      if (known !== undefined) this.#lose(known, who, peer);
      setTimeout(() => this.#dial(who, address, lane), AGAIN_MS).unref();
    };
  }

  #accept(socket: Socket): void {
    const peer = this.#peer(socket);
    const timer = setTimeout(() => peer.close(), HELLO_WITHIN_MS);
    peer.onClose = () => {
      clearTimeout(timer);
      this.#open.delete(peer);
    };
    peer.onFrame = (frame) => {
      clearTimeout(timer);
      const hello = parseHello(frame);
      const lane = hello?.lane ?? 0;
      // Both sides look for themselves, so that both can say why.
      peer.send([this.#hello(lane)]);
      const why = this.#mismatch(frame, hello?.self, lane);
      if (hello === undefined || why !== undefined)
        return this.#refuse(hello?.self ?? 'somebody', why ?? 'no greeting');
      const known = this.#take(hello.self, lane, peer);
      peer.onClose = () => {
        this.#open.delete(peer);
        this.#lose(known, hello.self, peer);
      };
    };
  }

  #peer(socket: Socket): Peer {
    const peer = new Peer(socket);
    this.#open.add(peer);
    return peer;
  }

  #hello(lane: number): Buffer {
    const { self, facts } = this.#options;
    return Buffer.from(JSON.stringify({ protocol: PROTOCOL, self, lane, facts } satisfies Hello));
  }

  #mismatch(frame: Buffer, who: string | undefined, lane: number): string | undefined {
    const hello = parseHello(frame);
    if (hello === undefined || hello.protocol !== PROTOCOL) return 'it speaks another protocol';
    if (who !== undefined && hello.self !== who) return `it is the ${hello.self}`;
    if (hello.lane !== lane) return 'it answers for another lane';
    for (const [name, value] of Object.entries(this.#options.facts)) {
      if (hello.facts[name] !== value) return `its ${name} is ${hello.facts[name]}, not ${value}`;
    }
    return undefined;
  }

  #take(who: string, lane: number, peer: Peer): string {
    const name = `${who} ${lane}`;
    // A new connection is made when the old one is dead, whether this side knows or not.
    this.#peers.get(name)?.close();
    this.#peers.set(name, peer);
    this.#refused.delete(who);
    peer.onFrame = (frame) => this.#options.onFrame(who, frame);
    if (this.isConnected(who)) this.#options.onChange(who, 'connected');
    return name;
  }

  #lose(name: string, who: string, peer: Peer): void {
    const { sent, received, dropped } = this.#counts.get(name) ?? { sent: 0, received: 0, dropped: 0 };
    this.#counts.set(name, {
      sent: sent + peer.sentBytes,
      received: received + peer.receivedBytes,
      dropped: dropped + peer.droppedFrames,
    });
    if (this.#peers.get(name) !== peer) return;
    const whole = this.isConnected(who);
    this.#peers.delete(name);
    if (whole && !this.#closed) this.#options.onChange(who, 'lost');
  }

  /** Once for as long as it goes on. */
  #refuse(who: string, why: string): void {
    if (this.#refused.has(who)) return;
    this.#refused.add(who);
    this.#options.onChange(who, 'refused', why);
  }
}

function parseHello(frame: Buffer): Hello | undefined {
  try {
    const hello = JSON.parse(frame.toString()) as Hello;
    return typeof hello.self === 'string' && typeof hello.facts === 'object' ? hello : undefined;
  } catch {
    return undefined;
  }
}
