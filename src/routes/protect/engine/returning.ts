/**
 * The primary while a DR leads: gives up its own history for the DR's volume, which comes chunk
 * by chunk, and leads again when the DR has handed it over.
 */

import { GroupCommit, gather } from './group-commit.ts';
import { growImage } from './growing.ts';
import type { Follows } from './local-store.ts';
import type { Message, MessageOf } from './messages.ts';
import type { Primary } from './primary.ts';
import { changesImage, hashOf } from './record.ts';
import { stretchesOf, unitBytesOf } from './units.ts';

interface Chunk {
  readonly message: MessageOf<'chunk'>;
  readonly offset: number;
}

export class Returning {
  readonly #primary: Primary;
  readonly #commit: GroupCommit<Chunk>;
  /** This start, counted durably; 0 before it was needed. */
  #session = 0;
  #counting = false;
  #follows: Follows | undefined;
  #handing = false;
  /** The DR's attempt that is listened to. */
  #run = 0;
  /** The newest content of each chunk that came in this run: the network may repeat an older one. */
  readonly #newest = new Map<number, number>();

  constructor(primary: Primary) {
    this.#primary = primary;
    this.#follows = primary.state.value.follows;
    this.#commit = new GroupCommit((batch, done) => this.#write(batch, done), primary.parts.failed);
  }

  /** Set while this side has no history of its own, durably. */
  get follows(): Follows | undefined {
    return this.#follows;
  }

  receive(message: Message): void {
    if (message.type === 'invite') this.#invited(message);
    else if (message.type === 'noted') this.#noted(message);
    else if (message.type === 'chunk') this.#chunk(message);
    else if (message.type === 'ask-units') {
      void this.#units(message).catch((error: unknown) => this.#primary.parts.failed(error as Error));
    } else if (message.type === 'handed') this.#handed(message);
    else if (message.type === 'prove') {
      void this.#prove(message).catch((error: unknown) => this.#primary.parts.failed(error as Error));
    }
  }

  /** Until it hears that it may lead, it says that it is there. */
  tick(): void {
    const { follows } = this;
    if (follows !== undefined && follows.epoch > 0) this.#begin(() => this.#answer(follows.epoch));
  }

  #invited(message: MessageOf<'invite'>): void {
    const { leadership, replenishing, store, state } = this.#primary;
    const { epoch, run } = message;
    // A DR that leads and never had this volume's content: nothing of it may come in its place.
    if (replenishing.isAwaited) return;
    if (epoch <= (state.value.returned ?? 0) || run < this.#run) return;
    if (this.#handing) return;
    leadership.depose();
    // What was begun in its own history ends first, so that nothing of it comes after the DR's chunks.
    if (!store.isQuiet || !this.#commit.isIdle) return;
    const { areas, failed } = this.#primary.parts;
    if (message.size > areas.image.bytes) {
      // The DR may have had the room before it was served here; it is asked again.
      growImage(areas.image, this.#primary.dirty, message.size, (error) => error && failed(error));
      return;
    }
    if (run > this.#run) this.#newest.clear();
    this.#run = run;
    this.#begin(() => {
      if (this.follows?.epoch === epoch) this.#answer(epoch);
      else this.#part(message);
    });
  }

  /** Says in which places its image may be another than the DR's. */
  #part({ epoch, run, base, stale }: MessageOf<'invite'>): void {
    const { parts, history, dirty } = this.#primary;
    parts.areas.image.sync((error) => {
      if (error) return parts.failed(error);
      const last = this.follows?.last ?? history.last;
      const meets = this.follows === undefined && !stale && history.holds(base.sequence, base.crc);
      if (meets && !parts.experiment?.keepOwn) {
        for (const { record } of history.from(base.sequence + 1)) {
          if (changesImage(record.kind)) dirty.mark(record.offset, record.length);
        }
      }
      const touched = dirty.copy();
      parts.link.send('dr', {
        ...{ type: 'parted', epoch, run, session: this.#session },
        ...{ touched, all: !meets, last },
      });
    });
  }

  #answer(epoch: number): void {
    const { follows } = this;
    if (follows === undefined || follows.epoch !== epoch) return;
    const { as, last } = follows;
    this.#primary.parts.link.send('dr', {
      ...{ type: 'parted', epoch, run: this.#run, session: this.#session },
      ...{ follows: as, all: false, last },
    });
  }

  #noted({ epoch, run, session }: MessageOf<'noted'>): void {
    const { state, parts, store, history } = this.#primary;
    if (session !== this.#session || run !== this.#run || epoch <= (state.value.returned ?? 0)) return;
    if (this.follows?.epoch === epoch || !store.isQuiet) return;
    const last = this.follows?.last ?? history.last;
    const follows = { epoch, as: session, last };
    state.save({ follows }, (error) => {
      if (error) return parts.failed(error);
      this.#follows = follows;
      this.#answer(epoch);
    });
  }

  /** Counts this start, before anything is taken in it. */
  #begin(then: () => void): void {
    const { state, parts } = this.#primary;
    if (this.#session > 0) then();
    if (this.#session > 0 || this.#counting) return;
    this.#counting = true;
    const session = (state.value.sessions ?? 0) + 1;
    state.save({ sessions: session }, (error) => {
      if (error) return parts.failed(error);
      this.#session = session;
      then();
    });
  }

  #listensTo({ epoch, run, session }: MessageOf<'chunk' | 'ask-units' | 'prove'>): boolean {
    return this.follows?.epoch === epoch && run === this.#run && session === this.#session;
  }

  #chunk(message: MessageOf<'chunk'>): void {
    if (!this.#listensTo(message) || (this.#newest.get(message.chunk) ?? 0) >= message.token) return;
    this.#newest.set(message.chunk, message.token);
    this.#commit.push({ message, offset: this.#primary.dirty.chunk(message.chunk).offset });
  }

  #write(batch: Chunk[], done: (error?: Error) => void): void {
    const { image } = this.#primary.parts.areas;
    const current = batch.filter(({ message }) => this.#newest.get(message.chunk) === message.token);
    const pieces = current.flatMap((each) => this.#pieces(each));
    const written = gather(pieces.length, (error) => {
      if (error) return done(error);
      image.sync((failure) => {
        if (failure) return done(failure);
        // No chunk is written while what the last ones left is read back.
        Promise.all(current.map(({ message, offset }) => this.#confirm(message, offset))).then(
          () => done(),
          (reason: unknown) => done(reason as Error),
        );
      });
    });
    for (const { offset, bytes } of pieces) image.write(offset, bytes, written);
  }

  /** What of a chunk came, and where it goes. */
  #pieces({ message: { chunk, units, payload }, offset }: Chunk): { offset: number; bytes: Buffer }[] {
    const { dirty } = this.#primary;
    let at = 0;
    return stretchesOf(units, unitBytesOf(dirty.chunkBytes), dirty.chunk(chunk).length).map(({ start, end }) => {
      const bytes = payload.subarray(at, at + end - start);
      at += end - start;
      return { offset: offset + start, bytes };
    });
  }

  async #confirm({ epoch, run, session, token, chunk }: MessageOf<'chunk'>, offset: number): Promise<void> {
    const { dirty, parts } = this.#primary;
    const { areas, link } = parts;
    const back = Buffer.alloc(dirty.chunk(chunk).length);
    await areas.image.read(offset, back);
    link.send('dr', { type: 'have', epoch, run, session, token, chunk, hash: String(hashOf(back)) });
  }

  async #units(message: MessageOf<'ask-units'>): Promise<void> {
    if (!this.#listensTo(message)) return;
    const { epoch, run, session, token, chunk } = message;
    const { dirty, parts } = this.#primary;
    const { offset, length } = dirty.chunk(chunk);
    const content = Buffer.alloc(length);
    await parts.areas.image.read(offset, content);
    const unitBytes = unitBytesOf(dirty.chunkBytes);
    const hashes = Buffer.alloc(Math.ceil(length / unitBytes) * 8);
    for (let at = 0, unit = 0; at < length; at += unitBytes, unit += 1) {
      hashes.writeBigUInt64LE(hashOf(content.subarray(at, at + unitBytes)), unit * 8);
    }
    parts.link.send('dr', { type: 'units', epoch, run, session, token, chunk, hashes });
  }

  async #prove(message: MessageOf<'prove'>): Promise<void> {
    if (!this.#listensTo(message)) return;
    const { epoch, run, session, token, from, count } = message;
    const { dirty, parts } = this.#primary;
    const hashes: string[] = [];
    for (let number = from; number < from + count; number += 1) {
      const { offset, length } = dirty.chunk(number);
      const content = Buffer.alloc(length);
      await parts.areas.image.read(offset, content);
      hashes.push(String(hashOf(content)));
    }
    parts.link.send('dr', { type: 'proof', epoch, run, session, token, hashes });
  }

  #handed({ epoch, as, origin }: MessageOf<'handed'>): void {
    const { state, parts, dirty } = this.#primary;
    if (this.#handing || this.follows?.epoch !== epoch || this.follows.as !== as) return;
    if (!this.#primary.store.isQuiet || !this.#commit.isIdle) return;
    this.#handing = true;
    // What comes late from now on belongs to nothing.
    this.#run = Number.POSITIVE_INFINITY;
    dirty.clear();
    dirty.save((error) => {
      if (error) return parts.failed(error);
      const change = {
        follows: undefined,
        returned: epoch,
        epoch,
        tail: origin,
        mode: 'full',
        size: parts.areas.image.bytes,
      } as const;
      state.save(change, (failure) => {
        if (failure) return parts.failed(failure);
        this.#follows = undefined;
        this.#handing = false;
        this.#run = 0;
        this.#primary.restart(origin, epoch);
      });
    });
  }
}
