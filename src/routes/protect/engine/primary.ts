/**
 * The primary: gives every operation its place in the order, keeps it in its own ring,
 * sends order, data and shared blocks on their lanes, and answers when the rules allow it.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import type { Area, AreaClient, GrowingArea, Link, Role, Ticker } from '../../../kernel/protect/ports.ts';
import { Answers } from './answers.ts';
import { Dirty } from './dirty.ts';
import { Growing } from './growing.ts';
import { History } from './history.ts';
import { Lanes } from './lanes.ts';
import { Leadership } from './leadership.ts';
import { LocalStore, type Op, type PrimaryState, RESERVED } from './local-store.ts';
import type { Message } from './messages.ts';
import { Modes } from './modes.ts';
import { blockBytes, encodeRecord, FLAG, hashOf, hasPayload, type Kind, RECORD_BYTES } from './record.ts';
import { Replenishing, UNKNOWN_DR } from './replenishing.ts';
import { Resync } from './resync.ts';
import { Returning } from './returning.ts';
import { BEGINNING, type Point, Ring } from './ring.ts';
import { answersAtOnce, MODES, type Mode, type Policy } from './rules.ts';
import { kept, Superblock, synced } from './superblock.ts';
import type { Verification } from './verification.ts';
import { Yielding } from './yielding.ts';

export interface PrimarySettings {
  readonly policy: Policy;
  readonly leaseMs: number;
  readonly beatMs: number;
  readonly resendMs: number;
  /** How long a silent role is waited for before the primary goes on without it; nothing: for ever. */
  readonly patienceMs: number | undefined;
  /** Operations that may be in the ring at once: the slots of the DR's order log, at most. */
  readonly mostOperations: number;
  /** Bytes on their way in each lane. */
  readonly windowBytes: number;
  /** Of the ring's blocks in memory: more is read back from the ring when it is to be sent. */
  readonly memoryBytes: number;
  /** The unit of what is sent again to a DR that was away. */
  readonly chunkBytes: number;
}

export interface PrimaryParts {
  readonly areas: {
    readonly ring: Area;
    readonly image: GrowingArea;
    readonly state: Area;
    readonly dirty: GrowingArea;
  };
  /** Bytes of the volume when it was made. */
  readonly size: number;
  readonly link: Link<Message>;
  /** The auxiliary's area is mounted by it and written here; without it, what is shared goes over by messages. */
  readonly mounts?: AreaClient;
  readonly ticker: Ticker;
  readonly volume: number;
  readonly settings: PrimarySettings;
  readonly failed: (error: Error) => void;
  /** Sees each operation as it gets its place. */
  readonly sequenced?: (op: Op) => void;
  /** Only simulations give rules of their own, to show that they fail. */
  readonly experiment?: Experiment;
  /**
   * There is nothing here: it stands in for a primary that is gone, and waits for the DR to give the volume back.
   * A number that no other machine was given.
   */
  readonly replaces?: number;
  /** The image has content from the beginning: a DR that begins empty is waited for, and given all of it. */
  readonly hasContent?: boolean;
}

/** Rules that lose data. */
export interface Experiment {
  /** The document's rule: a block is free when its data was sent. */
  readonly freeWhenSent?: boolean;
  readonly ignoreLease?: boolean;
  readonly ignoreAuxiliary?: boolean;
  readonly ignoreOrder?: boolean;
  /** An old primary does not say what it did after the DR's history had ended. */
  readonly keepOwn?: boolean;
  /** A larger volume is served before the DR has room for it. */
  readonly growsAlone?: boolean;
}

export interface Request {
  readonly kind: Extract<Kind, 'write' | 'zeroes' | 'trim' | 'flush'>;
  readonly offset: number;
  readonly length: number;
  readonly payload?: Buffer;
  readonly flags: number;
}

type Answer = (error?: Error) => void;

export class Primary {
  readonly parts: PrimaryParts;
  readonly history: History<Op>;
  readonly store: LocalStore;
  readonly lanes: Lanes;
  readonly modes: Modes;
  readonly leadership: Leadership;
  readonly dirty: Dirty;
  readonly state: Superblock<PrimaryState>;
  readonly returning: Returning;
  readonly replenishing: Replenishing;
  readonly yielding: Yielding;
  readonly growing: Growing;
  /** While the DR's image is being compared with the volume. */
  verification: Verification | undefined;
  readonly #resync: Resync;
  readonly #answers: Answers;
  #waiting: { request: Request; answer: Answer }[] = [];
  #settled: number;

  private constructor(parts: PrimaryParts, state: Superblock<PrimaryState>, dirty: Dirty) {
    this.parts = parts;
    this.dirty = dirty;
    this.state = state;
    this.returning = new Returning(this);
    this.replenishing = new Replenishing(this);
    this.yielding = new Yielding(this);
    this.growing = new Growing(this);
    this.#resync = new Resync(this, dirty);
    this.history = new History(state.value.tail);
    this.#settled = state.value.tail.sequence;
    this.store = new LocalStore(this, new Ring(parts.areas.ring), state);
    this.lanes = new Lanes(this);
    this.modes = new Modes(this, state.value.mode);
    this.#answers = new Answers(() => this.#hasLease);
    const { leaseMs, beatMs, resendMs } = parts.settings;
    this.leadership = new Leadership(
      {
        link: parts.link,
        ticker: parts.ticker,
        leaseMs,
        beatMs,
        retryMs: resendMs,
        keep: (epoch, done) => state.save({ epoch }, (error) => (error ? parts.failed(error) : done())),
        elected: (epoch) => this.#elected(epoch),
        renewed: () => this.#answers.run(this.#settled),
        deposed: () => this.#deposed(),
        returned: () => state.value.returned ?? 0,
        follows: state.value.follows !== undefined,
        isNew: () => state.value.follows !== undefined,
      },
      state.value.epoch,
    );
  }

  /** As it was left, whatever happened: what is whole in the ring is executed again. */
  static async open(parts: PrimaryParts): Promise<Primary> {
    await synced(parts.areas.ring);
    const initial: PrimaryState = { epoch: 0, tail: BEGINNING, mode: 'full' };
    const state = await Superblock.open(parts.areas.state, initial);
    const dirty = await Dirty.open(parts.areas.dirty, parts.settings.chunkBytes, parts.areas.image.bytes);
    if (state.isNew && parts.replaces !== undefined) {
      await kept(state, { sessions: parts.replaces, follows: { epoch: 0, as: 0, last: BEGINNING } });
    }
    if (state.isNew && parts.hasContent) await kept(state, { filling: UNKNOWN_DR });
    const primary = new Primary(parts, state, dirty);
    if (state.value.follows !== undefined) {
      // The ring is of a history that was given up.
      await synced(parts.areas.image);
      return primary;
    }
    for await (const { record, block } of new Ring(parts.areas.ring).blocks(state.value.tail)) {
      await primary.store.redo(record, block);
      const op = { record, block: undefined, durable: true, stored: !hasPayload(record.kind), sentAt: undefined };
      primary.history.append(op);
      if (record.kind === 'mode') primary.modes.recovered(MODES[record.offset] as Mode, record.sequence);
    }
    await primary.store.recovered();
    return primary;
  }

  start(): void {
    this.leadership.start();
    this.#tick();
  }

  /** Bytes of the volume that are served. */
  get size(): number {
    return this.state.value.size ?? this.parts.size;
  }

  get settled(): number {
    return this.#settled;
  }

  get #hasLease(): boolean {
    return this.parts.experiment?.ignoreLease === true || this.leadership.hasLease;
  }

  /** Of what was answered under the lease. */
  mayTell(): 'now' | 'later' | 'never' {
    if (this.leadership.isDeposed) return 'never';
    return this.#hasLease ? 'now' : 'later';
  }

  receive(from: Role, message: Message): void {
    try {
      this.leadership.receive(from, message);
      if (from === 'dr') this.returning.receive(message);
      if (message.type === 'grown' && from === 'dr') this.growing.receive(message);
      if (message.type === 'yield' && from === 'dr') this.yielding.receive(message);
      if (message.type === 'empty') this.replenishing.begin(from, message);
      if (!this.leadership.leads || message.epoch !== this.leadership.epoch) return;
      this.lanes.receive(from, message);
      if (message.type === 'compared') this.verification?.receive(message);
    } catch (error) {
      this.parts.failed(error as Error);
    }
  }

  /** Takes an operation; `answer` comes when it is as safe as the policy promises. */
  submit(request: Request, answer: Answer): void {
    if (this.leadership.isDeposed) {
      answer(deposedError());
      return;
    }
    this.#waiting.push({ request, answer });
    this.#take();
  }

  /** What was written last, and answered, is in it. */
  async read(offset: number, into: Buffer): Promise<void> {
    await this.store.read(offset, into);
    await new Promise<void>((resolve, reject) => {
      if (this.leadership.isDeposed) return reject(deposedError());
      // An old primary must not serve what is out of date: a read needs the lease as a write does.
      this.#answers.wait(0, (error) => (error ? reject(error) : resolve()));
      this.#answers.run(this.#settled);
    });
  }

  /** Appends a record of the primary's own. False when there is no room now. */
  control(kind: 'mode' | 'epoch' | 'grow', offset: number): number | undefined {
    if (!this.#hasRoom(RECORD_BYTES, 0)) return undefined;
    return this.#append({ kind, offset, length: 0, flags: 0 }).record.sequence;
  }

  /** Writes what is there, for a DR that has it not. Nothing when there is no room now. */
  resync(offset: number, payload: Buffer): number | undefined {
    const request = { kind: 'resync', offset, length: payload.length, payload, flags: 0 } as const;
    // Half of the ring stays free for those who write.
    const isCrowded = this.history.last.place - this.history.base.place > this.parts.areas.ring.bytes / 2;
    if (
      !this.leadership.leads ||
      isCrowded ||
      this.store.blocks.isFull ||
      !this.#hasRoom(blockBytes(request), RESERVED)
    )
      return undefined;
    return this.#append(request).record.sequence;
  }

  /** Something came further: settles what can be, and answers it. */
  advance(): void {
    if (!this.leadership.leads) return;
    const settled = this.modes.settled(this.lanes.marks(this.store.durable));
    if (settled > this.#settled) {
      this.#settled = settled;
      this.lanes.tellSettled();
    }
    this.#answers.run(this.#settled);
    this.yielding.advance();
  }

  /** There is room again. */
  roomier(): void {
    this.#take();
  }

  #take(): void {
    while (this.#waiting.length > 0 && this.leadership.leads && !this.yielding.isHolding) {
      const { request, answer } = this.#waiting[0] as { request: Request; answer: Answer };
      const atOnce = answersAtOnce(this.parts.settings.policy);
      if (request.kind === 'flush' && !atOnce) {
        // Whatever was answered is settled already.
        this.#waiting.shift();
        this.#answers.wait(0, answer);
        continue;
      }
      // Goes on when more is in the image.
      if (this.store.blocks.isFull) break;
      if (!this.#hasRoom(blockBytes(request), RESERVED)) {
        this.store.makeRoom();
        break;
      }
      this.#waiting.shift();
      const { sequence } = this.#append(request).record;
      const plain = atOnce && request.kind !== 'flush' && (request.flags & FLAG.fua) === 0;
      this.#answers.wait(plain ? 0 : sequence, answer);
    }
    this.#answers.run(this.#settled);
  }

  #hasRoom(bytes: number, reserved: number): boolean {
    const { base, last } = this.history;
    const { mostOperations } = this.parts.settings;
    if (last.sequence - base.sequence + reserved >= mostOperations) return false;
    return last.place + bytes + reserved * RECORD_BYTES - base.place <= this.parts.areas.ring.bytes;
  }

  #append(request: Omit<Request, 'kind'> & { readonly kind: Kind }): Op {
    const { last } = this.history;
    const block = Buffer.alloc(blockBytes(request));
    const payload = request.payload;
    payload?.copy(block, RECORD_BYTES);
    const record = encodeRecord(
      {
        kind: request.kind,
        flags: request.flags,
        epoch: this.leadership.epoch,
        sequence: last.sequence + 1,
        offset: request.offset,
        length: request.length,
        hash: payload === undefined ? 0n : hashOf(payload),
        time: this.parts.ticker.now() * 1000,
        place: last.place,
        before: last.crc,
        volume: this.parts.volume,
      },
      block,
    );
    const op: Op = { record, block, durable: false, stored: !hasPayload(record.kind), sentAt: undefined };
    this.history.append(op);
    this.parts.sequenced?.(op);
    this.store.commit(op);
    this.lanes.pump();
    return op;
  }

  #elected(epoch: number): void {
    const sequence = this.control('epoch', epoch);
    if (sequence === undefined) {
      this.parts.failed(new GodwitError('GW9001', 'The ring has no room for an epoch'));
      return;
    }
    this.lanes.begin(sequence);
    this.#take();
  }

  #deposed(): void {
    const error = deposedError();
    for (const { answer } of this.#waiting.splice(0)) answer(error);
    this.#answers.fail(error);
  }

  /** The image is the volume as of `origin`, at the DR as well: a new history begins there, under this primary. */
  restart(origin: Point, above: number): void {
    this.history.restart(origin);
    this.store.restart(origin);
    this.modes.restart();
    this.#settled = origin.sequence;
    this.leadership.resume(above);
  }

  #tick(): void {
    this.parts.ticker.after(this.parts.settings.resendMs / 2, () => {
      if (this.leadership.leads) {
        this.lanes.tick();
        this.replenishing.tick();
        if (!this.yielding.isHolding) this.modes.tick();
        this.#resync.tick();
      }
      this.yielding.tick();
      this.growing.tick();
      this.store.tick();
      this.returning.tick();
      this.#tick();
    });
  }
}

function deposedError(): GodwitError {
  return new GodwitError('GW7014', 'The DR leads now; this primary answers nothing any more');
}
