/**
 * The auxiliary: near the primary, holds what the primary shares with it (order, payload,
 * primary state values) until the DR has all of it, and votes on who leads.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import type { Area, AreaServer, Done, Link, Role, Ticker } from '../../../kernel/protect/ports.ts';
import { type AreaHead, partsOf } from './area-layout.ts';
import { Joined } from './area-parts.ts';
import { ExportedArea } from './exported-area.ts';
import { GroupCommit, gather } from './group-commit.ts';
import { type Entry, History } from './history.ts';
import type { Message, MessageOf, Standing } from './messages.ts';
import { type Joining, Newcomer } from './newcomer.ts';
import { blockBytes, decodeRecord, type OpRecord } from './record.ts';
import { BEGINNING, isWhole, type Point, pointAfter, Ring } from './ring.ts';
import { kept, Superblock, synced } from './superblock.ts';
import { ownerOf, Voter, type VoterState } from './voter.ts';
import { look } from './written-area.ts';

interface AuxiliaryState extends VoterState {
  readonly tail: Point;
}

interface Held extends Entry {
  /** Until it is durable. */
  block: Buffer | undefined;
  durable: boolean;
  /** The primary's state value: its data was sent to the DR. */
  copied: boolean;
}

export interface AuxiliaryParts {
  /** `table`: head and state table of a primary that writes into the area by itself; `tableBytes` long. */
  readonly areas: { readonly ring: Area; readonly state: Area; readonly table: Area };
  /** Operations that may be in the ring at once. */
  readonly slots: number;
  readonly link: Link<Message>;
  /** Lets the primary mount the area; without it, what is shared comes by messages alone. */
  readonly server?: AreaServer;
  readonly ticker: Ticker;
  readonly volume: number;
  readonly leaseMs: number;
  readonly failed: (error: Error) => void;
  /** There is nothing here: it stands in for an auxiliary that is gone. A number that no other machine was given. */
  readonly replaces?: number | undefined;
  readonly retryMs: number;
  /** Only simulations say so, to show that it fails: who has the area mounted keeps it. */
  readonly neverRevokes?: boolean;
}

/** Blocks in one answer; of what is named, all that goes into so many. */
export const FETCH_BYTES = 1 << 20;

export class Auxiliary {
  readonly #parts: AuxiliaryParts;
  readonly #state: Superblock<AuxiliaryState>;
  readonly #voter: Voter;
  readonly #ring: Ring;
  readonly #history: History<Held>;
  readonly #commit: GroupCommit<Held>;
  readonly #newcomer: Newcomer;
  readonly #exported: ExportedArea;
  /** Somebody may have written into the area since it was looked at: the history here is out of date. */
  #isWritten = false;
  /** Who waits for it to be looked at. */
  #looking: (() => void)[] | undefined;
  #durable: Point;
  /** The tail that a restart would begin from. */
  #keptTail: Point;
  /** It was refilled: what lies on disk is no chain before a new tail is kept. */
  #begunAnew = false;

  private constructor(parts: AuxiliaryParts, state: Superblock<AuxiliaryState>, ring: Ring) {
    this.#parts = parts;
    this.#state = state;
    this.#ring = ring;
    this.#voter = new Voter(state as unknown as Superblock<VoterState>, parts.ticker, parts.leaseMs);
    this.#history = new History(state.value.tail);
    this.#durable = state.value.tail;
    this.#keptTail = state.value.tail;
    this.#commit = new GroupCommit((batch, done) => this.#write(batch, done), parts.failed);
    const { ring: ringArea, table } = parts.areas;
    const { server, failed, neverRevokes = false } = parts;
    this.#exported = new ExportedArea(new Joined(table, ringArea), server, failed, neverRevokes);
    this.#newcomer = new Newcomer({
      ...{ self: 'auxiliary', link: parts.link, ticker: parts.ticker, retryMs: parts.retryMs },
      joining: () => state.value.joining,
      epoch: () => this.#voter.promised,
      learned: (promised, activated) => this.#join({ knows: true }, promised, activated),
      marked: ({ until, epoch: since }) => this.#join({ until, since }),
      filling: () => this.#fill(),
    });
  }

  /** Learns more of what it has to know before it is what the one before it was. */
  #join(more: Partial<Joining>, promised?: number, activated?: number): void {
    const { joining } = this.#state.value;
    if (joining === undefined) return;
    // A lease that the one before had given may be in force still.
    this.#voter.giveLease();
    const vote = promised === undefined ? {} : { promised: Math.max(promised, this.#voter.promised), activated };
    this.#state.save({ joining: { ...joining, ...more }, ...vote } as Partial<AuxiliaryState>, (error) => {
      if (error) this.#parts.failed(error);
    });
  }

  /** Until it holds what the primary had in its ring when it heard of this one, and all since. */
  #fill(): void {
    if (this.#isWritten) {
      this.#fillMounted().catch((error: unknown) => this.#parts.failed(error as Error));
      return;
    }
    const { base } = this.#history;
    if (!this.#hasAll(this.#durable.sequence, this.standing.lastEpoch) || !this.#commit.isIdle) {
      if (this.#commit.isIdle) this.#answer('primary', true);
      return;
    }
    // What a restart reads begins here, however little was written since.
    this.#begunAnew = false;
    this.#state.save({ joining: undefined, tail: base }, (error) => {
      if (error) this.#parts.failed(error);
      else this.#keptTail = base;
    });
  }

  /** The same where the primary writes into the area by itself: it says there how far it is whole. */
  async #fillMounted(): Promise<void> {
    const { areas, slots, failed } = this.#parts;
    const head = await Superblock.glance<AreaHead>(partsOf(areas.table, slots).head);
    if (head === undefined || !this.#hasAll(head.flushed.sequence, head.lastEpoch)) return;
    // What a restart reads begins with a tail that is durable.
    await synced(areas.table);
    if (!this.isIncomplete) return;
    this.#state.save({ joining: undefined }, (error) => error && failed(error));
  }

  #hasAll(last: number, lastEpoch: number): boolean {
    const { until, since = 0 } = this.#state.value.joining ?? {};
    // A later epoch begins after all that its primary ever confirmed, whatever numbers were lost in a crash.
    return until !== undefined && (last >= until || lastEpoch > since);
  }

  /** Whether it may not stand in for anybody yet. */
  get isIncomplete(): boolean {
    return this.#newcomer.isIncomplete;
  }

  static async open(parts: AuxiliaryParts): Promise<Auxiliary> {
    const initial: AuxiliaryState = { promised: 0, activated: 0, tail: BEGINNING };
    const state = await Superblock.open(parts.areas.state, initial);
    if (state.isNew && parts.replaces !== undefined) {
      await kept(state, { joining: { nonce: parts.replaces, knows: false } });
    }
    const auxiliary = new Auxiliary(parts, state, new Ring(parts.areas.ring));
    await auxiliary.#look();
    return auxiliary;
  }

  /** What lies in the area is what is held, whoever has written it. */
  async #look(): Promise<void> {
    const { areas, slots } = this.#parts;
    const { tail } = this.#state.value;
    const found = await look(areas, this.#ring, slots, tail);
    this.#history.restart(found.tail);
    for (const held of found.held) this.#history.append(held);
    this.#durable = this.#history.last;
    // The tail that is kept here is an older one then.
    if (found.tail !== tail) this.#begunAnew = true;
  }

  /** How far it is as far as anybody knows without taking the area back. */
  async glance(): Promise<{ readonly epoch: number; readonly base: Point; readonly last: Point }> {
    const { areas, slots } = this.#parts;
    const head = this.#isWritten ? await Superblock.glance<AreaHead>(partsOf(areas.table, slots).head) : undefined;
    const { base, last, lastEpoch } = this.standing;
    return { epoch: head?.epoch ?? lastEpoch, base: head?.tail ?? base, last: head?.flushed ?? last };
  }

  /** Whether somebody has the area mounted. */
  get isMounted(): boolean {
    return this.#exported.isGranted;
  }

  get standing(): Standing {
    const { base } = this.#history;
    const lastEpoch = this.#history.at(this.#durable.sequence)?.record.epoch ?? 0;
    return { base, last: this.#durable, lastEpoch, activated: this.#voter.activated, stale: this.isIncomplete };
  }

  receive(from: Role, message: Message): void {
    try {
      this.#receive(from, message);
    } catch (error) {
      this.#parts.failed(error as Error);
    }
  }

  #receive(from: Role, message: Message): void {
    this.#newcomer.receive(from, message);
    if (message.type === 'prepare') {
      this.#prepare(from, message);
      return;
    }
    if (this.#newcomer.isUnaware) return;
    const { promised, activated } = this.#voter;
    if (message.type === 'join') {
      this.#parts.link.send(from, { type: 'known', epoch: 0, nonce: message.nonce, promised, activated });
      return;
    }
    if (message.type === 'known' || message.type === 'marked') return;
    if (message.epoch < promised) {
      this.#parts.link.send(from, { type: 'fenced', epoch: message.epoch, promised, activated });
      return;
    }
    if (message.epoch > promised) {
      // Whoever leads has a majority already: this vote follows before anything else is done.
      this.#promise(message.epoch, () => this.receive(from, message));
      return;
    }
    switch (message.type) {
      case 'beat':
        this.#voter.giveLease();
        this.#parts.link.send(from, { type: 'lease', epoch: message.epoch, at: message.at });
        return;
      case 'resign':
        if (ownerOf(message.epoch) === 'primary') this.#voter.endLease();
        return;
      case 'share':
        this.#share(from, message);
        return;
      case 'mount':
        this.#mount(from, message);
        return;
      case 'fetch':
        this.#voter.giveLease();
        this.#known(() => {
          void this.#fetch(from, message).catch((error: unknown) => this.#parts.failed(error as Error));
        });
        return;
      case 'ask-table':
        this.#voter.giveLease();
        this.#known(() => this.#parts.link.send(from, this.#table(message.epoch)));
        return;
      case 'activate':
        this.#state.save({ activated: message.epoch }, (error) => {
          if (!error && this.#voter.promised === message.epoch) {
            this.#parts.link.send(from, { type: 'activated', epoch: message.epoch });
          }
        });
        return;
      default:
    }
  }

  #prepare(from: Role, { epoch }: MessageOf<'prepare'>): void {
    const answer = (granted: boolean) => {
      const { promised } = this.#voter;
      this.#parts.link.send(from, { type: 'promise', epoch, granted, promised, standing: this.standing });
    };
    // What is confirmed by the one before it is not here: it cannot speak for that.
    if (this.#newcomer.isUnaware || (this.#newcomer.isIncomplete && from === 'dr')) {
      answer(false);
      return;
    }
    const granted = () => {
      // What is held is no matter to a primary: it has its own ring.
      if (ownerOf(epoch) === 'primary') answer(this.#voter.promised === epoch);
      else this.#known(() => answer(this.#voter.promised === epoch));
    };
    // Asked again, because the answer was lost; or, of a new one, in the place of the one before. Not while the DR leads.
    if (epoch === this.#voter.promised && (this.#voter.activated === 0 || ownerOf(epoch) === 'dr')) {
      this.#promise(epoch, granted);
      return;
    }
    if (!this.#voter.mayPromise(epoch)) {
      answer(false);
      return;
    }
    this.#promise(epoch, granted);
  }

  /** Promises, durably, and takes the area back: of an older epoch nothing comes into it any more when that is done. */
  #promise(epoch: number, done: () => void): void {
    const both = gather(2, () => done());
    const before = this.#voter.promised;
    if (epoch === before) this.#state.save({}, (error) => !error && both());
    else this.#voter.promise(epoch, both);
    // Asked again while it is mounted: that is of this very epoch.
    if (epoch === before && this.#exported.isGranted) both();
    else this.#exported.revoke(both);
  }

  /** The leader asks to write into the area by itself. */
  #mount(from: Role, { epoch, attempt }: MessageOf<'mount'>): void {
    this.#voter.giveLease();
    // What came by messages before is still being written; it asks again.
    if (from !== 'primary' || !this.#commit.isIdle || this.#looking !== undefined) return;
    // The primary must know that there is nothing in it, before it writes on as if it were the one that it had.
    if (this.#newcomer.isUnmarked) return;
    if (this.#parts.server !== undefined) this.#isWritten = true;
    this.#exported.grant(attempt, (where) => {
      if (this.#voter.promised !== epoch) return;
      this.#parts.link.send(from, { type: 'mountable', epoch, attempt, ...(where === undefined ? {} : { where }) });
    });
  }

  /** Calls `then` when the history here is what lies in the area, and nobody writes into that. */
  #known(then: () => void): void {
    if (!this.#isWritten) {
      then();
      return;
    }
    if (this.#looking !== undefined) {
      this.#looking.push(then);
      return;
    }
    this.#looking = [then];
    this.#exported.revoke(() => {
      this.#look().then(
        () => {
          this.#isWritten = false;
          const waiting = this.#looking ?? [];
          this.#looking = undefined;
          for (const each of waiting) each();
        },
        (error: unknown) => this.#parts.failed(error as Error),
      );
    });
  }

  #share(from: Role, message: MessageOf<'share'>): void {
    this.#voter.giveLease();
    if (this.#isWritten) {
      // It wrote into the area by itself before; it sends this again.
      this.#known(() => {});
      return;
    }
    const { tail } = message;
    if (
      message.refill &&
      tail.sequence > this.#history.base.sequence &&
      !this.#history.holds(tail.sequence, tail.crc)
    ) {
      this.#history.restart(tail);
      this.#begunAnew = true;
      this.#durable = tail;
    }
    const offered = message.blocks.map((block) => this.#held(block));
    if (offered.some((held) => held === undefined)) return;
    const admitted = this.#history.admit(offered as Held[], tail.sequence);
    if (this.#history.holds(tail.sequence, tail.crc)) this.#release(tail.sequence);
    for (const sequence of message.copied) {
      const held = this.#history.at(sequence);
      if (held !== undefined) held.copied = true;
    }
    if (admitted.outcome === 'taken') {
      if (admitted.dropped.length > 0) this.#recount();
      this.#commit.push(...admitted.fresh);
    }
    if (admitted.outcome === 'gap' || admitted.fresh.length === 0) this.#answer(from, admitted.outcome === 'gap');
  }

  #held(block: Buffer): Held | undefined {
    const record = decodeRecord(block);
    if (record === undefined || record.volume !== this.#parts.volume || !isWhole(record, block)) return undefined;
    return { record, block, durable: false, copied: false };
  }

  #release(sequence: number): void {
    this.#history.release(sequence);
    if (this.#durable.sequence < this.#history.base.sequence) this.#durable = this.#history.base;
  }

  #answer(to: Role, missing: boolean): void {
    this.#parts.link.send(to, { type: 'shared', epoch: this.#voter.promised, last: this.#durable, missing });
  }

  #write(batch: Held[], done: Done): void {
    const { promised } = this.#voter;
    const current = batch.filter((held) => this.#history.at(held.record.sequence) === held);
    const end = Math.max(0, ...current.map(({ record }) => record.place + blockBytes(record)));
    const write = () => {
      const written = gather(current.length, (error) => {
        if (error) return done(error);
        this.#ring.sync((failure) => {
          if (failure) return done(failure);
          for (const held of current) {
            held.durable = true;
            held.block = undefined;
          }
          this.#recount();
          // Promised to somebody else meanwhile: what the old leader has not heard, it shall not hear.
          if (this.#voter.promised === promised) this.#answer('primary', false);
          done();
        });
      });
      for (const { record, block } of current) this.#ring.write(record.place, block as Buffer, written);
    };
    if (current.length === 0) {
      done();
      return;
    }
    const { base } = this.#history;
    if (end - this.#keptTail.place <= this.#ring.bytes && !this.#begunAnew) {
      write();
      return;
    }
    // Before the first block of a new lap goes over old ones, a restart must not look for those any more.
    if (end - base.place > this.#ring.bytes) {
      done(new GodwitError('GW9001', 'A shared block does not fit the ring'));
      return;
    }
    this.#begunAnew = false;
    this.#state.save({ tail: base }, (error) => {
      if (error) return done(error);
      this.#keptTail = base;
      write();
    });
  }

  /** The end of what is durable without a gap. */
  #recount(): void {
    let last = this.#durable.sequence;
    if (!this.#history.holds(last, this.#durable.crc)) last = this.#history.base.sequence;
    this.#durable = last === this.#history.base.sequence ? this.#history.base : this.#durable;
    for (const held of this.#history.from(last + 1)) {
      if (!held.durable) return;
      this.#durable = pointAfter(held.record);
    }
  }

  #table(epoch: number): Message {
    const { base } = this.#history;
    const copied: [number, number][] = [];
    for (const held of this.#history.from(base.sequence + 1)) {
      const { sequence } = held.record;
      if (!held.copied) continue;
      const run = copied.at(-1);
      if (run?.[1] === sequence - 1) run[1] = sequence;
      else copied.push([sequence, sequence]);
    }
    return { type: 'table', epoch, base, last: this.#durable, copied };
  }

  async #fetch(from: Role, message: MessageOf<'fetch'>): Promise<void> {
    const blocks: Buffer[] = [];
    const copied: number[] = [];
    let bytes = 0;
    const wanted: OpRecord[] = [];
    const { only } = message;
    const named = only?.map(({ sequence, crc }) =>
      this.#history.holds(sequence, crc) ? this.#history.at(sequence) : undefined,
    );
    const lacks = only?.filter((_, i) => !named?.[i]?.durable).map(({ sequence }) => sequence);
    const first = Math.max(message.from, this.#history.base.sequence + 1);
    for (const held of named?.filter((each) => each?.durable) ?? this.#history.from(first)) {
      if (!held?.durable || bytes > FETCH_BYTES) break;
      wanted.push(held.record);
      if (held.copied) copied.push(held.record.sequence);
      bytes += blockBytes(held.record);
    }
    for (const record of wanted) blocks.push(await this.#ring.read(record.place, blockBytes(record)));
    const { epoch } = message;
    this.#parts.link.send(from, { type: 'blocks', epoch, from: message.from, blocks, lacks, copied });
  }
}
