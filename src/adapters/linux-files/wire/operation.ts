/**
 * The record of the log: what the target carries out, one after another. Each
 * holds its type, the name, the offset and the content; sequence, time and
 * checksum are those of the bundle it travels in. Carrying out a bundle twice
 * leaves what carrying it out once does.
 */
export const OP = {
  /** Goes to a directory, which is there: mapping, path. */
  cd: 1,
  /** Makes a directory in the present one unless it is there, and goes into it: name. */
  enter: 2,
  /** Gives the present directory its metadata; what follows goes to a directory first: metadata. */
  leave: 3,
  /** A file as a whole: name, metadata, content. */
  file: 4,
  /** Begins a large file: name, metadata, size. All of it is a hole then. */
  begin: 5,
  /** A piece of it: name, offset, content. */
  data: 6,
  /** Opens a file that is there, to change pieces of it: name, size. */
  change: 7,
  /** Makes a hole in it: name, offset, length. */
  hole: 8,
  /** Ends it: name, metadata. */
  end: 9,
  /** name, metadata, target. */
  symlink: 10,
  /** FIFO or device: name, metadata, major, minor. */
  node: 11,
  /** One more name of a file: name, mapping and path of a name that it has. */
  link: 12,
  /** name, with all below it. */
  remove: 13,
  /** Flags that lock a file, after all of its names are made: mapping, path, flags. */
  lock: 14,
} as const;

/** Files up to this size travel whole, in one operation. */
export const SMALL_FILE = 128 * 1024;
/** Larger ones in pieces of at most this. */
export const PIECE = 256 * 1024;
/** A bundle is sent when it holds at least this. */
export const BUNDLE = 256 * 1024;
