/** The volume of a promoted DR as its role serves it: by the bring-up until that is done, and through the gate. */
import type { Done } from '../../src/kernel/protect/ports.ts';
import type { Volume } from '../../src/kernel/protect/volume.ts';
import { BringUp } from '../../src/routes/protect/engine/bring-up.ts';
import type { Dr } from '../../src/routes/protect/engine/dr.ts';
import type { Gate } from '../../src/routes/protect/engine/gate.ts';
import { GuardedVolume } from '../../src/routes/protect/guarded-volume.ts';
import { PromotedVolume } from '../../src/routes/protect/promoted-volume.ts';
import type { SimArea } from './disk.ts';

export class Served {
  readonly gate: Gate;
  readonly bringUp: BringUp;
  readonly volume: Volume;

  /** @param unguarded a control: nobody asks the gate */
  constructor(dr: Dr, unguarded: boolean) {
    this.gate = dr.gate();
    this.bringUp = new BringUp(dr, { retryMs: 15, windowBytes: 4096, patienceMs: 2000, done: () => {} });
    this.bringUp.start();
    const promoted = new PromotedVolume(this.bringUp, new AreaVolume(dr.parts.areas.image as SimArea));
    this.volume = unguarded ? promoted : new GuardedVolume(promoted, this.gate);
  }
}

function done(begin: (end: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => begin((error) => (error ? reject(error) : resolve())));
}

/** An area as a volume; a plain write is durable after a flush only. */
class AreaVolume implements Volume {
  readonly size: number;
  readonly blockSizes = { least: 512, preferred: 512, most: 1 << 20 };
  readonly coversAllConnections = true;
  readonly fastZeroes = false;
  readonly #area: SimArea;

  constructor(area: SimArea) {
    this.#area = area;
    this.size = area.bytes;
  }

  read(offset: number, into: Buffer): Promise<void> {
    return this.#area.read(offset, into);
  }

  async write(offset: number, data: Buffer, durable: boolean): Promise<void> {
    await done((end) => this.#area.write(offset, data, end));
    if (durable) await this.flush();
  }

  async writeZeroes(offset: number, length: number, { durable }: { readonly durable: boolean }): Promise<void> {
    await done((end) => this.#area.clear(offset, length, end));
    if (durable) await this.flush();
  }

  trim(offset: number, length: number, durable: boolean): Promise<void> {
    return this.writeZeroes(offset, length, { durable });
  }

  flush(): Promise<void> {
    return done((end) => this.#area.sync(end));
  }

  async extents(_offset: number, length: number) {
    return [{ length, hole: false, zero: false }];
  }
}
