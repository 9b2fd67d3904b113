import type { BlockSizes, Extent, Volume } from '../../kernel/protect/volume.ts';
import type { BringUp } from './engine/bring-up.ts';
import { ProtectedVolume } from './protected-volume.ts';

/** The volume of a DR that took over: by its bring-up until that is done, from then on its image. */
export class PromotedVolume implements Volume {
  readonly size: number;
  readonly blockSizes: BlockSizes;
  readonly coversAllConnections: boolean;
  readonly fastZeroes: boolean;
  readonly #bringUp: BringUp;
  readonly #pending: Volume;
  readonly #image: Volume;

  constructor(bringUp: BringUp, image: Volume) {
    this.size = image.size;
    this.#bringUp = bringUp;
    this.#image = image;
    this.#pending = new ProtectedVolume(bringUp, () => image.size);
    this.blockSizes = this.#pending.blockSizes;
    this.coversAllConnections = this.#pending.coversAllConnections && image.coversAllConnections;
    this.fastZeroes = this.#pending.fastZeroes && image.fastZeroes;
  }

  /** What the bring-up took is in the image, durably, before it says that it is done. */
  get #now(): Volume {
    return this.#bringUp.isDone ? this.#image : this.#pending;
  }

  read(offset: number, into: Buffer): Promise<void> {
    return this.#now.read(offset, into);
  }

  write(offset: number, data: Buffer, durable: boolean): Promise<void> {
    return this.#now.write(offset, data, durable);
  }

  writeZeroes(
    offset: number,
    length: number,
    options: { readonly durable: boolean; readonly mayTrim: boolean },
  ): Promise<void> {
    return this.#now.writeZeroes(offset, length, options);
  }

  trim(offset: number, length: number, durable: boolean): Promise<void> {
    return this.#now.trim(offset, length, durable);
  }

  flush(): Promise<void> {
    return this.#now.flush();
  }

  extents(offset: number, length: number): Promise<readonly Extent[]> {
    return this.#now.extents(offset, length);
  }
}
