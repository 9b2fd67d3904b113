import type { BlockSizes, Extent, Volume } from '../../kernel/protect/volume.ts';
import type { Gate } from './engine/gate.ts';

/** The volume that a leading DR serves: what is changed is marked before, and nothing passes once it was given back. */
export class GuardedVolume implements Volume {
  readonly size: number;
  readonly blockSizes: BlockSizes;
  readonly coversAllConnections: boolean;
  readonly fastZeroes: boolean;
  readonly #volume: Volume;
  readonly #gate: Gate;

  constructor(volume: Volume, gate: Gate) {
    this.#volume = volume;
    this.#gate = gate;
    this.size = volume.size;
    this.blockSizes = volume.blockSizes;
    this.coversAllConnections = volume.coversAllConnections;
    this.fastZeroes = volume.fastZeroes;
  }

  async read(offset: number, into: Buffer): Promise<void> {
    await this.#volume.read(offset, into);
    // Somebody else may have changed it since.
    this.#gate.check();
  }

  write(offset: number, data: Buffer, durable: boolean): Promise<void> {
    return this.#change(offset, data.length, () => this.#volume.write(offset, data, durable));
  }

  writeZeroes(
    offset: number,
    length: number,
    options: { readonly durable: boolean; readonly mayTrim: boolean },
  ): Promise<void> {
    return this.#change(offset, length, () => this.#volume.writeZeroes(offset, length, options));
  }

  trim(offset: number, length: number, durable: boolean): Promise<void> {
    return this.#change(offset, length, () => this.#volume.trim(offset, length, durable));
  }

  async flush(): Promise<void> {
    await this.#volume.flush();
    this.#gate.check();
  }

  extents(offset: number, length: number): Promise<readonly Extent[]> {
    return this.#volume.extents(offset, length);
  }

  async #change(offset: number, length: number, change: () => Promise<void>): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#gate.enter(offset, length, (error) => (error ? reject(error) : resolve()));
    });
    try {
      await change();
    } finally {
      this.#gate.leave(offset, length);
    }
  }
}
