import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileVolume, type NbdServer, serveNbd } from '../../src/adapters/nbd/index.ts';
import type { Volume } from '../../src/kernel/protect/volume.ts';
import { waitFor } from '../servers/wait-for.ts';
import { Rng } from '../torture/rng.ts';
import { generate } from './generate.ts';
import { negotiate } from './handshake.ts';
import { type Change, Content, errorsOf, faultsOf, type Terms } from './model.ts';
import { Peer } from './peer.ts';
import { changedVolume } from './volumes.ts';
import { BLOCK_STATUS, DISC, encode, READ, type Request, TRIM, WRITE, WRITE_ZEROES } from './words.ts';

const SIZE = 1 << 20;
const MOST = 128 << 10;

/** What the exports of a lane are: one content, seen under different terms. */
const EXPORTS = {
  plain: { least: 1, readOnly: false, flaky: false, late: false },
  blocks: { least: 512, readOnly: false, flaky: false, late: false },
  readonly: { least: 1, readOnly: true, flaky: false, late: false },
  late: { least: 1, readOnly: false, flaky: false, late: true },
  flaky: { least: 4096, readOnly: false, flaky: true, late: true },
} as const;

export interface LaneCounts {
  requests: number;
  replies: number;
  refused: number;
  sessions: number;
  /** Sessions that were cut off, with requests under way. */
  cut: number;
  /** Sessions that ended in bytes that are no request. */
  garbage: number;
  /** That never came as far as the transmission. */
  handshakes: number;
}

interface Sent {
  readonly request: Request;
  readonly errors: readonly number[];
  readonly change: Change | undefined;
}

/** One server, one file, one client after the other, and a model of what the file must hold. */
export class Lane implements AsyncDisposable {
  readonly counts: LaneCounts = { requests: 0, replies: 0, refused: 0, sessions: 0, cut: 0, garbage: 0, handshakes: 0 };
  readonly #dir: string;
  readonly #socket: string;
  readonly #rng: Rng;
  readonly #content: Content;
  readonly #server: NbdServer;
  readonly #file: FileVolume;
  #number = 0;

  /** `around` may change the volume: to show that the judge notices. */
  static async open(seed: number, around: (volume: Volume) => Volume = (volume) => volume): Promise<Lane> {
    const dir = mkdtempSync(join(tmpdir(), 'godwit-nbd-fuzz-'));
    const rng = new Rng(seed);
    const bytes = Buffer.from(Array.from({ length: SIZE }, () => rng.int(256)));
    writeFileSync(join(dir, 'image'), bytes);
    const file = await FileVolume.open(join(dir, 'image'));
    const socket = join(dir, 'socket');
    const exports = Object.entries(EXPORTS).map(([name, terms]) => ({
      name,
      readOnly: terms.readOnly,
      volume: changedVolume(around(file), { ...terms, most: MOST, rng: rng.fork() }),
    }));
    // Small limits, so that the server has to stop reading now and then.
    const server = await serveNbd({ address: { path: socket }, exports, limits: { requests: 48, bytes: 256 << 10 } });
    return new Lane(dir, socket, rng, new Content(bytes), server, file);
  }

  private constructor(dir: string, socket: string, rng: Rng, content: Content, server: NbdServer, file: FileVolume) {
    this.#dir = dir;
    this.#socket = socket;
    this.#rng = rng;
    this.#content = content;
    this.#server = server;
    this.#file = file;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close(100);
    await this.#file.close();
    rmSync(this.#dir, { recursive: true });
  }

  /** One connection, from its handshake to whatever end chance gives it. Throws what the server did wrong. */
  async session(): Promise<void> {
    const rng = this.#rng;
    const name = rng.pick(Object.keys(EXPORTS) as (keyof typeof EXPORTS)[]);
    this.counts.sessions += 1;
    const peer = await Peer.connect(this.#socket);
    try {
      const agreed = await negotiate(peer, rng, name, SIZE);
      if (agreed === undefined) this.counts.handshakes += 1;
      else await this.#transmit(peer, { size: SIZE, most: MOST, ...EXPORTS[name], ...agreed });
    } finally {
      peer.destroy();
      // Also what was under way when the connection went is done with then.
      await waitFor(() => this.#server.connections === 0, {
        timeoutMs: 30_000,
        what: 'the server to let go',
        intervalMs: 1,
      });
    }
    await this.#lookAtDoubts();
  }

  async #transmit(peer: Peer, terms: Terms): Promise<void> {
    const rng = this.#rng;
    for (let rounds = rng.between(1, 12); rounds > 0; rounds--) {
      const sent = this.#send(peer, terms);
      await this.#receive(peer, terms, sent);
      await this.#settle(peer, terms);
    }
    const last = this.#send(peer, terms);
    switch (rng.int(4)) {
      case 0: {
        // A proper end: everything is answered, and then nothing more.
        peer.send(encode({ type: DISC, flags: 0, cookie: 0n, offset: 0n, length: 0 }));
        await this.#receive(peer, terms, last);
        if ((await peer.untilClosed()) > 0) throw new Error('bytes after the last answer');
        await this.#adopt(this.#content.settle());
        return;
      }
      case 1: {
        // Bytes that are no request: the server hangs up without a word about them.
        this.counts.garbage += 1;
        await this.#receive(peer, terms, last);
        await this.#settle(peer, terms);
        peer.send(Buffer.from(Array.from({ length: rng.between(28, 3000) }, () => rng.int(0x25))));
        if ((await peer.untilClosed()) > 0) throw new Error('an answer to what was no request');
        return;
      }
      case 2:
        // Half of a request, then gone; what the server had in full it may have done.
        peer.send(this.#half(terms));
        await this.#receive(peer, terms, last, { mayEnd: true, most: rng.chance(0.5) ? rng.int(last.length + 1) : 0 });
        break;
      default:
        peer.send(this.#half(terms));
        peer.end();
        await this.#receive(peer, terms, last, { mayEnd: true });
    }
    this.counts.cut += 1;
    for (const { change } of last) if (change !== undefined) this.#content.doubt(change);
  }

  /** The beginning of a legal write. Nothing of it may ever be seen. */
  #half(terms: Terms): Buffer {
    const length = 4096;
    const offset = BigInt(this.#rng.int(SIZE / length) * length);
    const payload = Buffer.alloc(length, 0xdd);
    const bytes = encode({ type: WRITE, flags: 0, cookie: 1n, offset, length: Math.max(length, terms.least), payload });
    return bytes.subarray(0, this.#rng.between(1, bytes.length - 1));
  }

  #send(peer: Peer, terms: Terms): Sent[] {
    const rng = this.#rng;
    const sent = Array.from({ length: rng.chance(0.1) ? rng.between(1, 200) : rng.between(1, 40) }, (): Sent => {
      this.#number += 1;
      const request = generate(rng, terms, this.#number % 2 ** 32);
      const errors = errorsOf(request, terms);
      const changes = [WRITE, WRITE_ZEROES, TRIM].includes(request.type) && errors.length === 0;
      return { request, errors, change: changes ? this.#content.begin(request) : undefined };
    });
    this.counts.requests += sent.length;
    const bytes = Buffer.concat(sent.map(({ request }) => encode(request)));
    // In pieces of any size: the server must not care where they end.
    if (rng.chance(0.5)) peer.send(bytes);
    else {
      for (let at = 0, length = 0; at < bytes.length; at += length) {
        length = rng.between(1, 20_000);
        peer.send(bytes.subarray(at, at + length));
      }
    }
    return sent;
  }

  /**
   * Takes the answers of what was sent, all or `most` of them; with `mayEnd` the server may hang up before.
   * What is answered is taken off `sent`.
   */
  async #receive(
    peer: Peer,
    terms: Terms,
    sent: Sent[],
    { mayEnd = false, most = sent.length }: { readonly mayEnd?: boolean; readonly most?: number } = {},
  ): Promise<void> {
    const open = new Map(sent.map((each) => [each.request.cookie, each]));
    const cookieOf = (head: Buffer): Sent => {
      const each = open.get(head.readBigUInt64BE(8));
      if (each === undefined) throw new Error(`an answer to nothing that was asked: ${head.toString('hex')}`);
      return each;
    };
    for (let answered = 0; answered < most; answered++) {
      const head = await peer.read(16);
      if (head === undefined) {
        if (!mayEnd) throw new Error(`hung up with ${open.size} requests unanswered`);
        break;
      }
      const each = cookieOf(head);
      const magic = head.readUInt32BE(0);
      if (magic === 0x67446698) await this.#simple(peer, terms, each, head.readUInt32BE(4));
      else if (magic === 0x668e33ef) await this.#chunk(peer, terms, each, head);
      else throw new Error(`no reply begins with ${head.toString('hex')}`);
      open.delete(each.request.cookie);
      this.counts.replies += 1;
    }
    sent.splice(0, sent.length, ...open.values());
  }

  async #simple(peer: Peer, terms: Terms, each: Sent, errno: number): Promise<void> {
    const { request } = each;
    if (terms.structured && request.type === READ)
      throw new Error('a simple reply to a read, with structured replies on');
    this.#judge(terms, each, errno);
    if (errno === 0 && request.type === BLOCK_STATUS) throw new Error('a block status without status');
    if (errno === 0 && request.type === READ) this.#look(request, (await peer.read(request.length))!);
  }

  /** One chunk ends every answer of this server. */
  async #chunk(peer: Peer, terms: Terms, each: Sent, head: Buffer): Promise<void> {
    const { request } = each;
    if (!terms.structured) throw new Error('a structured reply that nobody asked for');
    const flags = head.readUInt16BE(4);
    const type = head.readUInt16BE(6);
    const length = (await peer.read(4))!.readUInt32BE(0);
    const payload = (await peer.read(length))!;
    if (flags !== 1) throw new Error(`a chunk with flags ${flags}`);
    if (type === 0x8001) {
      if (payload.readUInt16BE(4) !== length - 6) throw new Error('an error chunk whose lengths do not fit');
      this.#judge(terms, each, payload.readUInt32BE(0));
      if (payload.readUInt32BE(0) === 0) throw new Error('an error chunk without error');
      return;
    }
    this.#judge(terms, each, 0);
    if (type === 1 && request.type === READ) {
      if (payload.readBigUInt64BE(0) !== request.offset || length !== request.length + 8)
        throw new Error('other bytes');
      this.#look(request, payload.subarray(8));
    } else if (type === 5 && request.type === BLOCK_STATUS) {
      let covered = 0;
      for (let at = 4; at < length; at += 8) {
        if (payload.readUInt32BE(at) === 0) throw new Error('an empty extent');
        covered += payload.readUInt32BE(at);
      }
      if (length < 12 || (length - 4) % 8 !== 0 || covered > request.length) throw new Error('extents that do not fit');
      if ((request.flags & 8) !== 0 && length !== 12) throw new Error('more than one extent');
    } else throw new Error(`a chunk of type ${type} for a request of type ${request.type}`);
  }

  #judge(terms: Terms, { request, errors, change }: Sent, errno: number): void {
    const right = errors.length > 0 ? errors.includes(errno) : errno === 0 || faultsOf(terms).includes(errno);
    if (!right) {
      const { payload, ...head } = request;
      const shown = JSON.stringify(head, (_, value) => (typeof value === 'bigint' ? value.toString() : value));
      throw new Error(
        `${shown} was answered with ${errno}, not ${errors.join(' or ') || 'success'} (${JSON.stringify(terms)})`,
      );
    }
    if (errno !== 0) this.counts.refused += 1;
    if (errno !== 0 && change !== undefined) this.#content.cancel(change);
  }

  #look(request: Request, read: Buffer): void {
    const at = this.#content.firstWrong(Number(request.offset), read);
    if (at !== -1)
      throw new Error(`byte ${at} was read as ${read[at - Number(request.offset)]}, and can be no such thing`);
  }

  /** Reads what can be one thing or another, so that it is one from now on. */
  async #settle(peer: Peer, terms: Terms): Promise<void> {
    const open = this.#content.settle();
    if (terms.flaky || open.length === 0) return this.#adopt(open);
    for (const [from, to] of open) {
      for (let at = from; at < to; at += MOST) {
        const length = Math.min(MOST, to - at);
        this.#number += 1;
        const request = { type: READ, flags: 0, cookie: BigInt(this.#number), offset: BigInt(at), length };
        // Aligned to nothing: only where the export allows it.
        if (at % terms.least !== 0 || length % terms.least !== 0) return this.#adopt(open);
        this.counts.requests += 1;
        peer.send(encode(request));
        const head = await peer.read(terms.structured ? 28 : 16);
        const read = await peer.read(length);
        if (head === undefined || read === undefined) throw new Error('hung up on a read');
        this.counts.replies += 1;
        this.#look(request, read);
        this.#content.adopt(at, read);
      }
    }
    this.#content.closed();
  }

  /** The same, past the server. */
  async #adopt(open: readonly (readonly [number, number])[]): Promise<void> {
    for (const [from, to] of open) {
      const read = Buffer.alloc(to - from);
      await this.#file.read(from, read);
      const at = this.#content.firstWrong(from, read);
      if (at !== -1) throw new Error(`byte ${at} of the file is ${read[at - from]}, and can be no such thing`);
      this.#content.adopt(from, read);
    }
    this.#content.closed();
  }

  /** After a connection: the whole file is as it can be. */
  async #lookAtDoubts(): Promise<void> {
    await this.#adopt(this.#content.settle());
    if (!this.#rng.chance(0.05)) return;
    const all = Buffer.alloc(SIZE);
    await this.#file.read(0, all);
    const at = this.#content.firstWrong(0, all);
    if (at !== -1) throw new Error(`byte ${at} of the file is ${all[at]}, not ${this.#content.bytes[at]}`);
  }
}
