import type { NbdExport } from './exports.ts';
import { transmissionFlags } from './exports.ts';
import { exportInfo, metaContextReply, nameInfo, optionReply, serverReply, sizeInfo } from './option-replies.ts';
import { readExportRequest, readMetaQueries, readName } from './option-requests.ts';
import {
  ALLOCATION_CONTEXT,
  HANDSHAKE,
  IHAVEOPT,
  INFO,
  LONGEST_STRING,
  NBDMAGIC,
  OPTION,
  OPTION_HEADER_BYTES,
  REPLY,
} from './protocol.ts';

/** The data of an option is kept up to this length; what is longer is skipped and refused. */
const LONGEST_OPTION = 64 << 10;
/** A client that haggles for longer than this wants something else. */
const MOST_OPTIONS = 1000;
const CLIENT_FLAG_BYTES = 4;

export type TlsMode = 'none' | 'offered' | 'required';

/** What the client and the server have agreed on. */
export interface Agreement {
  readonly export: NbdExport;
  readonly structured: boolean;
  /** Whether BLOCK_STATUS may be asked for. */
  readonly allocation: boolean;
}

/** What is to be done after some bytes: wait for more, go on otherwise with `rest`, or hang up. */
export type Outcome =
  | { readonly kind: 'more' }
  | { readonly kind: 'transmit'; readonly agreement: Agreement; readonly rest: Buffer }
  | { readonly kind: 'tls' }
  | { readonly kind: 'close' };

export interface HandshakeSettings {
  readonly exports: ReadonlyMap<string, NbdExport>;
  readonly tls: TlsMode;
  /** Asked at every option: from then on each is refused with NBD_REP_ERR_SHUTDOWN. */
  isShuttingDown(): boolean;
}

/**
 * The server's half of the fixed newstyle handshake ("Newstyle negotiation",
 * "Fixed newstyle negotiation"): bytes in, bytes out, no socket.
 */
export class Handshake {
  readonly #settings: HandshakeSettings;
  readonly #send: (bytes: Buffer) => void;
  #pending: Buffer = Buffer.alloc(0);
  #flags: number | undefined;
  #options = 0;
  #skipping: { readonly option: number; left: number } | undefined;
  #secure = false;
  #structured = false;
  /** The export for which `base:allocation` was chosen last. */
  #allocationOf: string | undefined;

  constructor(settings: HandshakeSettings, send: (bytes: Buffer) => void) {
    this.#settings = settings;
    this.#send = send;
  }

  /** The server speaks first. */
  greet(): void {
    const greeting = Buffer.alloc(18);
    greeting.writeBigUInt64BE(NBDMAGIC, 0);
    greeting.writeBigUInt64BE(IHAVEOPT, 8);
    greeting.writeUInt16BE(HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes, 16);
    this.#send(greeting);
  }

  /** From now on under TLS: nothing that was agreed on before it holds (NBD_OPT_STARTTLS). */
  secured(): void {
    this.#secure = true;
    this.#structured = false;
    this.#allocationOf = undefined;
  }

  push(chunk: Buffer): Outcome {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    for (;;) {
      const outcome = this.#step();
      if (outcome === undefined) continue;
      return outcome;
    }
  }

  /** One message, or `more`; nothing when there may be another one. */
  #step(): Outcome | undefined {
    const pending = this.#pending;
    if (this.#flags === undefined) {
      if (pending.length < CLIENT_FLAG_BYTES) return { kind: 'more' };
      this.#flags = pending.readUInt32BE(0);
      this.#pending = pending.subarray(CLIENT_FLAG_BYTES);
      // "Client flags": the connection must be dropped for one that is not known. Without fixed newstyle the only
      // option there is, NBD_OPT_EXPORT_NAME, works the same.
      return (this.#flags & ~(HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes)) !== 0 ? { kind: 'close' } : undefined;
    }
    if (this.#skipping !== undefined) {
      const skipped = Math.min(this.#skipping.left, pending.length);
      this.#pending = pending.subarray(skipped);
      this.#skipping.left -= skipped;
      if (this.#skipping.left > 0) return { kind: 'more' };
      this.#reply(this.#skipping.option, REPLY.tooBig, 'too long');
      this.#skipping = undefined;
      return undefined;
    }
    if (pending.length < OPTION_HEADER_BYTES) return { kind: 'more' };
    if (pending.readBigUInt64BE(0) !== IHAVEOPT) return { kind: 'close' };
    const option = pending.readUInt32BE(8);
    const length = pending.readUInt32BE(12);
    const fits = length <= (option === OPTION.exportName ? LONGEST_STRING : LONGEST_OPTION);
    // This one option cannot be refused, only hung up on.
    if (!fits && option === OPTION.exportName) return { kind: 'close' };
    if (fits && pending.length < OPTION_HEADER_BYTES + length) return { kind: 'more' };
    if (++this.#options > MOST_OPTIONS) return { kind: 'close' };
    if (!fits) {
      this.#pending = pending.subarray(OPTION_HEADER_BYTES);
      this.#skipping = { option, left: length };
      return undefined;
    }
    this.#pending = pending.subarray(OPTION_HEADER_BYTES + length);
    return this.#answer(option, pending.subarray(OPTION_HEADER_BYTES, OPTION_HEADER_BYTES + length));
  }

  #answer(option: number, data: Buffer): Outcome | undefined {
    if (option === OPTION.abort) {
      this.#reply(option, REPLY.ack);
      return { kind: 'close' };
    }
    const mustSecure = this.#settings.tls === 'required' && !this.#secure;
    if (option === OPTION.exportName) return mustSecure ? { kind: 'close' } : this.#exportName(data);
    if (this.#settings.isShuttingDown()) return this.#reply(option, REPLY.shutdown, 'shutting down');
    if (option === OPTION.startTls) return this.#startTls(data);
    if (mustSecure) return this.#reply(option, REPLY.tlsRequired, 'only with TLS');
    switch (option) {
      case OPTION.list:
        if (data.length > 0) return this.#reply(option, REPLY.invalid, 'data where none belongs');
        for (const { name, description } of this.#settings.exports.values()) {
          this.#send(optionReply(option, REPLY.server, serverReply(name, description)));
        }
        return this.#reply(option, REPLY.ack);
      case OPTION.structuredReply:
        if (data.length > 0) return this.#reply(option, REPLY.invalid, 'data where none belongs');
        this.#structured = true;
        return this.#reply(option, REPLY.ack);
      case OPTION.info:
      case OPTION.go:
        return this.#infoOrGo(option, data);
      case OPTION.listMetaContext:
      case OPTION.setMetaContext:
        return this.#metaContext(option, data);
      default:
        return this.#reply(option, REPLY.unsupported, 'not known here');
    }
  }

  #exportName(data: Buffer): Outcome {
    const name = readName(data);
    const found = name === undefined ? undefined : this.#settings.exports.get(name);
    if (found === undefined || this.#settings.isShuttingDown()) return { kind: 'close' };
    const zeroes = (this.#flags! & HANDSHAKE.noZeroes) === 0 ? 124 : 0;
    const reply = Buffer.alloc(10 + zeroes);
    reply.writeBigUInt64BE(BigInt(found.volume.size), 0);
    reply.writeUInt16BE(transmissionFlags(found, this.#structured), 8);
    this.#send(reply);
    return this.#transmit(found);
  }

  #startTls(data: Buffer): Outcome | undefined {
    if (this.#settings.tls === 'none') return this.#reply(OPTION.startTls, REPLY.policy, 'no TLS here');
    if (this.#secure) return this.#reply(OPTION.startTls, REPLY.invalid, 'TLS is on already');
    if (data.length > 0) return this.#reply(OPTION.startTls, REPLY.invalid, 'data where none belongs');
    if ((this.#flags! & HANDSHAKE.fixedNewstyle) === 0) {
      return this.#reply(OPTION.startTls, REPLY.invalid, 'only with fixed newstyle');
    }
    // What came behind it in the clear may be anybody's: it must never be taken for something said under TLS.
    if (this.#pending.length > 0) return { kind: 'close' };
    this.#reply(OPTION.startTls, REPLY.ack);
    return { kind: 'tls' };
  }

  #infoOrGo(option: number, data: Buffer): Outcome | undefined {
    const request = readExportRequest(data);
    if (request === undefined) return this.#reply(option, REPLY.invalid, 'lengths that do not fit');
    const found = this.#settings.exports.get(request.name);
    if (found === undefined) return this.#reply(option, REPLY.unknown, 'no such export');
    const info = (bytes: Buffer) => this.#send(optionReply(option, REPLY.info, bytes));
    info(exportInfo(found.volume.size, transmissionFlags(found, this.#structured)));
    if (request.wanted.has(INFO.name)) info(nameInfo(INFO.name, found.name));
    if (request.wanted.has(INFO.description) && found.description !== undefined) {
      info(nameInfo(INFO.description, found.description));
    }
    // Told unasked too: a client that listens then keeps to it, one that does not gets clean errors ("Size constraints").
    info(sizeInfo(found.volume.blockSizes));
    this.#reply(option, REPLY.ack);
    return option === OPTION.go ? this.#transmit(found) : undefined;
  }

  #metaContext(option: number, data: Buffer): undefined {
    const choosing = option === OPTION.setMetaContext;
    if (choosing) this.#allocationOf = undefined;
    if (!this.#structured) return this.#reply(option, REPLY.invalid, 'structured replies first');
    const request = readMetaQueries(data);
    if (request === undefined) return this.#reply(option, REPLY.invalid, 'lengths that do not fit');
    const { name, queries } = request;
    if (!this.#settings.exports.has(name)) return this.#reply(option, REPLY.unknown, 'no such export');
    if (queries.some((query) => !query.includes(':')))
      return this.#reply(option, REPLY.invalid, 'a query without colon');
    const matches = choosing
      ? queries.includes(ALLOCATION_CONTEXT)
      : queries.length === 0 || queries.some((query) => query === ALLOCATION_CONTEXT || query === 'base:');
    if (matches) {
      if (choosing) this.#allocationOf = name;
      this.#send(optionReply(option, REPLY.metaContext, metaContextReply(choosing, ALLOCATION_CONTEXT)));
    }
    return this.#reply(option, REPLY.ack);
  }

  #transmit(found: NbdExport): Outcome {
    const allocation = this.#structured && this.#allocationOf === found.name;
    const agreement = { export: found, structured: this.#structured, allocation };
    return { kind: 'transmit', agreement, rest: this.#pending };
  }

  #reply(option: number, type: number, words = ''): undefined {
    this.#send(optionReply(option, type, Buffer.from(words)));
  }
}
