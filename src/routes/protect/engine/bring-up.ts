/**
 * After the DR took over: serves the volume at once, while what is pending is fetched and
 * executed behind it. A read is answered from the newest operation of each byte, which is
 * fetched first where it is not here; what is written gets its place in the DR's own order,
 * after everything that is pending.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import type { Role } from '../../../kernel/protect/ports.ts';
import { FETCH_BYTES } from './auxiliary.ts';
import type { Dr, Suspended } from './dr.ts';
import type { Mark, Message } from './messages.ts';
import { Pending } from './pending.ts';
import type { Request } from './primary.ts';
import { blockBytes, decodeRecord, encodeRecord, FLAG, hashOf, hasPayload, RECORD_BYTES } from './record.ts';
import { isWhole, payloadOf } from './ring.ts';

export interface BringUpOptions {
  readonly retryMs: number;
  /** Bytes asked for and not here yet, of what nobody waits for. */
  readonly windowBytes: number;
  /** A read whose data the auxiliary does not give fails after so long. */
  readonly patienceMs: number;
  /** Called once, when everything is executed. */
  readonly done: () => void;
}

type Answer = (error?: Error) => void;

/** A part of a read, and the operation that it comes from. */
interface Piece {
  readonly start: number;
  readonly end: number;
  readonly from: Suspended;
}

/** So many retries without anything from the auxiliary: what was asked for is lost. */
const LATE = 10;
/** Who waited a moment ago soon does again. */
const WAITED_MS = 100;
const UNSTORED_BYTES = 16 << 20;
const ONLY = 1024;
/** Who reads in one place soon reads beside it: so much around it comes along, for one way to the auxiliary and back. */
const AROUND = 1 << 20;

export class BringUp {
  readonly #dr: Dr;
  readonly #options: BringUpOptions;
  readonly #epoch: number;
  readonly #pending = new Pending();
  /** What is read and not here, and who waits for it. */
  readonly #wanted = new Map<number, (() => void)[]>();
  /** Reads that wait. */
  #waiters = 0;
  /** When the last wait ended. */
  #waitedUntil = Number.NEGATIVE_INFINITY;
  /** Asked for and not here yet: bytes of each. */
  readonly #asked = new Map<number, number>();
  #askedBytes = 0;
  /** Everything before it was asked for, or is here. */
  #next: number;
  #silent = 0;
  #waiting: { readonly request: Request; readonly answer: Answer }[] = [];
  /** Own operations: durable, order and data, up to here. */
  #durable: number;
  #unstored = 0;
  #flushes: { readonly needs: number; readonly answer: Answer }[] = [];
  #done = false;
  #told = false;

  constructor(dr: Dr, options: BringUpOptions) {
    this.#dr = dr;
    this.#options = options;
    this.#epoch = dr.voter.activated;
    this.#next = dr.history.base.sequence + 1;
    this.#durable = dr.history.last.sequence;
  }

  start(): void {
    const { history } = this.#dr;
    for (const entry of history.from(this.#dr.applied + 1)) this.#pending.add(entry);
    this.#dr.takeOver({
      receive: (from, message) => this.#receive(from, message),
      progress: () => this.#progress(),
      isWaitedFor: () => this.#isWaitedFor(),
    });
    this.#dr.execute();
    this.#progress();
    this.#tick();
  }

  /** Everything is executed, durably, and nobody waits: the image is the volume, and stays it. */
  get isDone(): boolean {
    const { history } = this.#dr;
    this.#done ||=
      this.#waiting.length === 0 && this.#flushes.length === 0 && history.last.sequence === history.base.sequence;
    return this.#done;
  }

  /** Operations that are not executed yet. */
  get left(): number {
    return this.#dr.history.last.sequence - this.#dr.applied;
  }

  /** Takes an operation. It is answered when reads see it; one that must be durable, and a flush, when all before it are too. */
  submit(request: Request, answer: Answer): void {
    this.#waiting.push({ request, answer });
    this.#take();
  }

  #isWaitedFor(): boolean {
    if (this.#waiters > 0 || this.#flushes.length > 0) return true;
    return this.#dr.parts.ticker.elapsed() - this.#waitedUntil < WAITED_MS;
  }

  async read(offset: number, into: Buffer): Promise<void> {
    for (;;) {
      const { pieces, gaps } = this.#plan(offset, into.length);
      const lacking = pieces.filter(({ from }) => !isHere(from));
      if (lacking.length > 0) {
        await this.#arrival(
          lacking.map(({ from }) => from),
          offset,
        );
        // Much may have happened meanwhile.
        continue;
      }
      const parts = [
        ...pieces.map((piece) => this.#fill(into.subarray(piece.start - offset, piece.end - offset), piece)),
        ...gaps.map(([start, end]) =>
          this.#dr.parts.areas.image.read(start, into.subarray(start - offset, end - offset)),
        ),
      ];
      await Promise.all(parts);
      // What was executed meanwhile may have given its place to another.
      const { base } = this.#dr.history;
      if (pieces.every(({ from }) => from.record.sequence > base.sequence)) return;
    }
  }

  /** Who wrote each byte last. What nobody who is pending wrote is in the image. */
  #plan(offset: number, length: number): { pieces: Piece[]; gaps: [number, number][] } {
    const pieces: Piece[] = [];
    let gaps: [number, number][] = [[offset, offset + length]];
    for (const from of this.#pending.touching({ offset, length }, this.#dr.applied)) {
      if (gaps.length === 0) break;
      const first = from.record.offset;
      const last = first + from.record.length;
      const left: [number, number][] = [];
      for (const [start, end] of gaps) {
        if (last <= start || end <= first) {
          left.push([start, end]);
          continue;
        }
        pieces.push({ start: Math.max(start, first), end: Math.min(end, last), from });
        if (start < first) left.push([start, first]);
        if (last < end) left.push([last, end]);
      }
      gaps = left;
    }
    return { pieces, gaps };
  }

  async #fill(into: Buffer, { start, end, from }: Piece): Promise<void> {
    const { record, payload } = from;
    if (!hasPayload(record.kind)) into.fill(0);
    else if (payload !== undefined) payload.copy(into, 0, start - record.offset, end - record.offset);
    else {
      const place = record.place + RECORD_BYTES + start - record.offset;
      (await this.#dr.suspended.read(place, end - start)).copy(into);
    }
  }

  /** Asks for them before all else, and waits. */
  async #arrival(lacking: readonly Suspended[], offset: number): Promise<void> {
    const entries = [...new Set(lacking)];
    const arrivals = entries.map(
      ({ record: { sequence } }) =>
        new Promise<void>((resolve) => {
          const waiters = this.#wanted.get(sequence) ?? [];
          this.#wanted.set(sequence, [...waiters, resolve]);
        }),
    );
    this.#ask(entries);
    this.#ask(this.#around(offset));
    let cancel = () => {};
    const late = new Promise<never>((_, reject) => {
      cancel = this.#dr.parts.ticker.after(this.#options.patienceMs, () =>
        reject(new GodwitError('GW7018', 'The auxiliary holds the data, and does not answer')),
      );
    });
    this.#waiters += 1;
    try {
      await Promise.race([Promise.all(arrivals), late]);
    } finally {
      this.#waiters -= 1;
      this.#waitedUntil = this.#dr.parts.ticker.elapsed();
      cancel();
    }
  }

  #around(offset: number): Suspended[] {
    const range = { offset: Math.floor(offset / AROUND) * AROUND, length: AROUND };
    let bytes = 0;
    return this.#pending.touching(range, this.#dr.applied).filter((entry) => {
      if (isHere(entry) || bytes > AROUND || !this.#dr.fits(entry.record)) return false;
      bytes += entry.record.length;
      return true;
    });
  }

  #receive(from: Role, message: Message): void {
    const { voter, parts, history } = this.#dr;
    if (from === 'primary') {
      // It must hear that it is no more.
      const { promised, activated } = voter;
      parts.link.send(from, { type: 'fenced', epoch: message.epoch, promised, activated });
      return;
    }
    if (message.type !== 'blocks' || message.epoch !== this.#epoch) return;
    this.#silent = 0;
    for (const block of message.blocks) {
      const record = decodeRecord(block);
      const entry = record && history.at(record.sequence);
      if (record === undefined || entry?.record.crc !== record.crc || isHere(entry) || !isWhole(record, block))
        continue;
      this.#dr.store([{ entry, payload: payloadOf(record, block) }]);
      this.#arrived(record.sequence);
    }
    this.#fetch();
  }

  #arrived(sequence: number): void {
    this.#forget(sequence);
    const waiters = this.#wanted.get(sequence);
    this.#wanted.delete(sequence);
    for (const resolve of waiters ?? []) resolve();
  }

  #forget(sequence: number): void {
    this.#askedBytes -= this.#asked.get(sequence) ?? 0;
    this.#asked.delete(sequence);
  }

  /** Asks for what comes next by order, unless somebody waits for something else. */
  #fetch(): void {
    if (this.#waiters > 0) return;
    const batch: Suspended[] = [];
    let bytes = this.#askedBytes;
    this.#next = Math.max(this.#next, this.#dr.history.base.sequence + 1);
    for (const entry of this.#dr.history.from(this.#next)) {
      if (bytes >= this.#options.windowBytes || batch.length === ONLY || !this.#dr.fits(entry.record)) break;
      this.#next += 1;
      if (isHere(entry) || this.#asked.has(entry.record.sequence)) continue;
      batch.push(entry);
      bytes += entry.record.length;
    }
    this.#ask(batch);
  }

  /** Once, until they are given up. */
  #ask(entries: readonly Suspended[]): void {
    let only: Mark[] = [];
    let bytes = 0;
    const send = () => {
      if (only.length > 0) this.#dr.parts.link.send('auxiliary', { type: 'fetch', epoch: this.#epoch, from: 0, only });
      only = [];
      bytes = 0;
    };
    for (const { record } of entries) {
      if (this.#asked.has(record.sequence)) continue;
      this.#asked.set(record.sequence, record.length);
      this.#askedBytes += record.length;
      bytes += blockBytes(record);
      if (bytes > FETCH_BYTES) {
        send();
        bytes = blockBytes(record);
      }
      only.push({ sequence: record.sequence, crc: record.crc });
    }
    send();
  }

  /** What was asked for and has not come is asked for again. */
  #tick(): void {
    this.#dr.parts.ticker.after(this.#options.retryMs, () => {
      if (this.isDone) return;
      this.#silent += 1;
      if (this.#silent >= LATE) {
        this.#silent = 0;
        this.#asked.clear();
        this.#askedBytes = 0;
        this.#next = 0;
        const wanted = [...this.#wanted.keys()].map((sequence) => this.#dr.history.at(sequence));
        this.#ask(wanted.filter((entry) => entry !== undefined));
      }
      this.#progress();
      this.#tick();
    });
  }

  /** Something became durable, or was executed. */
  #progress(): void {
    for (const entry of this.#dr.history.from(this.#durable + 1)) {
      if (!entry.ordered || !entry.stored) break;
      this.#durable = entry.record.sequence;
      this.#unstored -= entry.record.length;
    }
    const answered = this.#flushes.findIndex(({ needs }) => needs > this.#durable);
    const ready = this.#flushes.splice(0, answered < 0 ? this.#flushes.length : answered);
    if (ready.length > 0) this.#waitedUntil = this.#dr.parts.ticker.elapsed();
    for (const { answer } of ready) answer();
    this.#fetch();
    this.#take();
    if (this.#told || !this.isDone) return;
    this.#told = true;
    this.#options.done();
  }

  #take(): void {
    for (;;) {
      const first = this.#waiting[0];
      if (first === undefined) return;
      const { request, answer } = first;
      if (request.kind !== 'flush' && !this.#hasRoom(request)) return;
      this.#waiting.shift();
      if (request.kind !== 'flush') this.#append(request);
      const { sequence } = this.#dr.history.last;
      const isDurable = request.kind === 'flush' || (request.flags & FLAG.fua) !== 0;
      if (isDurable && sequence > this.#durable) this.#flushes.push({ needs: sequence, answer });
      else answer();
    }
  }

  #hasRoom(request: Request): boolean {
    const { history, orders, suspended } = this.#dr;
    const { base, last } = history;
    if (this.#unstored > UNSTORED_BYTES || last.sequence - base.sequence + 1 >= orders.slots) return false;
    return last.place + blockBytes(request) - base.place <= suspended.bytes;
  }

  #append(request: Request): void {
    const { history, parts } = this.#dr;
    const { last } = history;
    // Whoever wrote it may use its memory again.
    const payload = request.payload === undefined ? undefined : Buffer.from(request.payload);
    const { kind, flags, offset, length } = request;
    const record = encodeRecord(
      {
        ...{ kind, flags, offset, length, epoch: this.#epoch, sequence: last.sequence + 1 },
        hash: payload === undefined ? 0n : hashOf(payload),
        time: parts.ticker.now() * 1000,
        ...{ place: last.place, before: last.crc, volume: parts.volume },
      },
      Buffer.alloc(RECORD_BYTES),
    );
    this.#unstored += length;
    this.#pending.add(this.#dr.append(record, payload));
  }
}

/** Its data can be read. */
function isHere({ stored, payload }: Suspended): boolean {
  return stored || payload !== undefined;
}
