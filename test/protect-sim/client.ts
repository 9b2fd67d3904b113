/** An application on the volume: keeps several operations under way, and remembers what it was told. */
import type { Primary } from '../../src/routes/protect/engine/primary.ts';
import { FLAG } from '../../src/routes/protect/engine/record.ts';
import { SECTOR } from './disk.ts';
import { type ClientOp, payloadOfOp, type Truth, writerOf } from './truth.ts';
import type { Machine, World } from './world.ts';

export interface ClientPlan {
  readonly operations: number;
  readonly depth: number;
  /** Milliseconds between operations, on average. */
  readonly pace: number;
  readonly sectors: number;
  readonly mostSectors: number;
  readonly barrier: boolean;
}

export class Client {
  readonly #world: World;
  readonly #machine: Machine<Primary>;
  readonly #truth: Truth;
  #plan: ClientPlan;
  /** Handed over and not yet in the order, in turn. */
  #unsequenced: ClientOp[] = [];
  readonly #flushable = new Set<ClientOp>();
  #underWay = 0;
  #issued = 0;
  /** Where each operation of a sector came in the order, for reads. */
  readonly #placeOf = new Map<number, number>();
  #lastAcked: Int32Array;
  /** Since then nothing may be acknowledged or read any more. */
  forbiddenFrom: number | undefined;
  stopped = false;
  /** How many volumes it has seen: one more with each that was given back. */
  #volumes = 1;
  #primary: Primary | undefined;

  constructor(world: World, machine: Machine<Primary>, truth: Truth, plan: ClientPlan) {
    this.#world = world;
    this.#machine = machine;
    this.#truth = truth;
    this.#plan = plan;
    this.#lastAcked = new Int32Array(plan.sectors);
  }

  /** Nothing that was asked is without an answer, of the process that runs now. */
  get isDone(): boolean {
    return this.#primary !== undefined && this.#primary === this.#machine.engine && this.#underWay === 0;
  }

  /** The volume has become larger. */
  grow(sectors: number): void {
    const lastAcked = new Int32Array(sectors);
    lastAcked.set(this.#lastAcked);
    this.#lastAcked = lastAcked;
    this.#plan = { ...this.#plan, sectors };
  }

  /** No more operations. */
  finish(): void {
    this.#issued = this.#plan.operations;
  }

  /** The volume was given back: what was promised before is checked, and this is what begins. */
  beginAgain(operations: number): void {
    this.forbiddenFrom = undefined;
    this.#volumes += 1;
    this.#issued = Math.min(this.#issued, this.#plan.operations - operations);
    this.#flushable.clear();
    this.#lastAcked.fill(0);
  }

  start(): void {
    this.#world.after(this.#plan.pace * 2 * this.#world.random.next(), () => {
      if (this.stopped) return;
      this.#step();
      this.start();
    });
  }

  /** The next operation that waited for its place has got it. */
  sequenced(): ClientOp | undefined {
    return this.#unsequenced.shift();
  }

  placed(op: ClientOp, sequence: number): void {
    this.#placeOf.set(op.id, sequence);
  }

  #step(): void {
    const primary = this.#machine.engine;
    if (primary === undefined || this.#machine.paused) return;
    if (primary !== this.#primary) {
      // Another process answers now: what the old one had under way is as it may be.
      this.#primary = primary;
      this.#underWay = 0;
      this.#unsequenced = [];
      // What was answered and not flushed may be gone, and no later flush brings it back.
      this.#flushable.clear();
      this.#lastAcked.fill(0);
      for (const op of this.#truth.ops) if (op.acknowledged && op.durable) this.#mustBeRead(op);
    }
    if (this.#underWay >= this.#plan.depth) return;
    if (primary.leadership.isDeposed && this.#world.random.chance(0.9)) return;
    if (this.#world.random.chance(0.15)) {
      this.#read(primary);
      return;
    }
    if (this.#issued < this.#plan.operations) this.#write(primary);
  }

  #write(primary: Primary): void {
    const { random } = this.#world;
    const { sectors, mostSectors, barrier } = this.#plan;
    const kinds = ['write', 'write', 'write', 'write', 'write', 'write', 'zeroes', 'trim'] as const;
    const isFlush = random.chance(barrier ? 0.15 : 0.05);
    const count = 1 + random.below(mostSectors);
    const first = random.below(sectors - count + 1);
    const op: ClientOp = {
      id: this.#truth.ops.length + 1,
      kind: isFlush ? 'flush' : random.pick(kinds),
      offset: isFlush ? 0 : first * SECTOR,
      length: isFlush ? 0 : count * SECTOR,
      fua: !isFlush && random.chance(0.2),
      acknowledged: false,
      durable: false,
    };
    this.#truth.ops.push(op);
    this.#issued += 1;
    this.#underWay += 1;
    const covered = isFlush ? [...this.#flushable] : [];
    const { incarnation } = this.#machine;
    const volume = this.#volumes;
    // Flushes get a place only where plain writes are answered before.
    if (!isFlush || barrier) this.#unsequenced.push(op);
    primary.submit(
      {
        kind: op.kind,
        offset: op.offset,
        length: op.length,
        flags: op.fua ? FLAG.fua : 0,
        ...(op.kind === 'write' ? { payload: payloadOfOp(op) } : {}),
      },
      (error) => {
        if (this.#machine.incarnation !== incarnation) return;
        this.#underWay -= 1;
        if (error) {
          this.#unsequenced = this.#unsequenced.filter((each) => each !== op);
          return;
        }
        if (this.forbiddenFrom !== undefined) this.#world.fail(`operation ${op.id} was acknowledged by an old primary`);
        op.acknowledged = true;
        this.#flushable.add(op);
        this.#world.count('acknowledged');
        if (!barrier || op.fua || isFlush) op.durable = true;
        if (volume === this.#volumes) for (const each of covered) each.durable = true;
        this.#mustBeRead(op);
      },
    );
  }

  /** From now on a read gives this one, or one that came after it. */
  #mustBeRead(op: ClientOp): void {
    const place = this.#placeOf.get(op.id) ?? 0;
    for (let s = op.offset / SECTOR; s < (op.offset + op.length) / SECTOR; s += 1) {
      if (place > (this.#lastAcked[s] ?? 0)) this.#lastAcked[s] = place;
    }
  }

  #read(primary: Primary): void {
    const { random } = this.#world;
    const count = 1 + random.below(this.#plan.mostSectors);
    const first = random.below(this.#plan.sectors - count + 1);
    const atLeast = this.#lastAcked.slice(first, first + count);
    const into = Buffer.alloc(count * SECTOR);
    const { incarnation } = this.#machine;
    const volume = this.#volumes;
    this.#world.awaiting += 1;
    let waiting = true;
    const end = () => {
      if (waiting) this.#world.awaiting -= 1;
      waiting = false;
    };
    // A primary that died never answers.
    this.#world.after(3000, end);
    primary.read(first * SECTOR, into).then(
      () => {
        end();
        if (this.#machine.incarnation !== incarnation) return;
        this.#world.count('read');
        if (this.forbiddenFrom !== undefined) this.#world.fail('an old primary served a read');
        for (let i = 0; i < count; i += 1) {
          const id = writerOf(into.subarray(i * SECTOR, (i + 1) * SECTOR), first + i);
          if (id < 0) this.#world.fail(`a read of sector ${first + i} gave what nobody wrote`);
          // Zeroes may be of an operation that came after.
          if (id <= 0 || volume !== this.#volumes) continue;
          const place = this.#placeOf.get(id) ?? 0;
          if (place < (atLeast[i] ?? 0)) {
            this.#world.fail(`a read of sector ${first + i} gave ${place}, and ${atLeast[i]} was acknowledged before`);
          }
        }
      },
      () => end(),
    );
  }
}
