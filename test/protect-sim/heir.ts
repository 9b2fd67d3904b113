/**
 * Who uses the volume once the DR took over, from the first moment on: one operation after
 * the other, so that it knows what each read must give. After a crash of the DR it finds what
 * was durable, and of what came after that a beginning.
 */
import { BringUp } from '../../src/routes/protect/engine/bring-up.ts';
import type { Dr } from '../../src/routes/protect/engine/dr.ts';
import { FLAG } from '../../src/routes/protect/engine/record.ts';
import { SECTOR } from './disk.ts';
import { stamped } from './truth.ts';
import type { Machine, World } from './world.ts';

const FIRST_ID = 1_000_000;
const MOST_SECTORS = 8;

interface Change {
  readonly offset: number;
  readonly data: Buffer;
}

export interface HeirPlan {
  readonly operations: number;
  readonly crashes: number;
  /** A control: pending operations are not looked at. */
  readonly readsImage: boolean;
}

export class Heir {
  readonly #world: World;
  readonly #machine: Machine<Dr>;
  readonly #plan: HeirPlan;
  readonly #sectors: number;
  /** Durable for certain. */
  #safe: Buffer;
  /** Since then, in order. */
  #changes: Change[] = [];
  #engine: Dr | undefined;
  #bringUp: BringUp | undefined;
  #issued = 0;
  #busy = false;
  /** It must look at everything first: the DR was away. */
  #unsure = false;

  /** @param content of the volume as it was taken over */
  constructor(world: World, machine: Machine<Dr>, content: Buffer, plan: HeirPlan) {
    this.#world = world;
    this.#machine = machine;
    this.#plan = plan;
    this.#safe = content;
    this.#sectors = content.length / SECTOR;
    this.#step();
    for (let i = 0; i < plan.crashes; i += 1) world.after(world.random.between(0, 120), () => this.#crash());
  }

  /** It did all that it wanted to, and all of it lies in the image. */
  get isDone(): boolean {
    const isOver = this.#issued >= this.#plan.operations && !this.#busy && !this.#unsure;
    return isOver && this.#engine === this.#machine.engine && this.#bringUp?.left === 0;
  }

  get content(): Buffer {
    return this.#after(this.#changes.length);
  }

  #after(count: number): Buffer {
    const content = Buffer.from(this.#safe);
    for (const { offset, data } of this.#changes.slice(0, count)) data.copy(content, offset);
    return content;
  }

  #crash(): void {
    const { random } = this.#world;
    if (this.isDone) return;
    this.#world.count('the DR dies while it brings up');
    this.#machine.crash(random.chance(0.5));
    this.#world.after(random.pick([1, 30, 200]), () => this.#machine.start());
  }

  #step(): void {
    const { engine } = this.#machine;
    if (engine !== undefined && engine !== this.#engine) this.#begin(engine);
    if (engine !== undefined && !this.#machine.paused && !this.#busy) {
      if (this.#unsure) this.#look();
      else if (this.#issued < this.#plan.operations) this.#operate();
    }
    this.#world.after(0.5 + this.#world.random.next() * 3, () => this.#step());
  }

  #begin(engine: Dr): void {
    this.#unsure = this.#engine !== undefined;
    this.#engine = engine;
    this.#busy = false;
    this.#bringUp = new BringUp(engine, { retryMs: 15, windowBytes: 4096, patienceMs: 2000, done: () => {} });
    this.#bringUp.start();
    if (!this.#bringUp.isDone) this.#world.count('served while operations are pending');
  }

  #operate(): void {
    const { random } = this.#world;
    this.#issued += 1;
    const kind = random.pick(['read', 'read', 'read', 'write', 'write', 'zeroes', 'flush'] as const);
    const sectors = 1 + random.below(Math.min(MOST_SECTORS, this.#sectors));
    const first = random.below(this.#sectors - sectors + 1);
    const [offset, length] = [first * SECTOR, sectors * SECTOR];
    if (kind === 'read') {
      this.#read(offset, length);
      return;
    }
    const isDurable = kind === 'flush' || random.chance(0.3);
    const id = FIRST_ID + this.#issued;
    const data =
      kind === 'zeroes' ? Buffer.alloc(length) : Buffer.concat(range(sectors, (i) => stamped(id, first + i)));
    if (kind !== 'flush') this.#changes.push({ offset, data });
    const { incarnation } = this.#machine;
    this.#busy = true;
    this.#bringUp?.submit(
      {
        kind,
        ...(kind === 'flush' ? { offset: 0, length: 0 } : { offset, length }),
        ...(kind === 'write' ? { payload: Buffer.from(data) } : {}),
        flags: isDurable && kind !== 'flush' ? FLAG.fua : 0,
      },
      (error) => {
        if (this.#machine.incarnation !== incarnation) return;
        if (error) this.#world.fail(`the promoted DR refuses a ${kind}: ${error.message}`);
        this.#busy = false;
        this.#world.count('answered after the promotion');
        if (!isDurable) return;
        this.#safe = this.content;
        this.#changes = [];
      },
    );
  }

  #read(offset: number, length: number): void {
    const wanted = this.content.subarray(offset, offset + length);
    this.#get(offset, length, (got) => {
      if (!got.equals(wanted))
        this.#world.fail(`a read of ${length} at ${offset} of the promoted DR is not the volume`);
      this.#world.count('read after the promotion');
    });
  }

  /** After a crash. */
  #look(): void {
    this.#get(0, this.#safe.length, (got) => {
      for (let count = this.#changes.length; count >= 0; count -= 1) {
        if (!this.#after(count).equals(got)) continue;
        this.#safe = got;
        this.#changes = [];
        this.#unsure = false;
        return;
      }
      this.#world.fail('what the promoted DR has after a crash is no state that the volume may be in');
    });
  }

  #get(offset: number, length: number, then: (got: Buffer) => void): void {
    const into = Buffer.alloc(length);
    const { incarnation } = this.#machine;
    this.#busy = true;
    this.#world.awaiting += 1;
    let waiting = true;
    const end = () => {
      if (waiting) this.#world.awaiting -= 1;
      waiting = false;
    };
    // A DR that died never answers.
    this.#world.after(3000, end);
    const image = this.#machine.area('image');
    (this.#plan.readsImage ? image.read(offset, into) : (this.#bringUp as BringUp).read(offset, into)).then(
      () => {
        end();
        if (this.#machine.incarnation !== incarnation) return;
        this.#busy = false;
        then(into);
      },
      (error: unknown) => {
        end();
        if (this.#machine.incarnation === incarnation) this.#world.fail(`a read fails: ${String(error)}`);
      },
    );
  }
}

function range<T>(count: number, of: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => of(i));
}
