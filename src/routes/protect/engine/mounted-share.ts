/**
 * Shared by writing: the auxiliary's area is mounted here, and the primary writes blocks,
 * tail and state values into it. Shared is what the area has taken durably.
 *
 * An area is mounted for one epoch and one attempt. Whatever goes wrong, it is let go of and
 * mounted anew; the auxiliary sees to it that nothing of before is changed by then.
 */
import type { AreaClient, Done, MountedArea } from '../../../kernel/protect/ports.ts';
import { type AreaHead, NO_HEAD, partsOf, tableBytes } from './area-layout.ts';
import { gather } from './group-commit.ts';
import type { MessageOf } from './messages.ts';
import type { Primary } from './primary.ts';
import type { Point } from './ring.ts';
import type { SharedArea } from './shared-area.ts';
import { StateTable } from './state-table.ts';
import { Superblock } from './superblock.ts';

const BATCH_BYTES = 1 << 18;
/** So many at once: while one is made durable, the next is on its way, and what comes meanwhile goes together. */
const MOST_FLIGHTS = 4;
/** A write without an answer for so many times the time of a repetition: the way there is gone. */
const LATE = 8;
const PROBE_BYTES = 512;

/** Blocks on their way. */
interface Flight {
  readonly last: Point;
  readonly place: number;
  readonly at: number;
  done: boolean;
}

interface Mount {
  readonly area: MountedArea;
  readonly head: Superblock<AreaHead>;
  readonly table: StateTable;
  /** Where the ring begins in the area, and how long it is. */
  readonly ring: number;
  readonly ringBytes: number;
  /** The tail that is durable there. */
  tail: Point;
  /** Since when the head is being written, or read. */
  busySince: number | undefined;
  flights: Flight[];
  /** The end of what is durable, and what is durable according to the head. */
  end: Point;
  told: Point;
}

export class MountedShare implements SharedArea {
  readonly #primary: Primary;
  readonly #client: AreaClient;
  #mount: Mount | undefined;
  #attempt = 1;
  #mountingSince: number | undefined;
  #next = 1;
  #acked = 0;
  #heardAt: number;
  /** The auxiliary was not told to serve its area. */
  #isRefused = false;
  #needed: number | undefined;

  constructor(primary: Primary, client: AreaClient) {
    this.#primary = primary;
    this.#client = client;
    this.#heardAt = primary.parts.ticker.elapsed();
  }

  get acked(): number {
    return this.#acked;
  }

  get heardAt(): number {
    return this.#heardAt;
  }

  get needed(): number | undefined {
    return this.#needed;
  }

  get state(): 'in use' | 'not mounted' | 'refused' {
    if (this.#mount !== undefined) return 'in use';
    return this.#isRefused ? 'refused' : 'not mounted';
  }

  begin(): void {
    this.#letGo();
    this.#acked = this.#primary.history.base.sequence;
    this.#heardAt = this.#primary.parts.ticker.elapsed();
    this.#ask();
  }

  /** Another one has another area, in which nothing is. */
  forget(): void {
    this.begin();
  }

  /** What counts is whether its area takes what is written. */
  heard(): void {}

  copied(sequence: number): void {
    this.#mount?.table.changed(sequence, sequence);
  }

  changed(first: number, last: number): void {
    this.#mount?.table.changed(first, last);
  }

  #ask(): void {
    const { link } = this.#primary.parts;
    link.send('auxiliary', { type: 'mount', epoch: this.#primary.leadership.epoch, attempt: this.#attempt });
  }

  receive(message: MessageOf<'shared' | 'mountable'>): void {
    if (message.type !== 'mountable' || message.attempt !== this.#attempt) return;
    const { where } = message;
    this.#isRefused = where === undefined;
    if (where === undefined || this.#mountingSince !== undefined || this.#mount !== undefined) return;
    this.#mountingSince = this.#primary.parts.ticker.elapsed();
    this.#open(message.attempt, where).catch(() => {
      if (this.#attempt === message.attempt) this.#letGo();
    });
  }

  async #open(attempt: number, where: string): Promise<void> {
    const { settings, areas } = this.#primary.parts;
    const area = await this.#client.mount(where);
    const isOver = () => {
      if (attempt !== this.#attempt) area.close();
      return attempt !== this.#attempt;
    };
    if (isOver()) return;
    const { head: headArea, table: tableArea } = partsOf(area, settings.mostOperations);
    const head = await Superblock.open(headArea, NO_HEAD);
    if (isOver()) return;
    const { history, lanes } = this.#primary;
    const failed = () => this.#fails(area);
    const ring = tableBytes(settings.mostOperations);
    const mount: Mount = {
      ...{ area, head, ring, ringBytes: areas.ring.bytes, flights: [], busySince: undefined },
      table: new StateTable(tableArea, history, () => lanes.ordered, failed),
      ...{ tail: history.base, end: history.base, told: history.base },
    };
    mount.table.changed(history.base.sequence + 1, history.last.sequence);
    this.#mountingSince = undefined;
    this.#mount = mount;
    const { volume, flushed } = head.value;
    const isOurs = volume === this.#primary.parts.volume && history.holds(flushed.sequence, flushed.crc);
    this.#beginAt(mount, isOurs ? flushed : history.base);
  }

  /** Everything after `end` is written, again if it was before. */
  #beginAt(mount: Mount, end: Point): void {
    mount.end = end;
    this.#needed = end.sequence;
    this.#keep(mount, () => {
      this.#needed = undefined;
      this.#next = end.sequence + 1;
      this.#confirm(end);
    });
  }

  /** Keeps the tail, and how far the area is whole. Nothing is written over what lies before a tail that is not durable. */
  #keep(mount: Mount, then: () => void): void {
    if (mount.busySince !== undefined) return;
    const { history, leadership, parts } = this.#primary;
    const { base: tail } = history;
    const flushed = mount.end.sequence > tail.sequence ? mount.end : tail;
    mount.busySince = parts.ticker.elapsed();
    const lastEpoch = history.at(flushed.sequence)?.record.epoch ?? 0;
    mount.head.save({ volume: parts.volume, epoch: leadership.epoch, tail, flushed, lastEpoch }, (error) => {
      if (error) return this.#fails(mount.area);
      if (this.#mount !== mount) return;
      mount.busySince = undefined;
      mount.tail = tail;
      mount.told = flushed;
      this.#hears();
      then();
      this.pump();
    });
  }

  #confirm(end: Point): void {
    if (this.#mount !== undefined) this.#mount.end = end;
    this.#acked = end.sequence;
    this.#hears();
    this.#primary.advance();
  }

  #hears(): void {
    this.#heardAt = this.#primary.parts.ticker.elapsed();
  }

  pump(): void {
    const mount = this.#mount;
    // While it begins, nobody knows yet what comes first.
    if (mount === undefined || this.#needed !== undefined) return;
    const { history } = this.#primary;
    const { base } = history;
    if (this.#next <= base.sequence) {
      // What comes between became dispensable before it was written: the chain begins anew at the tail.
      if (mount.busySince === undefined) this.#beginAt(mount, base);
      return;
    }
    while (mount.flights.length < MOST_FLIGHTS) {
      const first = history.at(this.#next);
      if (first === undefined) break;
      const blocks = this.#batch();
      if (blocks.length === 0) {
        this.#primary.lanes.load(first);
        break;
      }
      const last = history.at(this.#next + blocks.length - 1);
      const data = blocks.length === 1 ? (blocks[0] as Buffer) : Buffer.concat(blocks);
      const end = first.record.place + data.length;
      if (end - mount.tail.place > mount.ringBytes) {
        this.#keep(mount, () => undefined);
        return;
      }
      const oldest = mount.flights[0];
      // Of the lap before, and not at its end.
      if (oldest !== undefined && end - oldest.place > mount.ringBytes) break;
      if (last !== undefined) this.#write(mount, first.record.place, data, { ...last.record, place: end });
    }
    mount.table.write();
  }

  #batch(): Buffer[] {
    const blocks: Buffer[] = [];
    let bytes = 0;
    for (const { block } of this.#primary.history.from(this.#next)) {
      if (bytes >= BATCH_BYTES || block === undefined) break;
      blocks.push(block);
      bytes += block.length;
    }
    return blocks;
  }

  #write(mount: Mount, place: number, data: Buffer, { sequence, crc, place: end }: Point): void {
    const last = { sequence, crc, place: end };
    const flight: Flight = { last, place, at: this.#primary.parts.ticker.elapsed(), done: false };
    mount.flights.push(flight);
    this.#next = sequence + 1;
    const at = place % mount.ringBytes;
    const first = Math.min(data.length, mount.ringBytes - at);
    const written: Done = (error) => {
      if (error) return this.#fails(mount.area);
      flight.done = true;
      this.#landed(mount);
    };
    const all = gather(first === data.length ? 1 : 2, written);
    mount.area.writeDurably(mount.ring + at, data.subarray(0, first), all);
    if (first < data.length) mount.area.writeDurably(mount.ring, data.subarray(first), all);
  }

  #landed(mount: Mount): void {
    if (this.#mount !== mount) return;
    let end: Point | undefined;
    while (mount.flights[0]?.done === true) end = mount.flights.shift()?.last;
    if (end === undefined) return;
    if (end.sequence > this.#acked) this.#confirm(end);
    this.pump();
  }

  #fails(area: MountedArea): void {
    if (this.#mount?.area === area) this.#letGo();
  }

  #letGo(): void {
    this.#mount?.area.close();
    this.#mount = undefined;
    this.#mountingSince = undefined;
    this.#needed = undefined;
    this.#attempt += 1;
  }

  tick(): void {
    const mount = this.#mount;
    const { ticker, settings } = this.#primary.parts;
    const since = [mount?.flights[0]?.at, mount?.busySince, this.#mountingSince].filter((at) => at !== undefined);
    if (ticker.elapsed() - Math.min(...since) > settings.resendMs * LATE) this.#letGo();
    if (mount === undefined || this.#mount !== mount) {
      this.#ask();
      return;
    }
    this.pump();
    mount.table.write();
    if (mount.busySince !== undefined) return;
    // So that a new mount has little to write again, and an idle one shows that it is alive.
    if (mount.told.sequence < mount.end.sequence) this.#keep(mount, () => undefined);
    else if (ticker.elapsed() - this.#heardAt > settings.resendMs) this.#look(mount);
  }

  #look(mount: Mount): void {
    mount.busySince = this.#primary.parts.ticker.elapsed();
    mount.area.read(0, Buffer.alloc(PROBE_BYTES)).then(
      () => {
        if (this.#mount !== mount) return;
        mount.busySince = undefined;
        this.#hears();
        this.pump();
      },
      () => this.#fails(mount.area),
    );
  }
}
