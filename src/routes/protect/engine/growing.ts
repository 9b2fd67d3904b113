/**
 * The volume gets larger while it is served. First the DR has the room, durably, then the primary; then a record in the order says
 * so, and when that is settled, the new size is served: everything written beyond the old end comes after it, everywhere.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import type { Done, GrowingArea } from '../../../kernel/protect/ports.ts';
import { Dirty } from './dirty.ts';
import type { MessageOf } from './messages.ts';
import type { Primary } from './primary.ts';

interface Wish {
  readonly size: number;
  readonly until: number;
  readonly done: Done;
  /** The DR has the room. */
  agreed: boolean;
  /** So has this image; and the record. */
  ready: boolean;
  at: number | undefined;
}

/** Room for a larger image: the bits for it first, so that no crash leaves an image that they do not cover. Never less than there is. */
export function growImage(image: GrowingArea, dirty: Dirty, bytes: number, done: Done): void {
  if (bytes <= image.bytes) {
    done();
    return;
  }
  dirty.area.grow(Dirty.bytesFor(bytes, dirty.chunkBytes), (error) => {
    if (error) return done(error);
    image.grow(bytes, (failure) => {
      if (!failure) dirty.grow(image.bytes);
      done(failure);
    });
  });
}

export class Growing {
  readonly #primary: Primary;
  #wish: Wish | undefined;

  constructor(primary: Primary) {
    this.#primary = primary;
  }

  /** `done` when the new size is served; with an error when it is not, now. Asked again it goes on where it ended. */
  start(size: number, withinMs: number, done: Done): void {
    const why = this.#bar(size);
    const { experiment } = this.#primary.parts;
    if (why !== undefined) {
      done(new GodwitError('GW7034', why));
      return;
    }
    const until = this.#primary.parts.ticker.elapsed() + withinMs;
    this.#wish = { size, until, done, agreed: false, ready: false, at: undefined };
    if (experiment?.growsAlone) this.receive({ type: 'grown', epoch: 0, size });
    this.tick();
  }

  get isRunning(): boolean {
    return this.#wish !== undefined;
  }

  #bar(size: number): string | undefined {
    const { leadership, modes, parts, replenishing, yielding, size: now } = this.#primary;
    if (size < now) return `A volume of ${now} bytes does not shrink to ${size}`;
    if (size === now) return `The volume has ${size} bytes already`;
    if (size % 4096 !== 0) return 'The size of a volume is a multiple of 4096 bytes';
    if (parts.areas.image.isFixed) return 'The image is a block device, which is as large as it is';
    if (this.#wish !== undefined) return 'The volume is growing already';
    if (!leadership.leads || modes.effective === undefined) return 'This primary does not lead now';
    if (modes.effective === 'no-dr' || replenishing.isRunning || yielding.isHolding)
      return 'The DR is not counted on now';
    return undefined;
  }

  /** The DR has room for so much. */
  receive({ size }: MessageOf<'grown'>): void {
    const wish = this.#wish;
    if (wish === undefined || wish.agreed || size < wish.size) return;
    wish.agreed = true;
    const { areas, failed } = this.#primary.parts;
    growImage(areas.image, this.#primary.dirty, wish.size, (error) => {
      if (error) return failed(error);
      wish.ready = true;
      this.tick();
    });
  }

  tick(): void {
    const wish = this.#wish;
    const { leadership, parts, settled, state } = this.#primary;
    if (wish === undefined) return;
    if (leadership.isDeposed || (!wish.ready && parts.ticker.elapsed() > wish.until)) {
      // What has room already keeps it: a size is never taken back.
      this.#wish = undefined;
      wish.done(new GodwitError('GW7034', 'The DR did not make room in time, or leads now'));
      return;
    }
    if (!leadership.leads) return;
    if (!wish.agreed) parts.link.send('dr', { type: 'grow', epoch: leadership.epoch, size: wish.size });
    if (wish.ready) wish.at ??= this.#primary.control('grow', wish.size);
    if (wish.at === undefined || settled < wish.at) return;
    this.#wish = undefined;
    state.save({ size: wish.size }, (error) => {
      if (error) return parts.failed(error);
      wish.done();
    });
  }
}
