import type { Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { Handshake, type HandshakeSettings, type Outcome } from './handshake.ts';
import type { PayloadPool } from './payload-pool.ts';
import { Transmission, type TransmissionHost, type TransmissionLimits } from './transmission.ts';

/** How long a client may take to notice that we have hung up. */
const FAREWELL_MS = 2_000;

export interface ConnectionSettings {
  readonly handshake: HandshakeSettings;
  readonly tls: TlsOptions | undefined;
  readonly limits: TransmissionLimits;
  /** Shared by all connections of a server. */
  readonly pool: PayloadPool;
  /** A client that has not chosen an export by then is hung up on. */
  readonly handshakeMs: number;
  /** An error of a volume; the client has been told. */
  readonly onFailure: (error: unknown) => void;
}

/** One client, from its first byte until nothing of it is left to do. */
export class Connection implements TransmissionHost {
  /** Resolves when the socket is closed and the volume has nothing to do for it any more. */
  readonly finished: Promise<void>;
  readonly #settings: ConnectionSettings;
  readonly #handshake: Handshake;
  readonly #resolveFinished: () => void;
  #stream: Socket;
  #transmission: Transmission | undefined;
  /** What was read while the transmission was full; the stream is paused then. */
  #rest: Buffer | undefined;
  #exportName: string | undefined;
  #closed = false;
  #hungUp = false;
  #timer: NodeJS.Timeout;

  /** The socket must be half-open: its end does not end our replies. */
  constructor(socket: Socket, settings: ConnectionSettings) {
    this.#settings = settings;
    this.#stream = socket;
    let resolve = (): void => {};
    this.finished = new Promise<void>((done) => {
      resolve = done;
    });
    this.#resolveFinished = resolve;
    this.#handshake = new Handshake(settings.handshake, (bytes) => this.#stream.write(bytes));
    this.#timer = setTimeout(() => this.destroy(), settings.handshakeMs);
    // "Protocol phases": both sides should not wait for acknowledgements.
    socket.setNoDelay(true);
    this.#listen(socket);
    this.#handshake.greet();
  }

  /** Once the client has chosen one. */
  get exportName(): string | undefined {
    return this.#exportName;
  }

  get isShuttingDown(): boolean {
    return this.#settings.handshake.isShuttingDown();
  }

  get isGone(): boolean {
    return this.#stream.destroyed;
  }

  /** Ends it when what is under way has been answered ("Terminating the transmission phase"). */
  shutDown(): void {
    if (this.#transmission === undefined) this.#hangUp();
    else this.progressed();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  write(buffers: readonly Buffer[], sent: () => void): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.writableEnded) {
      process.nextTick(sent);
      return;
    }
    if (buffers.length === 1) {
      stream.write(buffers[0]!, sent);
      return;
    }
    stream.cork();
    for (let i = 0; i < buffers.length - 1; i++) stream.write(buffers[i]!);
    stream.write(buffers.at(-1)!, sent);
    stream.uncork();
  }

  failed(error: unknown): void {
    this.#settings.onFailure(error);
  }

  progressed(): void {
    const transmission = this.#transmission!;
    const rest = this.#rest;
    if (rest !== undefined && !transmission.isFull && !this.#closed) {
      this.#rest = undefined;
      if (this.#transmit(rest)) this.#stream.resume();
    }
    if (transmission.isIdle && (transmission.isEnded || this.isShuttingDown)) {
      transmission.flushReplies();
      this.#hangUp();
    }
    this.#finishIfDone();
  }

  #listen(stream: Socket): void {
    stream.on('data', (chunk: Buffer) => {
      if (stream === this.#stream && !this.#hungUp) this.#take(chunk);
    });
    stream.on('error', () => {}); // The peer is gone; `close` follows.
    stream.on('end', () => {
      if (stream !== this.#stream) return; // TLS has taken it over
      this.#transmission?.cutOff();
      if (this.#transmission === undefined) this.#hangUp();
      else this.progressed();
    });
    stream.on('close', () => {
      this.#closed = true;
      clearTimeout(this.#timer);
      this.#transmission?.cutOff();
      this.#finishIfDone();
    });
  }

  #take(chunk: Buffer): void {
    if (this.#transmission !== undefined) this.#transmit(chunk);
    else this.#follow(this.#handshake.push(chunk));
  }

  #follow(outcome: Outcome): void {
    switch (outcome.kind) {
      case 'more':
        return;
      case 'close':
        this.#hangUp();
        return;
      case 'tls':
        this.#secure();
        return;
      case 'transmit':
        clearTimeout(this.#timer);
        this.#exportName = outcome.agreement.export.name;
        this.#transmission = new Transmission(outcome.agreement, this.#settings.limits, this.#settings.pool, this);
        if (outcome.rest.length > 0) this.#transmit(outcome.rest);
    }
  }

  /** Gives whether the transmission took all of it; the stream is paused otherwise. */
  #transmit(chunk: Buffer): boolean {
    const transmission = this.#transmission!;
    const taken = transmission.push(chunk);
    if (taken < 0 && !transmission.isEnded) {
      this.destroy();
      return false;
    }
    if (taken >= 0 && taken < chunk.length) {
      this.#rest = chunk.subarray(taken);
      this.#stream.pause();
      return false;
    }
    if (transmission.isEnded) this.progressed();
    return true;
  }

  /** NBD_OPT_STARTTLS was acknowledged: everything from here on is TLS, or the connection ends. */
  #secure(): void {
    const raw = this.#stream;
    // A server of its own, as only `tls.Server` checks the client's certificate; emitting `connection` is its documented use.
    const server = createTlsServer({ ...this.#settings.tls, allowHalfOpen: true } as TlsOptions);
    server.on('secureConnection', (secured) => {
      this.#handshake.secured();
      this.#stream = secured;
      this.#listen(secured);
    });
    server.on('tlsClientError', () => raw.destroy());
    server.emit('connection', raw);
  }

  /** Ends our direction; what still comes is not looked at. A client that does not end its own is given up on. */
  #hangUp(): void {
    if (this.#hungUp) return;
    this.#hungUp = true;
    this.#rest = undefined;
    this.#stream.end();
    this.#stream.resume();
    clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = setTimeout(() => this.destroy(), FAREWELL_MS);
  }

  #finishIfDone(): void {
    if (this.#closed && (this.#transmission?.isIdle ?? true)) this.#resolveFinished();
  }
}
