/**
 * The primary proves that the DR's image is the volume, while writers go on: both say the hash
 * of a chunk as of one operation of the order. What differs is compared once more, at a later
 * one, before it is named; and sent again where that is wanted.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import { overlap } from './applier.ts';
import type { Chunk } from './dirty.ts';
import type { Op } from './local-store.ts';
import type { Mark, MessageOf } from './messages.ts';
import type { Primary } from './primary.ts';
import { changesImage, hashOf, hasPayload } from './record.ts';
import { payloadOf } from './ring.ts';

export interface VerificationOptions {
  /** What differs is sent again, and compared after that. */
  readonly mend: boolean;
  /** Without a word of the DR for so long it ends. */
  readonly patienceMs: number;
  /** Asked for and not answered for so long: it is asked once more. */
  readonly retryMs: number;
}

export interface Verified {
  /** Compared as of operations from the first to the second. */
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
  /** Different when last compared. */
  readonly differing: readonly Chunk[];
  /** Were different, were sent again, and are the same now. */
  readonly mended: readonly Chunk[];
  /** Comparisons that had to be made again. */
  readonly repeated: number;
}

interface Asked {
  readonly at: Mark;
  readonly hashes: Map<number, string>;
  sentAt: number;
}

/** Chunks in a message, and such as wait for an answer. */
const BATCH = 16;
const MOST = 128;
/** A chunk that differs so often although it was sent again is not mended. */
const TRIES = 3;

export class Verification {
  readonly #primary: Primary;
  readonly #options: VerificationOptions;
  readonly #done: (outcome: Verified | GodwitError) => void;
  readonly #asked = new Map<number, Asked>();
  #token = Math.floor(Math.random() * 2 ** 40);
  #next = 0;
  #again: number[] = [];
  #reading = 0;
  #isOver = false;
  #heardAt: number;
  readonly #equal = new Set<number>();
  /** How often it was found to be another. */
  readonly #differed = new Map<number, number>();
  readonly #differing = new Set<number>();
  /** What the volume had when it began: what it grows by meanwhile is new on both sides. */
  readonly #size: number;
  readonly #chunks: number;
  readonly #mending = new Set<number>();
  readonly #mended = new Set<number>();
  #repeated = 0;
  #from: number | undefined;
  #to = 0;

  constructor(primary: Primary, options: VerificationOptions, done: (outcome: Verified | GodwitError) => void) {
    this.#primary = primary;
    this.#options = options;
    this.#done = done;
    this.#heardAt = this.#elapsed;
    this.#chunks = primary.dirty.chunks;
    const last = primary.dirty.chunk(this.#chunks - 1);
    this.#size = last.offset + last.length;
  }

  get size(): number {
    return this.#size;
  }

  #chunk(number: number): Chunk {
    const { offset, length } = this.#primary.dirty.chunk(number);
    return { number, offset, length: Math.min(length, this.#size - offset) };
  }

  get #elapsed(): number {
    return this.#primary.parts.ticker.elapsed();
  }

  get comparedBytes(): number {
    return this.#bytes(this.#equal) + this.#bytes(this.#differing);
  }

  get differingCount(): number {
    return this.#differing.size + this.#mending.size;
  }

  get mendedCount(): number {
    return this.#mended.size;
  }

  #bytes(chunks: ReadonlySet<number>): number {
    if (chunks.size === 0) return 0;
    const whole = this.#chunk(0).length;
    const last = this.#chunk(this.#chunks - 1);
    return chunks.size * whole - (chunks.has(last.number) ? whole - last.length : 0);
  }

  start(): void {
    const { leadership, modes, dirty } = this.#primary;
    if (!leadership.leads) this.#end(new GodwitError('GW1004', 'This primary does not lead'));
    else if (modes.effective === 'no-dr' || !dirty.isEmpty) this.#end(behind());
    else this.#tick();
  }

  #end(outcome: Verified | GodwitError): void {
    this.#isOver = true;
    this.#primary.verification = undefined;
    this.#done(outcome);
  }

  #tick(): void {
    if (this.#isOver) return;
    const { parts, dirty } = this.#primary;
    const why = this.#givesUp();
    if (why !== undefined) {
      this.#end(why);
      return;
    }
    for (const chunk of this.#mending) {
      if (dirty.has(chunk)) continue;
      this.#mending.delete(chunk);
      this.#mended.add(chunk);
      this.#again.push(chunk);
    }
    for (const [token, asked] of this.#asked) {
      if (this.#elapsed - asked.sentAt > this.#options.retryMs) this.#send(token, asked);
    }
    // It waits for what the DR has not executed yet, or for what is sent again.
    if (this.#primary.lanes.silentFor('dr') < this.#options.retryMs) this.#heardAt = this.#elapsed;
    this.#pump();
    parts.ticker.after(this.#options.retryMs / 4, () => this.#tick());
  }

  #givesUp(): GodwitError | undefined {
    const { leadership, modes, replenishing } = this.#primary;
    if (!leadership.leads) return new GodwitError('GW7014', 'This primary does not lead any more');
    if (modes.effective === 'no-dr' || replenishing.isRunning) return behind();
    return this.#elapsed - this.#heardAt > this.#options.patienceMs ? silent() : undefined;
  }

  #pump(): void {
    while (!this.#isOver && this.#waiting() + this.#reading + BATCH <= MOST) {
      const chunks = this.#again.splice(0, BATCH);
      while (chunks.length < BATCH && this.#next < this.#chunks) {
        chunks.push(this.#next);
        this.#next += 1;
      }
      if (chunks.length === 0) break;
      this.#reading += chunks.length;
      this.#ask(chunks).then(
        () => {
          this.#reading -= chunks.length;
          this.#pump();
        },
        (error: unknown) => this.#primary.parts.failed(error as Error),
      );
    }
    const isIdle = this.#reading === 0 && this.#asked.size === 0 && this.#mending.size === 0;
    if (!this.#isOver && isIdle && this.#again.length === 0 && this.#next === this.#chunks) this.#finish();
  }

  #waiting(): number {
    let waiting = 0;
    for (const { hashes } of this.#asked.values()) waiting += hashes.size;
    return waiting;
  }

  #finish(): void {
    const all = (chunks: ReadonlySet<number>) => [...chunks].sort((a, b) => a - b).map((each) => this.#chunk(each));
    const mended = new Set([...this.#mended].filter((chunk) => this.#equal.has(chunk)));
    this.#end({
      from: this.#from ?? this.#to,
      to: this.#to,
      bytes: this.#size,
      differing: all(this.#differing),
      mended: all(mended),
      repeated: this.#repeated,
    });
  }

  /** The hashes here, as of the last operation there is when all was read. */
  async #ask(chunks: readonly number[]): Promise<void> {
    const { history, store } = this.#primary;
    const parts = chunks.map((chunk) => {
      const { offset, length } = this.#chunk(chunk);
      return { chunk, offset, content: Buffer.alloc(length), asOf: -1 };
    });
    for (;;) {
      const unread = parts.find(({ asOf }) => asOf < 0);
      if (unread === undefined) break;
      const seen = history.last.sequence;
      await store.read(unread.offset, unread.content);
      if (this.#isOver) return;
      unread.asOf = seen;
      // What came meanwhile may be in what was read, or not, or in part: laid over it in its order, it is.
      for (const part of parts) if (part.asOf >= 0) part.asOf = this.#broughtUp(part);
    }
    const { sequence, crc } = history.last;
    const hashes = new Map(parts.map(({ chunk, content }) => [chunk, String(hashOf(content))]));
    this.#token += 1;
    const asked = { at: { sequence, crc }, hashes, sentAt: 0 };
    this.#asked.set(this.#token, asked);
    this.#from ??= sequence;
    this.#to = Math.max(this.#to, sequence);
    this.#send(this.#token, asked);
  }

  /** Makes it what it is after the last operation there is; -1 where something that belongs there is in the image alone by now. */
  #broughtUp({ offset, content, asOf }: { offset: number; content: Buffer; asOf: number }): number {
    const { history } = this.#primary;
    const range = { offset, length: content.length };
    if (history.base.sequence > asOf) return -1;
    for (const op of history.from(asOf + 1)) {
      if (!changesImage(op.record.kind) || !overlap(op.record, range)) continue;
      if (op.block === undefined) return -1;
      lay(op, offset, content);
    }
    return history.last.sequence;
  }

  #send(token: number, asked: Asked): void {
    const { leadership, parts } = this.#primary;
    asked.sentAt = this.#elapsed;
    const chunks = [...asked.hashes.keys()];
    const { at } = asked;
    parts.link.send('dr', { type: 'compare', epoch: leadership.epoch, token, at, size: this.#size, chunks });
  }

  receive({ token, chunks, hashes }: MessageOf<'compared'>): void {
    const asked = this.#asked.get(token);
    if (asked === undefined || this.#isOver) return;
    this.#heardAt = this.#elapsed;
    for (const [i, chunk] of chunks.entries()) {
      const own = asked.hashes.get(chunk);
      if (own === undefined) continue;
      asked.hashes.delete(chunk);
      const other = hashes[i] ?? null;
      if (other === null) {
        // It went on before it could be read there.
        this.#repeated += 1;
        this.#again.push(chunk);
      } else if (other === own) {
        this.#equal.add(chunk);
        this.#differing.delete(chunk);
      } else this.#differs(chunk);
    }
    if (asked.hashes.size === 0) this.#asked.delete(token);
    this.#pump();
  }

  #differs(chunk: number): void {
    const times = (this.#differed.get(chunk) ?? 0) + 1;
    this.#differed.set(chunk, times);
    if (times === 1) {
      this.#repeated += 1;
      this.#again.push(chunk);
      return;
    }
    if (!this.#options.mend || times > TRIES) {
      this.#mended.delete(chunk);
      this.#differing.add(chunk);
      return;
    }
    const { dirty, parts } = this.#primary;
    const { offset, length } = this.#chunk(chunk);
    dirty.mark(offset, length);
    this.#mending.add(chunk);
    dirty.save((error) => error && parts.failed(error));
  }
}

function lay({ record, block }: Op, offset: number, onto: Buffer): void {
  const start = Math.max(record.offset, offset);
  const end = Math.min(record.offset + record.length, offset + onto.length);
  const to = onto.subarray(start - offset, end - offset);
  if (block !== undefined && hasPayload(record.kind))
    payloadOf(record, block).copy(to, 0, start - record.offset, end - record.offset);
  else to.fill(0);
}

function behind(): GodwitError {
  return new GodwitError('GW7019', 'The DR has missed operations, and is not level yet');
}

function silent(): GodwitError {
  return new GodwitError('GW7019', 'The DR does not answer');
}
