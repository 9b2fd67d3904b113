/**
 * Names as the kernel has them: any bytes but NUL and `/`. They are kept as
 * strings of one character a byte (latin1), so that they compare, sort and serve
 * as keys byte by byte, and nothing is ever lost to UTF-8.
 */

/** One component of a path, one character a byte. */
export type Name = string;

/** A path, one character a byte. Relative ones never begin with `/`; the empty path is the root itself. */
export type BytePath = string;

/** What a person typed, as bytes. */
export function fromText(text: string): BytePath {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** For people: UTF-8 where it is, escapes where it is not, and nothing that a terminal would obey. */
export function toText(path: BytePath): string {
  const bytes = Buffer.from(path, 'latin1');
  const text = bytes.toString('utf8');
  const whole = Buffer.from(text, 'utf8').equals(bytes) ? text : undefined;
  if (whole !== undefined && !/[\p{Cc}\p{Bidi_Control}\\]/u.test(whole)) return whole;
  return (whole ?? path)
    .replace(/[^ -[\]-~]/gu, (letter) =>
      [...Buffer.from(letter, whole === undefined ? 'latin1' : 'utf8')]
        .map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`)
        .join(''),
    )
    .replaceAll(/\\(?!x[0-9a-f]{2})/g, '\\x5c');
}

export function joinPath(parent: BytePath, name: Name): BytePath {
  return parent === '' ? name : `${parent}/${name}`;
}

const SCRATCH_BYTES = 8192;
const scratch = [Buffer.alloc(SCRATCH_BYTES), Buffer.alloc(SCRATCH_BYTES)] as const;

/**
 * The path as C has it, in memory that the next call with the same `slot` uses
 * again: good for one native call, and no longer.
 */
export function toC(path: BytePath, slot: 0 | 1 = 0): Buffer {
  if (path.length >= SCRATCH_BYTES) return Buffer.from(`${path}\0`, 'latin1');
  const buffer = scratch[slot];
  const length = buffer.write(path, 0, 'latin1');
  buffer[length] = 0;
  return buffer;
}
