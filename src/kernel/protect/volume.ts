/**
 * A block device as its users write to it: the port between the server that
 * speaks to them and whatever stands behind it (a file, a protected volume).
 *
 * Offsets and lengths are in bytes, within `size`, multiples of `blockSizes.least`
 * and never empty: the server has seen to it. Several calls may be under way at
 * once; of two writes under way that overlap, either may win, in each byte.
 *
 * A call that fails has perhaps been carried out in part. An error whose `code`, or that of its causes, is the
 * system's for no space or no permission is told to clients as such; every other as an input/output error.
 */
export interface Volume {
  /** Bytes. */
  readonly size: number;
  readonly blockSizes: BlockSizes;
  /** Whether a flush on one connection covers what was replied to on any other. */
  readonly coversAllConnections: boolean;
  /** Whether `writeZeroes`, of any length, takes less time than writing as many bytes. */
  readonly fastZeroes: boolean;

  /**
   * Whether what has succeeded may be told now: a process that stood still since then may have lost the right to. Without
   * it, always; `never`: the client is hung up on.
   */
  readonly mayTell?: () => 'now' | 'later' | 'never';

  /** Fills `into` from `offset` on; what was written before and replied to is in it. */
  read(offset: number, into: Buffer): Promise<void>;
  /** Resolves when a later read sees `data`, and with `durable` not before it has survived a crash. `data` may be used again after that. */
  write(offset: number, data: Buffer, durable: boolean): Promise<void>;
  /** As if zeroes were written. `mayTrim`: the space need not stay allocated. */
  writeZeroes(
    offset: number,
    length: number,
    options: { readonly durable: boolean; readonly mayTrim: boolean },
  ): Promise<void>;
  /** What is there need not be kept; reads give zeroes or what was there. */
  trim(offset: number, length: number, durable: boolean): Promise<void>;
  /** Every write that was replied to before this call survives a crash once this has resolved. */
  flush(): Promise<void>;
  /** What is allocated from `offset` on, without gaps, at most `length` bytes and at least one extent. */
  extents(offset: number, length: number): Promise<readonly Extent[]>;
}

export interface BlockSizes {
  readonly least: number;
  readonly preferred: number;
  /** The longest read or write; zeroes and trims may be longer. */
  readonly most: number;
}

export interface Extent {
  readonly length: number;
  /** No space is taken by it. */
  readonly hole: boolean;
  /** It reads as zeroes. */
  readonly zero: boolean;
}
