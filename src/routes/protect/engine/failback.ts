/**
 * A DR that leads gives the volume back: the primary gets the chunks that were changed since
 * both agreed, while writes go on here; then writes wait, the last chunks go over, and with
 * one durable step this side leads no more. Whatever fails before that step, it leads on.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import type { Role } from '../../../kernel/protect/ports.ts';
import type { Dr } from './dr.ts';
import type { Gate } from './gate.ts';
import type { Message, MessageOf } from './messages.ts';
import { hashOf } from './record.ts';
import type { Point } from './ring.ts';
import { RoundTrip } from './round-trip.ts';
import { Transfer } from './transfer.ts';

export interface FailbackOptions {
  readonly retryMs: number;
  /** Without a word for so long, or longer where answers take longer, what is on its way is sent again. */
  readonly silentMs: number;
  /** How long writers may wait for the switch; after that they go on here, and it is tried again later. */
  readonly stallMs: number;
  /** Without a primary for so long it ends, and the DR leads on. */
  readonly patienceMs: number;
  /** Whether the image is the volume already: before that nothing can be given back. */
  readonly isReady: () => boolean;
}

export interface GivenBack {
  /** In which the DR led. */
  readonly epoch: number;
  /** Payload that was sent to the primary, all of it. */
  readonly bytes: number;
  readonly chunks: number;
  /** Chunks that were different although nothing said that they may be. */
  readonly unexpected: number;
  /** How long writers waited, milliseconds. */
  readonly stalledMs: number;
}

type Step = 'inviting' | 'copying' | 'closing' | 'handing' | 'ended';

/** Chunks compared at once, and left to send when writers are made to wait. */
const MOST = 16;
/** A wait of writers that nobody minds, milliseconds: not worth another round. */
const SHORT_MS = 200;
/** More operations than a primary can have done that went on alone, unseen. */
const UNSEEN = 2 ** 36;

interface Comparing {
  readonly token: number;
  readonly from: number;
  readonly skip: Set<number>;
  readonly askedAt: number;
}

export class Failback {
  readonly #dr: Dr;
  readonly #gate: Gate;
  readonly #options: FailbackOptions;
  readonly #done: (outcome: GivenBack | GodwitError) => void;
  readonly #epoch: number;
  readonly #base: Point;
  #step: Step = 'inviting';
  #run = 0;
  #session = 0;
  #last: Point | undefined;
  #heardAt = Number.NEGATIVE_INFINITY;
  #movedAt = 0;
  #presentAt = 0;
  #token = 0;
  readonly #transfer: Transfer;
  readonly #trip: RoundTrip;
  #noting = false;
  /** Chunks before it are the same on both sides, or marked. */
  #compared = 0;
  #comparing: Comparing | undefined;
  #closedAt: number | undefined;
  #isClosed = false;
  #notBefore = Number.NEGATIVE_INFINITY;
  #unexpected = 0;
  /** What was left at the end of the round before. */
  #leftBefore = Number.POSITIVE_INFINITY;
  /** Bytes that arrive in a millisecond, of late. */
  #pace = 0;

  constructor(dr: Dr, gate: Gate, options: FailbackOptions, done: (outcome: GivenBack | GodwitError) => void) {
    this.#dr = dr;
    this.#gate = gate;
    this.#options = options;
    this.#done = done;
    this.#epoch = dr.voter.activated;
    // What this side did since is its own, though it may lie in the order.
    this.#base = dr.takenOver?.end ?? dr.history.base;
    this.#trip = new RoundTrip(options.silentMs);
    this.#transfer = new Transfer({
      trip: this.#trip,
      ...{ dr, gate, advance: () => this.#advance(), isOver: () => this.#step === 'ended' },
      stamp: () => ({ epoch: this.#epoch, run: this.#run, session: this.#session }),
    });
  }

  /** What is left to send, as far as it is known. */
  get remainingBytes(): number {
    return this.#transfer.left;
  }

  get bytes(): number {
    return this.#transfer.bytes;
  }

  get step(): Step {
    return this.#step;
  }

  /** Share of the volume that was compared. */
  get comparedShare(): number {
    return this.#compared / this.#dr.dirty.chunks;
  }

  start(): void {
    const { state, parts } = this.#dr;
    if (this.#epoch === 0) {
      this.#end(new GodwitError('GW1004', 'The DR does not lead: there is nothing to give back'));
      return;
    }
    this.#run = (state.value.runs ?? 0) + 1;
    this.#dr.dirty.unsendAll();
    state.save({ runs: this.#run }, (error) => {
      if (error) return parts.failed(error);
      this.#begin();
    });
  }

  #begin(): void {
    const { ticker } = this.#dr.parts;
    if (!this.#options.isReady()) {
      ticker.after(this.#options.retryMs, () => this.#begin());
      return;
    }
    this.#dr.giveBack((from, message) => this.#receive(from, message));
    this.#presentAt = this.#elapsed;
    this.#tick();
  }

  #end(outcome: GivenBack | GodwitError): void {
    this.#step = 'ended';
    this.#dr.giveBack(undefined);
    if (outcome instanceof GodwitError) this.#gate.open();
    this.#done(outcome);
  }

  get #elapsed(): number {
    return this.#dr.parts.ticker.elapsed();
  }

  #tick(): void {
    if (this.#step === 'ended' || this.#step === 'handing') return;
    if (this.#elapsed - this.#presentAt > this.#options.patienceMs && this.#step !== 'closing') {
      this.#end(new GodwitError('GW7017', 'No primary is there to take the volume; the DR leads on'));
      return;
    }
    this.#invite();
    this.#measure();
    if (this.#step !== 'inviting') {
      this.#resend();
      this.#advance();
    }
    this.#dr.parts.ticker.after(this.#options.retryMs, () => this.#tick());
  }

  #send(message: Message): void {
    this.#dr.parts.link.send('primary', message);
  }

  #invite(): void {
    const { stale } = this.#dr.standing;
    const size = this.#dr.parts.areas.image.bytes;
    this.#send({ type: 'invite', epoch: this.#epoch, run: this.#run, base: this.#base, stale, size });
  }

  #receive(from: Role, message: Message): void {
    if (from !== 'primary' || message.epoch !== this.#epoch) return;
    if (this.#step === 'ended' || this.#step === 'handing') return;
    if (message.type === 'parted' && message.run === this.#run) {
      this.#presentAt = this.#elapsed;
      this.#parted(message);
    }
    if (message.type !== 'have' && message.type !== 'proof' && message.type !== 'units') return;
    if (message.run !== this.#run || message.session !== this.#session) return;
    this.#heardAt = this.#elapsed;
    if (message.type === 'have') this.#transfer.have(message);
    else if (message.type === 'units') this.#transfer.units(message);
    else void this.#compare(message).catch((error: unknown) => this.#dr.parts.failed(error as Error));
  }

  #parted(message: MessageOf<'parted'>): void {
    const { follower } = this.#dr.state.value;
    const { follows, session, last } = message;
    if (follows === undefined) {
      this.#note(message);
      return;
    }
    if (follower?.epoch !== this.#epoch || follower.as !== follows) {
      // What an earlier start of it had said came late and was noted in its place: what is marked says nothing of this one.
      this.#note({ session: follows, touched: Buffer.alloc(0), all: true });
      return;
    }
    if (this.#noting) return;
    this.#heardAt = this.#elapsed;
    this.#last = last;
    if (session !== this.#session) {
      // It was started again: what was on its way to it before may be lost.
      this.#session = session;
      this.#forget();
    }
    if (this.#step === 'inviting') this.#step = 'copying';
    this.#advance();
  }

  #forget(): void {
    this.#movedAt = this.#elapsed;
    this.#transfer.forget();
    this.#comparing = undefined;
  }

  /** What the primary may lack is marked before it gives up its own history. */
  #note({ session, touched, all }: Pick<MessageOf<'parted'>, 'session' | 'touched' | 'all'>): void {
    const { state, parts } = this.#dr;
    if (this.#noting || touched === undefined) return;
    const { follower } = state.value;
    const epoch = this.#epoch;
    // It followed already when it said that.
    if (this.#step !== 'inviting' && follower?.as === session) return;
    this.#noting = true;
    this.#step = this.#step === 'closing' ? this.#reopen() : this.#step;
    this.#gate.note(touched, (error) => {
      if (error) return parts.failed(error);
      this.#forget();
      this.#transfer.forgetAll();
      this.#compared = 0;
      // What another one followed has cleared bits that are of no use for this one.
      const isAnother = follower?.epoch === epoch && follower.as !== session;
      state.save({ follower: { epoch, as: session, all: all || isAnother } }, (failure) => {
        if (failure) return parts.failed(failure);
        this.#noting = false;
        this.#send({ type: 'noted', epoch, run: this.#run, session });
      });
    });
  }

  /** Sends what is marked, and compares what is not. */
  #advance(): void {
    if (this.#noting || this.#step === 'inviting' || this.#step === 'handing' || this.#step === 'ended') return;
    if (this.#elapsed - this.#heardAt <= this.#trip.patienceMs) this.#transfer.pump(this.#isClosed);
    this.#prove();
    if (this.#step === 'copying') this.#mayClose();
    if (this.#step === 'closing') this.#mayHand();
  }

  #resend(): void {
    const isLate = this.#elapsed - Math.max(this.#movedAt, this.#transfer.movedAt) > this.#trip.patienceMs;
    if (!isLate || (this.#transfer.isIdle && this.#comparing === undefined)) return;
    this.#trip.lost();
    this.#forget();
  }

  #measure(): void {
    const bytes = this.#transfer.takeArrived();
    if (bytes > 0 || !this.#transfer.isIdle) this.#pace += (bytes / this.#options.retryMs - this.#pace) / 4;
  }

  /** Asks for the hashes of the next chunks: both sides read what they have, and nothing else goes over. */
  #prove(): void {
    const { dirty } = this.#dr;
    const from = this.#compared;
    const count = Math.min(MOST, dirty.chunks - from);
    if (this.#comparing !== undefined || count === 0) return;
    this.#token += 1;
    // What is marked goes over anyway, and by then may be newer than the answer.
    const skip = new Set<number>();
    for (let chunk = from; chunk < from + count; chunk += 1) if (dirty.has(chunk)) skip.add(chunk);
    this.#gate.changed = new Set();
    for (let chunk = from; chunk < from + count; chunk += 1) if (!skip.has(chunk)) this.#transfer.same(chunk);
    this.#movedAt = this.#elapsed;
    this.#comparing = { token: this.#token, from, skip, askedAt: this.#movedAt };
    const epoch = this.#epoch;
    this.#send({ type: 'prove', epoch, run: this.#run, session: this.#session, token: this.#token, from, count });
  }

  async #compare({ token, hashes }: MessageOf<'proof'>): Promise<void> {
    const comparing = this.#comparing;
    if (comparing?.token !== token) return;
    this.#movedAt = this.#elapsed;
    this.#trip.answered(this.#movedAt - comparing.askedAt);
    // Not asked for again while it is looked at.
    const now = { ...comparing, token: 0 };
    this.#comparing = now;
    const { dirty, parts, state } = this.#dr;
    for (const [i, hash] of hashes.entries()) {
      const { number, offset, length } = dirty.chunk(comparing.from + i);
      const content = Buffer.alloc(length);
      await parts.areas.image.read(offset, content);
      if (this.#comparing !== now) return;
      if (comparing.skip.has(number) || dirty.has(number) || this.#gate.changed.has(number)) continue;
      if (String(hashOf(content)) === hash) continue;
      if (state.value.follower?.all === false) this.#unexpected += 1;
      this.#transfer.differs(number);
      dirty.mark(offset, length);
    }
    this.#comparing = undefined;
    this.#compared = comparing.from + hashes.length;
    this.#movedAt = this.#elapsed;
    this.#advance();
  }

  #mayClose(): void {
    const { dirty } = this.#dr;
    if (this.#compared < dirty.chunks || this.#elapsed < this.#notBefore) return;
    if (!this.#transfer.isRoundOver) return;
    const { left } = this.#transfer;
    const waitMs = this.#pace > 0 ? left / this.#pace : Number.POSITIVE_INFINITY;
    const pays = left < this.#leftBefore * 0.75 && waitMs > SHORT_MS;
    this.#leftBefore = left;
    if (dirty.count > MOST && (pays || waitMs > this.#options.stallMs / 4)) {
      this.#transfer.nextRound();
      this.#transfer.pump(false);
      return;
    }
    this.#step = 'closing';
    const closedAt = this.#elapsed;
    this.#closedAt = closedAt;
    this.#isClosed = false;
    this.#gate.close(() => {
      this.#dr.parts.areas.image.sync((error) => {
        if (error) return this.#dr.parts.failed(error);
        if (this.#closedAt !== closedAt) return;
        this.#isClosed = true;
        // Whether it is there still.
        this.#heardAt = Number.NEGATIVE_INFINITY;
        this.#invite();
        this.#advance();
      });
    });
  }

  #reopen(): Step {
    this.#closedAt = undefined;
    this.#isClosed = false;
    this.#notBefore = this.#elapsed + this.#options.stallMs;
    this.#transfer.nextRound();
    this.#gate.open();
    return 'copying';
  }

  #mayHand(): void {
    const { dirty, history, orders } = this.#dr;
    const closedAt = this.#closedAt ?? 0;
    if (this.#elapsed - closedAt > this.#options.stallMs) {
      this.#step = this.#reopen();
      return;
    }
    const isSame = dirty.isEmpty && this.#compared === dirty.chunks && this.#transfer.isIdle;
    if (!this.#isClosed || !isSame || this.#heardAt < closedAt || this.#last === undefined) return;
    this.#step = 'handing';
    const { follower } = this.#dr.state.value;
    // No record that was ever written by anybody has a sequence as high as those that come now.
    const unseen = follower?.all === false ? orders.slots : UNSEEN;
    const ends = [history.last, this.#base, this.#last];
    const origin = {
      sequence: Math.max(...ends.map(({ sequence }) => sequence)) + unseen + 1,
      crc: this.#base.crc,
      place: Math.max(...ends.map(({ place }) => place)),
    };
    dirty.save((error) => {
      if (error) return this.#dr.parts.failed(error);
      this.#dr.hand({ epoch: this.#epoch, as: follower?.as ?? 0, origin }, () => {
        this.#gate.end();
        const stalledMs = this.#elapsed - closedAt;
        this.#end({
          epoch: this.#epoch,
          bytes: this.#transfer.bytes,
          chunks: this.#transfer.chunks,
          unexpected: this.#unexpected,
          stalledMs,
        });
      });
    });
  }
}
