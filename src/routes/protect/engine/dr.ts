/**
 * The DR server: holds the order of everything (synchronously), the data as it comes
 * (suspended until its turn), and an image in which operations are executed by order.
 */
import type { Area, Done, GrowingArea, Link, Role, Ticker } from '../../../kernel/protect/ports.ts';
import { Comparing } from './comparing.ts';
import { Dirty } from './dirty.ts';
import { Execution } from './execution.ts';
import { Gate } from './gate.ts';
import { GroupCommit, gather } from './group-commit.ts';
import { growImage } from './growing.ts';
import { type Entry, History } from './history.ts';
import { joined } from './joined.ts';
import type { Mark, Message, MessageOf, Standing } from './messages.ts';
import { type Joining, Newcomer } from './newcomer.ts';
import { OrderLog } from './order-log.ts';
import { blockBytes, decodeRecord, hashOf, hasPayload, type OpRecord, RECORD_BYTES } from './record.ts';
import { BEGINNING, isWhole, type Point, payloadOf, pointAfter, Ring } from './ring.ts';
import { kept, Superblock, synced } from './superblock.ts';
import { UndoLog } from './undo-log.ts';
import { ownerOf, Voter, type VoterState } from './voter.ts';

export interface DrState extends VoterState {
  /** Executed in the image, durably, up to here. */
  readonly base: Point;
  readonly baseEpoch: number;
  /** Operations were missed: the image is no state of the volume until a mode record after this one counts it in; 0: none were. */
  readonly staleUntil: number;
  /** Attempts to give the volume back, counted. */
  readonly runs?: number;
  /** Of the primary, every chunk it lacks is marked. `as`: its session then. `all`: any chunk may have been another. */
  readonly follower?: { readonly epoch: number; readonly as: number; readonly all: boolean };
  /** Given back, the last time: that follower leads from `origin` on. */
  readonly handed?: Handed;
  /** It took over for good, and leads until it hands the volume back. */
  readonly takenOver?: TakenOver | undefined;
}

export interface Handed {
  /** In which the DR led. */
  readonly epoch: number;
  readonly as: number;
  readonly origin: Point;
}

/** What the volume was when the DR took over. What this DR itself appends comes after `end`. */
export interface TakenOver {
  readonly end: Point;
  /** Whether the auxiliary was asked. */
  readonly asked: boolean;
  readonly targets: number;
  readonly queued: number;
  readonly stale: boolean;
}

export interface Suspended extends Entry {
  /** Its record is durable here. */
  ordered: boolean;
  /** The DR's state value: its data is durable here. Nothing that has no data lacks it. */
  stored: boolean;
  /** Its data, from its arrival until it is stored. */
  payload?: Buffer | undefined;
}

export interface DrParts {
  readonly areas: {
    readonly orders: Area;
    readonly suspended: Area;
    readonly image: GrowingArea;
    readonly state: Area;
    /** What the primary lacks since this side leads. */
    readonly dirty: GrowingArea;
    /** What operations replace in the image, and the state of that log; nothing: the image cannot be rewound. */
    readonly undo?: { readonly log: Area; readonly state: Area };
  };
  readonly link: Link<Message>;
  readonly ticker: Ticker;
  readonly volume: number;
  readonly leaseMs: number;
  readonly retryMs: number;
  /** The unit of what is given back to the primary. */
  readonly chunkBytes: number;
  /** There is nothing here: it stands in for a DR that is gone. A number that no other machine was given. */
  readonly replaces?: number | undefined;
  readonly failed: (error: Error) => void;
}

interface Arrived {
  readonly entry: Suspended;
  readonly payload: Buffer;
}

/** Who takes over hears every message, and when something became durable. */
export interface Takeover {
  readonly receive: (from: Role, message: Message) => void;
  readonly progress: () => void;
  /** Somebody whom the volume serves waits for the disk, or did a moment ago. */
  readonly isWaitedFor?: () => boolean;
}

export class Dr {
  readonly parts: DrParts;
  readonly voter: Voter;
  readonly history: History<Suspended>;
  readonly suspended: Ring;
  readonly orders: OrderLog;
  readonly state: Superblock<DrState>;
  readonly dirty: Dirty;
  readonly undo: UndoLog | undefined;
  readonly #comparing: Comparing;
  readonly #orderCommit: GroupCommit<Suspended>;
  readonly #dataCommit: GroupCommit<Arrived>;
  readonly #execution: Execution;
  readonly #newcomer: Newcomer;
  #ordered: Point;
  #settled = 0;
  #restarting = false;
  /** While it takes over, and after it, only the promotion speaks, then the bring-up. */
  #takeover: Takeover | undefined;
  #listener: ((message: Message) => void) | undefined;
  #failback: ((from: Role, message: Message) => void) | undefined;
  /** Neither leads nor follows before that is durable. */
  #handing = false;
  /** On disk after what was taken over: known by their order, and lost. */
  lost: readonly Suspended[] = [];

  private constructor(parts: DrParts, state: Superblock<DrState>, dirty: Dirty, undo: UndoLog | undefined) {
    this.parts = parts;
    this.undo = undo;
    this.#comparing = new Comparing(this);
    this.state = state;
    this.dirty = dirty;
    this.voter = new Voter(state as unknown as Superblock<VoterState>, parts.ticker, parts.leaseMs);
    this.history = new History(state.value.base);
    this.suspended = new Ring(parts.areas.suspended);
    this.orders = new OrderLog(parts.areas.orders);
    this.#ordered = state.value.base;
    this.#settled = state.value.base.sequence;
    this.#orderCommit = new GroupCommit((batch, done) => this.#writeOrder(batch, done), parts.failed);
    this.#dataCommit = new GroupCommit((batch, done) => this.#writeData(batch, done), parts.failed);
    this.#execution = new Execution({
      dr: this,
      comparing: this.#comparing,
      isServing: () => this.#takeover !== undefined,
      isWaitedFor: () => this.#takeover?.isWaitedFor?.() ?? false,
      isRestarting: () => this.#restarting,
      released: (sequence) => {
        if (this.#ordered.sequence < sequence) this.#ordered = this.history.base;
        if (this.#takeover === undefined) this.#answer(false);
        this.#takeover?.progress();
      },
    });
    this.#newcomer = new Newcomer({
      ...{ self: 'dr', link: parts.link, ticker: parts.ticker, retryMs: parts.retryMs },
      joining: () => state.value.joining,
      epoch: () => this.voter.promised,
      // Of one that led, nothing is to be had here: the others have to know that first.
      learned: (promised, activated) => {
        if (activated === 0) this.#join({ knows: true }, promised);
      },
      marked: ({ until, size }) =>
        growImage(parts.areas.image, dirty, size, (error) => (error ? parts.failed(error) : this.#join({ until }))),
      filling: () => {
        if (this.state.value.staleUntil === 0 && this.history.base.sequence > 0) this.#join(undefined);
      },
    });
  }

  /** Learns more of what it has to know before it is what the one before it was. */
  #join(more: Partial<Joining> | undefined, promised?: number): void {
    const { joining, staleUntil } = this.state.value;
    if (joining === undefined) return;
    const vote = promised === undefined ? {} : { promised: Math.max(promised, this.voter.promised) };
    const next = more === undefined ? undefined : { ...joining, ...more };
    this.voter.giveLease();
    const change = { joining: next, staleUntil: Math.max(staleUntil, more?.until ?? 0), ...vote };
    this.state.save(change, (error) => error && this.parts.failed(error));
  }

  /** It is new in the place of another one, and has to hear of everything first. */
  get isIncomplete(): boolean {
    return this.#newcomer.isIncomplete;
  }

  static async open(parts: DrParts): Promise<Dr> {
    const initial: DrState = { promised: 0, activated: 0, base: BEGINNING, baseEpoch: 0, staleUntil: 0 };
    // What a process that died had written may be readable and yet not durable.
    await synced(parts.areas.orders);
    await synced(parts.areas.suspended);
    const state = await Superblock.open(parts.areas.state, initial);
    if (state.isNew && parts.replaces !== undefined) {
      // Nothing that comes can be the whole volume before the primary knows that there was nothing.
      await kept(state, { joining: { nonce: parts.replaces, knows: false }, staleUntil: 1 });
    }
    const { dirty: area, image, undo } = parts.areas;
    const log = undo && (await UndoLog.open({ ...undo, image }));
    const dr = new Dr(parts, state, await Dirty.open(area, parts.chunkBytes, image.bytes), log);
    const read = dr.suspended.ahead();
    for await (const record of dr.orders.records(state.value.base)) {
      // The state table is not kept: what is there says by its hash whether it was copied.
      const stored =
        !hasPayload(record.kind) || hashOf(await read(record.place + RECORD_BYTES, record.length)) === record.hash;
      dr.history.append({ record, ordered: true, stored });
    }
    dr.#leaveLost();
    if (log !== undefined) log.horizon = dr.history.last.sequence;
    dr.#ordered = dr.history.last;
    return dr;
  }

  /** Once it has taken over: what comes after that counts only if this DR wrote it itself, and as far as all of it is here. */
  #leaveLost(): void {
    const { takenOver } = this;
    if (takenOver === undefined) return;
    const after = Math.max(takenOver.end.sequence, this.history.base.sequence);
    for (const { record, stored } of this.history.from(after + 1)) {
      if (record.epoch === this.voter.activated && stored) continue;
      this.lost = this.history.cut(record.sequence);
      break;
    }
    this.#settled = this.history.last.sequence;
  }

  get standing(): Standing {
    const { baseEpoch, activated, staleUntil } = this.state.value;
    const lastEpoch = this.history.at(this.#ordered.sequence)?.record.epoch ?? baseEpoch;
    return { base: this.history.base, last: this.#ordered, lastEpoch, activated, stale: staleUntil > 0 };
  }

  /** What the primary said is safe by the policy. */
  get settled(): number {
    return this.#settled;
  }

  receive(from: Role, message: Message): void {
    try {
      if (this.#handing) return;
      this.#newcomer.receive(from, message);
      if (message.type === 'join') this.#told(from, message);
      else if (this.#takeover !== undefined && message.type !== 'prepare') this.#takeover.receive(from, message);
      else this.#receive(from, message);
    } catch (error) {
      this.parts.failed(error as Error);
    }
  }

  /** While it takes over, it is not decided what was promised. */
  #told(to: Role, { nonce }: MessageOf<'join'>): void {
    const { promised, activated } = this.voter;
    if (this.#newcomer.isUnaware || (this.#takeover !== undefined && activated === 0)) return;
    this.parts.link.send(to, { type: 'known', epoch: 0, nonce, promised, activated });
  }

  /** From now on only `takeover` speaks and hears; without one, all is as before. */
  takeOver(takeover: Takeover | undefined): void {
    this.#takeover = takeover;
    this.#comparing.clear();
    this.#execution.run();
  }

  /** Who asks the primary for the lead hears its answer. */
  listen(listener: ((message: Message) => void) | undefined): void {
    this.#listener = listener;
  }

  /** It leads, and gives the volume back: `receive` hears what the primary says to that. */
  giveBack(receive: ((from: Role, message: Message) => void) | undefined): void {
    if (receive !== undefined) this.#takeover = undefined;
    this.#failback = receive;
  }

  /** What guards the volume while this side serves it. */
  gate(): Gate {
    return new Gate(this.dirty);
  }

  /** From the moment this is durable it leads no more: it is a DR as of `origin`, with everything that the primary has. */
  hand(handed: Handed, done: () => void): void {
    this.#handing = true;
    const { epoch, origin } = handed;
    const change = { activated: 0, takenOver: undefined, base: origin, baseEpoch: epoch, staleUntil: 0, handed };
    this.state.save(change, (error) => {
      if (error) return this.parts.failed(error);
      this.#handing = false;
      this.lost = [];
      this.#restart(origin);
      this.voter.endLease();
      done();
    });
  }

  #receive(from: Role, message: Message): void {
    if (message.type === 'prepare') {
      this.#prepare(from, message);
      return;
    }
    if (this.#newcomer.isUnaware || message.type === 'known' || message.type === 'marked') return;
    const { promised, activated } = this.voter;
    if (message.epoch < promised) {
      this.parts.link.send(from, { type: 'fenced', epoch: message.epoch, promised, activated });
      return;
    }
    if (activated > 0 && ownerOf(message.epoch) === 'primary') {
      // It took over for good, perhaps by force while others were thought dead: two histories are never merged.
      this.parts.link.send(from, { type: 'fenced', epoch: message.epoch, promised, activated });
      return;
    }
    if (message.epoch > promised) {
      this.voter.promise(message.epoch, () => this.receive(from, message));
      return;
    }
    switch (message.type) {
      case 'beat':
        this.voter.giveLease();
        this.parts.link.send(from, { type: 'lease', epoch: message.epoch, at: message.at });
        return;
      case 'order':
        this.#order(message);
        return;
      case 'data':
        this.#data(message);
        return;
      case 'yielded':
      case 'kept':
        this.#listener?.(message);
        return;
      case 'grow':
        this.#grow(message);
        return;
      case 'parted':
        this.#parted(from, message);
        return;
      case 'compare':
        this.#comparing.receive(message);
        return;
      case 'have':
      case 'proof':
      case 'units':
        this.#failback?.(from, message);
        return;
      default:
    }
  }

  #prepare(from: Role, { epoch }: MessageOf<'prepare'>): void {
    const answer = (granted: boolean) => {
      const { promised } = this.voter;
      this.parts.link.send(from, { type: 'promise', epoch, granted, promised, standing: this.standing });
    };
    if (this.#takeover !== undefined || this.#newcomer.isUnaware) {
      answer(false);
      return;
    }
    if (epoch === this.voter.promised) {
      this.state.save({}, () => answer(epoch === this.voter.promised));
      return;
    }
    if (!this.voter.mayPromise(epoch)) {
      answer(false);
      return;
    }
    this.voter.promise(epoch, () => answer(this.voter.promised === epoch));
  }

  #grow({ size }: MessageOf<'grow'>): void {
    const { areas, link, failed } = this.parts;
    // No answer: the primary says that no room was made.
    if (areas.image.isFixed && size > areas.image.bytes) return;
    growImage(areas.image, this.dirty, size, (error) => {
      if (error) return failed(error);
      link.send('primary', { type: 'grown', epoch: this.voter.promised, size: areas.image.bytes });
    });
  }

  /** The primary follows: it gets the volume back, or has it already and did not hear so. */
  #parted(from: Role, message: MessageOf<'parted'>): void {
    const { handed } = this.state.value;
    if (handed === undefined || handed.epoch !== message.epoch) this.#failback?.(from, message);
    else if (message.follows === handed.as) this.parts.link.send(from, { type: 'handed', ...handed });
  }

  #order(message: MessageOf<'order'>): void {
    this.voter.giveLease();
    const { restart } = message;
    const { joining } = this.state.value;
    // What the primary says before it knows that there is nothing here is meant for the one before.
    if (this.#restarting || (joining !== undefined && joining.until === undefined)) return;
    if (restart !== undefined && !this.#execution.reaches(restart.sequence)) {
      // Asked again soon; what is being executed ends first.
      if (this.#execution.isIdle) this.#beginAnew(restart);
      return;
    }
    const offered: Suspended[] = [];
    for (let at = 0; at < message.records.length; at += RECORD_BYTES) {
      const record = decodeRecord(message.records, at);
      if (record === undefined || record.volume !== this.parts.volume) return;
      if (record.sequence - this.history.base.sequence > this.orders.slots) break;
      offered.push({ record, ordered: false, stored: !hasPayload(record.kind) });
    }
    const admitted = this.history.admit(offered, Math.max(this.#settled, this.applied));
    if (admitted.outcome === 'taken') {
      if (admitted.dropped.length > 0) this.#recount();
      this.#orderCommit.push(...admitted.fresh);
    }
    this.settle(message.settled);
    if (admitted.outcome === 'gap' || admitted.fresh.length === 0) this.#answer(admitted.outcome === 'gap');
  }

  /** Executed in the image, perhaps not durably yet. */
  get applied(): number {
    return this.#execution.applied;
  }

  /** What it took over, while it leads. */
  get takenOver(): TakenOver | undefined {
    const { takenOver, activated } = this.state.value;
    return activated > 0 ? takenOver : undefined;
  }

  /** Up to where the image is no state of the volume, once it is executed up to `sequence`; 0: it is one. */
  staleAfter(sequence: number): number {
    return this.#execution.staleAfter(sequence);
  }

  /** Executes what may be, if nothing else gives cause to. */
  execute(): void {
    this.#execution.run();
  }

  /** Appends an operation of its own, after it took over: `record` follows the last one, and there is room. */
  append(record: OpRecord, payload: Buffer | undefined): Suspended {
    const entry: Suspended = { record, ordered: false, stored: payload === undefined };
    this.history.append(entry);
    this.#settled = record.sequence;
    this.#orderCommit.push(entry);
    if (payload !== undefined) this.store([{ entry, payload }]);
    return entry;
  }

  /** Nothing is on its way to the disk. */
  get isIdle(): boolean {
    return this.#orderCommit.isIdle && this.#dataCommit.isIdle;
  }

  /** Takes whole blocks that the auxiliary held; gives back the sequences of those whose data cannot be taken. */
  adopt(blocks: readonly Buffer[]): number[] {
    const refused: number[] = [];
    for (const block of blocks) {
      const record = decodeRecord(block);
      if (record === undefined || record.volume !== this.parts.volume) continue;
      if (!isWhole(record, block) || !this.fits(record)) refused.push(record.sequence);
      if (!isWhole(record, block)) continue;
      const fresh: Suspended = { record, ordered: false, stored: !hasPayload(record.kind) };
      const admitted = this.history.admit([fresh], Math.max(this.#settled, this.applied));
      if (admitted.outcome === 'gap') continue;
      if (admitted.dropped.length > 0) this.#recount();
      this.#orderCommit.push(...admitted.fresh);
      const entry = this.history.at(record.sequence);
      if (entry !== undefined && !entry.stored) this.store([{ entry, payload: payloadOf(record, block) }]);
    }
    return refused;
  }

  /** Whether its data can be held before everything older is executed. */
  fits(record: OpRecord): boolean {
    return record.place + blockBytes(record) - this.history.base.place <= this.suspended.bytes;
  }

  /** What is settled here may be executed; nothing else, because it might be taken back. */
  settle({ sequence, crc }: Mark): void {
    if (sequence <= this.#settled || !this.history.holds(sequence, crc)) return;
    this.#settled = sequence;
    this.#execution.run();
  }

  /** The primary no longer has what is missing here: from `restart` on, and stale until all came by another way. */
  #beginAnew({ until, ...restart }: Point & { readonly until: number }): void {
    this.#restarting = true;
    this.state.save({ base: restart, staleUntil: Math.max(until, this.state.value.joining?.until ?? 1) }, (error) => {
      this.#restarting = false;
      if (error) return this.parts.failed(error);
      this.#restart(restart);
      this.#answer(false);
    });
  }

  #restart(at: Point): void {
    this.#comparing.clear();
    this.history.restart(at);
    this.#ordered = at;
    this.#execution.restart(at.sequence);
    this.#settled = at.sequence;
  }

  #answer(missing: boolean): void {
    this.parts.link.send('primary', {
      type: 'ordered',
      epoch: this.voter.promised,
      last: this.#ordered,
      released: this.history.base,
      missing,
      stale: this.state.value.staleUntil > 0,
    });
  }

  /** Neither dropped nor let go of since it was taken. */
  #isHeld(entry: Suspended): boolean {
    return this.history.at(entry.record.sequence) === entry;
  }

  #writeOrder(batch: Suspended[], done: Done): void {
    const { promised } = this.voter;
    const current = batch.filter((entry) => this.#isHeld(entry));
    if (current.length === 0) {
      done();
      return;
    }
    this.orders.write(
      current.map(({ record }) => record),
      (error) => {
        if (error) return done(error);
        for (const entry of current) entry.ordered = true;
        this.#recount();
        if (this.voter.promised === promised && this.#takeover === undefined) this.#answer(false);
        this.#execution.run();
        this.#comparing.progress();
        this.#takeover?.progress();
        done();
      },
    );
  }

  #recount(): void {
    if (!this.history.holds(this.#ordered.sequence, this.#ordered.crc)) this.#ordered = this.history.base;
    for (const entry of this.history.from(this.#ordered.sequence + 1)) {
      if (!entry.ordered) return;
      this.#ordered = pointAfter(entry.record);
    }
  }

  #data({ sequence, crc, payload }: MessageOf<'data'>): void {
    if (sequence <= this.history.base.sequence) {
      this.#confirm([{ sequence, crc }]);
      return;
    }
    const entry = this.history.at(sequence);
    if (entry === undefined || entry.record.crc !== crc) return;
    if (entry.stored) {
      this.#confirm([{ sequence, crc }]);
      return;
    }
    if (payload.length !== entry.record.length || hashOf(payload) !== entry.record.hash) return;
    this.store([{ entry, payload }]);
  }

  /** Holds data until its turn. */
  store(arrived: readonly Arrived[]): void {
    for (const { entry, payload } of arrived) entry.payload = payload;
    this.#dataCommit.push(...arrived);
  }

  #confirm(blocks: readonly Mark[]): void {
    if (this.#takeover !== undefined) return;
    const { sequence: released } = this.history.base;
    this.parts.link.send('primary', { type: 'stored', epoch: this.voter.promised, released, blocks });
  }

  #writeData(batch: Arrived[], done: Done): void {
    const { promised } = this.voter;
    const wanted = new Map<Suspended, Buffer>();
    for (const { entry, payload } of batch) {
      if (!entry.stored && this.fits(entry.record) && this.#isHeld(entry)) wanted.set(entry, payload);
      else entry.payload = undefined;
    }
    if (wanted.size === 0) {
      done();
      return;
    }
    const blocks = joined(Array.from(wanted, ([{ record }, payload]) => [record, payload] as const));
    const written = gather(blocks.length, (error) => {
      if (error) return done(error);
      this.suspended.sync((failure) => {
        if (failure) return done(failure);
        for (const entry of wanted.keys()) {
          entry.stored = true;
          entry.payload = undefined;
        }
        const { promised: now } = this.voter;
        // Who has begun anew meanwhile has dropped them.
        const held = [...wanted.keys()].filter((entry) => this.#isHeld(entry));
        if (now === promised) this.#confirm(held.map(({ record: { sequence, crc } }) => ({ sequence, crc })));
        this.#execution.run();
        this.#takeover?.progress();
        done();
      });
    });
    for (const { place, data } of blocks) this.suspended.write(place, data, written);
  }
}
