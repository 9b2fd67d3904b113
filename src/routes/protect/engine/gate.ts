/**
 * Every change of the volume that a leading DR serves passes here: what it touches is marked,
 * durably, before it is done; and while the volume is handed back, changes wait.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import type { Done } from '../../../kernel/protect/ports.ts';
import type { Dirty } from './dirty.ts';
import type { Units } from './units.ts';

export class Gate {
  readonly #dirty: Dirty;
  #state: 'open' | 'closed' | 'ended' = 'open';
  /** How many changes are under way in each chunk. */
  readonly #busy = new Map<number, number>();
  #underWay = 0;
  #saving = 0;
  #waiting: (() => void)[] = [];
  #idle: (() => void)[] = [];
  /** Chunks that were changed since somebody began to look. */
  changed = new Set<number>();
  /** Somebody wants to know what of a chunk is changed. */
  units: Units | undefined;

  constructor(dirty: Dirty) {
    this.#dirty = dirty;
  }

  /** The volume is served by somebody else now. */
  get hasEnded(): boolean {
    return this.#state === 'ended';
  }

  /** @throws GodwitError GW7014 when the volume is served by somebody else now */
  check(): void {
    if (this.hasEnded) throw handedOver();
  }

  isBusy(chunk: number): boolean {
    return this.#busy.has(chunk);
  }

  /** Before a change; it may be done once `go` is called without an error, and then `leave` has to be called. */
  enter(offset: number, length: number, go: Done): void {
    if (this.#state === 'ended') {
      go(handedOver());
      return;
    }
    if (this.#state === 'closed') {
      this.#waiting.push(() => this.enter(offset, length, go));
      return;
    }
    this.#underWay += 1;
    for (const chunk of this.#dirty.touched(offset, length)) {
      this.#busy.set(chunk, (this.#busy.get(chunk) ?? 0) + 1);
      this.changed.add(chunk);
    }
    this.units?.changed(offset, length);
    // A bit that is set may be on its way to the disk still.
    if (!this.#dirty.mark(offset, length) && this.#saving === 0) {
      go();
      return;
    }
    this.#save((error) => {
      if (error) this.leave(offset, length);
      go(error);
    });
  }

  /** Marks what the other side says it lacks. */
  note(touched: Buffer, done: Done): void {
    this.#dirty.markAll(touched);
    this.#save(done);
  }

  #save(done: Done): void {
    this.#saving += 1;
    this.#dirty.save((error) => {
      this.#saving -= 1;
      done(error);
    });
  }

  /** After a change, whether it was done or not. */
  leave(offset: number, length: number): void {
    for (const chunk of this.#dirty.touched(offset, length)) {
      const left = (this.#busy.get(chunk) ?? 1) - 1;
      if (left === 0) this.#busy.delete(chunk);
      else this.#busy.set(chunk, left);
    }
    this.#underWay -= 1;
    if (this.#underWay > 0) return;
    for (const idle of this.#idle.splice(0)) idle();
  }

  /** New changes wait from now on; `idle` when those under way are done. */
  close(idle: () => void): void {
    this.#state = 'closed';
    if (this.#underWay === 0) idle();
    else this.#idle.push(idle);
  }

  /** The volume is served here again, unless it was handed over for good. */
  open(): void {
    if (this.#state === 'ended') return;
    this.#state = 'open';
    this.#idle = [];
    for (const again of this.#waiting.splice(0)) again();
  }

  /** Nothing passes any more. */
  end(): void {
    this.#state = 'ended';
    for (const again of this.#waiting.splice(0)) again();
  }
}

function handedOver(): GodwitError {
  return new GodwitError('GW7014', 'The primary leads again; the volume is served there');
}
