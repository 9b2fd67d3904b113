/** The primary's lanes: the order to the DR at once, the data to the DR in its own time, and what it shares with the auxiliary. */
import type { Role } from '../../../kernel/protect/ports.ts';
import { Lane } from './lane.ts';
import type { Op } from './local-store.ts';
import type { Mark, Message, MessageOf } from './messages.ts';
import { MountedShare } from './mounted-share.ts';
import type { Primary } from './primary.ts';
import { encodeRecord, hasPayload, RECORD_BYTES } from './record.ts';
import { payloadOf } from './ring.ts';
import type { Marks } from './rules.ts';
import type { SharedArea } from './shared-area.ts';
import { SharedLane } from './shared-lane.ts';

const BATCH_RECORDS = 512;
const BATCH_BYTES = 1 << 18;

export class Lanes {
  readonly #primary: Primary;
  readonly #order: Lane;
  readonly #share: SharedArea;
  /** On their way to the DR, in the order of sending. */
  readonly #sent = new Map<number, Op>();
  #sentBytes = 0;
  #dataNext = 1;
  #data = 0;
  /** Durable in the DR's image. */
  #released = 0;
  #toldSettled = 0;
  /** What the DR said last. */
  #stale = false;
  /** When it was told last to begin anew at the ring's tail. */
  #restartedAt = Number.NEGATIVE_INFINITY;
  /** And at which: what it says of a time when it was not there yet, it said before. */
  #restartedFrom = 0;

  constructor(primary: Primary) {
    this.#primary = primary;
    const { ticker, settings, mounts } = primary.parts;
    this.#order = new Lane(ticker, settings.resendMs);
    this.#share = mounts === undefined ? new SharedLane(primary) : new MountedShare(primary, mounts);
  }

  begin(head: number): void {
    const { sequence } = this.#primary.history.base;
    this.#order.begin(head, sequence);
    this.#restartedAt = Number.NEGATIVE_INFINITY;
    this.#restartedFrom = 0;
    this.#share.begin(head);
    this.#sent.clear();
    this.#sentBytes = 0;
    this.#data = sequence;
    this.#dataNext = sequence + 1;
    this.pump();
  }

  /** Whether everything up to there is in the DR's image, durably. */
  isExecuted(sequence: number): boolean {
    return this.#released >= sequence;
  }

  /** Whether the DR has missed operations, once it has executed that one durably; nothing before. */
  isStaleAfter(sequence: number): boolean | undefined {
    return this.isExecuted(sequence) ? this.#stale : undefined;
  }

  /** The DR is another one, and has nothing: what the one before had confirmed is not there. */
  forgetDr(): void {
    const { sequence } = this.#primary.history.base;
    this.#released = 0;
    this.#order.begin(sequence + 1, sequence);
    this.#restartedAt = Number.NEGATIVE_INFINITY;
    this.#restartedFrom = 0;
    this.#forgetStored();
  }

  /** Of no operation here the DR has the data: all of it is sent again. */
  #forgetStored(): void {
    const { history } = this.#primary;
    const { sequence } = history.base;
    for (const op of history.from(sequence + 1)) {
      op.stored = !hasPayload(op.record.kind);
      op.sentAt = undefined;
    }
    this.#sent.clear();
    this.#sentBytes = 0;
    this.#data = sequence;
    this.#dataNext = sequence + 1;
    this.#share.changed(sequence + 1, history.last.sequence);
  }

  /** The auxiliary is another one, and has nothing. */
  forgetAuxiliary(): void {
    this.#share.forget();
  }

  marks(local: number): Marks {
    this.#advanceData();
    return { local, order: this.#order.acked, share: this.#share.acked, data: this.#data };
  }

  /** Up to where the order is durable at the DR. */
  get ordered(): number {
    return this.#order.acked;
  }

  get share(): SharedArea {
    return this.#share;
  }

  silentFor(role: Exclude<Role, 'primary'>): number {
    const lane = role === 'dr' ? this.#order : this.#share;
    return this.#primary.parts.ticker.elapsed() - lane.heardAt;
  }

  /** Whether it has everything up to `head`, and nothing older is missing. */
  isLevel(role: Exclude<Role, 'primary'>, head: number): boolean {
    const lane = role === 'dr' ? this.#order : this.#share;
    if (lane.acked < head || this.silentFor(role) > this.#primary.parts.settings.resendMs * 4) return false;
    return role !== 'dr' || this.#primary.dirty.isEmpty;
  }

  /** How far blocks are needed no more by anybody but the primary itself. */
  releasable(): number {
    if (this.#primary.parts.experiment?.freeWhenSent) return this.#sentAll();
    const { logged, effective } = this.#primary.modes;
    const counted = logged !== 'no-auxiliary' || effective !== 'no-auxiliary';
    const needed = counted ? this.#share.acked : (this.#share.needed ?? this.#released);
    return Math.min(this.#released, needed);
  }

  /** How far blocks could be let go of if what they changed is remembered instead; 0 while the DR is counted on. */
  releasableWithoutDr(): number {
    const { logged, effective } = this.#primary.modes;
    const { patienceMs } = this.#primary.parts.settings;
    if (logged !== 'no-dr' || effective !== 'no-dr' || this.silentFor('dr') <= (patienceMs ?? 0)) return 0;
    return this.#share.acked;
  }

  /** Durable here and at the DR, order and data: no restart of either takes it back. */
  get secured(): number {
    const { local, order, data } = this.marks(this.#primary.store.durable);
    return Math.min(local, order, data);
  }

  /** The document's own rule, for simulations. */
  #sentAll(): number {
    let last = Math.min(this.#order.acked, this.#dataNext - 1);
    for (const { record, sentAt, stored } of this.#primary.history.from(this.#primary.history.base.sequence + 1)) {
      if (record.sequence > last) break;
      if (!stored && sentAt === undefined) last = record.sequence - 1;
    }
    return last;
  }

  receive(from: Role, message: Message): void {
    if (from === 'dr') this.#order.heard();
    if (from === 'auxiliary') this.#share.heard();
    if (message.type === 'ordered') this.#ordered(message);
    else if (message.type === 'shared' || message.type === 'mountable') this.#share.receive(message);
    else if (message.type === 'stored') this.#stored(message);
    else return;
    this.pump();
    this.#primary.advance();
  }

  #ordered({ last, released, missing, stale }: MessageOf<'ordered'>): void {
    const { history } = this.#primary;
    const before = this.#order.acked;
    this.#stale = stale;
    if (history.holds(released.sequence, released.crc)) this.#released = Math.max(this.#released, released.sequence);
    // Only where the primary went on without the DR; or this is old news, which the DR knows better.
    const isBehind = Math.max(this.#released, released.sequence) < history.base.sequence;
    // What it lacks may have changed nothing, as a change of mode does, and then nothing is dirty.
    const lacks = !this.#primary.dirty.isEmpty || (missing && last.sequence < history.base.sequence);
    if (isBehind && lacks) this.#sendRestart();
    else if (released.sequence < this.#restartedFrom) return;
    else if (history.holds(last.sequence, last.crc)) {
      if (missing) this.#order.goTo(last.sequence);
      else this.#order.confirm(last.sequence);
    } else if (missing) this.#order.goTo(history.base.sequence);
    this.#share.changed(before + 1, this.#order.acked);
    if (this.#released > history.base.sequence) this.#primary.store.roomWanted();
  }

  #stored({ blocks, released }: MessageOf<'stored'>): void {
    // Beginning anew it drops what it held.
    if (released < this.#restartedFrom) return;
    for (const { sequence, crc } of blocks) {
      const op = this.#primary.history.at(sequence);
      if (op?.record.crc !== crc) continue;
      op.stored = true;
      this.#share.changed(sequence, sequence);
      this.#landed(sequence);
    }
  }

  #landed(sequence: number): void {
    const op = this.#sent.get(sequence);
    if (op === undefined) return;
    this.#sent.delete(sequence);
    this.#sentBytes -= op.record.length;
  }

  #advanceData(): void {
    const { history } = this.#primary;
    this.#data = Math.max(this.#data, history.base.sequence);
    for (const { record, stored } of history.from(this.#data + 1)) {
      if (!stored && record.sequence > this.#released) return;
      this.#data = record.sequence;
    }
  }

  /** Sends what may be sent. */
  pump(): void {
    if (!this.#primary.leadership.leads) return;
    this.#pumpOrder();
    this.#share.pump();
    this.#pumpData();
  }

  #pumpOrder(): void {
    const { history, parts } = this.#primary;
    const lane = this.#order;
    lane.next = Math.max(lane.next, history.base.sequence + 1);
    const window = lane.cautious ? BATCH_RECORDS : parts.settings.mostOperations;
    while (lane.next <= history.last.sequence && lane.next - lane.acked <= window) {
      const count = Math.min(BATCH_RECORDS, history.last.sequence - lane.next + 1);
      const records = Buffer.alloc(count * RECORD_BYTES);
      for (let i = 0; i < count; i += 1) {
        encodeRecord((history.at(lane.next + i) as Op).record, records, i * RECORD_BYTES);
      }
      lane.next += count;
      this.#sendOrder(records);
    }
  }

  #sendOrder(records: Buffer): void {
    const { history, leadership, parts, settled } = this.#primary;
    const sequence = Math.min(settled, this.#order.acked);
    const crc = sequence === history.base.sequence ? history.base.crc : history.at(sequence)?.record.crc;
    // Below the base all was executed at the DR long ago.
    const mark: Mark = crc === undefined ? { sequence: 0, crc: 0 } : { sequence, crc };
    this.#toldSettled = mark.sequence;
    parts.link.send('dr', { type: 'order', epoch: leadership.epoch, records, settled: mark });
  }

  /**
   * What the DR lacks is not in the ring any more: it goes on at its tail, and gets the rest by `resync`. Of what it has
   * after that nothing counts before it has. Now and then only: it answers each time, and is behind until it has done so.
   */
  #sendRestart(): void {
    const { history, leadership, parts } = this.#primary;
    const { base: restart } = history;
    const until = history.last.sequence;
    this.#order.goTo(restart.sequence);
    const elapsed = parts.ticker.elapsed();
    if (elapsed - this.#restartedAt < parts.settings.resendMs / 2) return;
    this.#restartedAt = elapsed;
    this.#restartedFrom = restart.sequence;
    this.#forgetStored();
    const settled = { sequence: 0, crc: 0 };
    const { epoch } = leadership;
    parts.link.send('dr', { type: 'order', epoch, records: Buffer.alloc(0), settled, restart: { ...restart, until } });
  }

  /** The DR may execute more: it hears of it with the next records, or at once where there are none. */
  tellSettled(): void {
    if (this.#order.next <= this.#primary.history.last.sequence) return;
    if (Math.min(this.#primary.settled, this.#order.acked) > this.#toldSettled) this.#sendOrder(Buffer.alloc(0));
  }

  #pumpData(): void {
    const { history, parts } = this.#primary;
    this.#dataNext = Math.max(this.#dataNext, history.base.sequence + 1);
    // Data follows its order: the DR knows what it belongs to.
    while (this.#dataNext <= this.#order.acked && this.#sentBytes < parts.settings.windowBytes) {
      const op = history.at(this.#dataNext);
      if (op === undefined) return;
      if (!op.stored && op.block === undefined) {
        this.load(op);
        return;
      }
      this.#dataNext += 1;
      if (!op.stored) this.#sendData(op);
    }
  }

  readonly #pumpAgain = (): void => this.pump();

  /** It goes when it is in memory again. */
  load(op: Op): void {
    this.#primary.store.blocks.load(op, this.#pumpAgain);
  }

  #sendData(op: Op): void {
    const { leadership, parts } = this.#primary;
    const { record, block } = op;
    if (block === undefined) {
      this.#primary.store.blocks.load(op, () => this.#sendLoaded(op));
      return;
    }
    const isFirst = op.sentAt === undefined;
    op.sentAt = parts.ticker.elapsed();
    if (isFirst) this.#share.copied(record.sequence);
    if (!this.#sent.has(record.sequence)) this.#sentBytes += record.length;
    this.#sent.delete(record.sequence);
    this.#sent.set(record.sequence, op);
    const payload = payloadOf(record, block);
    parts.link.send('dr', {
      type: 'data',
      epoch: leadership.epoch,
      sequence: record.sequence,
      crc: record.crc,
      payload,
    });
  }

  /** It was read back from the ring. Much may have happened meanwhile. */
  #sendLoaded(op: Op): void {
    const { history, leadership } = this.#primary;
    const isWanted = leadership.leads && !op.stored && history.at(op.record.sequence) === op;
    if (isWanted && op.block !== undefined) this.#sendData(op);
  }

  tick(): void {
    const { parts, history } = this.#primary;
    this.#order.isLate();
    const before = parts.ticker.elapsed() - parts.settings.resendMs;
    let bytes = 0;
    for (const [sequence, op] of [...this.#sent]) {
      if (op.stored || sequence <= history.base.sequence) this.#landed(sequence);
      else if ((op.sentAt ?? 0) <= before && bytes < BATCH_BYTES && sequence <= this.#order.acked) {
        bytes += op.record.length;
        this.#sendData(op);
      }
    }
    this.pump();
    this.#share.tick();
    // So that a lost word about it is said again, and both sides are heard from.
    this.#sendOrder(Buffer.alloc(0));
  }
}
