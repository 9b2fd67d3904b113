/**
 * The volume as it was after an earlier operation, put together from the image and the undo log, while
 * operations go on being executed. Of what was replaced since then, the oldest content of each byte
 * is the one; what nobody replaced is in the image.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import type { Area, Done } from '../../../kernel/protect/ports.ts';
import type { Dr } from './dr.ts';
import { changesImage } from './record.ts';
import type { Piece } from './undo-frame.ts';
import type { FrameAt, Moment, UndoLog } from './undo-log.ts';

/** The least that an operation touches. */
const SECTOR = 512;
const COPIED = 1 << 20;

/** A moment by sequence, or by time: the last operation before the first one that is later. */
export type Wanted = { readonly sequence: number } | { readonly time: number };

export interface Rewound {
  /** The volume is as it was after this operation. */
  readonly moment: Moment;
  /** Operations since then that changed the volume, and the bytes of theirs. */
  readonly undone: { readonly operations: number; readonly bytes: number };
}

/** @throws GodwitError GW7020 when that moment cannot be reached */
export async function rewind(
  dr: Dr,
  wanted: Wanted,
  into: Pick<Area, 'write' | 'sync'>,
  progress: (bytes: number) => void,
): Promise<Rewound> {
  const log = reachable(dr);
  const { beginnings } = log;
  const moment = await momentOf(dr, log, wanted);
  // The tail that is read from belongs to that moment only now.
  if ((reachable(dr).reach?.from.sequence ?? Number.POSITIVE_INFINITY) > moment.sequence) throw gone();
  const rewound = await new Rewind(dr, log, moment, into, progress).run();
  // Something changed the image meanwhile that is not in the log.
  if (reachable(dr).beginnings !== beginnings) throw gone();
  return rewound;
}

function reachable(dr: Dr): UndoLog {
  const { undo } = dr;
  if (undo === undefined) throw unreachable('this DR keeps no undo log; start it with --rewind SIZE');
  if (dr.voter.activated > 0) throw unreachable('the DR leads, and what is written here since is in no log');
  if (undo.reach === undefined || !isCurrent(dr, undo)) {
    throw unreachable('nothing was executed yet since the log began');
  }
  return undo;
}

/** The image is what the log says, and nothing came between. */
export function isCurrent(dr: Dr, { reach }: UndoLog): boolean {
  const { staleUntil, base } = dr.state.value;
  // What is kept may be executed a moment later; a volume that is being handed over goes on elsewhere.
  return reach !== undefined && staleUntil === 0 && reach.to.sequence >= dr.applied && base.sequence <= dr.applied;
}

/** @throws GodwitError GW7020 when it is outside of what can be reached */
async function momentOf(dr: Dr, log: UndoLog, wanted: Wanted): Promise<Moment> {
  const { from } = log.reach as NonNullable<UndoLog['reach']>;
  const { applied } = dr;
  const range = `the log reaches from operation ${from.sequence}${from.time > 0 ? ` of ${words(from.time)}` : ''} to ${applied}`;
  const isOutside =
    'sequence' in wanted ? wanted.sequence < from.sequence || wanted.sequence > applied : wanted.time < from.time;
  if (isOutside) throw unreachable(range);
  let last = from;
  for await (const { pieces } of log.frames(log.tail, (head) => head.lastSequence > from.sequence)) {
    for (const { record } of pieces) {
      const { sequence, time } = record;
      if (sequence <= last.sequence || sequence > applied) continue;
      if ('sequence' in wanted && sequence > wanted.sequence) return last;
      if ('time' in wanted && time > wanted.time) {
        // Of what came before the log began it is not known when that was.
        if (last.time === 0) throw unreachable(range);
        return last;
      }
      last = { sequence, time };
    }
  }
  if (last.sequence < applied) throw gone();
  const next = dr.history.at(applied + 1)?.record;
  if ('time' in wanted && next !== undefined && next.time <= wanted.time) {
    throw unreachable('what was written until then is not all executed yet; ask again');
  }
  return last;
}

class Rewind {
  readonly #dr: Dr;
  readonly #log: UndoLog;
  readonly #moment: Moment;
  readonly #into: Pick<Area, 'write' | 'sync'>;
  readonly #progress: (bytes: number) => void;
  /** What the volume has when it begins: it is no smaller in any moment after that. */
  readonly #size: number;
  readonly #covered: Uint8Array;
  #next: FrameAt;
  /** What was looked at so far: an operation may be in several frames, and twice after a crash. */
  #undone = 0;
  #undoneBytes = 0;
  #counted = 0;

  constructor(
    dr: Dr,
    log: UndoLog,
    moment: Moment,
    into: Pick<Area, 'write' | 'sync'>,
    progress: (bytes: number) => void,
  ) {
    this.#dr = dr;
    this.#log = log;
    this.#moment = moment;
    this.#into = into;
    this.#progress = progress;
    this.#next = log.tail;
    this.#size = dr.parts.areas.image.bytes;
    this.#covered = new Uint8Array(Math.ceil(this.#size / SECTOR / 8));
  }

  async run(): Promise<Rewound> {
    // The oldest frames are the first to go: they are read first.
    await this.#takeFrames(false);
    await this.#copy();
    // What was executed while it was copied: what it replaced was kept before.
    await this.#takeFrames(true);
    await this.#done((done) => this.#into.sync(done));
    return { moment: this.#moment, undone: { operations: this.#undone, bytes: this.#undoneBytes } };
  }

  async #takeFrames(overCopy: boolean): Promise<void> {
    const end = this.#log.head;
    const { sequence } = this.#moment;
    if (this.#next.number < end.number) {
      for await (const { head, pieces } of this.#log.frames(this.#next, (each) => each.lastSequence > sequence)) {
        for (const piece of pieces) if (piece.record.sequence > sequence) await this.#take(piece, overCopy);
        this.#next = { number: head.number + 1, place: head.place + head.bytes, before: head.crc };
        if (this.#next.number >= end.number) break;
      }
    }
    // Overwritten meanwhile, or rotten: what is missing cannot be had from anywhere else.
    if (this.#next.number < end.number) throw gone();
  }

  async #take({ record, offset, length, bytes }: Piece, overCopy: boolean): Promise<void> {
    if (record.sequence > this.#counted) {
      this.#counted = record.sequence;
      if (changesImage(record.kind)) {
        this.#undone += 1;
        this.#undoneBytes += record.length;
      }
    }
    for (const [start, end] of this.#uncovered(offset, length)) {
      const part = bytes?.subarray(start - offset, end - offset);
      // What was never written there is zeroes.
      if (part !== undefined) await this.#write(start, part);
      else if (overCopy) await this.#write(start, Buffer.alloc(end - start));
      for (let sector = start / SECTOR; sector * SECTOR < end; sector += 1) {
        this.#covered[sector >> 3] = (this.#covered[sector >> 3] as number) | (1 << (sector & 7));
      }
      if (!overCopy) this.#progress(end - start);
    }
  }

  async #copy(): Promise<void> {
    const { image } = this.#dr.parts.areas;
    for (let at = 0; at < this.#size; at += COPIED) {
      const length = Math.min(COPIED, this.#size - at);
      const gaps = this.#uncovered(at, length);
      if (gaps.length === 0) continue;
      const content = Buffer.alloc(length);
      await image.read(at, content);
      for (const [start, end] of gaps) {
        const part = content.subarray(start - at, end - at);
        if (!part.equals(Buffer.alloc(part.length))) await this.#write(start, part);
        this.#progress(end - start);
      }
    }
  }

  #uncovered(offset: number, length: number): [number, number][] {
    const gaps: [number, number][] = [];
    const end = Math.min(offset + length, this.#size);
    for (let at = offset; at < end; ) {
      const sector = Math.floor(at / SECTOR);
      const next = Math.min(end, (sector + 1) * SECTOR);
      if (((this.#covered[sector >> 3] as number) & (1 << (sector & 7))) === 0) {
        const last = gaps.at(-1);
        if (last?.[1] === at) last[1] = next;
        else gaps.push([at, next]);
      }
      at = next;
    }
    return gaps;
  }

  #write(offset: number, bytes: Buffer): Promise<void> {
    return this.#done((done) => this.#into.write(offset, bytes, done));
  }

  #done(begin: (done: Done) => void): Promise<void> {
    return new Promise((resolve, reject) => begin((error) => (error ? reject(error) : resolve())));
  }
}

function unreachable(why: string): GodwitError {
  return new GodwitError('GW7020', `The volume cannot be had as of that moment: ${why}`);
}

function gone(): GodwitError {
  return unreachable('the log does not hold it any more');
}

function words(time: number): string {
  return new Date(time / 1000).toISOString();
}
