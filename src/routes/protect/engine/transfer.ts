/**
 * Marked chunks go over to the primary, and of each only the units that differ there. A chunk
 * that is changed again waits for the next round: what is written all the time goes last, and
 * goes once for many changes. What clears a bit is the hash of the whole chunk, read back.
 */
import type { Dr } from './dr.ts';
import type { Gate } from './gate.ts';
import type { Message, MessageOf } from './messages.ts';
import { hashOf } from './record.ts';
import type { RoundTrip } from './round-trip.ts';
import { stretchesOf, Units, unitsIn } from './units.ts';

/** What names the sender's attempt and the receiver's start in every message. */
interface Stamp {
  readonly epoch: number;
  readonly run: number;
  readonly session: number;
}

export interface TransferParts {
  readonly dr: Dr;
  readonly gate: Gate;
  readonly stamp: () => Stamp;
  /** Told how long answers take. */
  readonly trip: RoundTrip;
  /** Something came or went: there may be more to do. */
  readonly advance: () => void;
  readonly isOver: () => boolean;
}

/** A chunk on its way: asked about, being read, or sent. */
interface Flight {
  readonly token: number;
  /** When the other side was last told or asked something about it. */
  askedAt: number;
  bytes: number;
  /** Of the whole chunk, once it was sent. */
  hash?: string;
}

/** Chunks on their way at once. */
const MOST = 64;
const MOST_BYTES = 4 << 20;

export class Transfer {
  readonly #parts: TransferParts;
  readonly #units: Units;
  readonly #flights = new Map<number, Flight>();
  #flightBytes = 0;
  /** Those that went in this round. */
  readonly #went: Buffer;
  /** What did not read back as it was sent: all of it goes. */
  readonly #whole = new Set<number>();
  #next = 0;
  #token = 0;
  #arrivedBytes = 0;
  /** When anything on its way came further. */
  movedAt = 0;
  /** Payload that was sent. */
  bytes = 0;
  chunks = 0;

  constructor(parts: TransferParts) {
    this.#parts = parts;
    const { dirty } = parts.dr;
    this.#units = new Units(dirty.chunks, dirty.chunkBytes);
    this.#went = Buffer.alloc(Math.ceil(dirty.chunks / 8));
    parts.gate.units = this.#units;
  }

  get isIdle(): boolean {
    return this.#flights.size === 0;
  }

  /** What is left to send, as far as it is known. */
  get left(): number {
    const { dirty } = this.#parts.dr;
    return Math.max(0, dirty.count - this.#units.count) * dirty.chunkBytes + this.#units.changedBytes;
  }

  /** Whether every marked chunk went in this round, but for those that are being changed. */
  get isRoundOver(): boolean {
    return this.isIdle && this.#find(false) === undefined;
  }

  nextRound(): void {
    this.#went.fill(0);
  }

  /** That chunk is the same on both sides as of now: what is changed from here on is known. */
  same(chunk: number): void {
    this.#units.take(chunk);
  }

  /** Nothing is known of what the other side has in that chunk. */
  differs(chunk: number): void {
    this.#units.forget(chunk);
  }

  /** What is on its way may be lost. */
  forget(): void {
    for (const chunk of this.#flights.keys()) this.#units.forget(chunk);
    for (const chunk of this.#flights.keys()) this.#mayGo(chunk);
    this.#flights.clear();
    this.#flightBytes = 0;
    this.#parts.dr.dirty.unsendAll();
  }

  /** Another may be at the other side, or one with another content. */
  forgetAll(): void {
    this.forget();
    this.#units.forgetAll();
    this.nextRound();
  }

  /** Since the last call. */
  takeArrived(): number {
    const bytes = this.#arrivedBytes;
    this.#arrivedBytes = 0;
    return bytes;
  }

  /** @param all those that went in this round already, too: nothing is changed any more */
  pump(all: boolean): void {
    const { dirty } = this.#parts.dr;
    while (this.#flights.size < MOST && this.#flightBytes < MOST_BYTES) {
      const chunk = this.#find(all);
      if (chunk === undefined) return;
      if (this.isIdle) this.movedAt = this.#elapsed;
      this.#next = chunk.number + 1;
      this.#token += 1;
      const flight = { token: this.#token, askedAt: this.#elapsed, bytes: 0 };
      this.#flights.set(chunk.number, flight);
      dirty.sent(chunk.number, flight.token);
      this.#went[chunk.number >> 3] = (this.#went[chunk.number >> 3] ?? 0) | (1 << (chunk.number & 7));
      if (this.#units.isKnown(chunk.number) || this.#whole.has(chunk.number)) this.#read(chunk.number, flight);
      else this.#send({ type: 'ask-units', ...this.#parts.stamp(), token: flight.token, chunk: chunk.number });
    }
  }

  #find(all: boolean) {
    const { dr, gate } = this.#parts;
    const skip = (chunk: number) => gate.isBusy(chunk) || this.#flights.has(chunk);
    return dr.dirty.next(this.#next, skip, all ? undefined : this.#went);
  }

  /** What the other side has of a chunk; only what differs goes. */
  units({ token, chunk, hashes }: MessageOf<'units'>): void {
    const flight = this.#flights.get(chunk);
    if (flight?.token !== token || flight.hash !== undefined || flight.bytes > 0) return;
    this.#answered(flight);
    if (this.#parts.gate.isBusy(chunk)) this.#drop(chunk);
    else {
      // It may have been changed since it was asked about; what is read now counts.
      this.#parts.dr.dirty.sent(chunk, token);
      this.#read(chunk, flight, hashes);
    }
    this.#parts.advance();
  }

  #read(chunk: number, flight: Flight, theirs?: Buffer): void {
    const { dirty, parts } = this.#parts.dr;
    const { offset, length } = dirty.chunk(chunk);
    const taken = this.#units.take(chunk);
    flight.bytes = length;
    this.#flightBytes += length;
    const content = Buffer.alloc(length);
    parts.areas.image.read(offset, content).then(
      () => {
        if (this.#flights.get(chunk) !== flight || this.#parts.isOver()) return;
        // Changed while it was read: what was read is no state of it.
        if (dirty.isSent(chunk, flight.token))
          this.#go(chunk, flight, content, this.#differing(chunk, content, taken, theirs));
        else {
          this.#units.giveBack(chunk, taken);
          this.#drop(chunk);
        }
        this.#parts.advance();
      },
      (error: unknown) => parts.failed(error as Error),
    );
  }

  #differing(chunk: number, content: Buffer, taken: bigint | undefined, theirs: Buffer | undefined): number[] {
    const unitBytes = this.#units.bytes;
    const all = Array.from({ length: Math.ceil(content.length / unitBytes) }, (_, unit) => unit);
    if (this.#whole.has(chunk)) return all;
    if (theirs === undefined) return taken === undefined ? all : unitsIn(taken);
    return all.filter((unit) => {
      const bytes = content.subarray(unit * unitBytes, (unit + 1) * unitBytes);
      return theirs.length < (unit + 1) * 8 || theirs.readBigUInt64LE(unit * 8) !== hashOf(bytes);
    });
  }

  #go(chunk: number, flight: Flight, content: Buffer, units: readonly number[]): void {
    const stretches = stretchesOf(units, this.#units.bytes, content.length);
    const payload = Buffer.concat(stretches.map(({ start, end }) => content.subarray(start, end)));
    this.#flightBytes += payload.length - flight.bytes;
    flight.bytes = payload.length;
    flight.hash = String(hashOf(content));
    flight.askedAt = this.#elapsed;
    this.bytes += payload.length;
    this.chunks += 1;
    this.#send({ type: 'chunk', ...this.#parts.stamp(), token: flight.token, chunk, units, payload });
  }

  /** It is durable there, and reads back with that hash. */
  have({ token, chunk, hash }: MessageOf<'have'>): void {
    const flight = this.#flights.get(chunk);
    if (flight?.token !== token || flight.hash === undefined) return;
    const { dirty } = this.#parts.dr;
    this.#answered(flight);
    this.#arrivedBytes += flight.bytes;
    this.#flights.delete(chunk);
    this.#flightBytes -= flight.bytes;
    if (flight.hash === hash) {
      this.#whole.delete(chunk);
      dirty.arrived(chunk, token);
    } else {
      // What does not read back as it was sent goes once more.
      this.#units.forget(chunk);
      this.#whole.add(chunk);
      this.#mayGo(chunk);
      if (dirty.isSent(chunk, token)) dirty.unsend(chunk);
    }
    this.#parts.advance();
  }

  #answered(flight: Flight): void {
    this.movedAt = this.#elapsed;
    this.#parts.trip.answered(this.movedAt - flight.askedAt);
  }

  /** Not now: it is being changed, and goes in another round. */
  #drop(chunk: number): void {
    const flight = this.#flights.get(chunk);
    if (flight === undefined) return;
    this.#flights.delete(chunk);
    this.#flightBytes -= flight.bytes;
    const { dirty } = this.#parts.dr;
    if (dirty.isSent(chunk, flight.token)) dirty.unsend(chunk);
  }

  #mayGo(chunk: number): void {
    this.#went[chunk >> 3] = (this.#went[chunk >> 3] ?? 0) & ~(1 << (chunk & 7));
  }

  #send(message: Message): void {
    this.#parts.dr.parts.link.send('primary', message);
  }

  get #elapsed(): number {
    return this.#parts.dr.parts.ticker.elapsed();
  }
}
