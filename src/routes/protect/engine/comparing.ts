/**
 * The DR's side of a comparison: says the hashes of chunks of its image exactly as of the operation that it
 * was asked for. Until a chunk was read, what would change it after that operation is not executed.
 */
import type { Dr, Suspended } from './dr.ts';
import type { MessageOf } from './messages.ts';
import { changesImage, hashOf, type OpRecord } from './record.ts';

interface Wait {
  readonly epoch: number;
  readonly token: number;
  readonly chunk: number;
  /** As of this operation. */
  readonly at: number;
  /** The last one up to there that changes the chunk and is not executed yet. */
  readonly needs: number;
  readonly length: number;
}

type Results = Map<number, string | null>;

/** Messages whose order has not come yet. */
const MOST_EARLY = 64;
/** Without a question for so long nothing is kept for the next one. */
const IDLE_MS = 60_000;

export class Comparing {
  readonly #dr: Dr;
  readonly #waits = new Map<number, Wait>();
  #early: MessageOf<'compare'>[] = [];
  /** What each chunk was last changed by, or is being, since `#since`. */
  readonly #touched = new Map<number, number>();
  #since: number | undefined;
  #askedAt = 0;
  #begun = 0;
  #reading = false;

  constructor(dr: Dr) {
    this.#dr = dr;
  }

  /** Whether an operation may be executed now. */
  allows(record: OpRecord): boolean {
    if (this.#waits.size === 0 || !changesImage(record.kind)) return true;
    for (const chunk of this.#dr.dirty.touched(record.offset, record.length)) {
      if ((this.#waits.get(chunk)?.at ?? Number.POSITIVE_INFINITY) < record.sequence) return false;
    }
    return true;
  }

  /** From now on these are being executed. */
  began(entries: readonly Suspended[]): void {
    this.#begun = entries.at(-1)?.record.sequence ?? this.#begun;
    if (this.#since === undefined) return;
    for (const { record } of entries) {
      if (!changesImage(record.kind)) continue;
      for (const chunk of this.#dr.dirty.touched(record.offset, record.length)) {
        this.#touched.set(chunk, record.sequence);
      }
    }
  }

  /** The history is another now; who asked will ask again. */
  clear(): void {
    this.#waits.clear();
    this.#touched.clear();
    this.#early = [];
    this.#since = undefined;
    this.#begun = 0;
  }

  receive(message: MessageOf<'compare'>): void {
    this.#askedAt = this.#dr.parts.ticker.elapsed();
    this.#since ??= Math.max(this.#begun, this.#dr.applied);
    if (message.at.sequence > this.#dr.history.last.sequence) {
      if (this.#early.length < MOST_EARLY) this.#early.push(message);
      return;
    }
    this.#take(message);
    this.progress();
  }

  #take({ epoch, token, at, size, chunks }: MessageOf<'compare'>): void {
    const { history, applied, dirty } = this.#dr;
    const { sequence } = at;
    const isKnown = sequence <= history.base.sequence || history.holds(sequence, at.crc);
    if (!isKnown) return;
    if (sequence < (this.#since ?? 0)) {
      this.#answer(epoch, token, new Map(chunks.map((chunk) => [chunk, null])));
      return;
    }
    const asked = new Set(chunks.filter((chunk) => chunk < dirty.chunks && this.#waits.get(chunk)?.token !== token));
    const needs = new Map<number, number>();
    for (const { record } of history.from(applied + 1)) {
      if (record.sequence > sequence) break;
      if (!changesImage(record.kind)) continue;
      for (const chunk of dirty.touched(record.offset, record.length)) {
        if (asked.has(chunk)) needs.set(chunk, record.sequence);
      }
    }
    for (const chunk of asked) {
      const { offset, length } = dirty.chunk(chunk);
      const wait = { epoch, token, chunk, at: sequence, needs: needs.get(chunk) ?? 0 };
      this.#waits.set(chunk, { ...wait, length: Math.max(0, Math.min(length, size - offset)) });
    }
  }

  /** The order has come further, or the image. */
  progress(): void {
    if (this.#since === undefined) return;
    const early = this.#early;
    this.#early = [];
    for (const message of early) {
      if (message.at.sequence > this.#dr.history.last.sequence) this.#early.push(message);
      else this.#take(message);
    }
    if (this.#waits.size > 0) void this.#run().catch((error: unknown) => this.#dr.parts.failed(error as Error));
    else if (this.#early.length === 0 && this.#dr.parts.ticker.elapsed() - this.#askedAt > IDLE_MS) this.clear();
  }

  async #run(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    const { dirty, parts } = this.#dr;
    for (;;) {
      const ready = [...this.#waits.values()].filter(({ needs }) => needs <= this.#dr.applied);
      if (ready.length === 0) break;
      const answers = new Map<number, { readonly epoch: number; readonly results: Results }>();
      for (const wait of ready) {
        const { chunk, token, epoch, at } = wait;
        let hash: string | null = null;
        if ((this.#touched.get(chunk) ?? 0) <= at) {
          const content = Buffer.alloc(wait.length);
          await parts.areas.image.read(dirty.chunk(chunk).offset, content);
          hash = String(hashOf(content));
        }
        // Asked for at another operation meanwhile, or not at all any more.
        if (this.#waits.get(chunk) !== wait) continue;
        this.#waits.delete(chunk);
        const answer = answers.get(token) ?? { epoch, results: new Map() };
        answers.set(token, answer);
        answer.results.set(chunk, hash);
      }
      for (const [token, { epoch, results }] of answers) this.#answer(epoch, token, results);
      this.#dr.execute();
    }
    this.#reading = false;
  }

  #answer(epoch: number, token: number, results: Results): void {
    const [chunks, hashes] = [[...results.keys()], [...results.values()]];
    this.#dr.parts.link.send('primary', { type: 'compared', epoch, token, chunks, hashes });
  }
}
