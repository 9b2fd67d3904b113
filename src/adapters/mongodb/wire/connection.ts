/**
 * A connection to one MongoDB server that carries raw messages. The driver
 * decodes every document it receives; here a reply stays the bytes it came as.
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Document } from 'bson';
import { type ErrorDetails, GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import { MessageAssembler } from './assembler.ts';
import { type BufferPool, bufferPool } from './buffer-pool.ts';
import { type Command, checkReply, commandDoc, type RunOptions } from './command.ts';
import { shakeHands } from './handshake.ts';
import { buildMessage, type DocumentSequence, FLAG, type ParsedMessage, parseMessage, requestIdOf } from './message.ts';
import type { WireTarget } from './target.ts';

export { type Command, commandDoc, type RunOptions } from './command.ts';
export type { WireCredentials, WireTarget } from './target.ts';

/** Idle connections are probed, so that a firewall neither forgets them nor hides a dead peer. */
const KEEP_ALIVE_AFTER_MS = 60_000;

/** An exhaust stream stops reading while this many replies wait for their reader. */
const EXHAUST_AHEAD = 2;

/** The bytes of one reply. `body` is not to be touched after `release`. */
export class WireReply {
  /** The reply document, exactly. */
  readonly body: Buffer;
  readonly #pool: BufferPool;
  #pooled: Buffer | undefined;

  constructor(body: Buffer, pool: BufferPool, pooled: Buffer | undefined) {
    this.body = body;
    this.#pool = pool;
    this.#pooled = pooled;
  }

  /** Gives the memory back; without it, garbage collection does. Small replies have none to give. */
  release(): void {
    const pooled = this.#pooled;
    this.#pooled = undefined;
    if (pooled !== undefined) this.#pool.give(pooled);
  }
}

/** Who waits for a reply. */
interface Waiting {
  /** `more` says that further replies follow. */
  answer(reply: WireReply, more: boolean): void;
  fail(error: GodwitError): void;
}

export class WireConnection {
  /** `host:port`, for messages. */
  readonly host: string;
  readonly #pool: BufferPool = bufferPool;
  readonly #socket: Socket;
  readonly #opened: Promise<void>;
  readonly #waiting = new Map<number, Waiting>();
  readonly #socketTimeoutMs: number;
  #hello: Document = {};
  #failure: GodwitError | undefined;

  /** Connects, greets and logs in. Rejects with GW3001, GW2002 (TLS), GW2003 or GW8001. */
  static async connect(target: WireTarget, signal?: AbortSignal): Promise<WireConnection> {
    if (signal !== undefined) throwIfAborted(signal);
    const connection = WireConnection.#start(target);
    const abort = () => connection.#fail(new GodwitError('GW8001', 'Stopped on request', { cause: signal?.reason }));
    signal?.addEventListener('abort', abort, { once: true });
    const { connectTimeoutMs } = target;
    const timer =
      connectTimeoutMs > 0
        ? setTimeout(() => connection.#lose(`no connection within ${connectTimeoutMs} ms`), connectTimeoutMs)
        : undefined;
    try {
      await connection.#opened;
      connection.#hello = await shakeHands((command, options) => connection.run(command, options), target);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Certificates and keys that cannot be read are thrown while the socket is made. */
  static #start(target: WireTarget): WireConnection {
    try {
      return new WireConnection(target);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const details = { host: `${target.host}:${target.port}` };
      throw new GodwitError('GW2002', `No connection to ${details.host} can be made: ${why}`, { details, cause });
    }
  }

  private constructor(target: WireTarget) {
    const { host, port } = target;
    const path = host.endsWith('.sock') ? host : undefined;
    this.host = path ?? `${host.includes(':') ? `[${host}]` : host}:${port}`;
    this.#socketTimeoutMs = target.socketTimeoutMs;
    const sink = (message: Buffer, pooled: Buffer | undefined) => this.#received(message, pooled);
    const assembler = new MessageAssembler(sink, this.#pool, { scratch: target.tls === undefined });

    const where = path === undefined ? { host, port } : { path };
    if (target.tls === undefined) {
      const onread = {
        // A function is asked for memory before each read (net.connect, `onread.buffer`).
        buffer: () => assembler.readTarget(),
        callback: (length: number) => this.#read(() => assembler.wasRead(length)),
      };
      // @types/node declares the buffer only; the function is documented as well.
      this.#socket = connectTcp({ ...where, onread } as unknown as Parameters<typeof connectTcp>[0] & object);
    } else {
      const servername = isIP(host) === 0 && path === undefined ? host : undefined;
      this.#socket = connectTls({ ...where, servername, ...target.tls });
      this.#socket.on('data', (chunk: Buffer) => this.#read(() => assembler.push(chunk)));
    }
    this.#socket.setNoDelay(true);
    this.#socket.setKeepAlive(true, KEEP_ALIVE_AFTER_MS);
    this.#opened = new Promise((resolve, reject) => {
      this.#socket.once(target.tls === undefined ? 'connect' : 'secureConnect', resolve);
      this.#socket.once('close', () => {
        this.#lose('the socket was closed');
        reject(this.#failure);
      });
    });
    // Whoever connects waits for it; a connection closed later must not be an unhandled rejection.
    this.#opened.catch(() => {});
    this.#socket.on('error', (error) => this.#lose(error.message, error));
    this.#socket.on('end', () => this.#lose('the server ended the connection'));
    this.#socket.on('timeout', () => this.#lose(`no answer for ${this.#socketTimeoutMs} ms`));
  }

  /** The server's greeting. */
  get hello(): Document {
    return this.#hello;
  }

  get closed(): boolean {
    return this.#failure !== undefined;
  }

  /**
   * Sends a command, with `sequence` for its documents, and gives the raw
   * reply, also where it says `ok: 0`. Requests may follow each other without
   * waiting; the server answers in order. The bytes given must stay as they
   * are until the reply.
   */
  request(body: Buffer, sequence?: DocumentSequence): Promise<WireReply> {
    return new Promise((resolve, reject) => {
      this.#send(buildMessage(body, sequence), { answer: resolve, fail: reject });
    });
  }

  /** Runs a control command; throws the mapped error for `ok: 0`. */
  async run(command: Command, options: RunOptions = {}): Promise<Document> {
    const reply = await this.request(commandDoc(command));
    // Not released: parsed binary values are views of the reply.
    const where = options.where ?? `${Object.keys(command)[0]} on ${this.host}`;
    return checkReply(reply.body, where, options.promoteValues);
  }

  /**
   * Sends a `getMore` once and gives every reply the server makes of it, until
   * the cursor ends (OP_MSG, exhaustAllowed). Reading stops while the caller is
   * behind. A caller that leaves early loses the connection, since nothing
   * else can end the stream.
   */
  async *exhaust(body: Buffer): AsyncGenerator<WireReply, void, void> {
    const replies: WireReply[] = [];
    let ended = false;
    let failure: GodwitError | undefined;
    let wake: (() => void) | undefined;
    const answer = (reply: WireReply, more: boolean) => {
      replies.push(reply);
      ended = !more;
      if (more && replies.length >= EXHAUST_AHEAD) this.#pause();
      wake?.();
    };
    const fail = (error: GodwitError) => {
      failure = error;
      wake?.();
    };
    this.#send(buildMessage(body, undefined, FLAG.exhaustAllowed), { answer, fail });
    try {
      for (;;) {
        const reply = replies.shift();
        if (reply !== undefined) {
          if (replies.length < EXHAUST_AHEAD) this.#resume();
          yield reply;
        } else if (ended) {
          return;
        } else if (failure !== undefined) {
          throw failure;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      if (ended) this.#resume();
      else this.close();
    }
  }

  /** Closes at once; what is outstanding is rejected with GW3001. */
  close(): void {
    this.#lose('it was closed');
  }

  #send(message: readonly Buffer[], waiting: Waiting): void {
    if (this.#failure !== undefined) {
      waiting.fail(this.#failure);
      return;
    }
    if (this.#waiting.size === 0 && this.#socketTimeoutMs > 0) this.#socket.setTimeout(this.#socketTimeoutMs);
    this.#waiting.set(requestIdOf(message), waiting);
    // Corked, the pieces leave in one writev without being joined.
    this.#socket.cork();
    for (const piece of message) this.#socket.write(piece);
    this.#socket.uncork();
  }

  /** A socket that we ourselves hold back may be still for as long as it likes. */
  #pause(): void {
    this.#socket.pause();
    this.#socket.setTimeout(0);
  }

  #resume(): void {
    if (!this.#socket.isPaused()) return;
    if (this.#waiting.size > 0) this.#socket.setTimeout(this.#socketTimeoutMs);
    this.#socket.resume();
  }

  /** Answers whether to go on reading, as `onread` wants it. */
  #read(takeIn: () => void): boolean {
    if (this.#failure !== undefined) return false;
    try {
      takeIn();
    } catch (error) {
      this.#lose(error instanceof Error ? error.message : String(error), error);
      return false;
    }
    return !this.#socket.isPaused();
  }

  #received(message: Buffer, pooled: Buffer | undefined): void {
    const parsed: ParsedMessage = parseMessage(message);
    const waiting = this.#waiting.get(parsed.responseTo);
    if (waiting === undefined) throw new GodwitError('GW3001', 'The server answered what was not asked');
    this.#waiting.delete(parsed.responseTo);
    const more = (parsed.flags & FLAG.moreToCome) !== 0;
    // The next reply of a stream answers this one.
    if (more) this.#waiting.set(parsed.requestId, waiting);
    else if (this.#waiting.size === 0 && this.#socketTimeoutMs > 0) this.#socket.setTimeout(0);
    waiting.answer(new WireReply(parsed.body, this.#pool, pooled), more);
  }

  #lose(why: string, cause?: unknown): void {
    if (this.#failure !== undefined) return;
    const errno = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined;
    const code = errno !== undefined && CERTIFICATE_ERRNO.test(errno) ? 'GW2002' : 'GW3001';
    const details: ErrorDetails = errno === undefined ? { host: this.host } : { host: this.host, errno };
    this.#fail(new GodwitError(code, `Connection to ${this.host} lost: ${why}`, { details, cause }));
  }

  #fail(error: GodwitError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#socket.destroy();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const one of waiting) one.fail(error);
  }
}

/** TLS said no to the peer: waiting does not cure that (tls, "X509 certificate error codes"). */
const CERTIFICATE_ERRNO = /CERT|CRL|SELF_SIGNED|UNABLE_TO_|INVALID_(CA|PURPOSE)|HOSTNAME_MISMATCH|^ERR_(SSL|TLS)/;
