/** What lies in a state directory, and how large it is. */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { FileArea } from '../../../adapters/block-files/index.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import { syncDir } from '../../../state/index.ts';
import type { ImageAtFirst, SharedOptions } from '../api.ts';
import { tableBytes } from '../engine/area-layout.ts';
import { Dirty } from '../engine/dirty.ts';
import { RECORD_BYTES } from '../engine/record.ts';
import { SUPERBLOCK_BYTES } from '../engine/superblock.ts';

/** The smallest blocks that clients write. A ring full of those must have a slot for each. */
const LEAST_BLOCK = 4096;
/** What a DR that was away is sent at a time. */
export const CHUNK_BYTES = 256 * 1024;
const LEAST_KEY = 16;

/** Operations that may be in the ring at once. */
export function slotsOf({ ring }: SharedOptions): number {
  return Math.max(1024, Math.ceil(ring / LEAST_BLOCK));
}

/** The number that stands for the volume in every record. */
export function volumeNumber({ volume }: SharedOptions): number {
  return crc32(Buffer.from(volume));
}

/** What two roles must agree in. */
export function factsOf(options: SharedOptions): Readonly<Record<string, string | number>> {
  const { volume, size, ring, leaseMs } = options;
  return { volume, size, ring, leaseMs };
}

/** @throws GodwitError GW1001 when it cannot be read or is too short to be a secret */
export function readKey({ key }: SharedOptions): Buffer | undefined {
  if (key === undefined) return undefined;
  let text: string;
  try {
    if ((statSync(key).mode & 0o077) !== 0) {
      throw new GodwitError('GW1001', `${key} can be read by others than its owner (chmod 600 ${key})`);
    }
    text = readFileSync(key, 'utf8').trim();
  } catch (error) {
    if (error instanceof GodwitError) throw error;
    throw new GodwitError('GW1001', `The key file ${key} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const bytes = Buffer.from(text, 'hex');
  if (bytes.length < LEAST_KEY) {
    throw new GodwitError(
      'GW1001',
      `${key} is no key: 32 bytes as hexadecimal digits are, as \`godwit protect key\` makes it`,
    );
  }
  return bytes;
}

export function checkShared({ size, ring, leaseMs }: SharedOptions): void {
  if (size % LEAST_BLOCK !== 0 || size <= 0) throw new GodwitError('GW1001', '--size must be a multiple of 4096 bytes');
  if (ring < 4 << 20) throw new GodwitError('GW1001', '--ring must be 4 MiB at least');
  if (leaseMs < 500) throw new GodwitError('GW1001', '--lease must be half a second at least');
}

/** @throws GodwitError GW2204 when there is no state and none shall be made */
function checkState({ state, create }: SharedOptions): boolean {
  const hasBegun = existsSync(join(state, 'state'));
  if (!hasBegun && !create) {
    throw new GodwitError('GW2204', `There is no state in ${state}; --create begins a new volume`, {
      details: { state },
    });
  }
  return hasBegun;
}

/** An image and its state belong together: either alone would make a volume that is not what it seems. */
function checkImage(path: string, size: number, hasBegun: boolean, atFirst: ImageAtFirst): void {
  if (hasBegun && !existsSync(path)) {
    throw new GodwitError('GW2204', `The state of the volume is there, and its image ${path} is not`, {
      details: { path },
    });
  }
  if (hasBegun) return;
  if (atFirst !== 'new' && !existsSync(path))
    throw new GodwitError('GW2204', `${path} is to be ${atFirst}, and is not there`, { details: { path } });
  if (atFirst === 'new' && existsSync(path) && !isUnwritten(path, size)) {
    throw new GodwitError('GW2204', `${path} is there already, and the state directory knows nothing of it`, {
      details: { path },
    });
  }
}

/** A file in which nothing was ever written: what a role leaves behind that was killed while it began. */
function isUnwritten(path: string, size: number): boolean {
  const fd = openSync(path, 'r');
  try {
    // Some file systems count what was written only then.
    fsyncSync(fd);
    const stat = fstatSync(fd);
    return stat.isFile() && stat.blocks === 0 && (stat.size === 0 || stat.size === size);
  } finally {
    closeSync(fd);
  }
}

/** Opens areas in a state directory; the ring's space is taken when it is made, so that a full disk is met now. */
export function openAreas(options: SharedOptions) {
  const hasBegun = checkState(options);
  mkdirSync(options.state, { recursive: true, mode: 0o700 });
  const open = (name: string, bytes: number, mayHaveGrown = false) =>
    FileArea.open(join(options.state, name), bytes, { allocate: true, mayHaveGrown });
  return {
    state: () => open('state', SUPERBLOCK_BYTES),
    ring: () => open('ring', options.ring),
    table: () => open('table', tableBytes(slotsOf(options))),
    suspended: () => open('suspended', options.ring),
    orders: () => open('orders', slotsOf(options) * RECORD_BYTES),
    /** A log of another size begins anew: what it held cannot be moved. So does one that was not kept for a while. */
    undo: (bytes: number | undefined) => {
      const path = join(options.state, 'undo');
      if (existsSync(path) && statSync(path).size !== bytes) {
        rmSync(join(options.state, 'undo-state'), { force: true });
        rmSync(path);
        // A log that came back would be believed.
        syncDir(options.state);
      }
      if (bytes === undefined) return undefined;
      // As the image, it takes its space when it needs it: to write so much now would hold up everything else.
      return { log: FileArea.open(path, bytes, { allocate: false }), state: open('undo-state', SUPERBLOCK_BYTES) };
    },
    dirty: () => open('dirty', Dirty.bytesFor(options.size, CHUNK_BYTES), true),
    /** To be opened before the state: a crash between the two leaves an empty image, not a state that is believed. */
    image: (path: string, atFirst: ImageAtFirst = 'new') => {
      checkImage(path, options.size, hasBegun, atFirst);
      return FileArea.open(path, options.size, { allocate: false, mayHaveGrown: hasBegun });
    },
  };
}
