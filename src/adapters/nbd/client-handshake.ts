import type { Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { GodwitError } from '../../kernel/errors.ts';
import type { BlockSizes } from '../../kernel/protect/volume.ts';
import {
  ALLOCATION_CONTEXT,
  HANDSHAKE,
  IHAVEOPT,
  INFO,
  KEYED,
  NBDMAGIC,
  OPTION,
  OPTION_HEADER_BYTES,
  OPTION_REPLY_HEADER_BYTES,
  OPTION_REPLY_MAGIC,
  REPLY,
  USUAL_PAYLOAD,
} from './protocol.ts';

/** By the server's certificate, or by a key that both sides have. */
export type ClientTls = ClientCertificateTls | { readonly key: Buffer };

/** PEM; nothing is taken from the system's store, so that a private authority is the only one. */
interface ClientCertificateTls {
  readonly ca: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /** The name that the server's certificate must carry. */
  readonly serverName: string;
}

/** What the server said of the export. */
export interface ServedExport {
  readonly size: number;
  readonly flags: number;
  readonly blockSizes: BlockSizes;
  readonly structured: boolean;
  /** The number of `base:allocation`; undefined where the server has none. */
  readonly allocationId: number | undefined;
}

const REFUSED = 2 ** 31;
/** No answer to an option is longer from any server worth talking to. */
const LONGEST_ANSWER = 1 << 20;
/** "Size constraints": what holds when the server says nothing. */
const USUAL_SIZES: BlockSizes = { least: 1, preferred: 4096, most: USUAL_PAYLOAD };

/** The client's half of the handshake; gives the socket to go on with, which under TLS is another one. */
export async function shakeHands(
  socket: Socket,
  exportName: string,
  tls: ClientTls | undefined,
): Promise<{ socket: Socket; served: ServedExport }> {
  let options = new Options(socket);
  await options.greeted();
  if (tls !== undefined) {
    const { final } = await options.ask(OPTION.startTls, Buffer.alloc(0));
    if (final !== REPLY.ack) throw refused(exportName, final, 'it has no TLS');
    options = new Options(await secure(options.release(), tls));
  }
  const structured = (await options.ask(OPTION.structuredReply, Buffer.alloc(0))).final === REPLY.ack;
  const name = Buffer.from(exportName);
  let allocationId: number | undefined;
  if (structured) {
    const query = Buffer.from(ALLOCATION_CONTEXT);
    const { final, answers } = await options.ask(
      OPTION.setMetaContext,
      Buffer.concat([u32(name.length), name, u32(1), u32(query.length), query]),
    );
    const context = answers.find(({ type, data }) => type === REPLY.metaContext && data.length > 4);
    if (final === REPLY.ack) allocationId = context?.data.readUInt32BE(0);
  }
  const wanted = Buffer.from([0, 1, 0, INFO.blockSize]);
  const { final, answers, words } = await options.ask(OPTION.go, Buffer.concat([u32(name.length), name, wanted]));
  if (final !== REPLY.ack) throw refused(exportName, final, words);
  const info = (type: number, length: number): Buffer | undefined =>
    answers.find(
      (each) => each.type === REPLY.info && each.data.length === length && each.data.readUInt16BE(0) === type,
    )?.data;
  const size = info(INFO.export, 12);
  if (size === undefined) throw broken('it did not say how large the export is');
  const sizes = info(INFO.blockSize, 14);
  const served: ServedExport = {
    size: Number(size.readBigUInt64BE(2)),
    flags: size.readUInt16BE(10),
    blockSizes:
      sizes === undefined
        ? USUAL_SIZES
        : { least: sizes.readUInt32BE(2), preferred: sizes.readUInt32BE(6), most: sizes.readUInt32BE(10) },
    structured,
    allocationId,
  };
  return { socket: options.release(), served };
}

export function broken(why: string): GodwitError {
  return new GodwitError('GW5203', `The block server breaks the protocol: ${why}`);
}

function refused(exportName: string, reply: number, words: string): GodwitError {
  const why = words || Object.entries(REPLY).find(([, value]) => value === reply)?.[0] || `reply ${reply}`;
  return new GodwitError('GW2202', `The block server does not let us into ${JSON.stringify(exportName)}: ${why}`, {
    details: { export: exportName },
  });
}

async function secure(socket: Socket, tls: ClientTls): Promise<TLSSocket> {
  const secured = connectTls({ socket, ...clientOptions(tls) });
  try {
    await new Promise<void>((resolve, reject) => {
      secured.once('secureConnect', resolve).once('error', reject);
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new GodwitError('GW2202', `The block server does not let us in by TLS: ${why}`, { cause });
  }
  return secured;
}

function clientOptions(tls: ClientTls): ConnectionOptions {
  if ('serverName' in tls) {
    const { ca, cert, key, serverName: servername } = tls;
    return { ca, cert, key, servername };
  }
  // The key is the proof; there is no certificate to look at.
  const { key: psk } = tls;
  return { ...KEYED, pskCallback: () => ({ psk, identity: 'godwit' }), checkServerIdentity: () => undefined };
}

interface Answer {
  readonly type: number;
  readonly data: Buffer;
}

/** Options and their answers over one socket. */
class Options {
  readonly socket: Socket;
  #had: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake = (): void => {};
  readonly #take = (chunk: Buffer): void => {
    this.#had = Buffer.concat([this.#had, chunk]);
    this.#wake();
  };
  readonly #stop = (): void => {
    this.#ended = true;
    this.#wake();
  };

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', this.#take).on('end', this.#stop).on('close', this.#stop);
    socket.resume();
  }

  /** From here on somebody else reads the socket, which is paused. A server says nothing unasked. */
  release(): Socket {
    if (this.#had.length > 0) throw broken('bytes that nobody asked for');
    this.socket.pause();
    this.socket
      .removeListener('data', this.#take)
      .removeListener('end', this.#stop)
      .removeListener('close', this.#stop);
    return this.socket;
  }

  async greeted(): Promise<void> {
    const greeting = await this.#read(18);
    if (greeting.readBigUInt64BE(0) !== NBDMAGIC || greeting.readBigUInt64BE(8) !== IHAVEOPT) {
      throw broken('it does not greet with the newstyle handshake');
    }
    const flags = greeting.readUInt16BE(16);
    if ((flags & HANDSHAKE.fixedNewstyle) === 0) throw broken('it knows no fixed newstyle');
    this.socket.write(u32(flags & (HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes)));
  }

  /** Sends an option and takes all of its answers. */
  async ask(option: number, data: Buffer): Promise<{ final: number; answers: readonly Answer[]; words: string }> {
    const header = Buffer.alloc(OPTION_HEADER_BYTES);
    header.writeBigUInt64BE(IHAVEOPT, 0);
    header.writeUInt32BE(option, 8);
    header.writeUInt32BE(data.length, 12);
    this.socket.write(Buffer.concat([header, data]));
    const answers: Answer[] = [];
    for (;;) {
      const head = await this.#read(OPTION_REPLY_HEADER_BYTES);
      const length = head.readUInt32BE(16);
      if (
        head.readBigUInt64BE(0) !== OPTION_REPLY_MAGIC ||
        head.readUInt32BE(8) !== option ||
        length > LONGEST_ANSWER
      ) {
        throw broken(`its answer to option ${option} is none`);
      }
      const type = head.readUInt32BE(12);
      const answer = { type, data: length === 0 ? Buffer.alloc(0) : await this.#read(length) };
      if (type === REPLY.ack || type >= REFUSED) return { final: type, answers, words: answer.data.toString('utf8') };
      answers.push(answer);
    }
  }

  async #read(length: number): Promise<Buffer> {
    while (this.#had.length < length) {
      if (this.#ended) throw new GodwitError('GW3001', 'The block server hung up during the handshake');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const bytes = this.#had.subarray(0, length);
    this.#had = this.#had.subarray(length);
    return bytes;
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}
