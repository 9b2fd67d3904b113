/**
 * What operations replaced in the DR's image, durable before they are executed: with it the image
 * can be read as it was after any of them. A ring of frames; the oldest give way to the newest.
 */
import type { Area, Done } from '../../../kernel/protect/ports.ts';
import type { Range } from './applier.ts';
import { changesImage, type OpRecord } from './record.ts';
import { Ring } from './ring.ts';
import { Superblock, synced } from './superblock.ts';
import {
  decodeHead,
  decodePieces,
  encodeFrame,
  FRAME_HEAD,
  type FrameHead,
  type Piece,
  pieceBytes,
} from './undo-frame.ts';

/** Where a frame begins, and the crc of the one before it. */
export interface FrameAt {
  readonly number: number;
  readonly place: number;
  readonly before: number;
}

interface UndoState {
  readonly tail: FrameAt;
  /** All frames before it are whole; after a start it is read on from here. */
  readonly head: FrameAt;
  /** The image can be had as it was after this operation, and each later one. -1: as of nothing. */
  readonly from: number;
  /** When that one was written, microseconds; 0: not known. */
  readonly fromTime: number;
  /** Everything up to this operation is in the frames before `head`. */
  readonly last: number;
  readonly lastTime: number;
}

const FIRST: FrameAt = { number: 1, place: 0, before: 0 };
const NOTHING: UndoState = { tail: FIRST, head: FIRST, from: -1, fromTime: 0, last: -1, lastTime: 0 };
/** What is read at once of the image, and what is in one frame. */
const MOST_PIECE = 1 << 20;
const MOST_FRAME = 4 << 20;
/** So much is freed at once, as a share of the log. */
const FREED = 1 / 16;
/** The head is kept so often, as a share of the log. */
const KEPT = 1 / 16;

export class UndoLog {
  readonly #ring: Ring;
  readonly #image: Area;
  readonly #state: Superblock<UndoState>;
  #tail: FrameAt;
  #head: FrameAt;
  #from: number;
  #fromTime: number;
  #last: number;
  #lastTime: number;
  #keptPlace: number;
  /** How often it began anew: what came before and what comes after do not belong together. */
  beginnings = 0;
  /** Up to there operations may have been executed before this start, in part and without this log. */
  horizon = 0;
  /** Written, and not synced. */
  #isUnsynced = false;
  /** The tail moved, and that is not durable. */
  #isUnsaved = false;

  private constructor(ring: Ring, image: Area, state: Superblock<UndoState>) {
    this.#ring = ring;
    this.#image = image;
    this.#state = state;
    const { tail, head, from, fromTime, last, lastTime } = state.value;
    this.#tail = tail;
    this.#head = head;
    this.#from = from;
    this.#fromTime = fromTime;
    this.#last = last;
    this.#lastTime = lastTime;
    this.#keptPlace = head.place;
  }

  static async open(areas: { readonly log: Area; readonly state: Area; readonly image: Area }): Promise<UndoLog> {
    await synced(areas.log);
    const state = await Superblock.open<UndoState>(areas.state, NOTHING);
    const log = new UndoLog(new Ring(areas.log), areas.image, state);
    // What lies there is of another log.
    if (state.isNew) return log;
    for await (const { head, pieces } of log.frames(log.#head)) {
      log.#head = after(head);
      log.#passed(pieces);
    }
    return log;
  }

  /** As of which operations the image can be had, and when those were written; nothing where it cannot. */
  get reach(): { readonly from: Moment; readonly to: Moment } | undefined {
    if (this.#from < 0) return undefined;
    return {
      from: { sequence: this.#from, time: this.#fromTime },
      to: { sequence: this.#last, time: this.#lastTime },
    };
  }

  /** Share of the log in use. */
  get fill(): number {
    return (this.#head.place - this.#tail.place) / this.#ring.bytes;
  }

  get head(): FrameAt {
    return this.#head;
  }

  get tail(): FrameAt {
    return this.#tail;
  }

  /** Keeps, durably, what these operations are about to replace; they follow each other, and what came before is executed. */
  keep(records: readonly OpRecord[], done: Done): void {
    // After a crash some are executed again: what they replace is here, and no more in the image.
    const fresh = records.filter(({ sequence }) => sequence > this.#last);
    const first = fresh[0];
    if (first === undefined) {
      if (this.#isUnsynced) this.#sync(done);
      else done();
      return;
    }
    if (first.sequence === this.#last + 1) {
      this.#keep(fresh, done);
      return;
    }
    if (first.sequence <= this.horizon) {
      // The image may be ahead of it: what it would replace now is perhaps what it left there itself.
      done();
      return;
    }
    // Something happened that is not here: nothing of before can be reached any more.
    this.beginnings += 1;
    this.#tail = this.#head;
    this.#from = first.sequence - 1;
    this.#fromTime = 0;
    this.#last = this.#from;
    this.#lastTime = 0;
    this.#save((error) => (error ? done(error) : this.#keep(fresh, done)));
  }

  #keep(records: readonly OpRecord[], done: Done): void {
    const parts = records.flatMap((record) => partsOf(record));
    const next = (from: number): void => {
      if (from === parts.length) {
        if (this.#head.place - this.#keptPlace > this.#ring.bytes * KEPT) this.#save(done);
        else this.#sync(done);
        return;
      }
      let bytes = 0;
      let to = from;
      while (to < parts.length && (to === from || bytes + (parts[to] as Part).length <= MOST_FRAME)) {
        bytes += (parts[to] as Part).length;
        to += 1;
      }
      const write = (pieces: readonly Piece[]) => this.#write(pieces, (error) => (error ? done(error) : next(to)));
      const group = parts.slice(from, to);
      // Records alone: there is nothing to wait for.
      if (bytes === 0) write(group.map((part) => ({ ...part, bytes: undefined })));
      else this.#read(group).then(write, (error: unknown) => done(error as Error));
    };
    next(0);
  }

  async #read(parts: readonly Part[]): Promise<Piece[]> {
    const contents = await Promise.all(
      parts.map(async ({ offset, length }) => {
        const bytes = Buffer.alloc(length);
        if (length > 0) await this.#image.read(offset, bytes);
        return bytes;
      }),
    );
    return parts.map((part, i) => {
      const bytes = contents[i] as Buffer;
      return { ...part, bytes: isZero(bytes) ? undefined : bytes };
    });
  }

  #write(pieces: readonly Piece[], done: Done): void {
    const needed = FRAME_HEAD + pieces.reduce((sum, piece) => sum + pieceBytes(piece), 0);
    if (needed > this.#ring.bytes / 2) {
      this.#forgo(pieces, done);
      return;
    }
    const write: Done = (error) => {
      if (error) return done(error);
      const { frame, head } = encodeFrame(pieces, this.#head);
      this.#isUnsynced = true;
      this.#ring.write(this.#head.place, frame, (failure) => {
        if (failure) return done(failure);
        this.#head = after(head);
        this.#passed(pieces);
        done();
      });
    };
    // A tail is durable before what it has left behind is written over.
    if (this.#free >= needed && !this.#isUnsaved) write();
    else
      this.#makeRoom(needed).then(
        () => this.#save(write),
        (error: unknown) => done(error as Error),
      );
  }

  get #free(): number {
    return this.#ring.bytes - (this.#head.place - this.#tail.place);
  }

  /** So small a log has no room for them: they cannot be undone, and nothing before them. */
  #forgo(pieces: readonly Piece[], done: Done): void {
    this.beginnings += 1;
    this.#passed(pieces);
    this.#tail = this.#head;
    this.#from = pieces.at(-1)?.record.sequence ?? this.#from;
    this.#fromTime = pieces.at(-1)?.record.time ?? 0;
    this.#save(done);
  }

  /** Lets go of the oldest frames, if it has to. */
  async #makeRoom(needed: number): Promise<void> {
    if (this.#free >= needed) return;
    while (this.#free < needed + this.#ring.bytes * FREED && this.#tail.number < this.#head.number) {
      const head = await this.#headAt(this.#tail);
      if (head === undefined) {
        // It rotted. What is left of it is of no use.
        this.beginnings += 1;
        this.#tail = this.#head;
        this.#from = this.#last;
        this.#fromTime = this.#lastTime;
        break;
      }
      this.#tail = after(head);
      this.#from = Math.max(this.#from, head.lastSequence);
      this.#fromTime = head.latest;
    }
  }

  #passed(pieces: readonly Piece[]): void {
    for (const { record, isLast } of pieces) {
      if (!isLast) continue;
      this.#last = record.sequence;
      this.#lastTime = record.time;
    }
  }

  #sync(done: Done): void {
    this.#ring.sync((error) => {
      if (!error) this.#isUnsynced = false;
      done(error);
    });
  }

  /** What it says is before the head is durable before it says so. */
  #save(done: Done): void {
    const [head, last, lastTime] = [this.#head, this.#last, this.#lastTime];
    this.#isUnsaved = true;
    this.#sync((error) => {
      if (error) return done(error);
      const change = { tail: this.#tail, head, from: this.#from, fromTime: this.#fromTime, last, lastTime };
      this.#state.save(change, (failure) => {
        if (failure) return done(failure);
        this.#isUnsaved = false;
        this.#keptPlace = head.place;
        done();
      });
    });
  }

  async #headAt(at: FrameAt): Promise<FrameHead | undefined> {
    const head = decodeHead(await this.#ring.read(at.place, FRAME_HEAD));
    const isIt = head?.number === at.number && head.place === at.place && head.before === at.before;
    return isIt && head.bytes <= this.#ring.bytes ? head : undefined;
  }

  /** Every whole frame from there on; of those that `wanted` does not want only the head is read. */
  async *frames(
    from: FrameAt,
    wanted: (head: FrameHead) => boolean = () => true,
  ): AsyncGenerator<{ readonly head: FrameHead; readonly pieces: readonly Piece[] }> {
    let at = from;
    for (;;) {
      const head = await this.#headAt(at);
      if (head === undefined) return;
      let pieces: readonly Piece[] | undefined = [];
      if (wanted(head)) {
        const body = await this.#ring.read(head.place + FRAME_HEAD, head.bytes - FRAME_HEAD);
        pieces = decodePieces(head, body);
      }
      if (pieces === undefined) return;
      yield { head, pieces };
      at = after(head);
    }
  }
}

export interface Moment {
  readonly sequence: number;
  /** Microseconds; 0: not known. */
  readonly time: number;
}

interface Part extends Range {
  readonly record: OpRecord;
  readonly isLast: boolean;
}

/** What one operation changes, in stretches that are not too long. */
function partsOf(record: OpRecord): Part[] {
  if (!changesImage(record.kind)) return [{ record, offset: 0, length: 0, isLast: true }];
  const parts: Part[] = [];
  for (let at = 0; at < record.length; at += MOST_PIECE) {
    const length = Math.min(MOST_PIECE, record.length - at);
    parts.push({ record, offset: record.offset + at, length, isLast: at + length === record.length });
  }
  return parts;
}

const BLANK = Buffer.alloc(MOST_PIECE);

function isZero(bytes: Buffer): boolean {
  return bytes.equals(BLANK.subarray(0, bytes.length));
}

function after({ number, place, bytes, crc }: FrameHead): FrameAt {
  return { number: number + 1, place: place + bytes, before: crc };
}
