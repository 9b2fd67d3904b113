/**
 * A file that somebody holds alone (a lease), read from the sectors it occupies. Its holder's descriptor is asked where
 * they are, and given back; what was written by then is on the device by that question. Whoever reads it asks afterwards
 * whether it still is what it was, and lies where it lay.
 */
import { closeSync, readFileSync } from 'node:fs';
import type { Name } from '../libc/bytes.ts';
import type { Extent } from '../libc/extents.ts';
import { EXT4, fileSystemType, XFS } from '../libc/file-system.ts';
import { readInodeFlags } from '../libc/inode-flags.ts';
import { O, openAt } from '../libc/open.ts';
import { deviceOf, type Stat, statFd } from '../libc/stat.ts';
import { readXattrs, throughProc, type Xattrs } from '../libc/xattr.ts';
import { BlockDevice } from './block-device.ts';
import { withBorrowed } from './borrow.ts';
import { type Placed, placesOf } from './extent-map.ts';

/** Those of one device each, whose maps are of that device. */
const SINGLE_DEVICE: ReadonlySet<number> = new Set([EXT4, XFS]);

export class HeldFile {
  readonly #fd: number;
  readonly #device: BlockDevice;
  readonly #places: readonly Placed[];
  readonly #size: number;
  readonly flags: number;

  private constructor(fd: number, device: BlockDevice, places: readonly Placed[], size: number, flags: number) {
    this.#fd = fd;
    this.#device = device;
    this.#places = places;
    this.#size = size;
    this.flags = flags;
  }

  /** Undefined when nobody holds it; in words why it cannot be read though somebody does. */
  static open(dirFd: number, name: Name): HeldFile | string | undefined {
    const fd = openAt(dirFd, name, O.PATH);
    let file: HeldFile | string | undefined;
    try {
      file = openHeld(fd, dirFd);
      return file;
    } finally {
      if (!(file instanceof HeldFile)) closeSync(fd);
    }
  }

  static of(fd: number, device: BlockDevice, places: readonly Placed[], size: number, flags: number): HeldFile {
    return new HeldFile(fd, device, places, size, flags);
  }

  stat(): Stat {
    return statFd(this.#fd);
  }

  xattrs(): Xattrs {
    return readXattrs(throughProc(this.#fd));
  }

  /** Whether it lies where it lay when it was opened. Where nobody can say so any more, it does not. */
  get isInPlace(): boolean {
    const places = withBorrowed(this.stat(), placesOf);
    return JSON.stringify(places) === JSON.stringify(this.#places);
  }

  /** As `nextData` of what is open. */
  nextData(from: number, size: number): Extent | undefined {
    const place = this.#places[this.#firstAfter(from)];
    if (place === undefined || place.start >= size || from >= size) return undefined;
    return { start: Math.max(from, place.start), end: Math.min(place.end, size) };
  }

  /** Reads up to `length` bytes; fewer only at the end of the file. */
  read(into: Buffer, at: number, length: number, position: number): number {
    const end = Math.min(position + length, this.#size);
    if (end <= position) return 0;
    into.fill(0, at, at + end - position);
    for (let index = this.#firstAfter(position); ; index += 1) {
      const place = this.#places[index];
      if (place === undefined || place.start >= end) return end - position;
      const [from, to] = [Math.max(position, place.start), Math.min(end, place.end)];
      this.#device.read(into, at + from - position, to - from, place.physical + from - place.start);
    }
  }

  /** The first place that ends after this position. */
  #firstAfter(position: number): number {
    let [low, high] = [0, this.#places.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#places[middle] as Placed).end > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  close(): void {
    this.#device.close();
    closeSync(this.#fd);
  }
}

function openHeld(fd: number, dirFd: number): HeldFile | string | undefined {
  const stat = statFd(fd);
  const map = withBorrowed(stat, (borrowed) => {
    if (!SINGLE_DEVICE.has(fileSystemType(dirFd))) return 'this kind of file system does not tell them';
    if (isJournaled(stat)) return 'its content goes through the journal';
    const places = placesOf(borrowed);
    return typeof places === 'string' ? places : { places, flags: readInodeFlags(borrowed) };
  });
  if (map === undefined || typeof map === 'string') return map;
  const device = BlockDevice.open(stat);
  if (typeof device === 'string') return device;
  return HeldFile.of(fd, device, map.places, stat.size, map.flags);
}

/** Whether the whole file system is mounted so that contents lie in the journal first. */
function isJournaled(stat: Stat): boolean {
  const { major, minor } = deviceOf(stat);
  const number = `${major}:${minor}`;
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[2] === number && /[ ,]data=journal(,|$)/.test(line));
}
