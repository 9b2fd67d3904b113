/** Shared by messages: the auxiliary writes the blocks into its area, and says how far it is. */
import { Lane } from './lane.ts';
import type { MessageOf } from './messages.ts';
import type { Primary } from './primary.ts';
import type { SharedArea } from './shared-area.ts';

const BATCH_BYTES = 1 << 18;
const COPIED_AT_ONCE = 4096;

export class SharedLane implements SharedArea {
  readonly #primary: Primary;
  readonly #lane: Lane;
  #refill = false;
  #copied: number[] = [];

  constructor(primary: Primary) {
    this.#primary = primary;
    this.#lane = new Lane(primary.parts.ticker, primary.parts.settings.resendMs);
  }

  get state(): 'in use' {
    return 'in use';
  }

  get acked(): number {
    return this.#lane.acked;
  }

  get heardAt(): number {
    return this.#lane.heardAt;
  }

  get needed(): undefined {
    return undefined;
  }

  begin(head: number): void {
    const { sequence } = this.#primary.history.base;
    this.#lane.begin(head, sequence);
    this.#copied = this.#copied.filter((each) => each > sequence);
  }

  forget(): void {
    const { sequence } = this.#primary.history.base;
    this.#lane.begin(sequence + 1, sequence);
    this.#refill = sequence > 0;
  }

  heard(): void {
    this.#lane.heard();
  }

  copied(sequence: number): void {
    this.#copied.push(sequence);
  }

  /** The auxiliary wants to know of the first sending alone. */
  changed(): void {}

  receive(message: MessageOf<'shared' | 'mountable'>): void {
    if (message.type !== 'shared') return;
    const { last, missing } = message;
    const { history } = this.#primary;
    if (history.holds(last.sequence, last.crc)) {
      if (missing) this.#lane.goTo(last.sequence);
      else this.#lane.confirm(last.sequence);
      this.#refill = false;
    } else if (missing) {
      this.#refill = last.sequence < history.base.sequence;
      this.#lane.goTo(history.base.sequence);
      // Nothing would be sent, and it would not hear where to begin.
      if (history.last.sequence === history.base.sequence) this.#send([]);
    }
  }

  pump(): void {
    const { history, parts } = this.#primary;
    const lane = this.#lane;
    lane.next = Math.max(lane.next, history.base.sequence + 1);
    const window = lane.cautious ? BATCH_BYTES : parts.settings.windowBytes;
    const from = history.at(lane.acked + 1)?.record.place ?? history.base.place;
    for (;;) {
      const first = history.at(lane.next);
      if (first === undefined || first.record.place - from > window) return;
      const blocks: Buffer[] = [];
      let bytes = 0;
      for (const { block } of history.from(lane.next)) {
        if (bytes >= BATCH_BYTES || block === undefined) break;
        blocks.push(block);
        bytes += block.length;
      }
      if (blocks.length === 0) {
        this.#primary.lanes.load(first);
        return;
      }
      lane.next += blocks.length;
      this.#send(blocks);
    }
  }

  #send(blocks: readonly Buffer[]): void {
    const { history, leadership, parts } = this.#primary;
    const copied = this.#copied.splice(0, COPIED_AT_ONCE);
    const { base: tail } = history;
    const { epoch } = leadership;
    parts.link.send('auxiliary', { type: 'share', epoch, blocks, tail, refill: this.#refill, copied });
  }

  tick(): void {
    this.#lane.isLate();
    this.pump();
    if (this.#lane.acked < this.#primary.history.base.sequence) {
      // It was away while everything it misses became dispensable: it begins anew at the tail.
      this.#refill = true;
      this.#send([]);
    } else if (this.#copied.length > 0) this.#send([]);
  }
}
