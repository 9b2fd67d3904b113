/** What the primary keeps itself: its ring, and the image in which operations are executed in order. */
import type { Area, Done } from '../../../kernel/protect/ports.ts';
import { Applier, overlap } from './applier.ts';
import { Blocks } from './blocks.ts';
import { GroupCommit, gather } from './group-commit.ts';
import type { Entry } from './history.ts';
import type { Primary } from './primary.ts';
import { changesImage, hasPayload, type OpRecord, RECORD_BYTES } from './record.ts';
import { type Point, payloadOf, pointAfter, type Ring } from './ring.ts';
import { MODES, type Mode } from './rules.ts';
import { type Superblock, synced } from './superblock.ts';

/** Records that the ring keeps room for: epochs and modes must go in when it is full. */
export const RESERVED = 64;

export interface PrimaryState {
  /** The last epoch it led in. */
  readonly epoch: number;
  /** The ring is read from here on after a restart. */
  readonly tail: Point;
  /** As of the tail. */
  readonly mode: Mode;
  /** The DR leads, and this side has given up its own history for the DR's volume, chunk by chunk. */
  readonly follows?: Follows;
  /** The last epoch in which the DR led and gave the volume back. */
  readonly returned?: number;
  /** Starts in which it took something from a DR that led. */
  readonly sessions?: number;
  /** Bytes that are served, once it has grown. */
  readonly size?: number;
  /** A DR with new disks, and the last operation when everything was marked for it; nothing once it is counted in. */
  readonly filling?: { readonly nonce: number; readonly until: number; readonly done: boolean };
}

export interface Follows {
  /** Of the DR; 0: of none yet. */
  readonly epoch: number;
  /** Its session when everything that is missing here was marked. */
  readonly as: number;
  /** The end of its own history, which is no more. */
  readonly last: Point;
}

/** An operation that is in the ring. */
export interface Op extends Entry {
  /** While it is in memory: until it is in the ring and in the image at least. */
  block: Buffer | undefined;
  /** In the primary's own ring. */
  durable: boolean;
  /** Its data is durable at the DR. */
  stored: boolean;
  /** The primary's state value: when its data was last sent to the DR ("copied"); before, it is queued. */
  sentAt: number | undefined;
}

export class LocalStore {
  readonly #primary: Primary;
  readonly #ring: Ring;
  readonly #image: Area;
  readonly #state: Superblock<PrimaryState>;
  readonly #commit: GroupCommit<Op>;
  readonly #applier: Applier<Op>;
  readonly blocks: Blocks;
  #durable: number;
  #applied: number;
  #imageSynced: number;
  #releasing = false;

  constructor(primary: Primary, ring: Ring, state: Superblock<PrimaryState>) {
    this.#primary = primary;
    this.#ring = ring;
    this.#image = primary.parts.areas.image;
    this.#state = state;
    this.#durable = state.value.tail.sequence;
    this.#applied = this.#durable;
    this.#imageSynced = this.#durable;
    this.blocks = new Blocks({
      ...{ ring, history: primary.history, failed: primary.parts.failed },
      mostBytes: primary.parts.settings.memoryBytes,
      isDone: ({ record, durable }) => durable && record.sequence <= this.#applied,
    });
    this.#commit = new GroupCommit((batch, done) => this.#write(batch, done), primary.parts.failed);
    this.#applier = new Applier<Op>({
      image: this.#image,
      ready: (most) => this.#ready(most),
      payload: ({ record, block }) => payloadOf(record, block as Buffer),
      applied: (ops) => {
        const wasFull = this.blocks.isFull;
        this.#applied = (ops.at(-1) as Op).record.sequence;
        if (wasFull && !this.blocks.isFull) primary.roomier();
        if (this.#isCrowded()) this.makeRoom();
      },
      failed: primary.parts.failed,
    });
  }

  get durable(): number {
    return this.#durable;
  }

  /** Everything that was begun is in the image and in the state. */
  get isQuiet(): boolean {
    return !this.#releasing && this.#commit.isIdle && this.#applied === this.#primary.history.last.sequence;
  }

  /** The image is the volume as of there; nothing of before is left to do. */
  restart(at: Point): void {
    this.#durable = at.sequence;
    this.#applied = at.sequence;
    this.#imageSynced = at.sequence;
    this.blocks.clear();
  }

  /** Executed in the image. */
  get applied(): number {
    return this.#applied;
  }

  /** Executes what the ring holds, once more; `recovered` when that was all. */
  redo(record: OpRecord, block: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const done: Done = (error) => (error ? reject(error) : resolve());
      if (!changesImage(record.kind)) done();
      else if (hasPayload(record.kind)) this.#image.write(record.offset, payloadOf(record, block), done);
      else this.#image.clear(record.offset, record.length, done);
    });
  }

  async recovered(): Promise<void> {
    await synced(this.#image);
    this.#durable = this.#primary.history.last.sequence;
    this.#applied = this.#durable;
    this.#imageSynced = this.#durable;
  }

  commit(op: Op): void {
    this.blocks.add(op);
    this.#commit.push(op);
  }

  #write(batch: Op[], done: Done): void {
    const start = batch[0] as Op;
    const written: Done = (error) => {
      if (error) return done(error);
      this.#ring.sync((failure) => {
        if (failure) return done(failure);
        for (const op of batch) op.durable = true;
        this.#durable = (batch.at(-1) as Op).record.sequence;
        this.#applier.run();
        this.#primary.advance();
        done();
      });
    };
    // Blocks of one batch lie side by side.
    const blocks = batch.map(({ block }) => block as Buffer);
    const bytes = blocks.length === 1 ? (blocks[0] as Buffer) : Buffer.concat(blocks);
    this.#ring.write(start.record.place, bytes, gather(1, written));
  }

  #ready(most: number): Op[] {
    const ready: Op[] = [];
    for (const op of this.#primary.history.from(this.#applied + 1)) {
      if (ready.length === most || !op.durable) break;
      ready.push(op);
    }
    return ready;
  }

  /** The image, and over it what has not been executed there yet. */
  async read(offset: number, into: Buffer): Promise<void> {
    const range = { offset, length: into.length };
    // The blocks themselves: what is executed meanwhile may be let go of.
    const over: { readonly record: OpRecord; readonly block: Buffer | undefined }[] = [];
    for (const { record, block } of this.#primary.history.from(this.#applied + 1)) {
      if (changesImage(record.kind) && overlap(record, range)) over.push({ record, block });
    }
    await this.#image.read(offset, into);
    for (const { record, block } of over) {
      const start = Math.max(record.offset, offset);
      const end = Math.min(record.offset + record.length, offset + into.length);
      const to = into.subarray(start - offset, end - offset);
      if (block !== undefined && hasPayload(record.kind))
        payloadOf(record, block).copy(to, 0, start - record.offset, end - record.offset);
      else to.fill(0);
    }
  }

  /** Blocks could be freed; that is done when they are needed. */
  roomWanted(): void {
    if (this.#isCrowded()) this.makeRoom();
  }

  tick(): void {
    const { base } = this.#primary.history;
    if (this.#releasable() > base.sequence || this.#applied > this.#imageSynced || this.#fill() > 0.5) this.makeRoom();
  }

  #isCrowded(): boolean {
    return this.#fill() > 0.25;
  }

  /** How full it is for those who write, from 0 to 1. */
  #fill(): number {
    const { base, last } = this.#primary.history;
    const operations = this.#primary.parts.settings.mostOperations - RESERVED;
    const bytes = this.#ring.bytes - RESERVED * RECORD_BYTES;
    return Math.max((last.place - base.place) / bytes, (last.sequence - base.sequence) / operations);
  }

  /** How far the ring could be freed now. */
  #releasable(): number {
    return Math.min(this.#imageSynced, this.#primary.lanes.releasable());
  }

  /**
   * Frees blocks, in order: those that lie durably in this image and in the DR's. The tail
   * is durable before anything is written over what it has left behind.
   */
  makeRoom(): void {
    if (this.#releasing || this.#primary.returning.follows !== undefined) return;
    this.#releasing = true;
    const applied = this.#applied;
    this.#image.sync((error) => {
      if (error) return this.#primary.parts.failed(error);
      this.#imageSynced = applied;
      const { history, lanes, dirty } = this.#primary;
      const withDr = this.#releasable();
      // Going on without the DR: what it misses is remembered, durably, before it is let go of.
      const to = Math.max(withDr, this.#fill() > 0.5 ? Math.min(applied, lanes.releasableWithoutDr()) : 0);
      const last = history.at(to);
      if (last === undefined) {
        this.#releasing = false;
        return;
      }
      for (const { record } of history.from(Math.max(withDr, history.base.sequence) + 1)) {
        if (record.sequence > to) break;
        if (changesImage(record.kind)) dirty.mark(record.offset, record.length);
      }
      let { mode } = this.#state.value;
      for (const { record } of history.from(history.base.sequence + 1)) {
        if (record.sequence > last.record.sequence) break;
        if (record.kind === 'mode') mode = MODES[record.offset] as Mode;
      }
      dirty.save((unsaved) => {
        if (unsaved) return this.#primary.parts.failed(unsaved);
        this.#state.save({ tail: pointAfter(last.record), mode }, (failure) => {
          if (failure) return this.#primary.parts.failed(failure);
          this.#releasing = false;
          for (const op of history.release(last.record.sequence)) this.blocks.drop(op);
          this.#primary.roomier();
        });
      });
    });
  }
}
