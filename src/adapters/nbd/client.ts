import { createConnection, type Socket } from 'node:net';
import { GodwitError } from '../../kernel/errors.ts';
import type { BlockSizes, Extent, Volume } from '../../kernel/protect/volume.ts';
import { broken, type ClientTls, type ServedExport, shakeHands } from './client-handshake.ts';
import { type Asked, ReplyParser } from './client-replies.ts';
import { errnoName } from './errno.ts';
import { COMMAND, COMMAND_FLAG, ERRNO, EXPORT_FLAG, REQUEST_BYTES, REQUEST_MAGIC, STATE } from './protocol.ts';
import type { NbdAddress } from './server.ts';

export interface NbdClientOptions {
  readonly address: NbdAddress;
  /** The empty name is the server's default export. */
  readonly exportName: string;
  /** Without it nothing is encrypted; with it nothing is sent before TLS is on. */
  readonly tls?: ClientTls;
  /** For the connection and the handshake. Default: 10 s. */
  readonly connectMs?: number;
}

interface Waiting extends Asked {
  resolve(asked: Asked): void;
  reject(error: unknown): void;
}

const NOTHING = Buffer.alloc(0);
const ZEROES = Buffer.alloc(1 << 20);
/** Longest effect of a request without payload, a multiple of every block size. */
const LONGEST_EFFECT = 1 << 30;

/**
 * An export of an NBD server as a volume. Requests are sent at once, as many as
 * the caller makes, and answered in any order. When the connection is lost every
 * request fails with GW3001, and nobody can say which of them were carried out;
 * connecting anew is the caller's decision.
 */
export class NbdClient implements Volume, AsyncDisposable {
  readonly size: number;
  readonly blockSizes: BlockSizes;
  readonly coversAllConnections: boolean;
  /** No server says so beforehand. */
  readonly fastZeroes = false;
  readonly isReadOnly: boolean;
  /** Resolves when the connection is gone, with why unless it was `close`. */
  readonly closed: Promise<GodwitError | undefined>;
  readonly #socket: Socket;
  readonly #served: ServedExport;
  readonly #waiting = new Map<number, Waiting>();
  #outgoing: Buffer[] = [];
  #cookie = 0;
  #end: GodwitError | undefined;
  readonly #whenIdle: (() => void)[] = [];

  /** Throws GW3001 when there is no server, GW2202 when it does not let us in. */
  static async connect(options: NbdClientOptions): Promise<NbdClient> {
    const { address, exportName, tls, connectMs = 10_000 } = options;
    const raw = createConnection({ ...address, noDelay: true });
    const lost = (why: string, cause?: unknown) =>
      new GodwitError('GW3001', `No connection to the block server: ${why}`, { cause });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      raw.destroy();
    }, connectMs);
    try {
      await new Promise<void>((resolve, reject) => {
        raw.once('connect', resolve);
        raw.once('error', (error) => reject(lost(error.message, error)));
        raw.once('close', () => reject(lost('closed')));
      });
      raw.on('error', () => {}); // `close` follows
      const { socket, served } = await shakeHands(raw, exportName, tls);
      return new NbdClient(socket, served);
    } catch (error) {
      raw.destroy();
      throw late ? lost(`no answer in ${connectMs} ms`, error) : error;
    } finally {
      clearTimeout(timer);
    }
  }

  private constructor(socket: Socket, served: ServedExport) {
    this.#socket = socket;
    this.#served = served;
    this.size = served.size;
    this.blockSizes = served.blockSizes;
    this.coversAllConnections = this.#can(EXPORT_FLAG.multiConn);
    this.isReadOnly = this.#can(EXPORT_FLAG.readOnly);
    const parser = new ReplyParser(
      (cookie) => this.#waiting.get(cookie),
      (cookie, asked) => this.#answered(cookie, asked),
    );
    socket.on('error', () => {}); // `close` follows
    socket.on('data', (chunk: Buffer) => {
      try {
        parser.push(chunk);
      } catch (error) {
        // After one wrong byte nothing in the stream means anything.
        this.#fail(error instanceof GodwitError ? error : broken(String(error)));
      }
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#fail(new GodwitError('GW3001', 'The connection to the block server was lost'));
        resolve(this.#end?.code === 'GW8001' ? undefined : this.#end);
      });
    });
    socket.resume(); // the handshake left it paused
  }

  async read(offset: number, into: Buffer): Promise<void> {
    const { most } = this.blockSizes;
    const parts: Promise<Asked>[] = [];
    for (let at = 0; at < into.length; at += most) {
      const part = into.subarray(at, at + most);
      parts.push(this.#ask(COMMAND.read, 0, offset + at, part.length, part));
    }
    await all(parts);
  }

  async write(offset: number, data: Buffer, durable: boolean): Promise<void> {
    const { most } = this.blockSizes;
    const parts: Promise<Asked>[] = [];
    for (let at = 0; at < data.length; at += most) {
      const part = data.subarray(at, at + most);
      parts.push(this.#ask(COMMAND.write, this.#fua(durable), offset + at, part.length, NOTHING, part));
    }
    await all(parts);
    await this.#ensure(durable);
  }

  async writeZeroes(
    offset: number,
    length: number,
    { durable, mayTrim }: { readonly durable: boolean; readonly mayTrim: boolean },
  ): Promise<void> {
    const can = this.#can(EXPORT_FLAG.writeZeroes);
    const step = can ? LONGEST_EFFECT : Math.min(ZEROES.length, this.blockSizes.most);
    for (let at = 0; at < length; at += step) {
      const part = Math.min(step, length - at);
      const flags = this.#fua(durable);
      if (can) await this.#ask(COMMAND.writeZeroes, flags | (mayTrim ? 0 : COMMAND_FLAG.noHole), offset + at, part);
      else await this.#ask(COMMAND.write, flags, offset + at, part, NOTHING, ZEROES.subarray(0, part));
    }
    await this.#ensure(durable);
  }

  /** Nothing is sent to a server that cannot trim: the bytes stay, as they may. */
  async trim(offset: number, length: number, durable: boolean): Promise<void> {
    if (!this.#can(EXPORT_FLAG.trim)) return;
    for (let at = 0; at < length; at += LONGEST_EFFECT) {
      await this.#ask(COMMAND.trim, this.#fua(durable), offset + at, Math.min(LONGEST_EFFECT, length - at));
    }
    await this.#ensure(durable);
  }

  async flush(): Promise<void> {
    if (!this.#can(EXPORT_FLAG.flush)) {
      throw new GodwitError('GW5202', 'The block server cannot flush: nothing on it can be made durable');
    }
    await this.#ask(COMMAND.flush, 0, 0, 0);
  }

  async extents(offset: number, length: number): Promise<readonly Extent[]> {
    if (this.#served.allocationId === undefined) return [{ length, hole: false, zero: false }];
    const asked = Math.min(length, LONGEST_EFFECT);
    const { descriptors } = await this.#ask(COMMAND.blockStatus, 0, offset, asked);
    if (descriptors === undefined) throw broken('a block status without status');
    const extents: Extent[] = [];
    let covered = 0;
    for (let i = 0; i < descriptors.length && covered < asked; i += 2) {
      // The last one may reach further than asked ("Metadata querying").
      const size = Math.min(descriptors[i]!, asked - covered);
      const state = descriptors[i + 1]!;
      if (size === 0) throw broken('an empty extent');
      extents.push({ length: size, hole: (state & STATE.hole) !== 0, zero: (state & STATE.zero) !== 0 });
      covered += size;
    }
    return extents;
  }

  /** Says goodbye (NBD_CMD_DISC) after what was sent before has been answered. */
  async close(): Promise<void> {
    if (this.#end === undefined) {
      this.#end = new GodwitError('GW8001', 'The connection to the block server was closed');
      while (this.#waiting.size > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
      this.#push(COMMAND.disconnect, 0, 0, 0, 0);
      this.#send();
      this.#socket.end();
    }
    await this.closed;
  }

  /** Hangs up at once; nobody knows what becomes of what is under way. */
  abandon(): void {
    this.#fail(new GodwitError('GW8001', 'The connection to the block server was closed'));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #can(flag: number): boolean {
    return (this.#served.flags & flag) !== 0;
  }

  #fua(durable: boolean): number {
    return durable && this.#can(EXPORT_FLAG.fua) ? COMMAND_FLAG.fua : 0;
  }

  /** Durable all the same where the server knows no FUA. */
  async #ensure(durable: boolean): Promise<void> {
    if (durable && !this.#can(EXPORT_FLAG.fua)) await this.flush();
  }

  #ask(
    type: number,
    flags: number,
    offset: number,
    length: number,
    into: Buffer = NOTHING,
    payload: Buffer = NOTHING,
  ): Promise<Asked> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      do this.#cookie = (this.#cookie + 1) >>> 0;
      while (this.#waiting.has(this.#cookie));
      const asked = { into, offset, filled: 0, errno: 0, words: '', descriptors: undefined, resolve, reject };
      this.#waiting.set(this.#cookie, asked);
      if (this.#outgoing.length === 0) process.nextTick(() => this.#send());
      this.#push(type, flags, this.#cookie, offset, length);
      if (payload.length > 0) this.#outgoing.push(payload);
    });
  }

  #push(type: number, flags: number, cookie: number, offset: number, length: number): void {
    const header = Buffer.allocUnsafe(REQUEST_BYTES);
    header.writeUInt32BE(REQUEST_MAGIC, 0);
    header.writeUInt16BE(flags, 4);
    header.writeUInt16BE(type, 6);
    header.writeUInt32BE(0, 8);
    header.writeUInt32BE(cookie, 12);
    header.writeBigUInt64BE(BigInt(offset), 16);
    header.writeUInt32BE(length, 24);
    this.#outgoing.push(header);
  }

  /** All that was asked for in this turn leaves together. */
  #send(): void {
    const outgoing = this.#outgoing;
    this.#outgoing = [];
    if (this.#socket.destroyed) return;
    this.#socket.cork();
    for (const bytes of outgoing) this.#socket.write(bytes);
    this.#socket.uncork();
  }

  #answered(cookie: number, asked: Asked): void {
    const waiting = this.#waiting.get(cookie)!;
    this.#waiting.delete(cookie);
    if (this.#waiting.size === 0) this.#idle();
    const { errno, words } = asked;
    if (errno === 0) {
      waiting.resolve(asked);
      return;
    }
    // "Terminating the transmission phase": the client has to leave then, and may come back.
    const code = errno === ERRNO.ESHUTDOWN ? 'GW3001' : 'GW5202';
    const said = words === '' ? '' : `: ${words}`;
    waiting.reject(
      new GodwitError(code, `The block server answered ${errnoName(errno)}${said}`, { details: { errno } }),
    );
  }

  #fail(error: GodwitError): void {
    this.#end ??= error;
    this.#socket.destroy();
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
    this.#idle();
  }

  #idle(): void {
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}

/** Waits for all of them, also after one has failed: the caller's memory is in use until then. */
async function all(parts: readonly Promise<Asked>[]): Promise<void> {
  if (parts.length === 1) {
    await parts[0];
    return;
  }
  for (const result of await Promise.allSettled(parts)) if (result.status === 'rejected') throw result.reason;
}
