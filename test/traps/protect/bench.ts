/** A quiet laboratory: no faults but those of the test. */
import { GodwitError } from '../../../src/kernel/errors.ts';
import { BringUp } from '../../../src/routes/protect/engine/bring-up.ts';
import type { Experiment } from '../../../src/routes/protect/engine/primary.ts';
import { type Promoted, Promotion } from '../../../src/routes/protect/engine/promotion.ts';
import type { OpRecord } from '../../../src/routes/protect/engine/record.ts';
import type { Policy } from '../../../src/routes/protect/engine/rules.ts';
import { SECTOR } from '../../protect-sim/disk.ts';
import { Lab } from '../../protect-sim/lab.ts';
import { stamped } from '../../protect-sim/truth.ts';
import { type Network, World } from '../../protect-sim/world.ts';

export { SECTOR };

export interface Written {
  readonly id: number;
  readonly first: number;
  readonly count: number;
  acknowledged: boolean;
  sequence: number;
}

export interface BenchOptions {
  readonly policy?: Policy;
  readonly sectors?: number;
  readonly ringBytes?: number;
  readonly slots?: number;
  readonly patienceMs?: number;
  readonly seed?: number;
  readonly network?: Partial<Network>;
  readonly experiment?: Experiment;
  readonly mounted?: boolean;
  readonly neverRevokes?: boolean;
  readonly undoBytes?: number;
  readonly chunkBytes?: number;
  readonly memoryBytes?: number;
}

export class Bench extends Lab {
  readonly sectors: number;
  readonly records: OpRecord[] = [];
  readonly writes: Written[] = [];

  constructor(options: BenchOptions = {}) {
    const network = { near: 0.3, far: 5, jitter: 0, loss: 0, doubled: 0, ...options.network };
    const sectors = options.sectors ?? 64;
    super(new World(options.seed ?? 1, () => network, false), {
      policy: options.policy ?? 'zero',
      imageBytes: sectors * SECTOR,
      ringBytes: options.ringBytes ?? 256 * 1024,
      slots: options.slots ?? 512,
      windowBytes: 65536,
      patienceMs: options.patienceMs,
      experiment: options.experiment,
      chunkBytes: options.chunkBytes,
      memoryBytes: options.memoryBytes,
      sequenced: ({ record }) => this.records.push(record),
      mounted: options.mounted,
      neverRevokes: options.neverRevokes,
      undoBytes: options.undoBytes,
    });
    this.sectors = sectors;
  }

  static async started(options: BenchOptions = {}): Promise<Bench> {
    const bench = new Bench(options);
    bench.start();
    await bench.until(() => bench.primary.engine?.leadership.hasLease === true);
    return bench;
  }

  /** Runs until it holds; fails the test when it never does. */
  async until(holds: () => boolean, limit = 20_000): Promise<void> {
    await this.world.run(this.world.now + limit, holds);
    if (this.world.failure !== undefined) throw new Error(this.world.failure);
    if (!holds()) throw new Error(`It does not come about: ${holds}`);
  }

  async pass(ms: number): Promise<void> {
    await this.world.run(this.world.now + ms);
    if (this.world.failure !== undefined) throw new Error(this.world.failure);
  }

  write(first: number, count = 1, flags = 0): Written {
    const id = this.writes.length + 1;
    const written: Written = { id, first, count, acknowledged: false, sequence: 0 };
    this.writes.push(written);
    const payload = Buffer.concat(Array.from({ length: count }, (_, i) => stamped(id, first + i)));
    this.primary.engine?.submit(
      { kind: 'write', offset: first * SECTOR, length: payload.length, payload, flags },
      (error) => {
        written.acknowledged = error === undefined;
      },
    );
    written.sequence = this.records.at(-1)?.sequence ?? 0;
    return written;
  }

  /** Writes and waits for the acknowledgement. */
  async written(first: number, count = 1): Promise<Written> {
    const written = this.write(first, count);
    await this.until(() => written.acknowledged);
    return written;
  }

  /** The data lane to the DR stands still: order and votes go on. */
  set holdData(held: boolean) {
    this.world.isLost = held ? ({ type }) => type === 'data' : () => false;
  }

  /** Messages between two roles, or from one to another, are lost from now on. */
  cut(...ways: string[]): void {
    for (const way of ways) this.world.cut.add(way);
  }

  apart(a: string, b: string): void {
    this.cut(`${a}>${b}`, `${b}>${a}`);
  }

  heal(): void {
    this.world.cut.clear();
  }

  lose(role: 'primary' | 'auxiliary' | 'dr'): void {
    const machine = this[role];
    machine.crash(true);
    machine.lost = true;
  }

  /** Gives up after so many times a second. */
  async promote(force = false, attempts = 20): Promise<Promoted | GodwitError> {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      let outcome: Promoted | GodwitError | undefined;
      const { engine, incarnation } = this.dr;
      if (engine !== undefined) {
        const promotion = new Promotion(engine, { force, retryMs: 15 }, (result) => {
          outcome = result;
        });
        promotion.start();
        await this.world.run(this.world.now + 1000, () => outcome !== undefined || this.dr.incarnation !== incarnation);
        if (outcome === undefined) promotion.giveUp();
      }
      if (this.world.failure !== undefined) throw new Error(this.world.failure);
      if (outcome !== undefined && !(outcome instanceof GodwitError && outcome.code === 'GW7012')) return outcome;
      await this.pass(20);
    }
    return new GodwitError('GW7012', 'It does not take over');
  }

  /** Promoted, and everything pending executed. */
  async promoted(force = false): Promise<Promoted> {
    const outcome = await this.promote(force);
    if (outcome instanceof GodwitError) throw outcome;
    const { engine } = this.dr;
    if (engine === undefined) throw new Error('The DR has died');
    const bringUp = new BringUp(engine, { retryMs: 15, windowBytes: 4096, patienceMs: 2000, done: () => {} });
    bringUp.start();
    await this.until(() => bringUp.isDone);
    return outcome;
  }

  /** Who wrote each sector of an image. */
  writers(role: 'primary' | 'dr'): number[] {
    const image = this[role].area('image').content;
    return Array.from({ length: this.sectors }, (_, sector) => {
      const bytes = image.subarray(sector * SECTOR, (sector + 1) * SECTOR);
      const id = bytes.readUInt32LE(0);
      return bytes.equals(id === 0 ? Buffer.alloc(SECTOR) : stamped(id, sector)) ? id : -1;
    });
  }

  /** As all writes up to that sequence leave the volume. */
  expected(upTo = Number.POSITIVE_INFINITY): number[] {
    const writers = new Array<number>(this.sectors).fill(0);
    for (const { id, first, count, sequence } of this.writes)
      if (sequence <= upTo) writers.fill(id, first, first + count);
    return writers;
  }
}
