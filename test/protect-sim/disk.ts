/** A disk that keeps its word and no more: what was not synced may be there after a crash, or not, sector by sector. */
import type { Done, GrowingArea } from '../../src/kernel/protect/ports.ts';
import type { Engine, Machine, World } from './world.ts';

export const SECTOR = 512;

interface Write {
  readonly at: number;
  readonly data: Buffer;
}

export class SimArea implements GrowingArea {
  readonly isFixed = false;
  bytes: number;
  readonly #world: World;
  readonly #machine: Pick<Machine<Engine>, 'later'>;
  #visible: Buffer;
  #durable: Buffer;
  /** Done and not synced, in order. */
  #cached: Write[] = [];
  /** Asked for and not done. */
  readonly #underWay = new Set<Write>();
  /** A disk that says synced and is not: a negative control. */
  lies = false;
  /** Until then every write fails: no space. */
  fullUntil = 0;

  constructor(world: World, machine: unknown, bytes: number) {
    this.#world = world;
    this.#machine = machine as Pick<Machine<Engine>, 'later'>;
    this.bytes = bytes;
    this.#visible = Buffer.alloc(bytes);
    this.#durable = Buffer.alloc(bytes);
  }

  /** What a reader sees. */
  get content(): Buffer {
    return this.#visible;
  }

  read(position: number, into: Buffer): Promise<void> {
    return new Promise((resolve) => {
      this.#machine.later(this.#delay(0.02), () => {
        this.#visible.copy(into, 0, position, position + into.length);
        this.#world.resolved = true;
        resolve();
      });
    });
  }

  write(position: number, data: Buffer, done: Done): void {
    if (position < 0 || position + data.length > this.bytes) {
      this.#world.fail(`a write of ${data.length} at ${position} is outside of ${this.bytes}`);
      return;
    }
    for (const other of this.#underWay) {
      if (other.at < position + data.length && position < other.at + other.data.length) {
        this.#world.fail('two writes under way touch the same bytes');
      }
    }
    const write = { at: position, data };
    this.#underWay.add(write);
    this.#machine.later(this.#delay(0.05), () => {
      this.#underWay.delete(write);
      if (this.#world.now < this.fullUntil) return done(new Error('no space'));
      data.copy(this.#visible, position);
      this.#cached.push(write);
      done();
    });
  }

  clear(position: number, bytes: number, done: Done): void {
    this.write(position, Buffer.alloc(bytes), done);
  }

  /** Durable at once, when it happens; a crash may come before. */
  grow(bytes: number, done: Done): void {
    this.#machine.later(this.#delay(0.5), () => {
      const more = Buffer.alloc(Math.max(0, bytes - this.bytes));
      this.#visible = Buffer.concat([this.#visible, more]);
      this.#durable = Buffer.concat([this.#durable, more]);
      this.bytes = Math.max(this.bytes, bytes);
      done();
    });
  }

  sync(done: Done): void {
    const covered = new Set(this.#cached);
    this.#machine.later(this.#delay(0.5), () => {
      if (!this.lies) {
        this.#cached = this.#cached.filter((write) => {
          if (!covered.has(write)) return true;
          write.data.copy(this.#durable, write.at);
          return false;
        });
      }
      // Some wait for it as a promise.
      this.#world.resolved = true;
      done();
    });
  }

  crash(power: boolean): void {
    const { random } = this.#world;
    const open = [...this.#underWay];
    this.#underWay.clear();
    if (!power) {
      // The system goes on without the process: what it was asked for happens, in part, or not.
      for (const write of open) {
        if (!random.chance(0.5)) continue;
        const size = write.data.length;
        // Of whole sectors none is half there: a system copies page by page.
        const unit = write.at % SECTOR === 0 && size % SECTOR === 0 ? SECTOR : 1;
        const kept = random.chance(0.5) ? size : random.below(size / unit + 1) * unit;
        const part = { at: write.at, data: write.data.subarray(0, kept) };
        part.data.copy(this.#visible, part.at);
        this.#cached.push(part);
      }
      return;
    }
    const keep = random.next();
    const stopped = new Set<number>();
    for (const { at, data } of [...this.#cached, ...open]) {
      for (let from = 0; from < data.length; ) {
        const sector = Math.floor((at + from) / SECTOR);
        const to = Math.min(data.length, (sector + 1) * SECTOR - at);
        // Of several writes to one sector the first ones are there, or none.
        if (!stopped.has(sector)) {
          if (random.chance(keep)) data.copy(this.#durable, at + from, from, to);
          else stopped.add(sector);
        }
        from = to;
      }
    }
    this.#cached = [];
    this.#durable.copy(this.#visible);
  }

  #delay(ms: number): number {
    return ms * (0.2 + this.#world.random.next() * 1.6);
  }
}
