/** An application on the volume that a promoted DR serves: every write is durable before it is answered. */
import { GodwitError } from '../../src/kernel/errors.ts';
import type { Dr } from '../../src/routes/protect/engine/dr.ts';
import { SECTOR } from './disk.ts';
import { Served } from './served.ts';
import { type ClientOp, payloadOfOp, type Truth, writerOf } from './truth.ts';
import type { Machine, World } from './world.ts';

const DEPTH = 4;

export class Tenant {
  readonly #world: World;
  readonly #machine: Machine<Dr>;
  readonly #truth: Truth;
  /** Who wrote each sector last and was told so; 0: zeroes. */
  readonly #known: Int32Array;
  /** What else a sector may hold: of those who were not told. */
  readonly #maybe: Set<number>[];
  /** One for each start of the DR. */
  readonly #served = new WeakMap<Dr, Served>();
  readonly #underWay = new Set<ClientOp>();
  #incarnation = -1;
  /** Somebody else leads: nothing may be answered here any more. */
  isOver = false;
  #stopped = false;
  /** It does not ask: a negative control. */
  readonly #unguarded: boolean;
  #left: number;

  /** @param image the volume as it was taken over */
  constructor(
    world: World,
    machine: Machine<Dr>,
    truth: Truth,
    { image, operations, unguarded }: { image: Buffer; operations: number; unguarded: boolean },
  ) {
    this.#world = world;
    this.#machine = machine;
    this.#truth = truth;
    this.#left = operations;
    this.#unguarded = unguarded;
    this.#known = Int32Array.from({ length: image.length / SECTOR }, (_, sector) =>
      writerOf(image.subarray(sector * SECTOR, (sector + 1) * SECTOR), sector),
    );
    this.#maybe = Array.from(this.#known, () => new Set());
    world.awaiting += 1;
    this.#next();
  }

  /** How the DR serves the volume since it was started, while it leads. */
  servedBy(dr: Dr): Served | undefined {
    if (dr.takenOver === undefined) return undefined;
    const known = this.#served.get(dr);
    if (known !== undefined) return known;
    const served = new Served(dr, this.#unguarded);
    this.#served.set(dr, served);
    if (!served.bringUp.isDone) this.#world.count('served while operations are pending');
    return served;
  }

  get hasLeft(): boolean {
    return this.#stopped;
  }

  /** It leaves. */
  stop(): void {
    if (!this.#stopped) this.#world.awaiting -= 1;
    this.#stopped = true;
  }

  #next(): void {
    this.#step();
    this.#world.after(this.#world.random.between(0.2, 4), () => {
      if (!this.#stopped) this.#next();
    });
  }

  #step(): void {
    const dr = this.#machine.engine;
    if (dr === undefined || this.#machine.paused) return;
    const served = this.servedBy(dr);
    if (served === undefined) return;
    if (this.#incarnation !== this.#machine.incarnation) {
      this.#incarnation = this.#machine.incarnation;
      this.#underWay.clear();
    }
    const { random } = this.#world;
    const sectors = this.#known.length;
    const count = 1 + random.below(Math.min(sectors, 6));
    const first = random.below(sectors - count + 1);
    if (random.chance(0.2)) this.#read(served, first, count);
    else if (this.#left > 0 && this.#underWay.size < DEPTH) this.#write(served, first, count);
  }

  #write({ volume, bringUp }: Served, first: number, count: number): void {
    const [offset, length] = [first * SECTOR, count * SECTOR];
    // Of two under way at once either may win: none such are made.
    for (const each of this.#underWay) if (each.offset < offset + length && offset < each.offset + each.length) return;
    this.#left -= 1;
    const kind = this.#world.random.chance(0.8) ? 'write' : 'zeroes';
    const op: ClientOp = {
      ...{ id: this.#truth.ops.length + 1, kind, offset, length, fua: true },
      ...{ acknowledged: false, durable: false },
    };
    this.#truth.ops.push(op);
    this.#underWay.add(op);
    const id = kind === 'write' ? op.id : 0;
    const { incarnation } = this.#machine;
    const isPending = !bringUp.isDone;
    for (let sector = first; sector < first + count; sector += 1) this.#maybe[sector]?.add(id);
    const written =
      kind === 'write'
        ? volume.write(offset, payloadOfOp(op), true)
        : volume.writeZeroes(offset, length, { durable: true, mayTrim: false });
    written.then(
      () => {
        if (this.#machine.incarnation !== incarnation) return;
        if (this.isOver) this.#world.fail(`operation ${op.id} was acknowledged by a DR that leads no more`);
        this.#underWay.delete(op);
        this.#world.count(`acknowledged at the DR${isPending ? ' while it brings up' : ''}`);
        for (let sector = first; sector < first + count; sector += 1) {
          this.#known[sector] = id;
          this.#maybe[sector]?.clear();
        }
      },
      (error: unknown) => {
        if (this.#machine.incarnation !== incarnation) return;
        this.#underWay.delete(op);
        if (!isHandedOver(error)) return;
        // Nothing of it was done.
        for (let sector = first; id > 0 && sector < first + count; sector += 1) this.#maybe[sector]?.delete(id);
      },
    );
  }

  #read({ volume }: Served, first: number, count: number): void {
    const into = Buffer.alloc(count * SECTOR);
    const { incarnation } = this.#machine;
    for (const { offset, length } of this.#underWay)
      if (offset < (first + count) * SECTOR && first * SECTOR < offset + length) return;
    const issued = this.#truth.ops.length;
    volume.read(first * SECTOR, into).then(
      () => {
        if (this.#machine.incarnation !== incarnation) return;
        if (this.isOver) this.#world.fail('a DR that leads no more served a read');
        // Not while somebody writes there.
        if (issued === this.#truth.ops.length) this.#check(into, first, 'a read at the DR');
      },
      (error: unknown) => {
        if (this.#machine.incarnation !== incarnation || isHandedOver(error)) return;
        this.#world.fail(`a read at the DR fails: ${String(error)}`);
      },
    );
  }

  /** Every sector holds what was answered last, or something newer. */
  #check(content: Buffer, first: number, what: string): void {
    for (let i = 0; i < content.length / SECTOR; i += 1) {
      const sector = first + i;
      const id = writerOf(content.subarray(i * SECTOR, (i + 1) * SECTOR), sector);
      if (id !== this.#known[sector] && !this.#maybe[sector]?.has(id)) {
        this.#world.fail(`${what} gave ${id} in sector ${sector}, and ${this.#known[sector]} was acknowledged`);
      }
    }
  }

  /** The whole volume, wherever it is now. */
  checkImage(content: Buffer, what: string): void {
    this.#check(content, 0, what);
  }
}

function isHandedOver(error: unknown): boolean {
  return error instanceof GodwitError && error.code === 'GW7014';
}
