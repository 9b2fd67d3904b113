import { setImmediate as turn } from 'node:timers/promises';
import type { BlockSizes, Volume } from '../../src/kernel/protect/volume.ts';
import type { Rng } from '../torture/rng.ts';

export interface VolumeTerms {
  readonly least: number;
  readonly most: number;
  /** Calls take a random number of turns, so that they end in another order than they began. */
  readonly late: boolean;
  /** One call in eight fails, before it has done anything. */
  readonly flaky: boolean;
  readonly rng: Rng;
}

/** A volume under other terms. */
export function changedVolume(volume: Volume, { least, most, late, flaky, rng }: VolumeTerms): Volume {
  const blockSizes: BlockSizes = { least, preferred: 4096, most };
  const call = async (run: () => Promise<void>): Promise<void> => {
    if (late) for (let turns = rng.int(4); turns > 0; turns--) await turn();
    if (flaky && rng.chance(1 / 8)) {
      const code = rng.pick(['EIO', 'ENOSPC', 'EROFS', 'EDQUOT']);
      throw Object.assign(new Error(`${code} by chance`), { code });
    }
    await run();
    if (late) await turn();
  };
  return {
    size: volume.size,
    blockSizes,
    coversAllConnections: volume.coversAllConnections,
    fastZeroes: false,
    read: (offset, into) => call(() => volume.read(offset, into)),
    write: (offset, data, durable) => call(() => volume.write(offset, data, durable)),
    writeZeroes: (offset, length, options) => call(() => volume.writeZeroes(offset, length, options)),
    trim: (offset, length, durable) => call(() => volume.trim(offset, length, durable)),
    flush: () => call(() => volume.flush()),
    extents: (offset, length) => volume.extents(offset, length),
  };
}
